//! Lists: which of them, in which order, page by page. The filter is a subset of OData; the pages go on by keyset, never by counting.

mod cursor;
mod filter;
mod params;
mod sql;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;

pub use self::cursor::CursorKey;
pub use self::filter::Filter;
pub use self::params::QueryParams;
pub use self::sql::{SqlCondition, SqlOrder};

use self::filter::field_named;
use self::params::encode;
use self::sql::{Bound, Sql};
use super::problem::{FieldCode, FieldError, Problem, ProblemCode};

/// What kind of value a field holds: which literals it takes and how they are bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A free text.
    Text,
    /// A business key; literals are upper-cased.
    Key,
    /// A decimal.
    Decimal,
    /// An integer.
    Integer,
    /// A calendar date.
    Date,
    /// An instant, RFC 3339.
    Instant,
    /// True or false.
    Boolean,
    /// An id.
    Uuid,
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// A list of keys, asked by `field/any(x: x eq 'KEY')`.
    KeyList,
}

/// A field that a list can be filtered and ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name on the wire; a field inside another has a dot (`customer.number`), and may be written with a slash.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// The SQL expression behind it: ours, never a client's. `{today}` stands for the company's date.
    pub sql: &'static str,
}

impl Field {
    /// A field.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        Self { name, kind, sql }
    }
}

/// What a resource's list can do.
#[derive(Debug, Clone, Copy)]
pub struct ListSpec {
    /// What can be filtered and ordered by.
    pub fields: &'static [Field],
    /// The order when none is asked for, as `orderby` would say it.
    pub default_order: &'static str,
    /// The unique field that makes every order total.
    pub tie: &'static str,
}

/// One term of an order.
#[derive(Debug, Clone, Copy)]
struct OrderTerm {
    field: &'static Field,
    descending: bool,
}

/// A list as it was asked for, checked.
#[derive(Debug)]
pub struct ListQuery {
    filter: Sql,
    keyset: Option<Sql>,
    order: Vec<OrderTerm>,
    top: i64,
    skip: i64,
    count: bool,
    today: NaiveDate,
    path: String,
    parameters: Vec<(&'static str, String)>,
    key: CursorKey,
}

/// A page of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The resources.
    pub value: Vec<Value>,
    /// Where the next page is; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_link: Option<String>,
    /// How many the filter leaves; only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
}

const PARAMETERS: &[&str] = &["top", "skip", "orderby", "filter", "count", "cursor"];
const DEFAULT_TOP: i64 = 50;
const MOST_TOP: i64 = 1_000;
const MOST_SKIP: i64 = 10_000;
const MOST_ORDER_TERMS: usize = 5;

