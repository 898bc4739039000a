//! Lists: filter, order, keyset pages and query parameters, the same for every resource.
//!
//! A resource names its [`Field`]s once, as a constant. [`ListQuery`] reads the query string
//! against them and gives back the parts of a diesel query; [`Filter`] alone reads the same
//! language for segment criteria.
//!
//! ```text
//! params.rs    the query string, read strictly
//! filter/      the filter language: tokens → tree → SQL
//! order.rs     `orderby`
//! cursor.rs    what a `nextLink` carries, signed
//! query.rs     a list request as a whole
//! page.rs      its answer
//! sql.rs       SQL with bound parameters, as diesel wants it
//! statement.rs statements around such SQL that diesel's own language does not reach
//! literal.rs   typed values, from filters and from rows
//! ```
//!
//! *Invariant:* nothing a client sends becomes SQL text. Clients choose among the fields' own
//! expressions, and their literals are bound parameters.

pub mod cursor;
mod filter;
mod literal;
mod order;
mod page;
mod params;
mod query;
mod sql;
mod statement;

pub use cursor::CursorKey;
pub use filter::Filter;
pub use literal::Literal;
pub use page::Page;
pub use params::{QueryParams, encode};
pub use query::{DEFAULT_TOP, ListQuery, TOP, number};
pub use sql::{SqlCondition, SqlOrdering};
pub use statement::Statement;

/// Something a list can be filtered and, unless it is a list itself, ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name in the resource's JSON, a path where it lies deeper: `customer.number`. Clients may
    /// write `customer/number`.
    pub name: &'static str,
    /// What its values are.
    pub kind: FieldKind,
    /// The trusted SQL expression; `{today}` in it becomes a bound date.
    pub sql: &'static str,
    /// Whether the expression can be null.
    pub nullable: bool,
}

impl Field {
    /// A field whose expression may be null.
    ///
    /// Nullable is the default as the mistake on this side costs time only. A nullable expression
    /// taken for a not-null one would lose rows between pages.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        Self { name, kind, sql, nullable: true }
    }

    /// The same field, its expression never null: comparisons and order become those that a plain
    /// index serves.
    #[must_use]
    pub const fn not_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// Whether rows can be ordered by it.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        self.kind.element().is_none()
    }
}

/// What the values of a field are: which literals it takes, which operators, and how it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Free text, compared exactly; `contains` and its like ignore case.
    Text,
    /// A business key or code: literals are upper-cased.
    Key,
    /// An exact number, on the wire a string.
    Decimal,
    /// A whole number.
    Integer,
    /// A calendar date.
    Date,
    /// A point in time (`timestamptz`).
    Instant,
    /// True or false.
    Boolean,
    /// An id.
    Uuid,
    /// One of fixed texts.
    Enum(&'static [&'static str]),
    /// A list of keys (`text[]`), asked with `any`.
    KeyList,
    /// A list of free texts (`text[]`), asked with `any`.
    TextList,
}

impl FieldKind {
    /// The kind of a list's elements; nothing for a scalar.
    #[must_use]
    pub const fn element(self) -> Option<Self> {
        match self {
            Self::KeyList => Some(Self::Key),
            Self::TextList => Some(Self::Text),
            _ => None,
        }
    }

    /// Whether `contains`, `startswith` and `endswith` apply.
    const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Key)
    }

    /// Whether `gt`, `ge`, `lt` and `le` apply.
    const fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Key | Self::Decimal | Self::Integer | Self::Date | Self::Instant
        )
    }
}

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
