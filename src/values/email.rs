//! E-mail addresses, as far as they can be told from other texts without sending a mail.

use std::fmt;

use diesel::sql_types::Text as SqlText;

use super::wire::{Invalid, InvalidKind, only_strings, stored_as, travels_as_string};

/// An e-mail address: something, one `@`, something, without white space, at most 254 characters;
/// or empty for none.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
    utoipa::ToSchema,
)]
#[diesel(sql_type = SqlText)]
#[schema(value_type = String, pattern = r"^([^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+)?$", max_length = 254, example = "office@example.com")]
pub struct Email(String);

impl Email {
    /// The longest address in characters (RFC 5321, erratum 1690).
    pub const MAX_LENGTH: usize = 254;

    /// Checks an address.
    ///
    /// # Errors
    /// When it is too long or has another form.
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
travels_as_string!(Email);
stored_as!(Email, SqlText, String, |email: &Email| email.0.clone(), |stored: String| Ok(Email(
    stored
)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_sides() {
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
