//! Filters of lists and of segment criteria: the language of [`list_filter`], compiled to SQL.
//!
//! A filter and its negation split the rows in two. So what a segment's REDUCE removes and what
//! REFINE keeps by the same filter are complements.

mod compile;
#[cfg(test)]
mod tests;

use chrono::NaiveDate;
use list_filter::{ErrorKind, Expr, Field, FilterError, Hint};

use super::sql::{Fragment, SqlCondition};
use crate::platform::http::problem::{FieldCode, FieldError};

/// A valid filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    tree: Expr,
    today: NaiveDate,
}

impl Filter {
    /// Parses a filter over `fields`; `pointer` is its place in the request (`?filter`, `/filter`).
    ///
    /// # Errors
    /// All errors up to the first syntax error; `params.position` counts characters from 0.
    pub fn parse(
        text: &str,
        fields: &'static [Field],
        pointer: &str,
        today: NaiveDate,
    ) -> Result<Self, Vec<FieldError>> {
        match list_filter::parse(text, fields) {
            Ok(tree) => Ok(Self { tree, today }),
            Err(errors) => Err(errors.into_iter().map(|error| at(pointer, error)).collect()),
        }
    }

    /// Returns the filter as a condition for diesel.
    #[must_use]
    pub fn condition(&self) -> SqlCondition {
        let mut fragment = Fragment::new(self.today);
        self.write(&mut fragment);
        SqlCondition::new(fragment)
    }

    /// Returns the fields that the filter reads.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static Field> {
        self.tree.fields()
    }

    pub(super) fn write(&self, fragment: &mut Fragment) {
        compile::write(&self.tree, fragment);
    }
}

/// Converts an error to its place in the request.
fn at(pointer: &str, error: FilterError) -> FieldError {
    let code = match error.kind {
        ErrorKind::Syntax => FieldCode::Syntax,
        ErrorKind::InvalidCharacter => FieldCode::InvalidCharacter,
        ErrorKind::NotFilterable => FieldCode::NotFilterable,
        ErrorKind::InvalidValue => FieldCode::InvalidValue,
        ErrorKind::InvalidDecimal => FieldCode::InvalidDecimal,
        ErrorKind::InvalidDate => FieldCode::InvalidDate,
        ErrorKind::TooComplex => FieldCode::TooComplex,
        ErrorKind::TooLong => FieldCode::TooLong,
    };
    let mut converted = FieldError::new(pointer, code, error.detail);
    if let Some(position) = error.position {
        converted = converted.param("position", position).param("near", error.near);
    }
    match error.hint {
        Some(Hint::Nearest(name)) => converted.param("nearest", name),
        Some(Hint::Maximum(limit)) => converted.param("maximum", limit),
        None => converted,
    }
}