impl ListQuery {
    /// Reads the query string of a list.
    ///
    /// # Errors
    /// Everything that is wrong with the parameters (400), or a cursor that is not ours (400).
    pub fn parse(path: &str, raw: &str, spec: &ListSpec, key: &CursorKey, today: NaiveDate) -> Result<Self, Problem> {
        let params = QueryParams::parse_odata(raw, PARAMETERS)
            .map_err(|errors| Problem::with_errors(ProblemCode::InvalidRequest, errors))?;
        let mut errors = Vec::new();
        let top = integer(&params, "top", 1, MOST_TOP, &mut errors).unwrap_or(DEFAULT_TOP);
        let skip = integer(&params, "skip", 0, MOST_SKIP, &mut errors).unwrap_or(0);
        let count = boolean(&params, "count", &mut errors);
        if params.get("skip").is_some() && params.get("cursor").is_some() {
            errors.push(FieldError::new("?skip", FieldCode::NotAllowed, "skip cannot be given together with cursor"));
        }
        let wrong_parameters = !errors.is_empty();
        let filter = params.get("filter").map(|text| Filter::parse(text, spec.fields, "?filter", today)).transpose();
        let filter = filter.unwrap_or_else(|wrong| {
            errors.extend(wrong);
            None
        });
        let order = order(params.get("orderby").unwrap_or(spec.default_order), spec).unwrap_or_else(|wrong| {
            errors.extend(wrong);
            Vec::new()
        });
        if !errors.is_empty() {
            let code = if wrong_parameters { ProblemCode::InvalidRequest } else { ProblemCode::InvalidFilter };
            return Err(Problem::with_errors(code, errors));
        }
        let binding =
            format!("{path}\n{}\n{}", params.get("filter").unwrap_or(""), params.get("orderby").unwrap_or(""));
        let keyset = match params.get("cursor") {
            None => None,
            Some(cursor) => {
                let invalid =
                    || Problem::new(ProblemCode::InvalidCursor, "the cursor belongs to another list, or was changed");
                let values = key.open(cursor, &binding).ok_or_else(invalid)?;
                Some(keyset(&order, &values, today).ok_or_else(invalid)?)
            }
        };
        let parameters = ["top", "orderby", "filter", "count"]
            .into_iter()
            .filter_map(|name| Some((name, params.get(name)?.to_owned())));
        Ok(Self {
            filter: filter.map_or_else(Sql::always, Filter::into_sql),
            keyset,
            order,
            top,
            skip,
            count,
            today,
            path: path.to_owned(),
            parameters: parameters.collect(),
            key: key.clone(),
        })
    }

    /// What the page holds: the filter, and where the page begins.
    #[must_use]
    pub fn condition(&self) -> SqlCondition {
        match &self.keyset {
            None => SqlCondition(self.filter.clone()),
            Some(keyset) => SqlCondition(self.filter.clone().and(keyset.clone())),
        }
    }

    /// What the whole list holds.
    #[must_use]
    pub fn filter_condition(&self) -> SqlCondition {
        SqlCondition(self.filter.clone())
    }

    /// The order; null is the smallest value.
    #[must_use]
    pub fn ordering(&self) -> SqlOrder {
        let mut sql = Sql::default();
        for (at, term) in self.order.iter().enumerate() {
            if at > 0 {
                sql.push(", ");
            }
            sql.field(term.field, self.today);
            sql.push(if term.descending { " DESC NULLS LAST" } else { " ASC NULLS FIRST" });
        }
        SqlOrder(sql)
    }

    /// One more than the page holds, to see whether there is another.
    #[must_use]
    pub const fn limit(&self) -> i64 {
        self.top.saturating_add(1)
    }

    /// How many to leave out at the front.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.skip
    }

    /// Whether the list is to be counted.
    #[must_use]
    pub const fn wants_count(&self) -> bool {
        self.count
    }

    /// The page of the rows found, which may be one more than it holds.
    #[must_use]
    pub fn page(&self, mut rows: Vec<Value>, count: Option<i64>) -> Page {
        let top = usize::try_from(self.top).unwrap_or(usize::MAX);
        let more = rows.len() > top;
        rows.truncate(top);
        let next_link = rows.last().filter(|_| more).map(|last| self.next_link(last));
        Page { value: rows, next_link, count }
    }

    fn next_link(&self, last: &Value) -> String {
        let values: Vec<Value> = self
            .order
            .iter()
            .map(|term| {
                last.pointer(&format!("/{}", term.field.name.replace('.', "/"))).cloned().unwrap_or(Value::Null)
            })
            .collect();
        let given =
            |name| self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
        let binding = format!("{}\n{}\n{}", self.path, given("filter"), given("orderby"));
        let cursor = self.key.seal(&values, &binding);
        let kept = self.parameters.iter().map(|(name, value)| format!("{name}={}&", encode(value))).collect::<String>();
        format!("{}?{kept}cursor={cursor}", self.path)
    }
}

