//! The filter language of lists, a subset of OData's `$filter`: from text to a typed tree.
//!
//! | condition | syntax |
//! | --- | --- |
//! | comparison | `eq ne gt ge lt le`, `field in ('A', 'B')` |
//! | text, ignoring case | `contains(field, 'x')`, `startswith(…)`, `endswith(…)` |
//! | null | `field eq null`, `field ne null` |
//! | boolean | `field eq true`, or the boolean field alone |
//! | list | `field/any(x: x eq 'A' or x eq 'B')`; `field/any()`: not empty |
//! | combination | `not` binds tightest, then `and`, then `or`; parentheses |
//!
//! Logic is two-valued, as in OData: a comparison with null is false, except that `ne` is the
//! opposite of `eq`. So `not (x gt 5)` holds where x is null, and every row meets either a filter
//! or its negation.
//!
//! ```text
//! lexer.rs    text to tokens
//! parser.rs   tokens to a tree
//! tree.rs     the tree: resolved fields, typed literals
//! literal.rs  typed values
//! field.rs    the fields that can be filtered by
//! error.rs    errors with their positions
//! ```
//!
//! *Invariant*: the crate knows neither HTTP nor SQL. A field carries the expression that the
//! application compiles it to, and this crate never reads that.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod error;
mod field;
mod lexer;
mod literal;
mod parser;
#[cfg(test)]
mod tests;
mod tree;

pub use error::{ErrorKind, FilterError, Hint};
pub use field::{Argument, Field, FieldKind};
pub use literal::Literal;
pub use parser::parse;
pub use tree::{Comparison, Expr, TextMatch};

/// Maximum number of characters in a filter.
pub const MAX_LENGTH: usize = 4_096;
/// Maximum number of comparisons in a filter.
pub const MAX_TERMS: usize = 100;
/// Maximum nesting depth of parentheses, `not` and `any`.
pub const MAX_DEPTH: usize = 20;
/// Maximum number of values after `in`.
pub const MAX_VALUES: usize = 100;
