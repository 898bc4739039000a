//! Free texts with a maximum length.

use std::borrow::Cow;
use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Text as SqlText;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::wire::{Invalid, InvalidKind};

/// A text of at most `MAX` characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlText)
)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Checks the length of a text.
    ///
    /// # Errors
    /// If the text is longer than `MAX` characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > MAX {
            return Err(Invalid::new(
                InvalidKind::TooLong,
                format!("has at most {MAX} characters"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> serde::Serialize for Text<MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<const MAX: usize, E: deserr::DeserializeError + deserr::MergeWithError<Invalid>>
    deserr::Deserr<E> for Text<MAX>
{
    fn deserialize_from_value<V: deserr::IntoValue>(
        value: deserr::Value<V>,
        location: deserr::ValuePointerRef,
    ) -> Result<Self, E> {
        let text = String::deserialize_from_value(value, location)?;
        Self::parse(&text)
            .map_err(|invalid| deserr::take_cf_content(E::merge(None, invalid, location)))
    }
}

#[cfg(feature = "postgres")]
impl<const MAX: usize> diesel::serialize::ToSql<SqlText, diesel::pg::Pg> for Text<MAX> {
    fn to_sql<'b>(
        &'b self,
        out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
    ) -> diesel::serialize::Result {
        <str as diesel::serialize::ToSql<SqlText, diesel::pg::Pg>>::to_sql(&self.0, out)
    }
}

#[cfg(feature = "postgres")]
impl<const MAX: usize> diesel::deserialize::FromSql<SqlText, diesel::pg::Pg> for Text<MAX> {
    fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
        <String as diesel::deserialize::FromSql<SqlText, diesel::pg::Pg>>::from_sql(bytes).map(Self)
    }
}

impl<const MAX: usize> PartialSchema for Text<MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(None::<SchemaFormat>)
            .max_length(Some(MAX))
            .description(Some(format!(
                "A text of at most {MAX} characters, without control characters."
            )))
            .examples(["Spring sale"])
            .into()
    }
}

impl<const MAX: usize> ToSchema for Text<MAX> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(format!("Text{MAX}"))
    }
}
