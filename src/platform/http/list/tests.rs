use super::*;
use diesel::pg::Pg;
use diesel::prelude::*;
use proptest::prelude::*;
use serde_json::json;

use crate::platform::db::schema::items;

const FIELDS: &[Field] = &[
    Field::new("id", FieldKind::Uuid, "items.id"),
    Field::new("number", FieldKind::Key, "items.number"),
    Field::new("description", FieldKind::Text, "items.description"),
    Field::new("listPrice", FieldKind::Decimal, "items.list_price"),
    Field::new("blocked", FieldKind::Boolean, "items.blocked"),
    Field::new("since", FieldKind::Date, "items.since"),
    Field::new("state", FieldKind::Enum(&["OLD", "NEW"]), "CASE WHEN items.since < {today} THEN 'OLD' ELSE 'NEW' END"),
    Field::new("groups", FieldKind::KeyList, "items.groups"),
    Field::new("customer.number", FieldKind::Key, "items.customer_number"),
];
const SPEC: ListSpec = ListSpec { fields: FIELDS, default_order: "number", tie: "number" };

fn today() -> NaiveDate {
    "2031-05-15".parse().unwrap()
}

fn list(raw: &str) -> Result<ListQuery, Problem> {
    ListQuery::parse("/v1/items", raw, &SPEC, &CursorKey::new(vec![7; 32]), today())
}

fn sql(list: &ListQuery) -> String {
    let query = items::table.select(items::id).into_boxed().filter(list.condition()).order(list.ordering());
    diesel::debug_query::<Pg, _>(&query).to_string()
}

