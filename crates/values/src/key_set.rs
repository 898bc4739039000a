//! Sets of codes, such as the groups, responsibilities or relations of a contact.

use deserr::{
    DeserializeError, Deserr, IntoValue, MergeWithError, ValuePointerRef, take_cf_content,
};
#[cfg(feature = "postgres")]
use diesel::sql_types::{Array, Text as SqlText};

use super::key::Key;
use super::wire::{Invalid, InvalidKind};

/// A set of at most 100 codes: sorted and without duplicates, in whatever order they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = Array<SqlText>)
)]
#[schema(value_type = Vec<Key>, max_items = 100, example = json!(["PRESS", "RETAIL"]))]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// The maximum number of codes.
    pub const MAX_CODES: usize = 100;

    /// Sorts the codes and removes duplicates.
    ///
    /// # Errors
    /// If there are more than [`Self::MAX_CODES`].
    pub fn new(mut keys: Vec<Key>) -> Result<Self, Invalid> {
        if keys.len() > Self::MAX_CODES {
            return Err(Invalid::new(
                InvalidKind::TooLong,
                format!("has at most {} codes", Self::MAX_CODES),
            ));
        }
        keys.sort();
        keys.dedup();
        Ok(Self(keys))
    }

    /// Iterates over the codes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.0.iter()
    }

    /// Creates a set from codes that are sorted already, as they are stored.
    #[must_use]
    pub const fn stored(keys: Vec<Key>) -> Self {
        Self(keys)
    }
}

impl<E: DeserializeError + MergeWithError<Invalid>> Deserr<E> for KeySet {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        let keys = Vec::<Key>::deserialize_from_value(value, location)?;
        Self::new(keys).map_err(|invalid| take_cf_content(E::merge(None, invalid, location)))
    }
}

sql_column!(KeySet, Array<SqlText>, Vec<Key>, |set: &KeySet| set.0.clone(), |stored: Vec<Key>| Ok(
    KeySet(stored)
));

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(texts: impl IntoIterator<Item = String>) -> Vec<Key> {
        texts.into_iter().map(|text| Key::parse(&text).unwrap()).collect()
    }

    #[test]
    fn order_and_duplicates_do_not_count() {
        let set = KeySet::new(keys(["b".to_owned(), "A".to_owned(), "B".to_owned()])).unwrap();
        assert_eq!(set.0, keys(["A".to_owned(), "B".to_owned()]));
    }

    #[test]
    fn maximum_number_of_codes() {
        assert!(KeySet::new(keys((0..100).map(|n| format!("C{n}")))).is_ok());
        assert_eq!(
            KeySet::new(keys((0..101).map(|n| format!("C{n}")))).unwrap_err().kind,
            InvalidKind::TooLong
        );
    }
}
