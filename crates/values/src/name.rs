//! Names of people and companies.

use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Text as SqlText;

use super::text::Text;
use super::wire::{Invalid, InvalidKind};

/// A name: at most 100 characters, not all of them white space.
#[derive(Debug, Clone, PartialEq, Eq, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
#[schema(
    value_type = String,
    pattern = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*\
        [^\\s\\u0000-\\u001f\\u007f-\\u009f]\
        [^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$",
    min_length = 1,
    max_length = 100,
    example = "Cannon Group PLC"
)]
pub struct Name(Text<100>);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// If it is blank or too long.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::new(InvalidKind::TooShort, "must not be blank"));
        }
        Text::parse(text).map(Self)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

only_strings!(Name);
string_serde!(Name);
sql_column!(Name, SqlText, Text<100>, |name: &Name| name.0.clone(), |stored: Text<100>| Ok(Name(
    stored
)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_and_long_names_are_refused() {
        assert_eq!(Name::parse(" A ").unwrap().to_string(), " A ");
        assert!(Name::parse(&"Ä".repeat(100)).is_ok());
        for (wrong, kind) in [
            ("", InvalidKind::TooShort),
            (" \t\u{a0}", InvalidKind::TooShort),
            (&"Ä".repeat(101), InvalidKind::TooLong),
        ] {
            assert_eq!(Name::parse(wrong).unwrap_err().kind, kind, "{wrong:?}");
        }
    }
}
