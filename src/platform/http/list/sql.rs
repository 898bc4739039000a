//! SQL made of our own text and of bound values: nothing a client sends is ever spliced in.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, expression_types::NotSelectable,
};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Date, Numeric, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryResult, expression::is_aggregate};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::{Field, FieldKind};

/// A value to be bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    Text(String),
    Texts(Vec<String>),
    Decimal(Decimal),
    Integer(i64),
    Date(NaiveDate),
    Instant(DateTime<Utc>),
    Boolean(bool),
    Uuid(Uuid),
}

impl Bound {
    /// The value of a field as it stands in JSON: `Some(None)` is null, `None` a value that the field cannot hold.
    #[allow(clippy::option_option, reason = "null and wrong are different answers")]
    pub(super) fn of_json(kind: FieldKind, value: &Value) -> Option<Option<Self>> {
        let text = || value.as_str().map(str::to_owned);
        if value.is_null() {
            return Some(None);
        }
        let bound = match kind {
            FieldKind::Text | FieldKind::Key | FieldKind::Enum(_) => Self::Text(text()?),
            FieldKind::Decimal => Self::Decimal(text()?.parse().ok()?),
            FieldKind::Integer => Self::Integer(value.as_i64()?),
            FieldKind::Date => Self::Date(text()?.parse().ok()?),
            FieldKind::Instant => Self::Instant(text()?.parse().ok()?),
            FieldKind::Boolean => Self::Boolean(value.as_bool()?),
            FieldKind::Uuid => Self::Uuid(text()?.parse().ok()?),
            FieldKind::KeyList => return None,
        };
        Some(Some(bound))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Ours(String),
    Bound(Bound),
}

/// A part of a statement.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sql(Vec<Piece>);

impl Sql {
    pub(super) fn always() -> Self {
        Self(vec![Piece::Ours("true".to_owned())])
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, ours: &str) {
        self.0.push(Piece::Ours(ours.to_owned()));
    }

    pub(super) fn bind(&mut self, bound: Bound) {
        self.0.push(Piece::Bound(bound));
    }

    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The expression of a field, in brackets.
    pub(super) fn field(&mut self, field: &Field, today: NaiveDate) {
        self.push("(");
        for (at, part) in field.sql.split("{today}").enumerate() {
            if at > 0 {
                self.bind(Bound::Date(today));
            }
            self.push(part);
        }
        self.push(")");
    }

    pub(super) fn and(self, other: Self) -> Self {
        let mut both = Self::default();
        both.push("(");
        both.append(self);
        both.push(") AND (");
        both.append(other);
        both.push(")");
        both
    }

    fn walk<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The text differs from request to request; a cache of statements would only grow.
        out.unsafe_to_cache_prepared();
        for piece in &self.0 {
            match piece {
                Piece::Ours(text) => out.push_sql(text),
                Piece::Bound(Bound::Text(value)) => out.push_bind_param::<Text, _>(value)?,
                Piece::Bound(Bound::Texts(value)) => out.push_bind_param::<Array<Text>, _>(value)?,
                Piece::Bound(Bound::Decimal(value)) => out.push_bind_param::<Numeric, _>(value)?,
                Piece::Bound(Bound::Integer(value)) => out.push_bind_param::<BigInt, _>(value)?,
                Piece::Bound(Bound::Date(value)) => out.push_bind_param::<Date, _>(value)?,
                Piece::Bound(Bound::Instant(value)) => out.push_bind_param::<Timestamptz, _>(value)?,
                Piece::Bound(Bound::Boolean(value)) => out.push_bind_param::<Bool, _>(value)?,
                Piece::Bound(Bound::Uuid(value)) => out.push_bind_param::<SqlUuid, _>(value)?,
            }
        }
        Ok(())
    }
}

/// A condition on whatever is queried: `query.filter(list.condition())`.
#[derive(Debug, Clone)]
pub struct SqlCondition(pub(super) Sql);

/// An order of whatever is queried: `query.order(list.ordering())`.
#[derive(Debug, Clone)]
pub struct SqlOrder(pub(super) Sql);

/// Makes a fragment stand where diesel wants an expression of any table.
macro_rules! stands_anywhere {
    ($type:ty, $sql_type:ty, $open:literal, $close:literal) => {
        impl QueryFragment<Pg> for $type {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql($open);
                self.0.walk(out.reborrow())?;
                out.push_sql($close);
                Ok(())
            }
        }

        impl QueryId for $type {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl Expression for $type {
            type SqlType = $sql_type;
        }

        impl ValidGrouping<()> for $type {
            type IsAggregate = is_aggregate::Never;
        }

        impl<QS> AppearsOnTable<QS> for $type {}
        impl<QS> SelectableExpression<QS> for $type {}
    };
}

stands_anywhere!(SqlCondition, Bool, "(", ")");
stands_anywhere!(SqlOrder, NotSelectable, "", "");
