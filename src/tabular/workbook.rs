//! The rows of the first sheet of a workbook. A workbook is a ZIP archive with its directory at the
//! end, so it is received into a temporary file.

use std::io::{self, BufReader, Read, Seek};

use calamine::{DataRef, ExcelDateTime, Reader, Xlsx};
use zip::ZipArchive;

use super::body::{is_bomb, problem_of, too_large};
use super::cell::Cell;
use super::columns::{Header, MAX_COLUMNS, RowError, SourceRow};
use super::shape::Field;
use crate::platform::http::problem::{FieldCode, Problem, ProblemCode};

/// Maximum size of a workbook as it is received, in bytes.
const MAX_PACKED_BYTES: u64 = 33_554_432;
/// Maximum size of all parts of a workbook in bytes.
const MAX_PARTS_BYTES: u64 = 268_435_456;
/// Maximum size of a part that is read as a whole (texts, styles), in bytes.
const MAX_WHOLE_PART_BYTES: u64 = 67_108_864;
/// Maximum number of parts.
const MAX_PARTS: usize = 1_000;

/// Reads the rows of a workbook, and passes each on.
///
/// # Errors
/// As [`read_rows`](super::read::read_rows).
pub fn read(
    body: impl Read,
    field: &Field,
    has_decimal_comma: bool,
    each: &mut dyn FnMut(SourceRow) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut file = tempfile::tempfile().map_err(Problem::internal)?;
    let packed = io::copy(&mut body.take(MAX_PACKED_BYTES.saturating_add(1)), &mut file)
        .map_err(problem_of)?;
    if packed > MAX_PACKED_BYTES {
        let detail = format!("a workbook has at most {MAX_PACKED_BYTES} bytes; send CSV instead");
        return Err(Problem::new(ProblemCode::PayloadTooLarge, detail));
    }
    check_parts(&mut file, packed)?;
    file.rewind().map_err(problem_of)?;
    let mut book = Xlsx::new(BufReader::new(file)).map_err(malformed)?;
    let Some(sheet) = book.sheet_names().first().cloned() else {
        return Err(Problem::new(ProblemCode::MalformedRequest, "the workbook has no sheet"));
    };
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(malformed)?;
    let mut rows = Rows { header: None, field, has_decimal_comma, each };
    let (mut current, mut row) = (0, Vec::new());
    while let Some(cell) = cells.next_cell().map_err(malformed)? {
        let (at, column) = cell.get_position();
        if at != current {
            rows.take(current, std::mem::take(&mut row))?;
            current = at;
        }
        let value = cell_of(cell.get_value());
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if value == Cell::Empty {
            continue;
        }
        if column >= MAX_COLUMNS {
            let detail = format!("a sheet has at most {MAX_COLUMNS} columns");
            return Err(super::body::refused(line_of(at), FieldCode::TooLong, detail));
        }
        if row.len() <= column {
            row.resize(column.saturating_add(1), Cell::Empty);
        }
        if let Some(place) = row.get_mut(column) {
            *place = value;
        }
    }
    rows.take(current, row)?;
    match rows.header {
        Some(_) => Ok(()),
        None => Header::read(Vec::new(), field).map(drop),
    }
}

fn malformed(error: calamine::XlsxError) -> Problem {
    let detail = format!("the workbook cannot be read: {error}");
    Problem::new(ProblemCode::MalformedRequest, detail)
}

/// Unpacks all parts, without keeping them, to measure them: the sizes in the archive are only
/// claims.
fn check_parts(file: &mut (impl Read + Seek), packed: u64) -> Result<(), Problem> {
    let malformed = |error: zip::result::ZipError| {
        let detail = format!("the body is no workbook: {error}");
        Problem::new(ProblemCode::MalformedRequest, detail)
    };
    let mut archive = ZipArchive::new(file).map_err(malformed)?;
    if archive.len() > MAX_PARTS {
        return Err(too_large());
    }
    let mut unpacked: u64 = 0;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(malformed)?;
        let is_sheet = part.name().is_ok_and(|name| name.contains("worksheets/"));
        let left = MAX_PARTS_BYTES.saturating_sub(unpacked);
        let limit = if is_sheet { left } else { left.min(MAX_WHOLE_PART_BYTES) };
        let bytes = io::copy(&mut part.take(limit.saturating_add(1)), &mut io::sink())
            .map_err(problem_of)?;
        unpacked = unpacked.saturating_add(bytes);
        if bytes > limit || is_bomb(unpacked, packed) {
            return Err(too_large());
        }
    }
    Ok(())
}

/// Returns the number of a row as spreadsheets show it.
fn line_of(row: u32) -> u64 {
    u64::from(row).saturating_add(1)
}

/// The receiver of the rows of a sheet.
struct Rows<'a> {
    header: Option<Header>,
    field: &'a Field,
    has_decimal_comma: bool,
    each: &'a mut dyn FnMut(SourceRow) -> Result<(), Problem>,
}

impl Rows<'_> {
    fn take(&mut self, at: u32, mut cells: Vec<Cell>) -> Result<(), Problem> {
        if cells.is_empty() {
            return Ok(());
        }
        let Some(header) = &self.header else {
            let names = cells.into_iter().map(|cell| match cell {
                Cell::Text(name) => name,
                _ => String::new(),
            });
            self.header = Some(Header::read(names.collect(), self.field)?);
            return Ok(());
        };
        let content = if cells.len() > header.width() {
            let detail = format!("the row has a value outside of the {} columns", header.width());
            Err(vec![RowError::of_row(FieldCode::Syntax, detail)])
        } else {
            cells.resize(header.width(), Cell::Empty);
            header.row(&cells, self.has_decimal_comma)
        };
        match content.transpose() {
            Some(content) => (self.each)(SourceRow { line: line_of(at), content }),
            None => Ok(()),
        }
    }
}

fn cell_of(value: &DataRef<'_>) -> Cell {
    match value {
        DataRef::Int(number) => Cell::Text(number.to_string()),
        DataRef::Float(number) => Cell::Number(*number),
        DataRef::String(text) | DataRef::DurationIso(text) => Cell::Text(text.clone()),
        DataRef::SharedString(text) => Cell::Text((*text).to_owned()),
        DataRef::Bool(value) => Cell::Boolean(*value),
        DataRef::DateTime(date) => Cell::Date(date_text(date)),
        DataRef::DateTimeIso(text) => Cell::Date(text.clone()),
        DataRef::Error(_) => Cell::Error,
        DataRef::Empty => Cell::Empty,
    }
}

/// Returns a day, a time of day, or both.
fn date_text(date: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
    // Spreadsheets count days from the end of 1899; a time alone is a fraction of the first.
    if year < 1900 {
        format!("{hour:02}:{minute:02}")
    } else if (hour, minute, second) == (0, 0, 0) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}
