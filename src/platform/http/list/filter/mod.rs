//! The filter language, a subset of OData's `$filter`: over the fields of a list, and over contacts
//! for segment criteria.
//!
//! | what | how |
//! | --- | --- |
//! | comparisons | `eq ne gt ge lt le`, `field in ('A', 'B')` |
//! | text, without regard to case | `contains(field, 'x')`, `startswith(…)`, `endswith(…)` |
//! | null | `field eq null`, `field ne null` |
//! | truth | `field eq true`, or the boolean field alone |
//! | lists | `field/any(x: x eq 'A' or x eq 'B')`; `field/any()`: not empty |
//! | together | `not`, then `and`, then `or`; parentheses |
//!
//! Logic has two values, as OData's comparisons do: a comparison with null is false, except that
//! `ne` is the opposite of `eq`. So `not (x gt 5)` holds where x is null, and every row meets
//! either a filter or its negation: what a segment's REDUCE removes and what REFINE keeps by one
//! filter are complements.

mod compile;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod tree;

use chrono::NaiveDate;

use super::Field;
use super::sql::{Fragment, SqlCondition};
use crate::platform::http::problem::FieldError;
use tree::Expr;

/// The longest filter in characters.
pub const MAX_LENGTH: usize = 4_096;
/// The most comparisons in a filter.
pub const MAX_TERMS: usize = 100;
/// How deep parentheses, `not` and `any` may lie in each other.
pub const MAX_DEPTH: usize = 20;
/// The most values after `in`.
pub const MAX_VALUES: usize = 100;

/// A filter that was read and found right.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    tree: Expr,
    today: NaiveDate,
}

impl Filter {
    /// Reads a filter over `fields`; `pointer` says where it stands in the request (`?filter`,
    /// `/filter`).
    ///
    /// # Errors
    /// Everything that is wrong, up to the first mistake of syntax; `params.position` counts
    /// characters from 0.
    pub fn parse(
        text: &str,
        fields: &'static [Field],
        pointer: &str,
        today: NaiveDate,
    ) -> Result<Self, Vec<FieldError>> {
        parser::parse(text, fields, pointer).map(|tree| Self { tree, today })
    }

    /// The filter as a condition for diesel.
    #[must_use]
    pub fn condition(&self) -> SqlCondition {
        let mut fragment = Fragment::new(self.today);
        self.write(&mut fragment);
        SqlCondition::new(fragment)
    }

    pub(super) fn write(&self, fragment: &mut Fragment) {
        compile::write(&self.tree, fragment);
    }
}
