//! A list request: parsed from the query string, converted to the parts of a diesel query, answered
//! by a page.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use serde_json::Value;

use super::ListSpec;
use super::Literal;
use super::cursor::{self, CursorKey, ListIdentity};
use super::filter::Filter;
use super::order::{self, Sort};
use super::page::{self, Page};
use super::params::{QueryParams, encode};
use super::sql::{Fragment, SqlCondition, SqlOrdering};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};

/// The parameters that may have the prefix `$`, as in OData.
const ODATA: &[&str] = &["top", "skip", "orderby", "filter", "count"];
/// All parameters.
const PARAMETERS: &[&str] = &["top", "skip", "orderby", "filter", "count", "cursor"];
/// Range of the page size.
pub const PAGE_SIZE: RangeInclusive<i64> = 1..=1_000;
/// Default page size.
pub const DEFAULT_PAGE_SIZE: i64 = 50;
/// Range of `skip`. Clients that go further follow the links, whose cost does not grow with the
/// distance.
const SKIP: RangeInclusive<i64> = 0..=10_000;

/// A list request.
#[derive(Debug, Clone)]
pub struct ListQuery {
    path: String,
    params: QueryParams<'static>,
    top: i64,
    skip: i64,
    counts: bool,
    filter: Option<Filter>,
    sorts: Vec<Sort>,
    after: Option<Vec<Option<Literal>>>,
    key: CursorKey,
    today: NaiveDate,
}

impl ListQuery {
    /// Parses the query string of a list at `path`.
    ///
    /// # Errors
    /// `INVALID_FILTER` with all errors if filter or order are among them, else `INVALID_REQUEST`
    /// with all errors. Without other errors, `INVALID_CURSOR` for a cursor that was changed or
    /// belongs to another list.
    pub fn parse(
        path: &str,
        raw_query: &str,
        spec: &ListSpec,
        key: &CursorKey,
        today: NaiveDate,
    ) -> Result<Self, Problem> {
        Self::parse_with(path, raw_query, &[], spec, key, today)
    }

    /// Parses like [`ListQuery::parse`], for a list with additional parameters. The links of all
    /// pages repeat them.
    ///
    /// # Errors
    /// As [`ListQuery::parse`].
    pub fn parse_with(
        path: &str,
        raw_query: &str,
        own: &[&'static str],
        spec: &ListSpec,
        key: &CursorKey,
        today: NaiveDate,
    ) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let params = QueryParams::read(raw_query, &[PARAMETERS, own].concat(), ODATA, &mut errors)
            .into_owned();
        let top = collect(number(&params, "top", DEFAULT_PAGE_SIZE, PAGE_SIZE), &mut errors);
        let skip = collect(number(&params, "skip", 0, SKIP), &mut errors);
        let counts = collect(boolean(&params, "count"), &mut errors);
        // Generated clients send defaults, so `skip=0` is permitted.
        if skip.is_some_and(|rows| rows > 0) && params.get("cursor").is_some() {
            let detail = "a cursor says where the page begins; skip cannot be given with it";
            errors.push(FieldError::new("?skip", FieldCode::NotAllowed, detail));
        }
        let others = errors.len();
        let filter = params
            .get("filter")
            .map(|text| Filter::parse(text, spec.fields, "?filter", today))
            .transpose();
        let filter = filter.unwrap_or_else(|wrong| {
            errors.extend(wrong);
            None
        });
        let sorts = parse_order(params.get("orderby"), spec)?.unwrap_or_else(|wrong| {
            errors.extend(wrong);
            Vec::new()
        });
        if !errors.is_empty() {
            let code = if errors.len() > others {
                ProblemCode::InvalidFilter
            } else {
                ProblemCode::InvalidRequest
            };
            return Err(Problem::with_errors(code, errors));
        }
        let list = Self {
            path: path_with_own_params(path, own, &params),
            params,
            top: top.unwrap_or(DEFAULT_PAGE_SIZE),
            skip: skip.unwrap_or_default(),
            counts: counts.unwrap_or_default(),
            filter,
            sorts,
            after: None,
            key: key.clone(),
            today,
        };
        list.with_cursor()
    }

