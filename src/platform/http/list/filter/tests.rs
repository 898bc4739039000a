//! The language by tables, by properties, and against texts that mean harm.

use chrono::{DateTime, NaiveDate};
use diesel::debug_query;
use diesel::pg::Pg;
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::super::literal::Literal;
use super::super::{Field, FieldKind};
use super::tree::{Expr, KEY_ELEMENT, Op, Part, TEXT_ELEMENT};
use super::*;
use crate::platform::http::problem::FieldCode;

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

/// The SQL with its parameters, as diesel prints them.
fn sql(text: &str) -> String {
    let condition = parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}")).condition();
    debug_query::<Pg, _>(&condition).to_string()
}

/// The errors as code and position.
fn errors(text: &str) -> Vec<(FieldCode, u64)> {
    let errors = parse(text).expect_err(text);
    errors
        .into_iter()
        .map(|error| (error.code, error.params["position"].as_u64().unwrap()))
        .collect()
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
            r#"(CASE WHEN starting_date <= $1 THEN 'RUNNING' END) = $2 -- binds: [2031-05-15, "RUNNING"]"#,
        ),
        ("groups/any(x: x eq 'a')", r#"(groups) && $1 -- binds: [["A"]]"#),
        ("tags/any(t: t eq 'a' or t in ('b','c'))", r#"(tags) && $1 -- binds: [["a", "b", "c"]]"#),
        ("groups/any()", "cardinality((groups)) > 0 -- binds: []"),
        (
            "groups/any(x: not (x eq 'a') and startswith(x, 'b'))",
            "EXISTS (SELECT FROM unnest((groups)) AS element(value) WHERE \
             ((((element.value) = $1) IS NOT TRUE) AND (element.value) LIKE $2)) -- binds: [\"A\", \"B%\"]",
        ),
    ] {
        assert_eq!(sql(text), expected, "{text}");
    }
}

#[test]
fn what_binds_tighter() {
    for (text, tree) in [
        (
            "blocked or sequence eq 1 and price eq 2",
            "blocked eq true or sequence eq 1 and price eq 2",
        ),
        (
            "(blocked or sequence eq 1) and price eq 2",
            "(blocked eq true or sequence eq 1) and price eq 2",
        ),
        ("not blocked and sequence eq 1", "not (blocked eq true) and sequence eq 1"),
        ("not (blocked and sequence eq 1)", "not (blocked eq true and sequence eq 1)"),
        ("not not sequence eq 1 or blocked", "not (not (sequence eq 1)) or blocked eq true"),
        ("not(blocked)AND(blocked)", "not (blocked eq true) and blocked eq true"),
    ] {
        assert_eq!(parse(text).unwrap().tree.to_string(), tree, "{text}");
    }
    assert_eq!(
        sql("blocked or blocked and blocked"),
        "((blocked) = $1 OR ((blocked) = $2 AND (blocked) = $3)) -- binds: [true, true, true]"
    );
}

