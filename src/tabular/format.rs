//! The formats of files, and their media types.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header as _, Quality};
use values::text_enum;

/// The media type of CSV.
pub const CSV: &str = "text/csv";
/// The media type of NDJSON.
pub const NDJSON: &str = "application/x-ndjson";
/// The media type of workbooks.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

text_enum! {
    /// The format of a file.
    Format {
        /// Values separated by commas, semicolons, tabs or pipes.
        Csv = "CSV",
        /// One JSON object on each line.
        Ndjson = "NDJSON",
        /// The first sheet of a workbook.
        Xlsx = "XLSX",
    }
}

impl Format {
    /// Returns the format of a media type, without its parameters.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
        match essence.as_str() {
            CSV => Some(Self::Csv),
            NDJSON => Some(Self::Ndjson),
            XLSX => Some(Self::Xlsx),
            _ => None,
        }
    }

    /// Returns the format of a table that the caller prefers to JSON. Clients that accept every
    /// documented type expect a page.
    #[must_use]
    pub fn preferred(request: &HttpRequest) -> Option<Self> {
        let accept = Accept::parse(request).ok()?;
        let quality = |media: &str| {
            let ranges = accept.iter().filter(|range| range.item.essence_str() == media);
            ranges.map(|range| range.quality).max().filter(|quality| *quality > Quality::ZERO)
        };
        [(Self::Csv, CSV), (Self::Xlsx, XLSX)]
            .into_iter()
            .filter_map(|(format, media)| Some((quality(media)?, format)))
            .filter(|(table, _)| Some(*table) > quality("application/json"))
            .max_by_key(|(quality, _)| *quality)
            .map(|(_, format)| format)
    }
}
