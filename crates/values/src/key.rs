//! Business keys: the numbers and codes by which the ERP identifies records.

use std::borrow::{Borrow, Cow};
use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Text as SqlText;
use uuid::Uuid;

use super::wire::{Invalid, InvalidKind};

/// A number or code, upper-cased: `[A-Z0-9][A-Z0-9._-]*`, at most 50 characters. It never has the
/// form of a UUID (`docs/api-conventions.md` section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
#[schema(
    value_type = String,
    pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    min_length = 1,
    max_length = 50,
    example = "CP0001"
)]
pub struct Key(String);

impl Key {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 50;

    /// Upper-cases and checks a key.
    ///
    /// # Errors
    /// If it is empty, too long, contains other characters, or has the form of a UUID.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::canonical(text).map(|key| Self(key.into_owned()))
    }

    /// Returns the text of a key as [`Key::parse`] would, borrowed if it is upper-cased already.
    ///
    /// # Errors
    /// As [`Key::parse`].
    pub fn canonical(text: &str) -> Result<Cow<'_, str>, Invalid> {
        let mut bytes = text.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let goes_on_well =
            bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !starts_well || !goes_on_well || text.len() > Self::MAX_LENGTH {
            return Err(Invalid::new(
                InvalidKind::Key,
                "a key starts with a letter or digit, goes on with letters, digits, '.', '_' or '-', \
                 and has at most 50 characters",
            ));
        }
        // Other forms of a UUID are longer, or contain characters that no key has.
        if matches!(text.len(), 32 | 36) && Uuid::try_parse(text).is_ok() {
            return Err(Invalid::new(InvalidKind::Key, "a key must not look like a UUID"));
        }
        Ok(upper_cased(text))
    }

    /// Returns the default unit of measure of an item: PCS.
    #[must_use]
    pub fn pieces() -> Self {
        Self("PCS".to_owned())
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts the key into its text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

only_strings!(Key);
string_serde!(Key);
sql_column!(Key, SqlText, String, |key: &Key| key.0.clone(), |stored: String| Ok(Key(stored)));

/// A currency code: three letters, upper-cased, as in ISO 4217. Any three letters are accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
#[schema(
    value_type = String,
    pattern = "^[A-Za-z]{3}$",
    min_length = 3,
    max_length = 3,
    example = "USD"
)]
pub struct CurrencyCode(String);

impl CurrencyCode {
    /// Upper-cases and checks a currency code.
    ///
    /// # Errors
    /// If it is not three letters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::canonical(text).map(|code| Self(code.into_owned()))
    }

    /// Returns the text of a currency code as [`CurrencyCode::parse`] would, borrowed if it is
    /// upper-cased already.
    ///
    /// # Errors
    /// As [`CurrencyCode::parse`].
    pub fn canonical(text: &str) -> Result<Cow<'_, str>, Invalid> {
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            Ok(upper_cased(text))
        } else {
            Err(Invalid::new(InvalidKind::Key, "a currency code is three letters"))
        }
    }

    /// Returns the code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts the code into its text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Display for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CurrencyCode> for Key {
    fn from(code: CurrencyCode) -> Self {
        Self(code.0)
    }
}

only_strings!(CurrencyCode);
string_serde!(CurrencyCode);
sql_column!(
    CurrencyCode,
    SqlText,
    String,
    |code: &CurrencyCode| code.0.clone(),
    |stored: String| Ok(CurrencyCode(stored))
);

fn upper_cased(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_lowercase()) {
        Cow::Owned(text.to_ascii_uppercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The reference to a resource in a path: its id or its business key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By its id.
    Id(Uuid),
    /// By its number or code.
    Key(Key),
}

impl Reference {
    /// Parses a path segment. A text in the form of a UUID is an id, because no key has this form.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match Uuid::try_parse(text) {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Key::parse(text).map(Self::Key),
        }
    }

    /// Returns the id, if the reference is one.
    #[must_use]
    pub const fn id(&self) -> Option<Uuid> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Key(_) => None,
        }
    }

    /// Returns the business key, if the reference is one.
    #[must_use]
    pub const fn key(&self) -> Option<&Key> {
        match self {
            Self::Id(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_upper_cased_and_bounded() {
        assert_eq!(Key::parse("cp-0001.a_b").unwrap().as_str(), "CP-0001.A_B");
        assert!(Key::parse(&"A".repeat(50)).is_ok());
        for wrong in ["", "-A", ".A", "A B", "Ä", "A\0", "A/B", &"A".repeat(51)] {
            assert_eq!(Key::parse(wrong).unwrap_err().kind, InvalidKind::Key, "{wrong:?}");
        }
    }

    #[test]
    fn keys_never_look_like_ids() {
        let id = "0190b5c2-7d5e-7000-8000-000000000001";
        assert!(Key::parse(id).is_err());
        assert!(Key::parse(&id.replace('-', "")).is_err());
        assert_eq!(Reference::parse(id).unwrap(), Reference::Id(Uuid::parse_str(id).unwrap()));
        assert_eq!(
            Reference::parse("1896-s").unwrap(),
            Reference::Key(Key::parse("1896-S").unwrap())
        );
    }
}
