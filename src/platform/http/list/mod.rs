//! placeholder
use super::problem::{FieldError, Problem};
use diesel::sql_types::Bool;
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub sql: &'static str,
}
impl Field {
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        Self { name, kind, sql }
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Key,
    Decimal,
    Integer,
    Date,
    Instant,
    Boolean,
    Uuid,
    Enum(&'static [&'static str]),
    KeyList,
}
pub struct ListSpec {
    pub fields: &'static [Field],
    pub default_order: &'static str,
    pub tie: &'static str,
}
pub struct CursorKey(pub Vec<u8>);
pub struct QueryParams;
impl QueryParams {
    pub fn parse(_: &str, _: &[&'static str]) -> Result<Self, Vec<FieldError>> {
        Ok(Self)
    }
    pub fn get(&self, _: &str) -> Option<&str> {
        None
    }
}
pub struct ListQuery;
impl ListQuery {
    pub fn parse(_: &str, _: &str, _: &ListSpec, _: &CursorKey, _: chrono::NaiveDate) -> Result<Self, Problem> {
        Ok(Self)
    }
    pub fn wants_count(&self) -> bool {
        false
    }
    pub fn condition(&self) -> diesel::expression::SqlLiteral<Bool> {
        diesel::dsl::sql("true")
    }
    pub fn filter_condition(&self) -> diesel::expression::SqlLiteral<Bool> {
        diesel::dsl::sql("true")
    }
    pub fn ordering(&self) -> diesel::expression::SqlLiteral<diesel::sql_types::Integer> {
        diesel::dsl::sql("1")
    }
    pub fn limit(&self) -> i64 {
        51
    }
    pub fn offset(&self) -> i64 {
        0
    }
    pub fn page(&self, _: Vec<serde_json::Value>, _: Option<i64>) -> serde_json::Value {
        serde_json::Value::Null
    }
}
