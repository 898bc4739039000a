//! The rows of a file, one after the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::{ReaderBuilder, StringRecord};
use values::wire_enum;

use super::body::{self, Encoding, problem_of, refused};
use super::cell::Cell;
use super::columns::{Header, RowError, SourceRow};
use super::format::Format;
use super::shape::Field;
use super::workbook;
use crate::platform::http::json;
use crate::platform::http::problem::{FieldCode, Problem};

/// Maximum length of a line, or of a row of values, in bytes.
pub const MAX_LINE_BYTES: usize = 262_144;
/// Size of the buffer of values. A line is measured in whole buffers.
const BUFFER_BYTES: usize = 16_384;

wire_enum! {
    /// The separator between the values of a row.
    Separator {
        /// A comma.
        Comma = "COMMA",
        /// A semicolon.
        Semicolon = "SEMICOLON",
        /// A tab.
        Tab = "TAB",
        /// A vertical bar.
        Pipe = "PIPE",
    }
}

wire_enum! {
    /// The character before the fraction of a decimal.
    DecimalMark {
        /// A point.
        Point = "POINT",
        /// A comma.
        Comma = "COMMA",
    }
}

impl Separator {
    const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }
}

/// The form of a file, as far as it is declared.
#[derive(Debug, Clone, Copy)]
pub struct FileForm {
    /// The format.
    pub format: Format,
    /// True if the file is compressed.
    pub is_gzip: bool,
    /// The encoding; detected if absent.
    pub encoding: Option<Encoding>,
    /// The separator; detected from the header if absent.
    pub separator: Option<Separator>,
    /// The decimal mark. If absent, a comma is accepted where it does not separate values.
    pub decimal_mark: Option<DecimalMark>,
}

/// Reads the rows of a file, in memory that its size does not affect, and passes each on.
///
/// # Errors
/// When the file as a whole cannot be read, or `each` returns an error.
pub fn read_rows(
    form: FileForm,
    field: &Field,
    body: impl Read,
    each: &mut dyn FnMut(SourceRow) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let has_decimal_comma = |separator: Option<u8>| match form.decimal_mark {
        Some(mark) => mark == DecimalMark::Comma,
        None => separator.is_none_or(|separator| separator != b','),
    };
    match form.format {
        Format::Ndjson => read_lines(body::text(body, form.is_gzip, form.encoding), each),
        Format::Csv => {
            let text = body::text(body, form.is_gzip, form.encoding);
            read_values(text, form.separator, field, &has_decimal_comma, each)
        }
        Format::Xlsx => {
            let body = body::Unpacked::new(body, form.is_gzip);
            workbook::read(body, field, has_decimal_comma(None), each)
        }
    }
}

/// Reads lines with one JSON object each. Empty lines are skipped.
fn read_lines(
    mut text: impl BufRead,
    each: &mut dyn FnMut(SourceRow) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = text.by_ref().take(limit).read_until(b'\n', &mut bytes).map_err(problem_of)?;
        if read == 0 {
            break;
        }
        if read > MAX_LINE_BYTES {
            return Err(line_too_long(line));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let content = json::parse(&bytes).map_err(|problem| RowError::of_problem(&problem));
        each(SourceRow { line, content })?;
    }
    Ok(())
}

fn line_too_long(line: u64) -> Problem {
    let detail = format!("line {line} has more than {MAX_LINE_BYTES} bytes");
    refused(line, FieldCode::TooLong, detail)
}

/// The position in a file of separated values: the lines so far, and the bytes of the current row.
/// The library counts lines too, but not those before a row that are empty, or that end with a
/// carriage return.
#[derive(Default)]
struct Progress {
    bytes_of_row: usize,
    offset: u64,
    /// The offsets of line feeds that are not passed yet.
    line_feeds: VecDeque<u64>,
    passed: u64,
}

