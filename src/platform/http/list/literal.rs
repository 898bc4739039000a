//! Typed values: literals of filters, and sort values of rows on their way through a cursor.

use std::fmt;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::FieldKind;
use crate::platform::http::json::nearest;
use crate::platform::http::problem::FieldCode;
use crate::values::date::Date;
use crate::values::decimal::parse_decimal;

/// Decimals a literal may have: as many as the finest column, exchange rates.
const DECIMALS: usize = 10;

/// A value that can be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// Text, a key or a value of an enum.
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

/// A literal as it was written, before the field it meets decides what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written<'a> {
    /// In single quotes.
    Quoted(&'a str),
    /// A number, date, instant or id without quotes.
    Bare(&'a str),
    /// `true` or `false`.
    Boolean(bool),
}

/// Why a literal does not suit its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsuitable {
    /// The kind of mistake.
    pub code: FieldCode,
    /// The mistake in words.
    pub detail: String,
    /// The nearest allowed value.
    pub nearest: Option<&'static str>,
}

impl Unsuitable {
    fn new(code: FieldCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), nearest: None }
    }
}

impl Literal {
    /// Reads a literal as the kind of field wants it.
    ///
    /// # Errors
    /// When the literal has another form.
    pub fn read(kind: FieldKind, written: Written<'_>) -> Result<Self, Unsuitable> {
        match kind {
            FieldKind::Text | FieldKind::TextList => {
                quoted(written).map(|text| Self::Text(text.to_owned()))
            }
            FieldKind::Key | FieldKind::KeyList => {
                quoted(written).map(|text| Self::Text(text.to_ascii_uppercase()))
            }
            FieldKind::Enum(allowed) => choice(quoted(written)?, allowed),
            FieldKind::Boolean => match written {
                Written::Boolean(truth) => Ok(Self::Boolean(truth)),
                _ => Err(Unsuitable::new(
                    FieldCode::InvalidValue,
                    "true or false is expected, without quotes",
                )),
            },
            FieldKind::Decimal => {
                let what = "a decimal such as 12.50 is expected";
                let text = either(written)
                    .ok_or_else(|| Unsuitable::new(FieldCode::InvalidDecimal, what))?;
                parse_decimal(text, DECIMALS)
                    .map(Self::Decimal)
                    .map_err(|invalid| Unsuitable::new(FieldCode::InvalidDecimal, invalid.detail))
            }
            FieldKind::Integer => {
                let what = "a whole number of at most 18 digits is expected";
                let number = either(written).and_then(whole);
                number
                    .map(Self::Integer)
                    .ok_or_else(|| Unsuitable::new(FieldCode::InvalidValue, what))
            }
            FieldKind::Date => {
                let what = "a date such as 2031-05-15 is expected";
                let date = either(written).and_then(|text| Date::parse(text).ok());
                date.map(|date| Self::Date(date.get()))
                    .ok_or_else(|| Unsuitable::new(FieldCode::InvalidDate, what))
            }
            FieldKind::Instant => {
                let what = "an instant such as 2031-05-15T12:00:00Z is expected";
                either(written)
                    .and_then(instant)
                    .ok_or_else(|| Unsuitable::new(FieldCode::InvalidDate, what))
            }
            FieldKind::Uuid => {
                let what = "an id such as 0190b5c2-7d5e-7000-8000-000000000001 is expected";
                either(written)
                    .and_then(id)
                    .ok_or_else(|| Unsuitable::new(FieldCode::InvalidValue, what))
            }
        }
    }

    /// Takes a value out of a row's JSON as it was written, for the cursor. Nothing when the JSON
    /// is of another kind.
    #[must_use]
    pub fn from_wire(kind: FieldKind, value: &Value) -> Option<Self> {
        match (kind, value) {
            (FieldKind::Text | FieldKind::Key | FieldKind::Enum(_), Value::String(text)) => {
                Some(Self::Text(text.clone()))
            }
            (FieldKind::Decimal, Value::String(text)) => {
                Decimal::from_str_exact(text).ok().map(Self::Decimal)
            }
            (FieldKind::Integer, Value::Number(number)) => number.as_i64().map(Self::Integer),
            (FieldKind::Date, Value::String(text)) => {
                Date::parse(text).ok().map(|date| Self::Date(date.get()))
            }
            (FieldKind::Instant, Value::String(text)) => instant(text),
            (FieldKind::Boolean, Value::Bool(truth)) => Some(Self::Boolean(*truth)),
            (FieldKind::Uuid, Value::String(text)) => id(text),
            _ => None,
        }
    }
}

fn quoted(written: Written<'_>) -> Result<&str, Unsuitable> {
    match written {
        Written::Quoted(text) => Ok(text),
        _ => Err(Unsuitable::new(FieldCode::InvalidValue, "a text in single quotes is expected")),
    }
}

const fn either(written: Written<'_>) -> Option<&str> {
    match written {
        Written::Quoted(text) | Written::Bare(text) => Some(text),
        Written::Boolean(_) => None,
    }
}

fn choice(text: &str, allowed: &'static [&'static str]) -> Result<Literal, Unsuitable> {
    if allowed.contains(&text) {
        return Ok(Literal::Text(text.to_owned()));
    }
    let detail = format!("one of {} is expected", allowed.join(", "));
    Err(Unsuitable {
        nearest: nearest(text, allowed),
        ..Unsuitable::new(FieldCode::InvalidValue, detail)
    })
}

/// Strict where `str::parse` is not: no plus sign, and nothing that could overflow.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let fits = (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

fn instant(text: &str) -> Option<Literal> {
    DateTime::parse_from_rfc3339(text).ok().map(|instant| Literal::Instant(instant.to_utc()))
}

/// The hyphenated form only; `Uuid::try_parse` would take braces and URNs as well.
fn id(text: &str) -> Option<Literal> {
    if text.len() == 36 { Uuid::try_parse(text).ok().map(Literal::Uuid) } else { None }
}

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
            Self::Boolean(truth) => truth.fmt(f),
            Self::Uuid(id) => id.fmt(f),
        }
    }
}
