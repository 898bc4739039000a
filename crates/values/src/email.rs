//! E-mail addresses, checked as far as is possible without sending a mail.

use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Text as SqlText;

use super::wire::{Invalid, InvalidKind};

/// An e-mail address of at most 254 characters, or an empty text for none. It has one `@` with text
/// on both sides, and no white space.
#[derive(Debug, Clone, Default, PartialEq, Eq, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
#[schema(
    value_type = String,
    pattern = r"^([^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+)?$",
    max_length = 254,
    example = "office@example.com"
)]
pub struct Email(String);

impl Email {
    /// The maximum length in characters (RFC 5321, erratum 1690).
    pub const MAX_LENGTH: usize = 254;

    /// Parses an address.
    ///
    /// # Errors
    /// If it is too long or has another form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > Self::MAX_LENGTH {
            return Err(Invalid::new(
                InvalidKind::TooLong,
                format!("has at most {} characters", Self::MAX_LENGTH),
            ));
        }
        let has_form = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && !text.contains(char::is_whitespace)
        });
        if text.is_empty() || has_form {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                InvalidKind::Value,
                "an e-mail address has the form office@example.com",
            ))
        }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

only_strings!(Email);
string_serde!(Email);
sql_column!(Email, SqlText, String, |email: &Email| email.0.clone(), |stored: String| Ok(Email(
    stored
)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_two_sides() {
        for right in ["", "a@b", "office+sale@example.co.uk", "müller@exämple.de"] {
            assert_eq!(Email::parse(right).unwrap().to_string(), right);
        }
        for wrong in ["a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", " "] {
            assert_eq!(Email::parse(wrong).unwrap_err().kind, InvalidKind::Value, "{wrong:?}");
        }
        assert!(Email::parse(&format!("{}@b", "a".repeat(252))).is_ok());
        assert_eq!(
            Email::parse(&format!("{}@b", "a".repeat(253))).unwrap_err().kind,
            InvalidKind::TooLong
        );
    }
}
