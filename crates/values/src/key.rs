//! Business keys: the numbers and codes by which the ERP identifies records.

use std::borrow::{Borrow, Cow};
use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Text as SqlText;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use uuid::Uuid;

use super::wire::{Invalid, InvalidKind};

/// A number or code as ERPs have them: 1 to 50 characters of any script, upper-cased. It never has
/// the form of a UUID (`docs/api-conventions.md` section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
#[schema(
    value_type = String,
    pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
    min_length = 1,
    max_length = 50,
    example = "CP0001"
)]
pub struct Key(String);

impl Key {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 50;
    /// The maximum length in bytes of a text that is examined. NFC composes at most four characters
    /// of at most four bytes to one, so a longer text cannot become a key.
    const MAX_BYTES: usize = Self::MAX_LENGTH * 16;
    /// The forms of a UUID: without hyphens, with hyphens, in braces, as a URN.
    const UUID_LENGTHS: [usize; 4] = [32, 36, 38, 45];

    /// Converts a text to its canonical form and checks it.
    ///
    /// # Errors
    /// If it is empty, too long, contains other characters, or has the form of a UUID.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::canonical(text).map(|key| Self(key.into_owned()))
    }

    /// Returns the text of a key as [`Key::parse`] would: trimmed, in NFC and upper-cased. It is
    /// borrowed if it is in this form already and in ASCII without spaces, as most keys are.
    ///
    /// # Errors
    /// As [`Key::parse`].
    pub fn canonical(text: &str) -> Result<Cow<'_, str>, Invalid> {
        // One pass without branches: quotes parse several keys each.
        let is_plain = text
            .bytes()
            .fold(true, |is_plain, byte| is_plain & matches!(byte, b'!'..=b'`' | b'{'..=b'~'));
        if is_plain {
            Self::check_shape(text)?;
            return Ok(Cow::Borrowed(text));
        }
        let text = text.trim();
        if text.len() > Self::MAX_BYTES {
            return Err(too_long());
        }
        let key = upper_cased(text);
        Self::check_shape(&key)?;
        Self::check_characters(&key)?;
        Ok(Cow::Owned(key))
    }

    /// Checks that a text in canonical form has the length of a key and is not reserved.
    fn check_shape(key: &str) -> Result<(), Invalid> {
        let refused = |detail: &str| Err(Invalid::new(InvalidKind::Key, detail));
        if key.is_empty() {
            return refused("a key has at least one character");
        }
        if key.len() > Self::MAX_LENGTH && key.chars().count() > Self::MAX_LENGTH {
            return Err(too_long());
        }
        if key == "." || key == ".." {
            return refused("a key is not . or .., which paths use for themselves");
        }
        if Self::UUID_LENGTHS.contains(&key.len()) && Uuid::try_parse(&key.to_lowercase()).is_ok() {
            return refused("a key must not look like a UUID");
        }
        Ok(())
    }

    /// Checks the characters of a text in canonical form.
    fn check_characters(key: &str) -> Result<(), Invalid> {
        let mut after_space = false;
        for character in key.chars() {
            if !character.is_ascii_graphic() && !is_allowed(character) {
                return Err(Invalid::new(
                    InvalidKind::Key,
                    format!(
                        "a key contains no control, format or unassigned characters, such as U+{:04X}",
                        u32::from(character)
                    ),
                ));
            }
            let is_space = character.is_whitespace();
            if is_space && after_space {
                let detail = "a key contains no two spaces in a row";
                return Err(Invalid::new(InvalidKind::Key, detail));
            }
            after_space = is_space;
        }
        Ok(())
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
            Ok(ascii_upper_cased(text))
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

fn too_long() -> Invalid {
    Invalid::new(InvalidKind::Key, format!("a key has at most {} characters", Key::MAX_LENGTH))
}

/// Returns whether a key may contain the character. Characters that display as nothing, reorder
/// their neighbours or have no meaning would make two keys look alike.
fn is_allowed(character: char) -> bool {
    use GeneralCategory::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned,
    };
    !matches!(
        character.general_category(),
        Control | Format | LineSeparator | ParagraphSeparator | PrivateUse | Surrogate | Unassigned
    )
}