    /// Returns the request with its cursor decoded, if it has one.
    fn with_cursor(self) -> Result<Self, Problem> {
        let Some(cursor) = self.params.get("cursor") else { return Ok(self) };
        if !self.key.is_known() {
            return Err(Problem::unavailable(
                "the secret of list cursors was not read since the start",
            ));
        }
        let order = self.order_text();
        match cursor::read(&self.key, &self.identity(&order), &self.sorts, cursor) {
            Some(place) => Ok(Self { after: Some(place), ..self }),
            None => {
                let detail = "the cursor was changed, or belongs to a list with another path, \
                     filter or order";
                let error = FieldError::new("?cursor", FieldCode::InvalidValue, detail);
                Err(Problem::with_errors(ProblemCode::InvalidCursor, vec![error]))
            }
        }
    }

    /// Returns the request for the whole list, in steps of the largest page.
    ///
    /// # Errors
    /// 400 with each parameter of a page that was given.
    pub fn into_whole(self) -> Result<Self, Problem> {
        let given = ["top", "skip", "count", "cursor"]
            .into_iter()
            .filter(|name| self.params.get(name).is_some());
        let errors: Vec<FieldError> = given
            .map(|name| {
                let detail = "a table is the whole list; it has no pages";
                FieldError::new(format!("?{name}"), FieldCode::NotAllowed, detail)
            })
            .collect();
        if errors.is_empty() {
            Ok(Self { top: *PAGE_SIZE.end(), ..self })
        } else {
            Err(Problem::with_errors(ProblemCode::InvalidRequest, errors))
        }
    }

    /// Returns the request for the rows after the last one of a page, and removes the row that only
    /// shows that there are any; `None` if there are no further rows.
    ///
    /// # Errors
    /// When the row has no sort value of a field's kind, which is a defect.
    pub fn next<T>(
        &self,
        rows: &mut Vec<T>,
        json: impl Fn(&T) -> Result<Value, Problem>,
    ) -> Result<Option<Self>, Problem> {
        let top = usize::try_from(self.top).unwrap_or(usize::MAX);
        if rows.len() <= top {
            return Ok(None);
        }
        rows.truncate(top);
        let Some(last) = rows.last().map(json).transpose()? else { return Ok(None) };
        let values =
            self.sorts.iter().map(|sort| cursor::place(sort, page::at(&last, sort.field.name)));
        let after = values.collect::<Option<Vec<_>>>();
        let after = after.ok_or_else(|| Problem::internal("a row without a sort value"))?;
        Ok(Some(Self { after: Some(after), skip: 0, ..self.clone() }))
    }

    /// Returns the value of an additional parameter of the list, if it was given.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// Returns whether the list has a filter.
    #[must_use]
    pub const fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// Returns whether the rows are in the default order.
    #[must_use]
    pub fn is_in_default_order(&self) -> bool {
        self.params.get("orderby").is_none()
    }

