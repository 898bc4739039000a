//! Ids in request bodies, for references to records that have no business key.

use std::fmt;

#[cfg(feature = "postgres")]
use diesel::sql_types::Uuid as SqlUuid;
use uuid::Uuid;

use super::wire::{Invalid, InvalidKind};

/// The id of a record: a UUID with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlUuid)
)]
#[schema(
    value_type = String,
    format = Uuid,
    max_length = 36,
    example = "0190b5c2-7d5e-7000-8000-000000000001"
)]
pub struct Id(Uuid);

impl Id {
    /// Parses an id.
    ///
    /// # Errors
    /// If it has another form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let form = || {
            Invalid::new(
                InvalidKind::Value,
                "an id has the form 0190b5c2-7d5e-7000-8000-000000000001",
            )
        };
        // The other forms of a UUID are shorter or longer.
        Uuid::try_parse(text).ok().filter(|_| text.len() == 36).map(Self).ok_or_else(form)
    }

    /// Returns the UUID.
    #[must_use]
    pub const fn get(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

only_strings!(Id);
string_serde!(Id);
sql_column!(Id, SqlUuid, Uuid, |id: &Id| id.0, |stored: Uuid| Ok(Id(stored)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyphenated_uuids_are_ids() {
        let text = "0190b5c2-7d5e-7000-8000-000000000001";
        assert_eq!(Id::parse(text).unwrap().to_string(), text);
        for wrong in [
            "",
            "0190b5c27d5e70008000000000000001",
            &format!("{{{text}}}"),
            "0190b5c2-7d5e-7000-8000-00000000000g",
        ] {
            assert_eq!(Id::parse(wrong).unwrap_err().kind, InvalidKind::Value, "{wrong:?}");
        }
    }
}