/// Upper-cases a text by Unicode, in NFC. Upper-casing can decompose a character, so the result is
/// composed again.
fn upper_cased(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.nfc().flat_map(char::to_uppercase).nfc().collect()
}

fn ascii_upper_cased(text: &str) -> Cow<'_, str> {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_any_script_have_one_form() {
        for (text, key) in [
            ("cp-0001.a_b", "CP-0001.A_B"),
            ("rød", "RØD"),
            ("møbler", "MØBLER"),
            ("a/b-100", "A/B-100"),
            ("x 1", "X 1"),
            ("  x 1\t", "X 1"),
            ("-a", "-A"),
            (".a", ".A"),
            ("...", "..."),
            ("100%", "100%"),
            ("a+b", "A+B"),
            ("o'neill \"q\" \\", "O'NEILL \"Q\" \\"),
            ("straße", "STRASSE"),
            ("e\u{301}té", "ÉTÉ"),
            ("ǆ", "Ǆ"),
            ("\u{390}", "\u{3aa}\u{301}"),
            ("ключ", "КЛЮЧ"),
            ("商品1", "商品1"),
            ("ｋｅｙ", "ＫＥＹ"),
            ("urn:uuid:1", "URN:UUID:1"),
        ] {
            assert_eq!(Key::parse(text).unwrap().as_str(), key, "{text:?}");
            assert_eq!(Key::parse(key).unwrap().as_str(), key, "{key:?}");
        }
        assert!(matches!(Key::canonical("1896-S"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn refused_keys() {
        let long = "Ø".repeat(51);
        let decomposed = "o\u{308}".repeat(51);
        let expanding = "ß".repeat(26);
        for wrong in [
            "",
            " ",
            "\u{3000}",
            ".",
            "..",
            " .. ",
            "A\0",
            "A\nB",
            "A\u{7f}",
            "A\u{85}B",
            "A  B",
            "A \u{a0}B",
            "A\u{ad}B",
            "A\u{200b}B",
            "A\u{200e}",
            "A\u{202e}B",
            "A\u{2028}B",
            "A\u{2066}B",
            "\u{feff}A",
            "A\u{378}",
            "A\u{e000}",
            "A\u{fdd0}",
            "A\u{10ffff}",
            &"A".repeat(51),
            &long,
            &decomposed,
            &expanding,
            &"o\u{308}".repeat(10_000),
        ] {
            assert_eq!(Key::parse(wrong).unwrap_err().kind, InvalidKind::Key, "{wrong:?}");
        }
        for right in [&"A".repeat(50), &"Ø".repeat(50), &"o\u{308}".repeat(50), &"ß".repeat(25)] {
            assert!(Key::parse(right).is_ok(), "{right:?}");
        }
    }

    #[test]
    fn keys_never_look_like_ids() {
        let id = "0190b5c2-7d5e-7000-8000-000000000001";
        for shape in [
            id.to_owned(),
            id.replace('-', ""),
            id.to_uppercase(),
            format!(" {id} "),
            format!("{{{id}}}"),
            format!("urn:uuid:{id}"),
            format!("URN:UUID:{id}"),
            // The ligature is two letters in upper case.
            format!("\u{fb00}{}", "0".repeat(30)),
        ] {
            assert!(Key::parse(&shape).is_err(), "{shape}");
        }
        assert_eq!(Reference::parse(id).unwrap(), Reference::Id(Uuid::parse_str(id).unwrap()));
        assert_eq!(
            Reference::parse("1896-s").unwrap(),
            Reference::Key(Key::parse("1896-S").unwrap())
        );
    }

    proptest! {
        #[test]
        fn canonical_form_is_stable(text in "\\PC{0,60}|[ -~]{0,60}|[a-zø-ɏͰ-῿ﬀ-ﬓ ]{0,60}") {
            if let Ok(key) = Key::parse(&text) {
                prop_assert_eq!(&Key::parse(key.as_str()).unwrap(), &key);
                prop_assert!((1..=Key::MAX_LENGTH).contains(&key.as_str().chars().count()));
                prop_assert!(Reference::parse(key.as_str()).unwrap().id().is_none());
            }
        }
    }
}
