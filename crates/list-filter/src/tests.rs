//! The filter language by tables, by properties, and against hostile texts.

use chrono::{DateTime, NaiveDate};
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::*;
use crate::tree::{KEY_ELEMENT, TEXT_ELEMENT};

static FIELDS: &[Field] = &[
    Field::new("number", FieldKind::Key, "").not_null(),
    Field::new("name", FieldKind::Text, ""),
    Field::new("price", FieldKind::Decimal, ""),
    Field::new("sequence", FieldKind::Integer, "").not_null(),
    Field::new("startingDate", FieldKind::Date, ""),
    Field::new("createdAt", FieldKind::Instant, "").not_null(),
    Field::new("blocked", FieldKind::Boolean, "").not_null(),
    Field::new("id", FieldKind::Uuid, "").not_null(),
    Field::new("state", FieldKind::Enum(&["DRAFT", "RUNNING"]), ""),
    Field::new("groups", FieldKind::KeyList, "").not_null(),
    Field::new("tags", FieldKind::TextList, ""),
    Field::new("customer.number", FieldKind::Key, ""),
    Field::new("salesAmount", FieldKind::Decimal, "").not_null().of("months", 1, 120),
];

fn parse(text: &str) -> Result<Expr, Vec<FilterError>> {
    super::parse(text, FIELDS)
}

/// Returns the errors as kind and position.
fn errors(text: &str) -> Vec<(ErrorKind, usize)> {
    let errors = parse(text).unwrap_err();
    errors.into_iter().map(|error| (error.kind, error.position.unwrap())).collect()
}

#[test]
fn function_needs_its_argument() {
    for (text, expected) in [
        ("salesAmount gt 1", vec![(ErrorKind::NotFilterable, 0)]),
        ("salesAmount(0) gt 1", vec![(ErrorKind::InvalidValue, 12)]),
        ("salesAmount(121) gt 1", vec![(ErrorKind::InvalidValue, 12)]),
        (
            "salesAmount(1.5) gt 'x'",
            vec![(ErrorKind::InvalidValue, 12), (ErrorKind::InvalidDecimal, 20)],
        ),
        ("salesAmount() gt 1", vec![(ErrorKind::Syntax, 12)]),
        ("salesAmount(12 gt 1", vec![(ErrorKind::Syntax, 15)]),
        ("salesAmount(12)", vec![(ErrorKind::Syntax, 15)]),
        ("salesAmount(12) eq null", vec![(ErrorKind::Syntax, 19)]),
        ("salesAmount(12) in (1)", vec![(ErrorKind::Syntax, 16)]),
        ("price(12) gt 1", vec![(ErrorKind::Syntax, 0)]),
    ] {
        assert_eq!(errors(text), expected, "{text}");
    }
}

#[test]
fn fields_of_a_condition_are_those_it_reads() {
    let read = parse("not (price gt 1 or groups/any(x: x eq 'A')) and salesAmount(3) ge 1");
    let names: Vec<&str> = read.unwrap().fields().iter().map(|field| field.name).collect();
    assert_eq!(names, ["price", "groups", "salesAmount"]);
}