#[test]
fn mistakes_have_their_places() {
    use FieldCode::{
        InvalidCharacter, InvalidDate, InvalidDecimal, InvalidValue, NotFilterable, Syntax,
    };
    for (text, expected) in [
        ("", vec![(Syntax, 0)]),
        ("   ", vec![(Syntax, 3)]),
        ("name", vec![(Syntax, 4)]),
        ("name eq", vec![(Syntax, 7)]),
        ("name eq 'x' blocked", vec![(Syntax, 12)]),
        ("name eq 'x' and", vec![(Syntax, 15)]),
        ("name eq 'Äx' or or", vec![(Syntax, 16)]),
        ("name = 'x'", vec![(Syntax, 5)]),
        ("name like 'x'", vec![(Syntax, 5)]),
        ("name eq 'x", vec![(Syntax, 8)]),
        ("name eq x", vec![(Syntax, 8)]),
        ("eq eq 1", vec![(Syntax, 0)]),
        ("'x' eq name", vec![(Syntax, 0)]),
        ("(blocked", vec![(Syntax, 8)]),
        ("blocked)", vec![(Syntax, 7)]),
        ("()", vec![(Syntax, 1)]),
        ("name in ()", vec![(Syntax, 9)]),
        ("name in ('a',)", vec![(Syntax, 13)]),
        ("name in ('a', null)", vec![(Syntax, 14)]),
        ("length(name) eq 1", vec![(Syntax, 0)]),
        ("groups/all(x: x eq 'A')", vec![(Syntax, 0)]),
        ("contains(name)", vec![(Syntax, 13)]),
        ("groups/any(x x eq 'A')", vec![(Syntax, 13)]),
        ("naem eq 'x'", vec![(NotFilterable, 0)]),
        (
            "naem eq 'x' and pirce gt 'y' and price gt 'y'",
            vec![(NotFilterable, 0), (NotFilterable, 16), (InvalidDecimal, 42)],
        ),
        ("naem eq 'x' and", vec![(NotFilterable, 0), (Syntax, 15)]),
        ("price eq 1e3", vec![(InvalidDecimal, 9)]),
        ("price eq true", vec![(InvalidDecimal, 9)]),
        ("sequence eq 1.5", vec![(InvalidValue, 12)]),
        ("sequence in (1, 'x', 2.5)", vec![(InvalidValue, 16), (InvalidValue, 21)]),
        ("sequence eq 99999999999999999999", vec![(InvalidValue, 12)]),
        ("startingDate eq 2031-02-29", vec![(InvalidDate, 16)]),
        ("createdAt ge 2031-05-15", vec![(InvalidDate, 13)]),
        ("id eq 'x'", vec![(InvalidValue, 6)]),
        ("state eq 'RUNING'", vec![(InvalidValue, 9)]),
        ("state gt 'DRAFT'", vec![(NotFilterable, 6)]),
        ("blocked gt true", vec![(NotFilterable, 8)]),
        ("blocked eq 'true'", vec![(InvalidValue, 11)]),
        ("name eq 5", vec![(InvalidValue, 8)]),
        ("name gt null", vec![(InvalidValue, 8)]),
        ("contains(price, '1')", vec![(NotFilterable, 9)]),
        ("contains(name, 1)", vec![(InvalidValue, 15)]),
        ("groups eq 'A'", vec![(NotFilterable, 0)]),
        ("groups in ('A')", vec![(NotFilterable, 0)]),
        ("contains(groups, 'A')", vec![(NotFilterable, 9)]),
        ("name/any(x: x eq 'A')", vec![(NotFilterable, 0)]),
        ("groups/any(x: y eq 'A')", vec![(NotFilterable, 14)]),
        ("groups/any(x: name eq 'A')", vec![(NotFilterable, 14)]),
        ("groups/any(x: x/any(y: y eq 'A'))", vec![(NotFilterable, 14)]),
        ("name eq 'a\0b'", vec![(InvalidCharacter, 10)]),
        ("\0", vec![(InvalidCharacter, 0)]),
        ("имя eq 'x'", vec![(Syntax, 0)]),
        ("name eq 'x'; drop table items", vec![(Syntax, 11)]),
    ] {
        assert_eq!(errors(text), expected, "{text}");
    }
}

#[test]
fn hints_lead_to_the_nearest() {
    let wrong = parse("naem eq 'x'").unwrap_err();
    assert_eq!(wrong[0].pointer, "?filter");
    assert_eq!(wrong[0].params["nearest"], "name");
    assert_eq!(wrong[0].params["near"], "naem eq 'x'");
    assert_eq!(parse("state eq 'RUNING'").unwrap_err()[0].params["nearest"], "RUNNING");
    assert_eq!(parse("groups/any(x: y eq 'A')").unwrap_err()[0].params["nearest"], "x");
    assert_eq!(Filter::parse("(", FIELDS, "/filter", today()).unwrap_err()[0].pointer, "/filter");
}