    /// Returns whether the page is a plain one: all rows in the default order, without count. An
    /// index serves it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.is_in_default_order() && !self.is_filtered() && !self.counts
    }

    /// Returns the value of a field in the row after which the page begins; `None` on the first
    /// page.
    #[must_use]
    pub fn begins_after(&self, field: &str) -> Option<&Literal> {
        let values = self.after.as_ref()?;
        let place = self.sorts.iter().position(|sort| sort.field.name == field)?;
        values.get(place)?.as_ref()
    }

    /// Returns whether the response contains the number of matching rows.
    #[must_use]
    pub const fn wants_count(&self) -> bool {
        self.counts
    }

    /// Returns the condition of the page: the rows that match the filter, from the cursor on.
    #[must_use]
    pub fn condition(&self) -> SqlCondition {
        let mut fragment = Fragment::new(self.today);
        self.write_filter(&mut fragment);
        if let Some(values) = &self.after {
            let place: Vec<(Sort, Option<Literal>)> =
                self.sorts.iter().copied().zip(values.iter().cloned()).collect();
            fragment.sql(" AND ");
            order::write_after(&place, &mut fragment);
        }
        SqlCondition::new(fragment)
    }

    /// Returns the condition of the filter alone, for counting.
    #[must_use]
    pub fn filter_condition(&self) -> SqlCondition {
        let mut fragment = Fragment::new(self.today);
        self.write_filter(&mut fragment);
        SqlCondition::new(fragment)
    }

    fn write_filter(&self, fragment: &mut Fragment) {
        match &self.filter {
            Some(filter) => filter.write(fragment),
            None => {
                fragment.sql("TRUE");
            }
        }
    }

    /// Returns the order, in which no two rows are equal.
    #[must_use]
    pub fn ordering(&self) -> SqlOrdering {
        let mut fragment = Fragment::new(self.today);
        order::write(&self.sorts, &mut fragment);
        SqlOrdering::new(fragment)
    }

    /// Returns the number of rows to read. It is one more than the page size, which shows whether
    /// there is a next page.
    #[must_use]
    pub const fn limit(&self) -> i64 {
        self.top + 1
    }

    /// Returns the number of rows to skip.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.skip
    }

    /// Builds the page from the rows that were read, in the form that the client receives. The
    /// cursor is taken from the JSON of the last row.
    #[must_use]
    pub fn page(&self, mut rows: Vec<Value>, count: Option<i64>) -> Page {
        let top = usize::try_from(self.top).unwrap_or(usize::MAX);
        let has_next = rows.len() > top;
        rows.truncate(top);
        let next_link = if has_next { rows.last().map(|row| self.link_after(row)) } else { None };
        Page { value: rows, next_link, count }
    }

    /// Returns the link to the page after a row. It repeats all parameters but `skip`.
    fn link_after(&self, row: &Value) -> String {
        let values: Vec<Value> = self.sorts.iter().map(|sort| self.sort_value(sort, row)).collect();
        let order = self.order_text();
        let cursor = cursor::write(&self.key, &self.identity(&order), &values);
        let mut link = self.path.clone();
        link.push(if link.contains('?') { '&' } else { '?' });
        for name in ["top", "filter", "orderby", "count"] {
            if let Some(value) = self.params.get(name) {
                link.push_str(&format!("{name}={}&", encode(value)));
            }
        }
        link.push_str("cursor=");
        link.push_str(&cursor);
        link
    }

    fn sort_value(&self, sort: &Sort, row: &Value) -> Value {
        let value = page::at(row, sort.field.name);
        if cursor::place(sort, value).is_none() {
            // A link that answers 400 is better than a list that ends early, because it shows the
            // defect.
            tracing::error!(
                path = self.path,
                field = sort.field.name,
                "a row has no sort value of the field's kind"
            );
        }
        value.clone()
    }

    fn identity<'a>(&'a self, order: &'a str) -> ListIdentity<'a> {
        ListIdentity {
            path: &self.path,
            filter: self.params.get("filter").unwrap_or_default(),
            order,
        }
    }

    fn order_text(&self) -> String {
        self.sorts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Returns the path with the additional parameters that were given, which all pages share.
fn path_with_own_params(path: &str, own: &[&'static str], params: &QueryParams<'_>) -> String {
    let mut text = path.to_owned();
    for name in own {
        if let Some(value) = params.get(name) {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.push_str(&format!("{name}={}", encode(value)));
        }
    }
    text
}

/// Parses the requested order, or the default order of the resource. An error in the latter is a
/// defect.
fn parse_order(
    named: Option<&str>,
    spec: &ListSpec,
) -> Result<Result<Vec<Sort>, Vec<FieldError>>, Problem> {
    let sorts = match named {
        Some(text) => order::parse(text, spec),
        None => Ok(order::parse(spec.default_order, spec).map_err(|_| {
            Problem::internal(format!("the default order {} is wrong", spec.default_order))
        })?),
    };
    match &sorts {
        Ok(sorts) if sorts.last().is_none_or(|last| last.field.name != spec.tie) => {
            Err(Problem::internal(format!("the tie-breaker {} is no field", spec.tie)))
        }
        _ => Ok(sorts),
    }
}

fn collect<T>(result: Result<T, FieldError>, errors: &mut Vec<FieldError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Returns a whole number of the query, or the default if the parameter is missing.
///
/// # Errors
/// When the value is no whole number or is outside the range.
pub fn number(
    params: &QueryParams<'_>,
    name: &str,
    default: i64,
    range: RangeInclusive<i64>,
) -> Result<i64, FieldError> {
    let Some(text) = params.get(name) else { return Ok(default) };
    let (minimum, maximum) = (*range.start(), *range.end());
    let detail = format!("{name} is a whole number from {minimum} to {maximum}");
    let wrong = |code| {
        FieldError::new(format!("?{name}"), code, detail.clone())
            .param("minimum", minimum)
            .param("maximum", maximum)
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(FieldCode::InvalidValue));
    }
    // A number that does not fit into 64 bits is out of range as well.
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| wrong(FieldCode::OutOfRange))
}

fn boolean(params: &QueryParams<'_>, name: &str) -> Result<bool, FieldError> {
    match params.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(FieldError::new(
            format!("?{name}"),
            FieldCode::InvalidValue,
            format!("{name} is true or false"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use diesel::debug_query;
    use diesel::pg::Pg;
    use serde_json::json;

    use super::super::{Field, FieldKind};
    use super::*;

    const SPEC: ListSpec = ListSpec {
        fields: &[
            Field::new("number", FieldKind::Key, "n").not_null(),
            Field::new("price", FieldKind::Decimal, "p"),
            Field::new("customer.number", FieldKind::Key, "c"),
        ],
        default_order: "number",
        tie: "number",
    };

    fn parse(raw: &str) -> Result<ListQuery, Problem> {
        let today = NaiveDate::from_ymd_opt(2031, 5, 15).unwrap();
        ListQuery::parse("/v1/items", raw, &SPEC, &CursorKey::new("secret"), today)
    }

    fn condition(list: &ListQuery) -> String {
        debug_query::<Pg, _>(&list.condition()).to_string()
    }

    fn rows(count: usize) -> Vec<Value> {
        (0..count)
            .map(|n| json!({"number": format!("N{n}"), "price": "1.5", "customer": null}))
            .collect()
    }

    /// Returns the code of the problem, and pointer and code of each error.
    fn refused(raw: &str) -> (ProblemCode, Vec<(String, FieldCode)>) {
        let problem = parse(raw).expect_err(raw);
        (
            problem.code,
            problem.errors.into_iter().map(|error| (error.pointer, error.code)).collect(),
        )
    }

    #[test]
    fn empty_query_is_the_first_page() {
        let list = parse("").unwrap();
        assert_eq!((list.limit(), list.offset(), list.wants_count()), (51, 0, false));
        assert_eq!(condition(&list), "TRUE -- binds: []");
        assert_eq!(debug_query::<Pg, _>(&list.ordering()).to_string(), "(n) ASC -- binds: []");
        assert_eq!(
            list.page(rows(50), Some(50)),
            Page { value: rows(50), next_link: None, count: Some(50) }
        );
    }

    #[test]
    fn plain_pages() {
        for plain in ["", "top=1000", "skip=10000", "count=false"] {
            assert!(parse(plain).unwrap().is_plain(), "{plain}");
        }
        let next = parse("").unwrap().page(rows(60), None).next_link.unwrap();
        assert!(parse(next.strip_prefix("/v1/items?").unwrap()).unwrap().is_plain(), "{next}");
        for search in ["filter=price+eq+1", "orderby=number", "orderby=price+desc", "count=true"] {
            assert!(!parse(search).unwrap().is_plain(), "{search}");
        }
    }

    #[test]
    fn next_link_continues_after_the_last_row() {
        let list = parse(
            "$top=2&$skip=4&$count=true&$orderby=price+desc\
             &$filter=customer/number+ne+'%C3%84+%26'",
        )
        .unwrap();
        assert_eq!((list.limit(), list.offset(), list.wants_count()), (3, 4, true));
        let page = list.page(rows(3), Some(9));
        assert_eq!((page.value.len(), page.count), (2, Some(9)));

        let link = page.next_link.unwrap();
        let start = "/v1/items?top=2&filter=customer%2Fnumber%20ne%20%27%C3%84%20%26%27\
             &orderby=price%20desc&count=true&cursor=";
        assert!(link.starts_with(start), "{link}");
        let next = parse(link.strip_prefix("/v1/items?").unwrap()).unwrap();
        assert_eq!((next.limit(), next.offset(), next.wants_count()), (3, 0, true));
        assert_eq!(
            condition(&next),
            "(c) IS DISTINCT FROM $1 AND ((p) < $2 OR (p) IS NULL OR (p) = $3 AND ((n) > $4)) \
             -- binds: [\"Ä &\", 1.5, 1.5, \"N1\"]"
        );
        assert_eq!(
            debug_query::<Pg, _>(&next.filter_condition()).to_string(),
            "(c) IS DISTINCT FROM $1 -- binds: [\"Ä &\"]"
        );
    }

    #[test]
    fn cursor_of_another_list() {
        let cursor = |raw: &str| {
            let link = parse(raw).unwrap().page(rows(60), None).next_link.unwrap();
            link.rsplit_once("cursor=").unwrap().1.to_owned()
        };
        let plain = cursor("");
        assert!(parse(&format!("cursor={plain}")).is_ok());
        assert!(
            parse(&format!("top=7&cursor={plain}&orderby=number")).is_ok(),
            "the same order, said"
        );
        for other in ["orderby=number+desc&", "orderby=price&", "filter=price+eq+1&"] {
            let (code, errors) = refused(&format!("{other}cursor={plain}"));
            assert_eq!((code, errors.len()), (ProblemCode::InvalidCursor, 1), "{other}");
        }
        for wrong in ["", "x", "%C3%84", &plain[1..], &cursor("orderby=price")] {
            assert_eq!(
                refused(&format!("cursor={wrong}")).0,
                ProblemCode::InvalidCursor,
                "{wrong}"
            );
        }
        let today = NaiveDate::from_ymd_opt(2031, 5, 15).unwrap();
        let raw = format!("cursor={plain}");
        let elsewhere =
            ListQuery::parse("/v1/campaigns", &raw, &SPEC, &CursorKey::new("secret"), today);
        assert_eq!(elsewhere.unwrap_err().code, ProblemCode::InvalidCursor);
    }

    #[test]
    fn all_errors_are_reported() {
        use FieldCode::{
            DuplicateField, InvalidValue, NotAllowed, NotFilterable, OutOfRange, Syntax,
            UnknownParameter,
        };
        let named = |errors: &[(&str, FieldCode)]| -> Vec<(String, FieldCode)> {
            errors.iter().map(|(pointer, code)| ((*pointer).to_owned(), *code)).collect()
        };
        for (raw, code, errors) in [
            ("top=0", ProblemCode::InvalidRequest, vec![("?top", OutOfRange)]),
            ("top=1001", ProblemCode::InvalidRequest, vec![("?top", OutOfRange)]),
            ("top=99999999999999999999", ProblemCode::InvalidRequest, vec![("?top", OutOfRange)]),
            ("top=-1", ProblemCode::InvalidRequest, vec![("?top", OutOfRange)]),
            ("top=", ProblemCode::InvalidRequest, vec![("?top", InvalidValue)]),
            ("top=+5", ProblemCode::InvalidRequest, vec![("?top", InvalidValue)]),
            ("top=%2B5", ProblemCode::InvalidRequest, vec![("?top", InvalidValue)]),
            ("skip=10001", ProblemCode::InvalidRequest, vec![("?skip", OutOfRange)]),
            ("count=1", ProblemCode::InvalidRequest, vec![("?count", InvalidValue)]),
            ("skip=1&cursor=x", ProblemCode::InvalidRequest, vec![("?skip", NotAllowed)]),
            ("skip=0&cursor=x", ProblemCode::InvalidCursor, vec![("?cursor", InvalidValue)]),
            ("top=1&$top=1", ProblemCode::InvalidRequest, vec![("?top", DuplicateField)]),
            ("$cursor=x", ProblemCode::InvalidRequest, vec![("?$cursor", UnknownParameter)]),
            ("filter=%GG", ProblemCode::InvalidRequest, vec![("?filter", Syntax)]),
            ("filter=", ProblemCode::InvalidFilter, vec![("?filter", Syntax)]),
            ("orderby=", ProblemCode::InvalidFilter, vec![("?orderby", Syntax)]),
            (
                "filtr=x&top=0&$filter=pricee+eq+1&orderby=prise&cursor=x",
                ProblemCode::InvalidFilter,
                vec![
                    ("?filtr", UnknownParameter),
                    ("?top", OutOfRange),
                    ("?filter", NotFilterable),
                    ("?orderby", NotFilterable),
                ],
            ),
        ] {
            assert_eq!(refused(raw), (code, named(&errors)), "{raw}");
        }
        for right in ["top=1", "top=1000", "skip=0", "skip=10000", "count=false", "top=007"] {
            assert!(parse(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn wrong_default_order_or_tie() {
        let today = NaiveDate::from_ymd_opt(2031, 5, 15).unwrap();
        for spec in [ListSpec { default_order: "x", ..SPEC }, ListSpec { tie: "x", ..SPEC }] {
            let problem = ListQuery::parse("/", "", &spec, &CursorKey::new(""), today).unwrap_err();
            assert_eq!(problem.code, ProblemCode::Internal);
        }
    }
}
