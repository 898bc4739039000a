//! Lists: filter, order, keyset pages and query parameters, the same for every resource.
//!
//! A resource declares its [`Field`]s once, as a constant. [`ListQuery`] reads the query string
//! against them and returns the parts of a diesel query. [`Filter`] alone reads the same language
//! for segment criteria.
//!
//! ```text
//! params.rs    the query string, read strictly
//! filter/      filters: parsed by the crate list-filter, compiled to SQL
//! order.rs     `orderby`
//! cursor.rs    the signed cursors of `nextLink`
//! query.rs     a list request as a whole
//! page.rs      its response
//! sql.rs       SQL with bound parameters, as diesel expressions
//! statement.rs whole statements that diesel's query builder cannot express
//! ```
//!
//! *Invariant:* no input of a client becomes SQL text. Clients choose among the expressions of the
//! fields, and their literals are bound parameters.

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
pub use query::{DEFAULT_PAGE_SIZE, ListQuery, PAGE_SIZE, number};
pub use sql::{SqlCondition, SqlOrdering};
pub use statement::Statement;

/// The specification of a resource's list.
#[derive(Debug, Clone, Copy)]
pub struct ListSpec {
    /// The fields for filters and orders.
    pub fields: &'static [Field],
    /// The default order, in the syntax of `orderby`.
    pub default_order: &'static str,
    /// The tie-breaker: a unique field that is never null. It ends every order.
    pub tie: &'static str,
}
