//! Typed literals.

use std::fmt;

use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, Utc};
use rust_decimal::Decimal;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::parser::nearest;
use crate::{ErrorKind, FieldKind};

/// Maximum number of digits before the decimal point.
const MAX_INTEGER_DIGITS: usize = 15;
/// Maximum number of decimals: that of exchange rates, the finest column.
const MAX_DECIMALS: usize = 10;
/// Maximum number of digits of a whole number; any such number fits into 64 bits.
const MAX_WHOLE_DIGITS: usize = 18;
/// The length of an id in its hyphenated form.
pub(crate) const ID_LENGTH: usize = 36;

/// A typed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A text, a key or a value of an enum.
    Text(String),
    /// An exact number.
    Decimal(Decimal),
    /// A whole number.
    Integer(i64),
    /// A calendar date.
    Date(NaiveDate),
    /// A point in time.
    Instant(DateTime<Utc>),
    /// True or false.
    Boolean(bool),
    /// An id.
    Uuid(Uuid),
}

/// A literal as written, before its field decides the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written<'a> {
    /// In single quotes.
    Quoted(&'a str),
    /// A number, date, instant or id without quotes.
    Bare(&'a str),
    /// `true` or `false`.
    Boolean(bool),
}

/// The reason why a literal is not a value of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiteralError {
    pub kind: ErrorKind,
    pub detail: String,
    /// The most similar valid value.
    pub nearest: Option<&'static str>,
}

impl LiteralError {
    fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), nearest: None }
    }
}

impl Literal {
    /// Reads a literal of a filter as a value of this kind.
    pub(crate) fn read(kind: FieldKind, written: Written<'_>) -> Result<Self, LiteralError> {
        match kind {
            FieldKind::Text | FieldKind::TextList => {
                quoted(written).map(|text| Self::Text(text.to_owned()))
            }
            FieldKind::Key | FieldKind::KeyList => {
                quoted(written).map(|text| Self::Text(upper_cased(text)))
            }
            FieldKind::Enum(allowed) => choice(quoted(written)?, allowed),
            FieldKind::Boolean => match written {
                Written::Boolean(value) => Ok(Self::Boolean(value)),
                _ => {
                    let detail = "true or false is expected, without quotes";
                    Err(LiteralError::new(ErrorKind::InvalidValue, detail))
                }
            },
            FieldKind::Decimal => {
                let detail = format!(
                    "a decimal such as 12.50 is expected, with at most {MAX_INTEGER_DIGITS} digits \
                     before and {MAX_DECIMALS} after the point"
                );
                parsed(written, decimal, ErrorKind::InvalidDecimal, detail).map(Self::Decimal)
            }
            FieldKind::Integer => {
                let detail =
                    format!("a whole number of at most {MAX_WHOLE_DIGITS} digits is expected");
                parsed(written, whole, ErrorKind::InvalidValue, detail).map(Self::Integer)
            }
            FieldKind::Date => {
                let detail = "a date such as 2031-05-15 is expected";
                parsed(written, date, ErrorKind::InvalidDate, detail).map(Self::Date)
            }
            FieldKind::Instant => {
                let detail = "an instant such as 2031-05-15T12:00:00Z is expected";
                parsed(written, instant, ErrorKind::InvalidDate, detail).map(Self::Instant)
            }
            FieldKind::Uuid => {
                let detail = "an id such as 0190b5c2-7d5e-7000-8000-000000000001 is expected";
                parsed(written, id, ErrorKind::InvalidValue, detail).map(Self::Uuid)
            }
        }
    }

    /// Reads the value of a row from the text that represents it in JSON. Returns `None` for
    /// another form, and for kinds that JSON does not represent as a text.
    ///
    /// Texts and keys are taken unchanged, and decimals of any size: rows are not limited to what a
    /// filter may write.
    #[must_use]
    pub fn from_text(kind: FieldKind, text: &str) -> Option<Self> {
        match kind {
            FieldKind::Text | FieldKind::Key | FieldKind::Enum(_) => {
                Some(Self::Text(text.to_owned()))
            }
            FieldKind::Decimal => Decimal::from_str_exact(text).ok().map(Self::Decimal),
            FieldKind::Date => date(text).map(Self::Date),
            FieldKind::Instant => instant(text).map(Self::Instant),
            FieldKind::Uuid => id(text).map(Self::Uuid),
            FieldKind::Integer | FieldKind::Boolean | FieldKind::KeyList | FieldKind::TextList => {
                None
            }
        }
    }
}

/// Reads a literal that may be written with or without quotes.
fn parsed<T>(
    written: Written<'_>,
    parse: fn(&str) -> Option<T>,
    error: ErrorKind,
    detail: impl Into<String>,
) -> Result<T, LiteralError> {
    let value = match written {
        Written::Quoted(text) | Written::Bare(text) => parse(text),
        Written::Boolean(_) => None,
    };
    value.ok_or_else(|| LiteralError::new(error, detail))
}

fn quoted(written: Written<'_>) -> Result<&str, LiteralError> {
    match written {
        Written::Quoted(text) => Ok(text),
        _ => {
            let detail = "a text in single quotes is expected";
            Err(LiteralError::new(ErrorKind::InvalidValue, detail))
        }
    }
}

/// Returns a part of a key in the form in which keys are stored: in NFC and upper-cased by Unicode.
/// Upper-casing can decompose a character, so the result is composed again.
fn upper_cased(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.nfc().flat_map(char::to_uppercase).nfc().collect()
}

fn choice(text: &str, allowed: &'static [&'static str]) -> Result<Literal, LiteralError> {
    if allowed.contains(&text) {
        return Ok(Literal::Text(text.to_owned()));
    }
    let detail = format!("one of {} is expected", allowed.join(", "));
    let nearest = nearest(text, allowed);
    Err(LiteralError { nearest, ..LiteralError::new(ErrorKind::InvalidValue, detail) })
}

/// Parses `-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,10})?` and nothing else.
fn decimal(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (integer, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_canonical = integer == "0" || !integer.starts_with('0');
    if is_canonical && is_digits(integer, MAX_INTEGER_DIGITS) && is_digits(fraction, MAX_DECIMALS) {
        Decimal::from_str_exact(text).ok()
    } else {
        None
    }
}

/// Parses a whole number. Stricter than `str::parse`: no plus sign, and no number that could
/// overflow.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if is_digits(digits, MAX_WHOLE_DIGITS) { text.parse().ok() } else { None }
}

fn is_digits(text: &str, max_length: usize) -> bool {
    (1..=max_length).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses `YYYY-MM-DD` of the years 1 to 9999. chrono also accepts other forms, which a date never
/// prints as.
fn date(text: &str) -> Option<NaiveDate> {
    let date: NaiveDate = text.parse().ok()?;
    ((1..=9_999).contains(&date.year()) && date.to_string() == text).then_some(date)
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc())
}

/// Parses the hyphenated form only; `Uuid::try_parse` also accepts braces and URNs.
fn id(text: &str) -> Option<Uuid> {
    if text.len() == ID_LENGTH { Uuid::try_parse(text).ok() } else { None }
}

/// Writes the literal as a filter does.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Decimal(number) => number.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Date(date) => date.fmt(f),
            Self::Instant(instant) => {
                f.write_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            }
            Self::Boolean(value) => value.fmt(f),
            Self::Uuid(id) => id.fmt(f),
        }
    }
}
