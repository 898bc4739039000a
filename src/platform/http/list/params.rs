//! Strict parsing of query strings: each unknown, repeated or unreadable parameter is an error.

use std::borrow::Cow;
use std::fmt::Write as _;

use values::wire::Invalid;

use crate::platform::http::json::{field_code, nearest};
use crate::platform::http::problem::{FieldCode, FieldError};

/// Maximum number of reported errors. A query string of thousands of empty names has thousands of
/// errors.
const MAX_ERRORS: usize = 100;
/// Maximum number of characters of an unknown name in an error.
const MAX_NAME_SHOWN: usize = 60;

/// The parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryParams<'q> {
    values: Vec<(&'static str, Option<Cow<'q, str>>)>,
}

impl<'q> QueryParams<'q> {
    /// Parses a raw query string, in which each of the `known` parameters may occur once. `+` is a
    /// space.
    ///
    /// # Errors
    /// Every unknown, repeated or unreadable parameter.
    pub fn parse(raw: &'q str, known: &[&'static str]) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let params = Self::read(raw, known, &[], &mut errors);
        if errors.is_empty() { Ok(params) } else { Err(errors) }
    }

    /// Parses like [`QueryParams::parse`], but continues after errors. Names in `odata` may also
    /// have the prefix `$`.
    pub(super) fn read(
        raw: &'q str,
        known: &[&'static str],
        odata: &[&'static str],
        errors: &mut Vec<FieldError>,
    ) -> Self {
        let mut params = Self::default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if errors.len() >= MAX_ERRORS {
                break;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let Err(error) = params.add(name, value, known, odata) {
                errors.push(error);
            }
        }
        params
    }

    fn add(
        &mut self,
        raw_name: &str,
        raw_value: &'q str,
        known: &[&'static str],
        odata: &[&'static str],
    ) -> Result<(), FieldError> {
        // Names are rarely encoded.
        let plain = known.iter().find(|name| **name == raw_name);
        let written = match plain {
            Some(name) => Cow::Borrowed(*name),
            None => decode(raw_name)
                .map_err(|error| error.at(&truncated(raw_name), "name of a parameter"))?,
        };
        let plain = plain.or_else(|| known.iter().find(|name| **name == written));
        let with_dollar =
            || written.strip_prefix('$').and_then(|bare| odata.iter().find(|name| **name == bare));
        let Some(&name) = plain.or_else(with_dollar) else { return Err(unknown(&written, known)) };
        if self.values.iter().any(|(seen, _)| *seen == name) {
            let also = if odata.contains(&name) {
                format!(", be it as {name} or ${name}")
            } else {
                String::new()
            };
            let detail = format!("the parameter {name} may occur once{also}");
            return Err(FieldError::new(format!("?{name}"), FieldCode::DuplicateField, detail));
        }
        // Recorded even if unreadable, because a repetition is an error of its own.
        let value = decode(raw_value).map_err(|error| error.at(name, "value"));
        self.values.push((name, value.as_ref().ok().cloned()));
        value.map(|_| ())
    }

    /// Copies the values out of the query string.
    #[must_use]
    pub fn into_owned(self) -> QueryParams<'static> {
        let owned = |value: Cow<'_, str>| Cow::Owned(value.into_owned());
        let values = self.values.into_iter().map(|(name, value)| (name, value.map(owned)));
        QueryParams { values: values.collect() }
    }

    /// Returns the decoded value of a parameter, if it was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.as_deref())
    }

    /// Returns the typed value of a parameter. Returns `None` if it was not given or is wrong; a
    /// wrong value is added to the errors.
    pub fn parsed<'p, T>(
        &'p self,
        name: &str,
        parse: impl FnOnce(&'p str) -> Result<T, Invalid>,
        errors: &mut Vec<FieldError>,
    ) -> Option<T> {
        let wrong = |invalid: Invalid| {
            errors.push(FieldError::new(
                format!("?{name}"),
                field_code(invalid.kind),
                invalid.detail,
            ));
        };
        parse(self.get(name)?).map_err(wrong).ok()
    }

    /// Returns the value of a boolean parameter. Returns `None` if it was not given or is wrong; a
    /// wrong value is added to the errors.
    pub fn boolean(&self, name: &str, errors: &mut Vec<FieldError>) -> Option<bool> {
        let value = self.get(name)?.parse().ok();
        if value.is_none() {
            errors.push(FieldError::new(
                format!("?{name}"),
                FieldCode::InvalidType,
                "has to be true or false",
            ));
        }
        value
    }
}

fn unknown(written: &str, known: &[&'static str]) -> FieldError {
    let name = truncated(written);
    let pointer = format!("?{name}");
    match nearest(name.trim_start_matches('$'), known) {
        Some(near) => {
            let detail = format!("there is no parameter {name}; the nearest is {near}");
            FieldError::new(pointer, FieldCode::UnknownParameter, detail).param("nearest", near)
        }
        None => FieldError::new(
            pointer,
            FieldCode::UnknownParameter,
            "this request takes no parameters",
        ),
    }
}

fn truncated(name: &str) -> String {
    name.chars().take(MAX_NAME_SHOWN).collect()
}

/// An error of the encoding; `Percent` has the position in bytes.
#[derive(Debug, PartialEq, Eq)]
enum DecodeError {
    Percent(usize),
    Utf8,
    Control,
}

impl DecodeError {
    fn at(&self, name: &str, what: &str) -> FieldError {
        let pointer = format!("?{name}");
        match self {
            Self::Percent(position) => {
                let detail = format!("in the {what} a % is not followed by two hexadecimal digits");
                FieldError::new(pointer, FieldCode::Syntax, detail).param("position", *position)
            }
            Self::Utf8 => FieldError::new(
                pointer,
                FieldCode::Syntax,
                format!("the {what} is not UTF-8 when decoded"),
            ),
            Self::Control => FieldError::new(
                pointer,
                FieldCode::InvalidCharacter,
                format!("the {what} holds a control character"),
            ),
        }
    }
}

/// Decodes `%XX` and `+`.
fn decode(raw: &str) -> Result<Cow<'_, str>, DecodeError> {
    // One pass without branches: most values are printable ASCII that means itself.
    let is_plain = raw.bytes().fold(true, |is_plain, byte| {
        is_plain & matches!(byte, b' '..=b'~') & (byte != b'%') & (byte != b'+')
    });
    if is_plain {
        return Ok(Cow::Borrowed(raw));
    }
    let decoded = if raw.contains(['%', '+']) {
        let bytes = decode_bytes(raw)?;
        Cow::Owned(String::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?)
    } else {
        Cow::Borrowed(raw)
    };
    // Most values are ASCII, whose bytes are faster to examine.
    let is_wrong = if decoded.is_ascii() {
        decoded.bytes().any(|byte| is_forbidden(byte.into()))
    } else {
        decoded.chars().any(is_forbidden)
    };
    if is_wrong { Err(DecodeError::Control) } else { Ok(decoded) }
}

fn decode_bytes(raw: &str) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes().enumerate();
    while let Some((position, byte)) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    bytes
                        .next()
                        .and_then(|(_, byte)| hex(byte))
                        .ok_or(DecodeError::Percent(position))
                };
                digit()? * 16 + digit()?
            }
            other => other,
        });
    }
    Ok(decoded)
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Returns whether a character is forbidden. PostgreSQL cannot store NUL, and no text of the
/// service contains other control characters.
fn is_forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

