//! The SQL of each operator, and the errors as a client receives them.

use diesel::debug_query;
use diesel::pg::Pg;
use list_filter::FieldKind;
use serde_json::{Map, Value, json};

use super::*;

static FIELDS: &[Field] = &[
    Field::new("number", FieldKind::Key, "number").not_null(),
    Field::new("name", FieldKind::Text, "name"),
    Field::new("price", FieldKind::Decimal, "price"),
    Field::new("sequence", FieldKind::Integer, "sequence").not_null(),
    Field::new("startingDate", FieldKind::Date, "starting_date"),
    Field::new("createdAt", FieldKind::Instant, "created_at").not_null(),
    Field::new("blocked", FieldKind::Boolean, "blocked").not_null(),
    Field::new("id", FieldKind::Uuid, "id").not_null(),
    Field::new(
        "state",
        FieldKind::Enum(&["DRAFT", "RUNNING"]),
        "CASE WHEN starting_date <= {today} THEN 'RUNNING' END",
    ),
    Field::new("groups", FieldKind::KeyList, "groups").not_null(),
    Field::new("tags", FieldKind::TextList, "tags"),
    Field::new("customer.number", FieldKind::Key, "customer_number"),
];

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2031, 5, 15).unwrap()
}

fn parse(text: &str) -> Result<Filter, Vec<FieldError>> {
    Filter::parse(text, FIELDS, "?filter", today())
}

/// Returns the SQL with its parameters, as diesel prints them.
fn sql(text: &str) -> String {
    let condition = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}")).condition();
    debug_query::<Pg, _>(&condition).to_string()
}

#[test]
fn sql_of_each_operator() {
    for (text, expected) in [
        ("number eq 'cp1'", r#"(number) = $1 -- binds: ["CP1"]"#),
        ("name eq 'cp1'", r#"(name) = $1 -- binds: ["cp1"]"#),
        ("name ne 'O''Brien'", r#"(name) IS DISTINCT FROM $1 -- binds: ["O'Brien"]"#),
        ("number ne 'A'", r#"(number) <> $1 -- binds: ["A"]"#),
        ("price gt 12.50", "(price) > $1 -- binds: [12.50]"),
        ("price ge '12.50'", "(price) >= $1 -- binds: [12.50]"),
        ("price lt -1", "(price) < $1 -- binds: [-1]"),
        ("sequence le 10000", "(sequence) <= $1 -- binds: [10000]"),
        ("startingDate eq 2031-05-15", "(starting_date) = $1 -- binds: [2031-05-15]"),
        ("startingDate EQ '2031-05-15'", "(starting_date) = $1 -- binds: [2031-05-15]"),
        (
            "createdAt lt 2031-05-15T12:00:00+02:00",
            "(created_at) < $1 -- binds: [2031-05-15T10:00:00Z]",
        ),
        (
            "createdAt lt '2031-05-15T12:00:00Z'",
            "(created_at) < $1 -- binds: [2031-05-15T12:00:00Z]",
        ),
        ("blocked", "(blocked) = $1 -- binds: [true]"),
        ("blocked eq False", "(blocked) = $1 -- binds: [false]"),
        (
            "id eq a190b5c2-7d5e-7000-8000-000000000001",
            "(id) = $1 -- binds: [a190b5c2-7d5e-7000-8000-000000000001]",
        ),
        (
            "id in ('0190b5c2-7d5e-7000-8000-000000000001')",
            "(id) IN ($1) -- binds: [0190b5c2-7d5e-7000-8000-000000000001]",
        ),
        ("name eq null", "(name) IS NULL -- binds: []"),
        ("name ne null", "(name) IS NOT NULL -- binds: []"),
        ("price in (1, '2.5')", "(price) IN ($1, $2) -- binds: [1, 2.5]"),
        ("customer/number eq 'c'", r#"(customer_number) = $1 -- binds: ["C"]"#),
        ("customer.number eq 'c'", r#"(customer_number) = $1 -- binds: ["C"]"#),
        (
            "contains(name, 'a%_\\b')",
            r#"(name) COLLATE "default" ILIKE $1 -- binds: ["%a\\%\\_\\\\b%"]"#,
        ),
        ("STARTSWITH(number,'cp-')", r#"(number) LIKE $1 -- binds: ["CP-%"]"#),
        ("endswith(name, '')", r#"(name) COLLATE "default" ILIKE $1 -- binds: ["%"]"#),
        ("not blocked", "(((blocked) = $1) IS NOT TRUE) -- binds: [true]"),
        (
            "state eq 'RUNNING'",
            "(CASE WHEN starting_date <= $1 THEN 'RUNNING' END) = $2 \
             -- binds: [2031-05-15, \"RUNNING\"]",
        ),
        ("groups/any(x: x eq 'a')", r#"(groups) && $1 -- binds: [["A"]]"#),
        ("tags/any(t: t eq 'a' or t in ('b','c'))", r#"(tags) && $1 -- binds: [["a", "b", "c"]]"#),
        ("groups/any()", "cardinality((groups)) > 0 -- binds: []"),
        (
            "groups/any(x: not (x eq 'a') and startswith(x, 'b'))",
            "EXISTS (SELECT FROM unnest((groups)) AS element(value) WHERE \
             ((((element.value) = $1) IS NOT TRUE) AND (element.value) LIKE $2)) \
             -- binds: [\"A\", \"B%\"]",
        ),
    ] {
        assert_eq!(sql(text), expected, "{text}");
    }
}

#[test]
fn sql_keeps_the_precedence_of_operators() {
    assert_eq!(
        sql("blocked or blocked and blocked"),
        "((blocked) = $1 OR ((blocked) = $2 AND (blocked) = $3)) -- binds: [true, true, true]"
    );
}

#[test]
fn errors_have_a_code_a_pointer_and_params() {
    let too_long = "x".repeat(list_filter::MAX_LENGTH + 1);
    let too_deep = "(".repeat(list_filter::MAX_DEPTH + 1);
    for (text, code, params) in [
        ("name eq", FieldCode::Syntax, json!({"position": 7, "near": ""})),
        ("\0", FieldCode::InvalidCharacter, json!({"position": 0, "near": "\0"})),
        (
            "naem eq 'x'",
            FieldCode::NotFilterable,
            json!({"position": 0, "near": "naem eq 'x'", "nearest": "name"}),
        ),
        (
            "state eq 'RUNING'",
            FieldCode::InvalidValue,
            json!({"position": 9, "near": "'RUNING'", "nearest": "RUNNING"}),
        ),
        ("price eq 01", FieldCode::InvalidDecimal, json!({"position": 9, "near": "01"})),
        ("startingDate eq 1", FieldCode::InvalidDate, json!({"position": 16, "near": "1"})),
        (&too_deep, FieldCode::TooComplex, json!({"position": 21, "near": "", "maximum": 20})),
        (&too_long, FieldCode::TooLong, json!({"maximum": 4_096})),
    ] {
        let errors = Filter::parse(text, FIELDS, "/filter", today()).unwrap_err();
        let params: Map<String, Value> = params.as_object().unwrap().clone();
        let found: Vec<_> = errors
            .iter()
            .map(|error| (error.code, error.pointer.as_str(), &error.params))
            .collect();
        assert_eq!(found, [(code, "/filter", &params)], "{text}");
    }
    let two = parse("naem eq 1 and price eq 'x'").unwrap_err();
    assert_eq!(
        two.iter().map(|error| error.code).collect::<Vec<_>>(),
        [FieldCode::NotFilterable, FieldCode::InvalidDecimal]
    );
}