#[test]
fn literals_are_typed_by_their_field() {
    for (text, tree) in [
        ("number eq 'cp1'", "number eq 'CP1'"),
        ("name eq 'cp1'", "name eq 'cp1'"),
        ("name ne 'O''Brien'", "name ne 'O''Brien'"),
        ("price gt 12.50", "price gt 12.50"),
        ("price ge '12.50'", "price ge 12.50"),
        ("price lt -0", "price lt 0"),
        ("price lt -999999999999999.0123456789", "price lt -999999999999999.0123456789"),
        ("sequence le 10000", "sequence le 10000"),
        ("sequence le -999999999999999999", "sequence le -999999999999999999"),
        ("startingDate EQ '2031-05-15'", "startingDate eq 2031-05-15"),
        ("startingDate in (0001-01-01, 9999-12-31)", "startingDate in (0001-01-01, 9999-12-31)"),
        ("createdAt lt 2031-05-15T12:00:00+02:00", "createdAt lt 2031-05-15T10:00:00Z"),
        ("salesAmount(12) GE 1000.5", "salesAmount(12) ge 1000.5"),
        ("not (salesAmount ( 1 ) lt 0 or blocked)", "not (salesAmount(1) lt 0 or blocked eq true)"),
        ("blocked", "blocked eq true"),
        ("blocked eq False", "blocked eq false"),
        (
            "id in ('A190B5C2-7D5E-7000-8000-000000000001')",
            "id in (a190b5c2-7d5e-7000-8000-000000000001)",
        ),
        (
            "id eq a190b5c2-7d5e-7000-8000-000000000001",
            "id eq a190b5c2-7d5e-7000-8000-000000000001",
        ),
        ("state eq 'DRAFT'", "state eq 'DRAFT'"),
        ("customer/number eq 'c'", "customer.number eq 'C'"),
        ("customer.number eq null", "customer.number eq null"),
        ("STARTSWITH(number,'cp-')", "startswith(number, 'CP-')"),
        ("groups/any(g: g eq 'a')", "groups/any(x: x eq 'A')"),
        ("tags/any(t: t in ('a','b'))", "tags/any(x: x in ('a', 'b'))"),
        ("groups/any()", "groups/any()"),
    ] {
        assert_eq!(parse(text).unwrap().to_string(), tree, "{text}");
    }
}

#[test]
fn malformed_literals_are_refused() {
    use ErrorKind::{InvalidDate, InvalidDecimal, InvalidValue};
    for (field, kind, literals) in [
        (
            "price",
            InvalidDecimal,
            &[
                "01",
                "+1",
                "1.",
                "1e3",
                "'.5'",
                "'1_000'",
                "1000000000000000",
                "0.12345678901",
                "--1",
                "''",
            ][..],
        ),
        ("sequence", InvalidValue, &["+1", "1.0", "1000000000000000000", "-", "''"]),
        (
            "startingDate",
            InvalidDate,
            &["2031-02-29", "'2031-5-15'", "'0000-01-01'", "'10000-01-01'", "'+2031-01-01'", "1"],
        ),
        ("createdAt", InvalidDate, &["2031-05-15", "'2031-05-15T12:00:00'"]),
        ("id", InvalidValue, &["'{a190b5c2-7d5e-7000-8000-000000000001}'", "1"]),
    ] {
        for literal in literals {
            let found = errors(&format!("{field} eq {literal}"));
            assert_eq!(found, [(kind, field.len() + 4)], "{field} {literal}");
        }
    }
}

#[test]
fn values_of_rows_are_read_unchanged() {
    let read = |kind, text| Literal::from_text(kind, text).map(|value| value.to_string());
    assert_eq!(read(FieldKind::Key, "a b"), Some("'a b'".into()));
    assert_eq!(read(FieldKind::Enum(&["A"]), "B"), Some("'B'".into()));
    let sum = "12345678901234567890.12345";
    assert_eq!(read(FieldKind::Decimal, sum), Some(sum.into()), "larger than any literal");
    assert_eq!(read(FieldKind::Date, "2031-05-15"), Some("2031-05-15".into()));
    for (kind, text) in [
        (FieldKind::Decimal, "x"),
        (FieldKind::Date, "2031-5-15"),
        (FieldKind::Integer, "1"),
        (FieldKind::Boolean, "true"),
        (FieldKind::KeyList, "A"),
    ] {
        assert_eq!(read(kind, text), None, "{text}");
    }
}

#[test]
fn precedence_of_operators() {
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
        assert_eq!(parse(text).unwrap().to_string(), tree, "{text}");
    }
}

