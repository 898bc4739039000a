//! The query string, read strictly: every unknown, repeated or unreadable parameter is named.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::platform::http::json::{field_code, nearest};
use crate::platform::http::problem::{FieldCode, FieldError};
use crate::values::wire::Invalid;

/// At most so many mistakes are listed; a query string of thousands of empty names has thousands.
const MAX_ERRORS: usize = 100;
/// So much of an unknown name is repeated to the client.
const NAME_SHOWN: usize = 60;

/// The parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryParams {
    values: Vec<(&'static str, Option<String>)>,
}

impl QueryParams {
    /// Reads a raw query string in which only `known` parameters may stand, each once. `+` is a
    /// space.
    ///
    /// # Errors
    /// Every unknown, repeated or unreadable parameter.
    pub fn parse(raw: &str, known: &[&'static str]) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let params = Self::read(raw, known, &[], &mut errors);
        if errors.is_empty() { Ok(params) } else { Err(errors) }
    }

    /// As [`QueryParams::parse`], but goes on with what can be read. Names in `odata` may also be
    /// written with a `$`.
    pub(super) fn read(
        raw: &str,
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
        raw_value: &str,
        known: &[&'static str],
        odata: &[&'static str],
    ) -> Result<(), FieldError> {
        let written = decode(raw_name)
            .map_err(|mistake| mistake.at(&shown(raw_name), "name of a parameter"))?;
        let plain = known.iter().find(|name| **name == written);
        let with_dollar =
            || written.strip_prefix('$').and_then(|bare| odata.iter().find(|name| **name == bare));
        let Some(&name) = plain.or_else(with_dollar) else { return Err(unknown(&written, known)) };
        if self.values.iter().any(|(seen, _)| *seen == name) {
            let also = if odata.contains(&name) {
                format!(", be it as {name} or ${name}")
            } else {
                String::new()
            };
            let detail = format!("the parameter {name} may stand once{also}");
            return Err(FieldError::new(format!("?{name}"), FieldCode::DuplicateField, detail));
        }
        // Noted even if unreadable: a second one is a mistake of its own.
        let value = decode(raw_value).map_err(|mistake| mistake.at(name, "value"));
        self.values.push((name, value.as_ref().ok().map(|text| text.to_string())));
        value.map(|_| ())
    }

    /// The decoded value of a parameter, if it was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.as_deref())
    }

    /// The value of a parameter as its type reads it. None when it was not given, or is wrong: then
    /// it is among the errors.
    pub fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
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

    /// The value of a parameter that is true or false. None when it was not given, or is wrong:
    /// then it is among the errors.
    pub fn truth(&self, name: &str, errors: &mut Vec<FieldError>) -> Option<bool> {
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
    let name = shown(written);
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

fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN).collect()
}

/// What is wrong with the encoding, and at which byte of the encoded text.
#[derive(Debug, PartialEq, Eq)]
enum Mistake {
    Percent(usize),
    Utf8,
    Control,
}

impl Mistake {
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
fn decode(raw: &str) -> Result<Cow<'_, str>, Mistake> {
    let decoded = if raw.contains(['%', '+']) {
        let bytes = decode_bytes(raw)?;
        Cow::Owned(String::from_utf8(bytes).map_err(|_| Mistake::Utf8)?)
    } else {
        Cow::Borrowed(raw)
    };
    if decoded.chars().any(forbidden) { Err(Mistake::Control) } else { Ok(decoded) }
}

fn decode_bytes(raw: &str) -> Result<Vec<u8>, Mistake> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes().enumerate();
    while let Some((position, byte)) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    bytes.next().and_then(|(_, byte)| hex(byte)).ok_or(Mistake::Percent(position))
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

/// PostgreSQL cannot hold NUL in a text; the other control characters no text of ours holds.
fn forbidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

/// Encodes a value for a query string: everything but the unreserved characters of RFC 3986.
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

    fn read(raw: &str) -> (QueryParams, Vec<(String, FieldCode)>) {
        let mut errors = Vec::new();
        let params = QueryParams::read(raw, KNOWN, KNOWN, &mut errors);
        (params, errors.into_iter().map(|error| (error.pointer, error.code)).collect())
    }

    #[test]
    fn both_spellings_are_read_once() {
        let (params, errors) = read("&$top=5&&filter=a%20eq+%27%C3%A9%27&");
        assert!(errors.is_empty());
        assert_eq!(params.get("top"), Some("5"));
        assert_eq!(params.get("filter"), Some("a eq 'é'"));
        assert_eq!(read("%24top=5").0.get("top"), Some("5"));
        assert_eq!(read("top").0.get("top"), Some(""));
        assert_eq!(read("").0.get("top"), None);
    }

    #[test]
    fn everything_wrong_is_named() {
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
    fn the_nearest_name_is_given() {
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
        fn what_is_encoded_is_decoded(text in "[^\\p{Cc}]*") {
            let params = QueryParams::parse(&format!("filter={}", encode(&text)), KNOWN).unwrap();
            prop_assert_eq!(params.get("filter"), Some(text.as_str()));
        }

        #[test]
        fn any_query_string_is_survived(raw in ".{0,200}") {
            let _ = QueryParams::parse(&raw, KNOWN);
        }
    }
}
