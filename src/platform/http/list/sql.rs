//! SQL with bound parameters, in the shape diesel's `filter` and `order` take.
//!
//! The fields' expressions are plain text, so diesel cannot check that their tables are in the
//! query; the rooms' list tests do. In exchange one parser serves every resource, joined or not.

use chrono::NaiveDate;
use diesel::QueryResult;
use diesel::expression::expression_types::NotSelectable;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Date, Numeric, Text, Timestamptz, Uuid};

use super::Field;
use super::Literal;

/// What stands for the company's date in a field's expression.
const TODAY: &str = "{today}";

/// A stretch of SQL text, or a parameter.
#[derive(Debug, Clone)]
enum Piece {
    Sql(&'static str),
    Bind(Literal),
    Texts(Vec<String>),
}

/// SQL as it is being written.
#[derive(Debug, Clone)]
pub struct Fragment {
    pieces: Vec<Piece>,
    today: NaiveDate,
}

impl Fragment {
    /// Nothing yet; fields that speak of today mean this date.
    pub const fn new(today: NaiveDate) -> Self {
        Self { pieces: Vec::new(), today }
    }

    /// Adds SQL text. Static, so that no text of a client can come here.
    pub fn sql(&mut self, text: &'static str) -> &mut Self {
        self.pieces.push(Piece::Sql(text));
        self
    }

    /// Adds a parameter.
    pub fn bind(&mut self, value: Literal) -> &mut Self {
        self.pieces.push(Piece::Bind(value));
        self
    }

    /// Adds a `text[]` parameter.
    pub fn texts(&mut self, values: Vec<String>) -> &mut Self {
        self.pieces.push(Piece::Texts(values));
        self
    }

    /// Adds a field's expression, in parentheses as we do not know its operators.
    pub fn field(&mut self, field: &Field) -> &mut Self {
        self.sql("(");
        for (index, part) in field.sql.split(TODAY).enumerate() {
            if index > 0 {
                self.bind(Literal::Date(self.today));
            }
            self.sql(part);
        }
        self.sql(")")
    }
}

impl QueryFragment<Pg> for Fragment {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Every request may bring another text; kept prepared statements would only grow in number.
        out.unsafe_to_cache_prepared();
        for piece in &self.pieces {
            match piece {
                Piece::Sql(text) => out.push_sql(text),
                Piece::Texts(values) => out.push_bind_param::<Array<Text>, _>(values)?,
                Piece::Bind(Literal::Text(value)) => out.push_bind_param::<Text, _>(value)?,
                Piece::Bind(Literal::Decimal(value)) => out.push_bind_param::<Numeric, _>(value)?,
                Piece::Bind(Literal::Integer(value)) => out.push_bind_param::<BigInt, _>(value)?,
                Piece::Bind(Literal::Date(value)) => out.push_bind_param::<Date, _>(value)?,
                Piece::Bind(Literal::Instant(value)) => {
                    out.push_bind_param::<Timestamptz, _>(value)?
                }
                Piece::Bind(Literal::Boolean(value)) => out.push_bind_param::<Bool, _>(value)?,
                Piece::Bind(Literal::Uuid(value)) => out.push_bind_param::<Uuid, _>(value)?,
            }
        }
        Ok(())
    }
}

/// Makes a fragment an expression diesel accepts on any table.
macro_rules! expression {
    ($(#[$doc:meta])* $name:ident, $sql_type:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(Fragment);

        impl $name {
            pub(super) const fn new(fragment: Fragment) -> Self {
                Self(fragment)
            }
        }

        impl Expression for $name {
            type SqlType = $sql_type;
        }

        impl QueryFragment<Pg> for $name {
            fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                self.0.walk_ast(out)
            }
        }

        impl QueryId for $name {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl ValidGrouping<()> for $name {
            type IsAggregate = is_aggregate::No;
        }

        impl<QS> AppearsOnTable<QS> for $name {}
        impl<QS> SelectableExpression<QS> for $name {}
    };
}

expression!(
    /// A condition: goes into `.filter(…)`.
    SqlCondition,
    Bool
);
expression!(
    /// An order: goes into `.order(…)`.
    SqlOrdering,
    NotSelectable
);
