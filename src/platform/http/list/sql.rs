//! SQL with bound parameters, as expressions for diesel's `filter` and `order`.
//!
//! The expressions of fields are plain text, so diesel cannot check that the query contains their
//! tables. The list tests of the modules do. In exchange one parser serves every resource, with
//! joins or without.

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

/// The placeholder of the company's date in a field's expression.
const TODAY: &str = "{today}";

/// The placeholder of the argument in the expression of a function.
const ARGUMENT: &str = "{argument}";

/// A piece of SQL: text or a parameter.
#[derive(Debug, Clone)]
enum Piece {
    Sql(&'static str),
    Bind(Literal),
    Texts(Vec<String>),
}

/// SQL that is being written.
#[derive(Debug, Clone)]
pub struct Fragment {
    pieces: Vec<Piece>,
    today: NaiveDate,
}

impl Fragment {
    /// Creates an empty fragment. `today` replaces the placeholder in fields.
    pub const fn new(today: NaiveDate) -> Self {
        Self { pieces: Vec::new(), today }
    }

    /// Adds SQL text. It is static, so that no input of a client can become SQL text.
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

    /// Adds the expression of a field, in parentheses because its operators are unknown.
    pub fn field(&mut self, field: &Field) -> &mut Self {
        self.sql("(").dated(field.sql).sql(")")
    }

    /// Adds the expression of a function of an argument.
    pub fn function(&mut self, field: &Field, argument: i64) -> &mut Self {
        self.sql("(");
        for (index, part) in field.sql.split(ARGUMENT).enumerate() {
            if index > 0 {
                self.bind(Literal::Integer(argument));
            }
            self.dated(part);
        }
        self.sql(")")
    }

    fn dated(&mut self, sql: &'static str) -> &mut Self {
        for (index, part) in sql.split(TODAY).enumerate() {
            if index > 0 {
                self.bind(Literal::Date(self.today));
            }
            self.sql(part);
        }
        self
    }
}

impl QueryFragment<Pg> for Fragment {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Each request may have another text, so cached prepared statements would only accumulate.
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

/// Declares an expression of a fragment that diesel accepts on any table.
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
    /// A condition for `.filter(…)`.
    SqlCondition,
    Bool
);
expression!(
    /// An order for `.order(…)`.
    SqlOrdering,
    NotSelectable
);