/// Percent-encodes a value for a query string, except the unreserved characters of RFC 3986.
#[must_use]
pub fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["top", "filter"];

    fn read(raw: &str) -> (QueryParams<'_>, Vec<(String, FieldCode)>) {
        let mut errors = Vec::new();
        let params = QueryParams::read(raw, KNOWN, KNOWN, &mut errors);
        (params, errors.into_iter().map(|error| (error.pointer, error.code)).collect())
    }

    #[test]
    fn spellings_with_and_without_dollar() {
        let (params, errors) = read("&$top=5&&filter=a%20eq+%27%C3%A9%27&");
        assert!(errors.is_empty());
        assert_eq!(params.get("top"), Some("5"));
        assert_eq!(params.get("filter"), Some("a eq 'é'"));
        assert_eq!(read("%24top=5").0.get("top"), Some("5"));
        assert_eq!(read("top").0.get("top"), Some(""));
        assert_eq!(read("").0.get("top"), None);
    }

    #[test]
    fn all_errors_are_reported() {
        for (raw, pointer, code) in [
            ("top=1&$top=2", "?top", FieldCode::DuplicateField),
            ("top=1&top=1", "?top", FieldCode::DuplicateField),
            ("tpo=1", "?tpo", FieldCode::UnknownParameter),
            ("$$top=1", "?$$top", FieldCode::UnknownParameter),
            ("Top=1", "?Top", FieldCode::UnknownParameter),
            ("top=%", "?top", FieldCode::Syntax),
            ("top=%1", "?top", FieldCode::Syntax),
            ("top=%1g", "?top", FieldCode::Syntax),
            ("top=%+1", "?top", FieldCode::Syntax),
            ("top=%ff", "?top", FieldCode::Syntax),
            ("top=%ed%a0%80", "?top", FieldCode::Syntax),
            ("top=%00", "?top", FieldCode::InvalidCharacter),
            ("%00=1", "?%00", FieldCode::InvalidCharacter),
        ] {
            assert_eq!(read(raw).1, [(pointer.to_owned(), code)], "{raw}");
        }
        assert_eq!(read("top=%&top=1&x=1&filter=%ff").1.len(), 4);
        assert_eq!(read(&"a&".repeat(100_000)).1.len(), MAX_ERRORS);
    }

    #[test]
    fn nearest_name() {
        let errors = QueryParams::parse("$fitler=x", KNOWN).unwrap_err();
        assert_eq!(errors[0].params["nearest"], "filter");
        assert!(QueryParams::parse("a=1", &[]).unwrap_err()[0].params.is_empty());
        assert!(
            QueryParams::parse("$top=1", KNOWN).is_err(),
            "only lists know the spelling of OData"
        );
    }

    proptest! {
        #[test]
        fn round_trip(text in "[^\\p{Cc}]*") {
            let query = format!("filter={}", encode(&text));
            let params = QueryParams::parse(&query, KNOWN).unwrap();
            prop_assert_eq!(params.get("filter"), Some(text.as_str()));
        }

        #[test]
        fn any_query_string_is_accepted_or_refused(raw in ".{0,200}") {
            let _ = QueryParams::parse(&raw, KNOWN);
        }
    }
}