fn filter_sql(text: &str) -> String {
    let condition =
        Filter::parse(text, FIELDS, "?filter", today()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let query = items::table.select(items::id).filter(condition.condition());
    let shown = diesel::debug_query::<Pg, _>(&query).to_string();
    shown.split_once("WHERE ").unwrap().1.to_owned()
}

fn filter_errors(text: &str) -> Vec<(String, u64)> {
    let errors = Filter::parse(text, FIELDS, "?filter", today()).unwrap_err();
    errors
        .iter()
        .map(|e| (e.code.text().to_owned(), e.params.get("position").map_or(0, |p| p.as_u64().unwrap())))
        .collect()
}

#[test]
fn every_operator_becomes_bound_sql() {
    for (text, expected) in [
        ("number eq 'a-1'", r#"((items.number) = $1) -- binds: ["A-1"]"#),
        ("number ne 'A'", r#"((items.number) IS DISTINCT FROM $1) -- binds: ["A"]"#),
        ("listPrice GE '1.50'", "((items.list_price) >= $1) -- binds: [1.50]"),
        ("listPrice lt 2", "((items.list_price) < $1) -- binds: [2]"),
        ("since le 2031-01-01", "((items.since) <= $1) -- binds: [2031-01-01]"),
        ("listPrice eq null", "((items.list_price) IS NULL) -- binds: []"),
        ("listPrice ne null", "((items.list_price) IS NOT NULL) -- binds: []"),
        ("blocked eq true", "((items.blocked) = $1) -- binds: [true]"),
        ("customer/number eq 'C1'", r#"((items.customer_number) = $1) -- binds: ["C1"]"#),
        ("number in ('A','B')", r#"(((items.number) = $1 OR (items.number) = $2)) -- binds: ["A", "B"]"#),
        ("contains(description,'50%_o''k')", r#"((items.description) ILIKE $1) -- binds: ["%50\\%\\_o'k%"]"#),
        ("startswith(number, 'a')", r#"((items.number) ILIKE $1) -- binds: ["a%"]"#),
        ("groups/any(x: x eq 'a' or x in ('B'))", r#"((items.groups) && $1) -- binds: [["A", "B"]]"#),
        (
            "state eq 'OLD'",
            r#"((CASE WHEN items.since < $1 THEN 'OLD' ELSE 'NEW' END) = $2) -- binds: [2031-05-15, "OLD"]"#,
        ),
        (
            "not blocked eq true and (number eq 'A' or number eq 'B')",
            r#"(NOT ((items.blocked) = $1) AND ((items.number) = $2 OR (items.number) = $3)) -- binds: [true, "A", "B"]"#,
        ),
    ] {
        assert_eq!(filter_sql(text), expected, "{text}");
    }
}

#[test]
fn a_wrong_filter_points_at_the_place() {
    for (text, expected) in [
        ("", vec![("SYNTAX", 0)]),
        ("number", vec![("SYNTAX", 6)]),
        ("number eq", vec![("SYNTAX", 9)]),
        ("number eq 'A", vec![("SYNTAX", 10)]),
        ("number eq 'A' number", vec![("SYNTAX", 14)]),
        ("(number eq 'A'", vec![("SYNTAX", 14)]),
        ("numbr eq 'A' and listPrice gt 'x'", vec![("NOT_FILTERABLE", 0), ("INVALID_VALUE", 30)]),
        ("groups eq 'A'", vec![("NOT_FILTERABLE", 0)]),
        ("blocked gt true", vec![("INVALID_VALUE", 8)]),
        ("state eq 'MAYBE'", vec![("INVALID_VALUE", 9)]),
        ("since eq 2031-02-30", vec![("INVALID_VALUE", 9)]),
        ("drop(number,'A')", vec![("SYNTAX", 0)]),
        ("contains(listPrice,'A')", vec![("INVALID_VALUE", 9)]),
    ] {
        let expected: Vec<(String, u64)> = expected.into_iter().map(|(c, p)| (c.to_owned(), p)).collect();
        assert_eq!(filter_errors(text), expected, "{text}");
    }
}

#[test]
fn hostile_filters_are_too_complex() {
    assert_eq!(filter_errors(&"(".repeat(4_000))[0].0, "TOO_COMPLEX");
    assert_eq!(filter_errors(&"not ".repeat(1_000))[0].0, "TOO_COMPLEX");
    assert_eq!(filter_errors(&"x".repeat(1_000_000))[0].0, "TOO_COMPLEX");
    assert_eq!(filter_errors(&vec!["number eq 'A'"; 101].join(" or "))[0].0, "TOO_COMPLEX");
    let ninety_nine = vec!["number eq 'A'"; 100].join(" or ");
    assert!(Filter::parse(&ninety_nine, FIELDS, "?filter", today()).is_ok());
}

#[test]
fn parameters_are_strict() {
    assert!(list("top=1&count=true&$filter=number%20eq%20'A'").is_ok());
    for (raw, expected) in [
        ("top=0", "OUT_OF_RANGE"),
        ("top=1001", "OUT_OF_RANGE"),
        ("skip=10001", "OUT_OF_RANGE"),
        ("count=yes", "INVALID_VALUE"),
        ("top=1&$top=1", "DUPLICATE_FIELD"),
        ("tpo=1", "UNKNOWN_PARAMETER"),
        ("filter=%zz", "INVALID_CHARACTER"),
        ("filter=%00", "INVALID_CHARACTER"),
        ("orderby=groups", "NOT_FILTERABLE"),
        ("orderby=number,number", "DUPLICATE"),
        ("orderby=number%20up", "SYNTAX"),
    ] {
        assert_eq!(list(raw).unwrap_err().errors[0].code.text(), expected, "{raw}");
    }
    assert_eq!(list("top=x&skip=-1&what=1").unwrap_err().errors.len(), 1, "unknown parameters stop the reading");
    assert_eq!(list("top=x&skip=-1&filter=nope").unwrap_err().errors.len(), 4);
    assert_eq!(list("filter=nope").unwrap_err().code, ProblemCode::InvalidFilter);
}

#[test]
fn a_page_goes_on_where_it_ended() {
    let first = list("top=1&orderby=listPrice%20desc").unwrap();
    assert!(sql(&first).contains("ORDER BY (items.list_price) DESC NULLS LAST, (items.number) ASC NULLS FIRST"));
    let rows = vec![json!({"number": "A", "listPrice": "9.5"}), json!({"number": "B", "listPrice": null})];
    let page = first.page(rows, None);
    assert_eq!(page.value.len(), 1);
    let link = page.next_link.unwrap();
    let raw = link.strip_prefix("/v1/items?").unwrap();
    let next = list(raw).unwrap();
    assert!(
        sql(&next).contains(
            "((items.list_price) < $1 OR ((items.list_price) IS NULL)) OR ((items.list_price) = $2 AND (items.number) > $3)"
        ),
        "{}",
        sql(&next)
    );
    assert_eq!(list(&raw.replace("desc", "asc")).unwrap_err().code, ProblemCode::InvalidCursor);
    let mut changed = raw.to_owned();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'B' } else { 'A' });
    assert_eq!(list(&changed).unwrap_err().code, ProblemCode::InvalidCursor);
    assert!(first.page(vec![json!({"number": "A"})], Some(1)).next_link.is_none());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail(text in ".{0,200}") {
        let _ = Filter::parse(&text, FIELDS, "?filter", today());
        let _ = list(&text);
    }

    #[test]
    fn texts_reach_the_database_as_they_are(value in "[^\\p{Cc}]{0,40}") {
        let text = format!("description eq '{}'", value.replace('\'', "''"));
        let shown = filter_sql(&text);
        prop_assert!(shown.contains(&format!("{value:?}")), "{shown}");
    }
}