#[test]
fn errors_have_positions() {
    use ErrorKind::{
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
fn hints() {
    let first = |text: &str| parse(text).unwrap_err().remove(0);
    let nearest = |text: &str| Some(Hint::Nearest(text.to_owned()));
    let wrong = first("naem eq 'x'");
    assert_eq!((wrong.hint, wrong.near.as_str()), (nearest("name"), "naem eq 'x'"));
    assert_eq!(first("state eq 'RUNING'").hint, nearest("RUNNING"));
    assert_eq!(first("groups/any(x: y eq 'A')").hint, nearest("x"));
    assert_eq!(first("name eq").hint, None);
    let long = first(&"x".repeat(MAX_LENGTH + 1));
    assert_eq!((long.position, long.hint), (None, Some(Hint::Maximum(MAX_LENGTH))));
    assert_eq!(super::parse("a eq 1", &[]).unwrap_err()[0].hint, None);
}

#[test]
fn limits() {
    let terms = |count: usize| vec!["blocked"; count].join(" and ");
    assert!(parse(&terms(MAX_TERMS)).is_ok());
    assert_eq!(errors(&terms(MAX_TERMS + 1)), [(ErrorKind::TooComplex, 1_200)]);

    let nested = |depth: usize| format!("{}blocked{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(errors(&nested(MAX_DEPTH + 1)), [(ErrorKind::TooComplex, 21)]);
    assert!(parse(&format!("{}blocked", "not ".repeat(MAX_DEPTH))).is_ok());
    assert_eq!(
        errors(&format!("{}blocked", "not ".repeat(MAX_DEPTH + 1))),
        [(ErrorKind::TooComplex, 84)]
    );

    let values = |count: usize| format!("sequence in ({})", vec!["1"; count].join(","));
    assert!(parse(&values(MAX_VALUES)).is_ok());
    assert_eq!(errors(&values(MAX_VALUES + 1)), [(ErrorKind::TooComplex, 213)]);

    let long = |length: usize| format!("name eq '{}'", "ä".repeat(length - 10));
    assert!(parse(&long(MAX_LENGTH)).is_ok());
    assert_eq!(parse(&long(MAX_LENGTH + 1)).unwrap_err()[0].kind, ErrorKind::TooLong);
}

#[test]
fn hostile_texts_are_refused() {
    for part in ["(", "not ", "a", "'", "\0", "𝕏", "groups/any(x:", "contains(", "-", "1 in (1,"]
    {
        assert_eq!(parse(&part.repeat(1_048_576 / part.len())).unwrap_err().len(), 1);
        assert!(parse(&part.repeat(MAX_LENGTH / part.chars().count())).is_err());
    }
}

/// Generates comparisons with literals of every kind.
fn compare() -> impl Strategy<Value = Expr> {
    let operator = || (0..Comparison::ALL.len()).prop_map(|index| Comparison::ALL[index].1);
    let equality = || prop_oneof![Just(Comparison::Eq), Just(Comparison::Ne)];
    prop_oneof![
        (operator(), "[A-Z0-9 ']{0,6}").prop_map(|(operator, text)| Expr::Compare(
            &FIELDS[0],
            operator,
            Literal::Text(text)
        )),
        (operator(), "[^\\p{Cc}]{0,8}").prop_map(|(operator, text)| Expr::Compare(
            &FIELDS[1],
            operator,
            Literal::Text(text)
        )),
        (operator(), any::<i32>(), 0u32..=10).prop_map(|(operator, units, scale)| {
            Expr::Compare(&FIELDS[2], operator, Literal::Decimal(Decimal::new(units.into(), scale)))
        }),
        (operator(), any::<i32>()).prop_map(|(operator, n)| Expr::Compare(
            &FIELDS[3],
            operator,
            Literal::Integer(n.into())
        )),
        (operator(), 0i64..3_000_000).prop_map(|(operator, day)| Expr::Compare(
            &FIELDS[4],
            operator,
            Literal::Date(date(day.rem_euclid(3_652_059)))
        )),
        (operator(), 0i64..253_402_300_800_000_000).prop_map(|(operator, micros)| {
            Expr::Compare(
                &FIELDS[5],
                operator,
                Literal::Instant(DateTime::from_timestamp_micros(micros).unwrap()),
            )
        }),
        (equality(), any::<bool>()).prop_map(|(operator, truth)| Expr::Compare(
            &FIELDS[6],
            operator,
            Literal::Boolean(truth)
        )),
        (equality(), any::<u128>()).prop_map(|(operator, id)| Expr::Compare(
            &FIELDS[7],
            operator,
            Literal::Uuid(Uuid::from_u128(id))
        )),
    ]
}

fn date(day: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap() + chrono::Duration::days(day)
}

fn leaf() -> impl Strategy<Value = Expr> {
    let function = || {
        prop_oneof![
            Just(TextMatch::Contains),
            Just(TextMatch::StartsWith),
            Just(TextMatch::EndsWith)
        ]
    };
    prop_oneof![
        4 => compare(),
        1 => (1..=120_i64, -5..5_i64).prop_map(|(months, amount)| {
            let amount = Literal::Decimal(amount.into());
            Expr::CompareOf(&FIELDS[12], months, Comparison::Ge, amount)
        }),
        1 => (0..FIELDS.len() - 4).prop_map(|index| Expr::IsNull(&FIELDS[index])),
        1 => Just(Expr::IsNotNull(&FIELDS[11])),
        1 => prop::collection::vec("[^\\p{Cc}]{0,4}", 1..5)
            .prop_map(|texts| Expr::In(&FIELDS[1], texts.into_iter().map(Literal::Text).collect())),
        1 => (function(), "[^\\p{Cc}]{0,8}")
            .prop_map(|(function, text)| Expr::Match(&FIELDS[1], function, text)),
        1 => prop_oneof![Just(Expr::Any(&FIELDS[9], None)), Just(Expr::Any(&FIELDS[10], None))],
        1 => combined(element(&KEY_ELEMENT))
            .prop_map(|inner| Expr::Any(&FIELDS[9], Some(Box::new(inner)))),
        1 => combined(element(&TEXT_ELEMENT))
            .prop_map(|inner| Expr::Any(&FIELDS[10], Some(Box::new(inner)))),
    ]
}

fn element(field: &'static Field) -> BoxedStrategy<Expr> {
    let text = || "[A-Z']{0,3}";
    prop_oneof![
        text().prop_map(move |text| Expr::Compare(field, Comparison::Eq, Literal::Text(text))),
        prop::collection::vec(text(), 1..3)
            .prop_map(move |texts| Expr::In(field, texts.into_iter().map(Literal::Text).collect())),
        text().prop_map(move |text| Expr::Match(field, TextMatch::StartsWith, text)),
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

const TOKENS: &str = "name groups/any ( ) 'x' 1 eq in and or not null , x : contains blocked";

proptest! {
    #[test]
    fn printed_tree_parses_to_the_same_tree(tree in combined(leaf())) {
        let text = tree.to_string();
        prop_assume!(text.chars().count() <= MAX_LENGTH);
        let read = parse(&text);
        prop_assert!(read.is_ok(), "{text}: {read:?}");
        prop_assert_eq!(read.unwrap(), tree, "{}", text);
    }

    #[test]
    fn any_text_is_accepted_or_refused(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_tokens_are_accepted_or_refused(
        tokens in prop::collection::vec(0..TOKENS.split(' ').count(), 0..30)
    ) {
        let all: Vec<&str> = TOKENS.split(' ').collect();
        let tokens: Vec<&str> = tokens.into_iter().map(|index| all[index]).collect();
        if let Err(errors) = parse(&tokens.join(" ")) {
            prop_assert!(!errors.is_empty());
        }
    }
}