#[test]
fn limits_hold_on_both_sides() {
    let terms = |count: usize| vec!["blocked"; count].join(" and ");
    assert!(parse(&terms(MAX_TERMS)).is_ok());
    assert_eq!(errors(&terms(MAX_TERMS + 1)), [(FieldCode::TooComplex, 1_200)]);

    let nested = |depth: usize| format!("{}blocked{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(errors(&nested(MAX_DEPTH + 1)), [(FieldCode::TooComplex, 21)]);
    assert!(parse(&format!("{}blocked", "not ".repeat(MAX_DEPTH))).is_ok());
    assert_eq!(
        errors(&format!("{}blocked", "not ".repeat(MAX_DEPTH + 1))),
        [(FieldCode::TooComplex, 84)]
    );

    let values = |count: usize| format!("sequence in ({})", vec!["1"; count].join(","));
    assert!(parse(&values(MAX_VALUES)).is_ok());
    assert_eq!(errors(&values(MAX_VALUES + 1)), [(FieldCode::TooComplex, 213)]);

    let long = |length: usize| format!("name eq '{}'", "ä".repeat(length - 10));
    assert!(parse(&long(MAX_LENGTH)).is_ok());
    assert_eq!(parse(&long(MAX_LENGTH + 1)).unwrap_err()[0].code, FieldCode::TooLong);
}

#[test]
fn hostile_texts_are_refused_at_once() {
    for part in ["(", "not ", "a", "'", "\0", "𝕏", "groups/any(x:", "contains(", "-", "1 in (1,"]
    {
        assert_eq!(parse(&part.repeat(1_048_576 / part.len())).unwrap_err().len(), 1);
        assert!(parse(&part.repeat(MAX_LENGTH / part.chars().count())).is_err());
    }
}

/// Literals of every kind with their fields.
fn compare() -> impl Strategy<Value = Expr> {
    let any_op = || (0..Op::ALL.len()).prop_map(|index| Op::ALL[index].1);
    let equality = || prop_oneof![Just(Op::Eq), Just(Op::Ne)];
    prop_oneof![
        (any_op(), "[A-Z0-9 ']{0,6}").prop_map(|(op, text)| Expr::Compare(
            &FIELDS[0],
            op,
            Literal::Text(text)
        )),
        (any_op(), "[^\\p{Cc}]{0,8}").prop_map(|(op, text)| Expr::Compare(
            &FIELDS[1],
            op,
            Literal::Text(text)
        )),
        (any_op(), any::<i32>(), 0u32..=10).prop_map(|(op, units, scale)| {
            Expr::Compare(&FIELDS[2], op, Literal::Decimal(Decimal::new(units.into(), scale)))
        }),
        (any_op(), any::<i32>()).prop_map(|(op, n)| Expr::Compare(
            &FIELDS[3],
            op,
            Literal::Integer(n.into())
        )),
        (any_op(), 0i64..3_000_000).prop_map(|(op, day)| Expr::Compare(
            &FIELDS[4],
            op,
            Literal::Date(date(day.rem_euclid(3_652_059)))
        )),
        (any_op(), 0i64..253_402_300_800_000_000).prop_map(|(op, micros)| {
            Expr::Compare(
                &FIELDS[5],
                op,
                Literal::Instant(DateTime::from_timestamp_micros(micros).unwrap()),
            )
        }),
        (equality(), any::<bool>()).prop_map(|(op, truth)| Expr::Compare(
            &FIELDS[6],
            op,
            Literal::Boolean(truth)
        )),
        (equality(), any::<u128>()).prop_map(|(op, id)| Expr::Compare(
            &FIELDS[7],
            op,
            Literal::Uuid(Uuid::from_u128(id))
        )),
    ]
}

fn date(day: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap() + chrono::Duration::days(day)
}

fn leaf() -> impl Strategy<Value = Expr> {
    let part = || prop_oneof![Just(Part::Contains), Just(Part::Starts), Just(Part::Ends)];
    prop_oneof![
        4 => compare(),
        1 => (0..FIELDS.len() - 3).prop_map(|index| Expr::IsNull(&FIELDS[index])),
        1 => Just(Expr::IsNotNull(&FIELDS[11])),
        1 => prop::collection::vec("[^\\p{Cc}]{0,4}", 1..5)
            .prop_map(|texts| Expr::In(&FIELDS[1], texts.into_iter().map(Literal::Text).collect())),
        1 => (part(), "[^\\p{Cc}]{0,8}").prop_map(|(part, text)| Expr::Match(&FIELDS[1], part, text)),
        1 => prop_oneof![Just(Expr::Any(&FIELDS[9], None)), Just(Expr::Any(&FIELDS[10], None))],
        1 => combined(element(&KEY_ELEMENT)).prop_map(|inner| Expr::Any(&FIELDS[9], Some(Box::new(inner)))),
        1 => combined(element(&TEXT_ELEMENT)).prop_map(|inner| Expr::Any(&FIELDS[10], Some(Box::new(inner)))),
    ]
}

fn element(field: &'static Field) -> BoxedStrategy<Expr> {
    let text = || "[A-Z']{0,3}";
    prop_oneof![
        text().prop_map(move |text| Expr::Compare(field, Op::Eq, Literal::Text(text))),
        prop::collection::vec(text(), 1..3)
            .prop_map(move |texts| Expr::In(field, texts.into_iter().map(Literal::Text).collect())),
        text().prop_map(move |text| Expr::Match(field, Part::Starts, text)),
    ]
    .boxed()
}

fn combined(leaf: impl Strategy<Value = Expr> + 'static) -> impl Strategy<Value = Expr> {
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn a_written_tree_is_read_as_the_same_tree(tree in combined(leaf())) {
        let text = tree.to_string();
        prop_assume!(text.chars().count() <= MAX_LENGTH);
        let read = parse(&text);
        prop_assert!(read.is_ok(), "{text}: {read:?}");
        prop_assert_eq!(read.unwrap().tree, tree, "{}", text);
    }

    #[test]
    fn any_text_is_survived(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_row_of_tokens_is_survived(words in prop::collection::vec(prop::sample::select(vec![
        "name", "groups/any", "(", ")", "'x'", "1", "eq", "in", "and", "or", "not", "null", ",", "x", ":", "contains", "blocked",
    ]), 0..30)) {
        if let Err(errors) = parse(&words.join(" ")) {
            prop_assert!(!errors.is_empty());
        }
    }
}
