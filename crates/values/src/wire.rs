//! The implementations that all value types share: parsed from a JSON string, written as one,
//! stored in one column, and described in the OpenAPI document.
//!
//! The macros write the same implementations for each type, so that the file of a type contains
//! only its rule.

use std::fmt;

/// The kind of rule that a text violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// The text is not a business key.
    Key,
    /// The text is not a decimal of the allowed form.
    Decimal,
    /// The decimal is outside its bounds.
    Range,
    /// The text is not a calendar date.
    Date,
    /// The text is not a time of day.
    Time,
    /// The text is longer than allowed.
    TooLong,
    /// The text is shorter than allowed.
    TooShort,
    /// The text contains a character that is not allowed.
    Character,
    /// The text is not one of the allowed values.
    Value,
}

/// The reason for which a text is not a value of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The kind of rule that is violated.
    pub kind: InvalidKind,
    /// A description of the rule.
    pub detail: String,
}

impl Invalid {
    /// Creates the error for a violated rule.
    pub fn new(kind: InvalidKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Invalid {}

/// Deserializes a value from a JSON string with its `parse(&str) -> Result<Self, Invalid>`, and
/// serializes it as a string. The type's `refuse_kind` reports any other JSON value.
#[macro_export]
macro_rules! string_serde {
    ($type:ty) => {
        impl<E: ::deserr::DeserializeError + ::deserr::MergeWithError<$crate::wire::Invalid>>
            ::deserr::Deserr<E> for $type
        {
            fn deserialize_from_value<V: ::deserr::IntoValue>(
                value: ::deserr::Value<V>,
                location: ::deserr::ValuePointerRef,
            ) -> Result<Self, E> {
                let refused = match value {
                    ::deserr::Value::String(text) => match Self::parse(&text) {
                        Ok(value) => return Ok(value),
                        Err(invalid) => E::merge(None, invalid, location),
                    },
                    actual => Self::refuse_kind(actual, location),
                };
                Err(::deserr::take_cf_content(refused))
            }
        }

        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                struct FromText;

                impl ::serde::de::Visitor<'_> for FromText {
                    type Value = $type;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        <$type>::parse(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(FromText)
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::wire::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }
    };
}

/// Stores a value in one column of the given SQL type, through the given Rust type. Expands to
/// nothing without the feature `postgres`.
#[cfg(feature = "postgres")]
#[macro_export]
macro_rules! sql_column {
    ($type:ty, $sql:ty, $rust:ty, $out:expr, $in:expr) => {
        impl ::diesel::serialize::ToSql<$sql, ::diesel::pg::Pg> for $type {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, ::diesel::pg::Pg>,
            ) -> ::diesel::serialize::Result {
                #[allow(clippy::redundant_closure_call)]
                let stored: $rust = ($out)(self);
                <$rust as ::diesel::serialize::ToSql<$sql, ::diesel::pg::Pg>>::to_sql(
                    &stored,
                    &mut out.reborrow(),
                )
            }
        }

        impl ::diesel::deserialize::FromSql<$sql, ::diesel::pg::Pg> for $type {
            fn from_sql(bytes: ::diesel::pg::PgValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let stored =
                    <$rust as ::diesel::deserialize::FromSql<$sql, ::diesel::pg::Pg>>::from_sql(
                        bytes,
                    )?;
                #[allow(clippy::redundant_closure_call)]
                ($in)(stored)
            }
        }
    };
}

#[cfg(not(feature = "postgres"))]
#[macro_export]
macro_rules! sql_column {
    ($($ignored:tt)*) => {};
}

/// Refuses a JSON value that is not a string. The caller's error type describes it.
#[macro_export]
macro_rules! only_strings {
    ($type:ty) => {
        impl $type {
            fn refuse_kind<
                V: ::deserr::IntoValue,
                E: ::deserr::DeserializeError + ::deserr::MergeWithError<$crate::wire::Invalid>,
            >(
                actual: ::deserr::Value<V>,
                location: ::deserr::ValuePointerRef,
            ) -> ::std::ops::ControlFlow<E, E> {
                let accepted = &[::deserr::ValueKind::String];
                E::error(
                    None,
                    ::deserr::ErrorKind::IncorrectValueKind { actual, accepted },
                    location,
                )
            }
        }
    };
}

/// Declares an enum whose values are fixed upper-case texts, on the wire and in the database. The
/// calling crate has to depend on `diesel`.
#[cfg(feature = "postgres")]
#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $($variants:tt)+ }) => {
        $crate::wire_enum! {
            $(#[$meta])*
            #[derive(::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow)]
            #[diesel(sql_type = ::diesel::sql_types::Text)]
            $name { $($variants)+ }
        }

        $crate::sql_column!($name, ::diesel::sql_types::Text, String,
            |value: &$name| value.text().to_owned(),
            |stored: String| $name::parse(&stored).map_err(Into::into));
    };
}

#[cfg(not(feature = "postgres"))]
#[macro_export]
macro_rules! text_enum {
    ($($declaration:tt)+) => { $crate::wire_enum! { $($declaration)+ } };
}

/// Declares an enum whose values are fixed upper-case texts on the wire.
#[macro_export]
macro_rules! wire_enum {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::utoipa::ToSchema)]
        pub enum $name { $($(#[$vdoc])* #[schema(rename = $text)] $variant),+ }

        impl $name {
            /// All values, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The texts of all values.
            pub const TEXTS: &'static [&'static str] = &[$($text),+];

            /// Returns the fixed text.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Returns the value with this text.
            ///
            /// # Errors
            /// If no value has it. The detail lists the texts that exist.
            pub fn parse(text: &str) -> Result<Self, $crate::wire::Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::wire::Invalid::new(
                        $crate::wire::InvalidKind::Value,
                        format!("has to be one of {}", Self::TEXTS.join(", ")),
                    )),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.text())
            }
        }

        $crate::only_strings!($name);
        $crate::string_serde!($name);
    };
}
