//! The files of exports.

use std::fs::File;
use std::io::{Read, Seek as _};

use actix_web::web::Bytes;
use csv::WriterBuilder;
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use serde_json::Value;

use super::cell::with_mark;
use super::columns::Column;
use super::shape::Kind;
use crate::platform::http::problem::Problem;
use crate::platform::http::stream::PIECE_BYTES;

/// Maximum number of rows of a workbook. It is written to a temporary file before it is sent.
pub const MAX_WORKBOOK_ROWS: usize = 100_000;
/// Number of significant digits that the number of a spreadsheet has. Longer decimals are texts.
const MAX_EXACT_DIGITS: usize = 15;

/// Returns a value as the text of a cell.
fn text_of(column: &Column, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if column.field.kind == Kind::Text => with_mark(text, &column.field),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Returns rows as CSV.
///
/// # Errors
/// When the values cannot be written, which is a defect.
pub fn csv_rows<'a>(
    columns: &[Column],
    with_header: bool,
    rows: impl Iterator<Item = &'a Value>,
) -> Result<Bytes, Problem> {
    let mut writer = WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::with_capacity(PIECE_BYTES));
    if with_header {
        let names = columns.iter().map(|column| column.name.as_str());
        writer.write_record(names).map_err(Problem::internal)?;
    }
    for row in rows {
        let values = columns.iter().map(|column| text_of(column, column.value(row)));
        writer.write_record(values).map_err(Problem::internal)?;
    }
    Ok(writer.into_inner().map_err(Problem::internal)?.into())
}

/// A workbook that is written row by row, to a temporary file.
pub struct WorkbookWriter {
    workbook: Workbook,
    columns: Vec<Column>,
    next_row: u32,
    date_format: Format,
}

impl WorkbookWriter {
    /// Begins a workbook with the header.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn new(columns: Vec<Column>) -> Result<Self, Problem> {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet_with_constant_memory().map_err(Problem::internal)?;
        for (at, column) in (0..).zip(&columns) {
            sheet.write_string(0, at, &column.name).map_err(Problem::internal)?;
        }
        let date_format = Format::new().set_num_format("yyyy-mm-dd");
        Ok(Self { workbook, columns, next_row: 1, date_format })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn write(&mut self, rows: &[Value]) -> Result<(), Problem> {
        let sheet = self.workbook.worksheet_from_index(0).map_err(Problem::internal)?;
        for row in rows {
            for (at, column) in (0..).zip(&self.columns) {
                write_cell(
                    sheet,
                    (self.next_row, at),
                    column,
                    column.value(row),
                    &self.date_format,
                )
                .map_err(Problem::internal)?;
            }
            self.next_row = self.next_row.saturating_add(1);
        }
        Ok(())
    }

    /// Ends the workbook, and returns its pieces.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn finish(mut self) -> Result<impl Iterator<Item = Bytes> + Send + 'static, Problem> {
        let mut file = tempfile::tempfile().map_err(Problem::internal)?;
        self.workbook.save_to_writer(&mut file).map_err(Problem::internal)?;
        file.rewind().map_err(Problem::internal)?;
        Ok(pieces(file))
    }
}

/// Returns the pieces of a file. A file that was just written can be read.
fn pieces(mut file: File) -> impl Iterator<Item = Bytes> + Send + 'static {
    std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).ok().filter(|read| *read > 0)?;
        piece.truncate(read);
        Some(piece.into())
    })
}

fn write_cell(
    sheet: &mut Worksheet,
    (row, at): (u32, u16),
    column: &Column,
    value: &Value,
    date_format: &Format,
) -> Result<(), XlsxError> {
    let text = text_of(column, value);
    if text.is_empty() {
        return Ok(());
    }
    if let Value::Bool(value) = value {
        sheet.write_boolean(row, at, *value)?;
        return Ok(());
    }
    let is_number = matches!(column.field.kind, Kind::Decimal | Kind::Integer)
        && text.bytes().filter(u8::is_ascii_digit).count() <= MAX_EXACT_DIGITS;
    if let Some(number) = text.parse::<f64>().ok().filter(|_| is_number) {
        sheet.write_number(row, at, number)?;
        return Ok(());
    }
    // Spreadsheets have no days before 1900.
    if column.field.kind == Kind::Date
        && let Ok(date) = ExcelDateTime::parse_from_str(&text)
    {
        sheet.write_datetime_with_format(row, at, &date, date_format)?;
        return Ok(());
    }
    sheet.write_string(row, at, text)?;
    Ok(())
}
