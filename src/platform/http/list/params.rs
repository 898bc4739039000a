//! Query parameters, read strictly.

use super::super::json::nearest;
use super::super::problem::{FieldCode, FieldError};

/// The parameters of a query string, each once.
#[derive(Debug, Default)]
pub struct QueryParams(Vec<(&'static str, String)>);

impl QueryParams {
    /// Reads a query string of which only the `known` parameters may be there.
    ///
    /// # Errors
    /// Every unknown, repeated or unreadable parameter.
    pub fn parse(raw: &str, known: &[&'static str]) -> Result<Self, Vec<FieldError>> {
        Self::read(raw, known, false)
    }

    /// As [`QueryParams::parse`], with `$name` as another spelling of each name.
    ///
    /// # Errors
    /// As [`QueryParams::parse`]; both spellings together are a repetition.
    pub fn parse_odata(raw: &str, known: &[&'static str]) -> Result<Self, Vec<FieldError>> {
        Self::read(raw, known, true)
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn read(raw: &str, known: &[&'static str], odata: bool) -> Result<Self, Vec<FieldError>> {
        let mut params = Self::default();
        let mut errors = Vec::new();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let Some(name) = decode(name) else {
                errors.push(FieldError::new(
                    "?",
                    FieldCode::InvalidCharacter,
                    "the name of a parameter cannot be read",
                ));
                continue;
            };
            let plain = if odata { name.strip_prefix('$').unwrap_or(&name) } else { &name };
            let Some(known_name) = known.iter().copied().find(|known| *known == plain) else {
                let unknown = FieldError::new(
                    format!("?{name}"),
                    FieldCode::UnknownParameter,
                    format!("there is no parameter {name}"),
                );
                errors.push(match nearest(plain, known) {
                    Some(near) => unknown.param("nearest", near),
                    None => unknown,
                });
                continue;
            };
            let Some(value) = decode(value) else {
                let detail = "has to be percent-encoded UTF-8 without control characters";
                errors.push(FieldError::new(format!("?{name}"), FieldCode::InvalidCharacter, detail));
                continue;
            };
            if params.get(known_name).is_some() {
                let detail = format!("the parameter {known_name} stands more than once");
                errors.push(FieldError::new(format!("?{known_name}"), FieldCode::DuplicateField, detail));
                continue;
            }
            params.0.push((known_name, value));
        }
        if errors.is_empty() { Ok(params) } else { Err(errors) }
    }
}

/// Decodes a part of a query string; a plus is a space.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Encodes a value for a query string.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
