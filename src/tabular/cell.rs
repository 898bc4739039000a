//! One cell: its value in a file, and the JSON that it means.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::Value;

use super::shape::{Field, Kind};

/// The characters with which spreadsheets begin a formula.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];
/// The character that marks a text as text.
const TEXT_MARK: char = '\'';

/// A cell as a file has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Cell {
    /// Nothing.
    #[default]
    Empty,
    /// A text.
    Text(String),
    /// A number of a workbook.
    Number(f64),
    /// A boolean of a workbook.
    Boolean(bool),
    /// A day of a workbook, `2031-05-15`, or a time, `14:30`.
    Date(String),
    /// An error of a workbook, such as `#N/A`.
    Error,
}

/// The reason why a cell cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellError {
    /// A control character in a text.
    ControlCharacter,
    /// An error of the workbook.
    FormulaError,
}

impl Cell {
    /// Returns whether the cell has no value for a field.
    #[must_use]
    pub fn is_blank(&self, field: &Field) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) if field.kind == Kind::Text => text.is_empty(),
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    /// Returns the JSON that a client would send for the cell. What is no value of the field is
    /// returned as a text, which the resource refuses with its own error.
    ///
    /// # Errors
    /// When the cell has no text.
    pub fn json(&self, field: &Field, has_decimal_comma: bool) -> Result<Value, CellError> {
        let text: Cow<'_, str> = match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Date(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number_text(*number)),
            Self::Boolean(value) if field.kind == Kind::Boolean => return Ok((*value).into()),
            Self::Boolean(value) => Cow::Owned(value.to_string()),
            Self::Error => return Err(CellError::FormulaError),
        };
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(CellError::ControlCharacter);
        }
        Ok(match field.kind {
            Kind::Text => without_mark(&text).into(),
            Kind::Decimal if has_decimal_comma && !text.contains('.') => {
                text.trim().replacen(',', ".", 1).into()
            }
            Kind::Integer => match text.trim().parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => text.trim().into(),
            },
            Kind::Boolean if text.trim().eq_ignore_ascii_case("true") => true.into(),
            Kind::Boolean if text.trim().eq_ignore_ascii_case("false") => false.into(),
            _ => text.trim().into(),
        })
    }
}

/// Returns the number of a workbook with 15 significant digits, as spreadsheets show it: their
/// binary floats are not exact beyond.
fn number_text(number: f64) -> String {
    let exact = Decimal::from_scientific(&format!("{number:.14e}"));
    exact.map_or_else(|_| number.to_string(), |decimal| decimal.normalize().to_string())
}

/// Returns a text as a cell: one that a spreadsheet would take for a formula, and one that looks
/// like a marked text, is marked as text. So is an empty text where an empty cell would be null.
#[must_use]
pub fn with_mark(text: &str, field: &Field) -> String {
    let rest = text.trim_start_matches(TEXT_MARK);
    let is_marked = if rest.is_empty() {
        !text.is_empty() || field.is_nullable
    } else {
        rest.starts_with(FORMULA_STARTS)
    };
    if is_marked { format!("{TEXT_MARK}{text}") } else { text.to_owned() }
}

/// Returns the text of a cell without its mark.
fn without_mark(text: &str) -> &str {
    let rest = text.trim_start_matches(TEXT_MARK);
    let is_marked = rest.is_empty() || rest.starts_with(FORMULA_STARTS);
    match text.strip_prefix(TEXT_MARK) {
        Some(unmarked) if is_marked => unmarked,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_reversible() {
        for is_nullable in [false, true] {
            let field = Field { kind: Kind::Text, is_nullable, takes_empty_text: true };
            for text in [
                "", "a", "'", "''", "'a", "=1+1", "'=1", "''=1", "-5", "+", "@x", "\tx", "\rx",
                "a=1",
            ] {
                let cell = with_mark(text, &field);
                assert!(!cell.starts_with(FORMULA_STARTS), "{cell}");
                assert_eq!(without_mark(&cell), text, "{cell}");
                if text.is_empty() {
                    assert_eq!(cell.is_empty(), !is_nullable);
                }
            }
        }
    }

    #[test]
    fn numbers_of_workbooks() {
        for (number, text) in [
            (12.5, "12.5"),
            (1000.0, "1000"),
            (0.1 + 0.2, "0.3"),
            (-0.00001, "-0.00001"),
            (123_456_789_012.345, "123456789012.345"),
            (0.0, "0"),
        ] {
            assert_eq!(number_text(number), text);
        }
    }

    #[test]
    fn cells_of_each_kind() {
        let field = |kind| Field { kind, is_nullable: false, takes_empty_text: false };
        let json = |text: &str, kind, comma| {
            Cell::Text(text.to_owned()).json(&field(kind), comma).map(|value| value.to_string())
        };
        for (text, kind, comma, expected) in [
            ("12,5", Kind::Decimal, true, r#""12.5""#),
            ("12,5", Kind::Decimal, false, r#""12,5""#),
            ("1.234,5", Kind::Decimal, true, r#""1.234,5""#),
            (" 7 ", Kind::Integer, false, "7"),
            ("7.5", Kind::Integer, false, r#""7.5""#),
            ("TRUE", Kind::Boolean, false, "true"),
            ("wahr", Kind::Boolean, false, r#""wahr""#),
            ("'=1", Kind::Text, false, r#""=1""#),
            (" a ", Kind::Text, false, r#"" a ""#),
        ] {
            assert_eq!(json(text, kind, comma), Ok(expected.to_owned()), "{text}");
        }
        assert_eq!(json("a\0", Kind::Text, false), Err(CellError::ControlCharacter));
        assert_eq!(Cell::Number(1.0).json(&field(Kind::Text), false), Ok("1".into()));
        assert_eq!(Cell::Error.json(&field(Kind::Text), false), Err(CellError::FormulaError));
    }
}
