//! Lists: filter, order, keyset pages and query parameters, the same for every resource.
//!
//! A resource names its [`Field`]s once, as a constant. [`ListQuery`] reads the query string
//! against them and gives back the parts of a diesel query; [`Filter`] alone reads the same
//! language for segment criteria.
//!
//! ```text
//! params.rs    the query string, read strictly
//! filter/      filters: parsed by the crate list-filter, compiled to SQL
//! order.rs     `orderby`
//! cursor.rs    what a `nextLink` carries, signed
//! query.rs     a list request as a whole
//! page.rs      its answer
//! sql.rs       SQL with bound parameters, as diesel wants it
//! statement.rs statements around such SQL that diesel's own language does not reach
//! ```
//!
//! *Invariant:* nothing a client sends becomes SQL text. Clients choose among the fields' own
//! expressions, and their literals are bound parameters.

pub mod cursor;
mod filter;
mod order;
mod page;
mod params;
mod query;
mod sql;
mod statement;

pub use cursor::CursorKey;
pub use filter::Filter;
pub use list_filter::{Field, FieldKind, Literal};
pub use page::Page;
pub use params::{QueryParams, encode};
pub use query::{DEFAULT_TOP, ListQuery, TOP, number};
pub use sql::{SqlCondition, SqlOrdering};
pub use statement::Statement;

/// What a resource's list offers.
#[derive(Debug, Clone, Copy)]
pub struct ListSpec {
    /// What can be filtered and ordered by.
    pub fields: &'static [Field],
    /// The order when the request names none, as `orderby` would say it.
    pub default_order: &'static str,
    /// The field that tells any two rows apart and is never null; it ends every order.
    pub tie: &'static str,
}
