//! Names of people and companies.

use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Text as SqlText;

use super::text::Text;
use super::wire::{Invalid, InvalidKind};

/// A name: at most 100 characters, not all of them white space. Invisible characters and those that
/// change the direction of writing are refused, because with them two names look alike.
#[derive(Debug, Clone, PartialEq, Eq, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
#[schema(
    value_type = String,
    pattern = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\
        \\u00ad\\u061c\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufeff]*\
        [^\\s\\u0000-\\u001f\\u007f-\\u009f\
        \\u00ad\\u061c\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufeff]\
        [^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\
        \\u00ad\\u061c\\u180e\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufeff]*$",
    min_length = 1,
    max_length = 100,
    example = "Cannon Group PLC"
)]
pub struct Name(Text<100>);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// If it is blank, too long, or contains an invisible character.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err(Invalid::new(InvalidKind::TooShort, "must not be blank"));
        }
        if let Some(invisible) = text.chars().find(|character| is_invisible(*character)) {
            let detail = format!(
                "a name contains no invisible characters, such as U+{:04X}",
                u32::from(invisible)
            );
            return Err(Invalid::new(InvalidKind::Character, detail));
        }
        Text::parse(text).map(Self)
    }
}

/// Returns whether a character displays as nothing or changes the direction of its neighbours. An
/// explicit list, because a JSON Schema pattern cannot name the category of format characters.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
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
            ("Acme\u{202e}gnp", InvalidKind::Character),
            ("Ac\u{200b}me", InvalidKind::Character),
            ("\u{feff}Acme", InvalidKind::Character),
        ] {
            assert_eq!(Name::parse(wrong).unwrap_err().kind, kind, "{wrong:?}");
        }
    }
}