impl Progress {
    fn read(&mut self, bytes: &[u8]) {
        self.bytes_of_row = self.bytes_of_row.saturating_add(bytes.len());
        for (at, byte) in (self.offset..).zip(bytes) {
            if *byte == b'\n' {
                self.line_feeds.push_back(at);
            }
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(length);
    }

    /// Returns the line on which a row begins that ends before the offset `end`.
    fn line_of(&mut self, row: &StringRecord, end: u64) -> u64 {
        self.bytes_of_row = 0;
        let mut own_end = 0;
        while let Some(at) = self.line_feeds.pop_front_if(|at| *at < end) {
            self.passed = self.passed.saturating_add(1);
            own_end = u64::from(at.saturating_add(1) == end);
        }
        let inside = row.iter().flat_map(str::bytes).filter(|byte| *byte == b'\n').count();
        let inside = u64::try_from(inside).unwrap_or(u64::MAX);
        self.passed.saturating_add(1).saturating_sub(own_end).saturating_sub(inside)
    }
}

/// A reader that records the progress, and fails when a row is too long.
struct Measured<R> {
    inner: R,
    progress: Rc<RefCell<Progress>>,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut progress = self.progress.borrow_mut();
        if progress.bytes_of_row > MAX_LINE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(buffer)?;
        progress.read(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Reads the first line without its end, for the detection of the separator.
fn first_line(text: &mut impl BufRead) -> Result<Vec<u8>, Problem> {
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut line = Vec::new();
    text.take(limit).read_until(b'\n', &mut line).map_err(problem_of)?;
    if line.len() > MAX_LINE_BYTES { Err(line_too_long(1)) } else { Ok(line) }
}

/// Returns the separator that occurs most often outside quotes.
fn detect_separator(line: &[u8]) -> Separator {
    let count = |separator: &Separator| {
        let mut is_quoted = false;
        let is_separator = |byte: &&u8| {
            is_quoted ^= **byte == b'"';
            !is_quoted && **byte == separator.byte()
        };
        line.iter().filter(is_separator).count()
    };
    // Of several maxima, max_by_key returns the last: the comma if there is none.
    let candidates = [Separator::Pipe, Separator::Tab, Separator::Semicolon, Separator::Comma];
    candidates.into_iter().max_by_key(count).unwrap_or(Separator::Comma)
}

/// Reads separated values below a header.
fn read_values(
    mut text: impl BufRead,
    separator: Option<Separator>,
    field: &Field,
    has_decimal_comma: &dyn Fn(Option<u8>) -> bool,
    each: &mut dyn FnMut(SourceRow) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let first = first_line(&mut text)?;
    let separator = separator.unwrap_or_else(|| detect_separator(&first)).byte();
    let has_decimal_comma = has_decimal_comma(Some(separator));
    let progress = Rc::new(RefCell::new(Progress::default()));
    let inner = first.as_slice().chain(text);
    let measured = Measured { inner, progress: Rc::clone(&progress) };
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(measured);
    let mut header: Option<Header> = None;
    let mut record = StringRecord::new();
    loop {
        let has_row = reader
            .read_record(&mut record)
            .map_err(|error| csv_problem(error, progress.borrow().passed.saturating_add(1)))?;
        if !has_row {
            break;
        }
        let line = progress.borrow_mut().line_of(&record, reader.position().byte());
        let Some(header) = &header else {
            header = Some(Header::read(record.iter().map(str::to_owned).collect(), field)?);
            continue;
        };
        let cells: Vec<Cell> = record.iter().map(|value| Cell::Text(value.to_owned())).collect();
        let content = if cells.len() == header.width() {
            header.row(&cells, has_decimal_comma)
        } else {
            let (width, expected) = (cells.len(), header.width());
            let detail = format!("the row has {width} values, and the header {expected}");
            Err(vec![RowError::of_row(FieldCode::Syntax, detail)])
        };
        // A row of empty cells is no row.
        if let Some(content) = content.transpose() {
            each(SourceRow { line, content })?;
        }
    }
    match header {
        Some(_) => Ok(()),
        None => Header::read(Vec::new(), field).map(drop),
    }
}

fn csv_problem(error: csv::Error, line: u64) -> Problem {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            line_too_long(line)
        }
        csv::ErrorKind::Io(error) => problem_of(error),
        _ => refused(line, FieldCode::Syntax, format!("line {line} cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::shape::Kind;
    use super::*;
    use crate::platform::http::problem::ProblemCode;

    fn table() -> Field {
        let field = |kind| Field { kind, is_nullable: true, takes_empty_text: false };
        let fields = [("number", Kind::Text), ("price", Kind::Decimal)];
        let fields = fields.into_iter().map(|(name, kind)| (name.to_owned(), field(kind)));
        field(Kind::Object(fields.collect()))
    }

    fn form(format: Format) -> FileForm {
        FileForm { format, is_gzip: false, encoding: None, separator: None, decimal_mark: None }
    }

    /// The number of a line, and its row or what is wrong with it.
    type NumberedRow = (u64, Result<Value, String>);

    fn rows(form: FileForm, text: &[u8]) -> Result<Vec<NumberedRow>, Problem> {
        let mut rows = Vec::new();
        read_rows(form, &table(), text, &mut |row| {
            let content = row.content.map_err(|errors| errors[0].code.to_owned());
            rows.push((row.line, content));
            Ok(())
        })?;
        Ok(rows)
    }

    fn csv(text: &str) -> Result<Vec<NumberedRow>, Problem> {
        rows(form(Format::Csv), text.as_bytes())
    }

    #[test]
    fn separators_and_decimals_are_detected() {
        let row = |price: &str| vec![(2, Ok(json!({"number": "A", "price": price})))];
        assert_eq!(csv("number,price\nA,1.5\n").unwrap(), row("1.5"));
        assert_eq!(csv("number;price\r\nA;1,5").unwrap(), row("1.5"));
        assert_eq!(csv("number\tprice\nA\t1,5\n").unwrap(), row("1.5"));
        assert_eq!(csv("number|price\nA|1.5\n").unwrap(), row("1.5"));
        assert_eq!(csv("number,price\nA,\"1,5\"\n").unwrap(), row("1,5"));
        let point = FileForm { decimal_mark: Some(DecimalMark::Point), ..form(Format::Csv) };
        assert_eq!(rows(point, b"number;price\nA;1,5\n").unwrap(), row("1,5"));
        let comma = FileForm { decimal_mark: Some(DecimalMark::Comma), ..form(Format::Csv) };
        assert_eq!(rows(comma, b"number,price\nA,\"1,5\"\n").unwrap(), row("1.5"));
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let found = csv("number\n\"A\nB\"\n\n,x\nC\n").unwrap();
        assert_eq!(found[0], (2, Ok(json!({"number": "A\nB"}))));
        assert_eq!(found[1], (5, Err("SYNTAX".to_owned())));
        assert_eq!(found[2], (6, Ok(json!({"number": "C"}))));
        let found = csv("number\r\nA\r\n\r\n\"B\r\nB\"\r\nC").unwrap();
        let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 6]);
        let found = rows(form(Format::Ndjson), b"{\"a\":1}\n\n{\r\n{\"a\":1,\"a\":2}\n[]").unwrap();
        assert_eq!(
            found,
            [
                (1, Ok(json!({"a": 1}))),
                (3, Err("MALFORMED_REQUEST".to_owned())),
                (4, Err("DUPLICATE_FIELD".to_owned())),
                (5, Ok(json!([]))),
            ]
        );
    }

    #[test]
    fn hostile_texts_are_refused() {
        let code = |form, text: &[u8]| rows(form, text).unwrap_err().code;
        let long = "x".repeat(MAX_LINE_BYTES + 2 * BUFFER_BYTES);
        for text in [
            String::new(),
            long.clone(),
            format!("number\n\"{long}"),
            format!("number\n{long}\n"),
            format!("number{}\n", ",".repeat(2_000)),
        ] {
            assert_eq!(code(form(Format::Csv), text.as_bytes()), ProblemCode::InvalidRequest);
        }
        assert_eq!(code(form(Format::Ndjson), long.as_bytes()), ProblemCode::InvalidRequest);
        let nested = "[".repeat(10_000);
        let found = rows(form(Format::Ndjson), nested.as_bytes()).unwrap();
        assert_eq!(found, [(1, Err("MALFORMED_REQUEST".to_owned()))]);
        assert_eq!(csv("number\na\0b\n").unwrap(), [(2, Err("INVALID_CHARACTER".to_owned()))]);
    }
}