fn integer(
    params: &QueryParams,
    name: &'static str,
    least: i64,
    most: i64,
    errors: &mut Vec<FieldError>,
) -> Option<i64> {
    let text = params.get(name)?;
    let number = text.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
    if number.is_none() {
        let detail = format!("{name} is a whole number from {least} to {most}");
        errors.push(FieldError::new(format!("?{name}"), FieldCode::OutOfRange, detail));
    }
    number
}

fn boolean(params: &QueryParams, name: &'static str, errors: &mut Vec<FieldError>) -> bool {
    match params.get(name) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            errors.push(FieldError::new(
                format!("?{name}"),
                FieldCode::InvalidValue,
                format!("{name} is true or false"),
            ));
            false
        }
    }
}

/// Reads `field [asc|desc], …` and makes it total by the tie-breaker.
fn order(text: &str, spec: &ListSpec) -> Result<Vec<OrderTerm>, Vec<FieldError>> {
    let mut terms: Vec<OrderTerm> = Vec::new();
    let mut errors = Vec::new();
    let wrong = |code, detail: String| FieldError::new("?orderby", code, detail);
    for part in text.split(',') {
        let words: Vec<&str> = part.split_whitespace().collect();
        let (name, descending) = match words.as_slice() {
            [name] => (*name, false),
            [name, way] if way.eq_ignore_ascii_case("asc") => (*name, false),
            [name, way] if way.eq_ignore_ascii_case("desc") => (*name, true),
            _ => {
                errors.push(wrong(FieldCode::Syntax, format!("{part:?} is not a field with asc or desc")));
                continue;
            }
        };
        match field_named(name, spec.fields) {
            Ok(field) if field.kind == FieldKind::KeyList => {
                errors.push(wrong(FieldCode::NotFilterable, format!("{name} is a list and has no order")));
            }
            Ok(field) if terms.iter().any(|term| term.field == field) => {
                errors.push(wrong(FieldCode::Duplicate, format!("{name} stands more than once")));
            }
            Ok(field) => terms.push(OrderTerm { field, descending }),
            Err(error) => errors.push(FieldError { pointer: "?orderby".to_owned(), ..error }),
        }
    }
    if terms.len() > MOST_ORDER_TERMS {
        errors.push(wrong(FieldCode::TooComplex, format!("an order has at most {MOST_ORDER_TERMS} terms")));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if let Ok(tie) = field_named(spec.tie, spec.fields)
        && !terms.iter().any(|term| term.field == tie)
    {
        terms.push(OrderTerm { field: tie, descending: false });
    }
    Ok(terms)
}

/// What comes after the row with these values: after it in the first term, or alike in that and after it in the next, and so on.
fn keyset(order: &[OrderTerm], values: &[Value], today: NaiveDate) -> Option<Sql> {
    if order.len() != values.len() {
        return None;
    }
    let mut alternatives = Sql::default();
    let mut alike = Sql::default();
    for (term, value) in order.iter().zip(values) {
        let bound = Bound::of_json(term.field.kind, value)?;
        let mut after = alike.clone();
        after.field(term.field, today);
        match (&bound, term.descending) {
            // Null is the smallest: everything else comes after it going up, and nothing going down.
            (None, false) => after.push(" IS NOT NULL"),
            (None, true) => after.push(" IS NULL AND false"),
            (Some(bound), false) => {
                after.push(" > ");
                after.bind(bound.clone());
            }
            (Some(bound), true) => {
                after.push(" < ");
                after.bind(bound.clone());
                after.push(" OR (");
                let mut null = alike.clone();
                null.field(term.field, today);
                null.push(" IS NULL)");
                after.append(null);
            }
        }
        alternatives.push(if alternatives.is_empty() { "(" } else { " OR (" });
        alternatives.append(after);
        alternatives.push(")");
        alike.field(term.field, today);
        match bound {
            None => alike.push(" IS NULL AND "),
            Some(bound) => {
                alike.push(" = ");
                alike.bind(bound);
                alike.push(" AND ");
            }
        }
    }
    Some(alternatives)
}

#[cfg(test)]
mod tests;
