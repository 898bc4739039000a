//! Whole statements with conditions of clients, for what diesel's query builder cannot express:
//! common table expressions, and insertions and deletions from selections.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Text, Untyped};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{SqlCondition, SqlOrdering};

#[derive(Debug, Clone)]
enum Piece {
    Sql(&'static str),
    Condition(SqlCondition),
    Ordering(SqlOrdering),
    Text(String),
    Texts(Vec<String>),
    Integer(i64),
    Uuid(Uuid),
}

/// A statement that is being written. It can be executed, or loaded by column names. Parameters are
/// numbered from `$1` in the order of their addition, so that later text can refer to them.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    pieces: Vec<Piece>,
}

impl Statement {
    /// Adds SQL text. It is static, so that no input of a client can become SQL text.
    #[must_use]
    pub fn sql(self, text: &'static str) -> Self {
        self.with(Piece::Sql(text))
    }

    /// Adds a condition, in parentheses.
    #[must_use]
    pub fn condition(self, condition: SqlCondition) -> Self {
        self.sql("(").with(Piece::Condition(condition)).sql(")")
    }

    /// Adds the content of an `ORDER BY` clause.
    #[must_use]
    pub fn ordering(self, ordering: SqlOrdering) -> Self {
        self.with(Piece::Ordering(ordering))
    }

    /// Adds a text parameter.
    #[must_use]
    pub fn text(self, value: impl ToString) -> Self {
        self.with(Piece::Text(value.to_string()))
    }

    /// Adds a `text[]` parameter.
    #[must_use]
    pub fn texts(self, values: &[String]) -> Self {
        self.with(Piece::Texts(values.to_vec()))
    }

    /// Adds an integer parameter.
    #[must_use]
    pub fn integer(self, value: i64) -> Self {
        self.with(Piece::Integer(value))
    }

    /// Adds a UUID parameter.
    #[must_use]
    pub fn uuid(self, value: Uuid) -> Self {
        self.with(Piece::Uuid(value))
    }

    /// Counts the rows of a relation that match a condition. The statement begins with the
    /// definition of the relation.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count(
        self,
        relation: &'static str,
        condition: SqlCondition,
        conn: &mut AsyncPgConnection,
    ) -> QueryResult<i64> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        let query = self
            .sql("SELECT count(*) AS count FROM ")
            .sql(relation)
            .sql(" WHERE ")
            .condition(condition);
        Ok(query.get_result::<Count>(conn).await?.count)
    }

    fn with(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }
}

impl QueryFragment<Pg> for Statement {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Each condition may have another text, so cached prepared statements would only
        // accumulate.
        out.unsafe_to_cache_prepared();
        for piece in &self.pieces {
            match piece {
                Piece::Sql(text) => out.push_sql(text),
                Piece::Condition(condition) => condition.walk_ast(out.reborrow())?,
                Piece::Ordering(ordering) => ordering.walk_ast(out.reborrow())?,
                Piece::Text(value) => out.push_bind_param::<Text, _>(value)?,
                Piece::Texts(values) => out.push_bind_param::<Array<Text>, _>(values)?,
                Piece::Integer(value) => out.push_bind_param::<BigInt, _>(value)?,
                Piece::Uuid(value) => out.push_bind_param::<diesel::sql_types::Uuid, _>(value)?,
            }
        }
        Ok(())
    }
}

impl QueryId for Statement {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement {
    type SqlType = Untyped;
}
