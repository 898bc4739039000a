//! Tests that serde and deserr read the same requests from a body.

use std::borrow::Cow;

use chrono::NaiveDate;
use price_book::quote::request::{QuoteParty, QuoteRequest};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::platform::http::json::{decode, object, parse};
use crate::platform::http::list::QueryParams;
use crate::quotes::http::GET_PARAMETERS;
use crate::quotes::request::{QuoteBody, read_query};

const HEAD: &[&str] = &[
    "contactNumber",
    "customerNumber",
    "date",
    "currencyCode",
    "pricesIncludeTax",
    "campaignNumber",
    "explain",
    "lines",
];
const LINE: &[&str] = &["itemNumber", "variantCode", "unitOfMeasureCode", "quantity", "taxPercent"];
const TEXTS: &[&str] = &[
    "",
    "A",
    "chair-1.x",
    "0190b5c2-7d5e-7000-8000-000000000001",
    "A B",
    "Ä",
    "eur",
    "EURO",
    "2031-05-15",
    "2031-02-30",
    "20310515",
    "0",
    "1",
    "01",
    "007",
    "12.5",
    "1.50",
    "1.",
    ".5",
    "1.000000",
    "1.123456",
    "0.00001",
    "0.0",
    "1e3",
    "-1",
    "-0",
    "+1",
    "100",
    "100.00001",
    "100.0",
    "999999999999999",
    "1000000000000000",
    "999999999999999.99999",
    "184467440737095.51616",
    "true",
    "false",
];
/// Returns texts that are valid for a field of this name.
fn valid_texts(name: &str) -> &'static [&'static str] {
    match name {
        "date" => &["2031-05-15", "0001-01-01"],
        "currencyCode" => &["eur", "USD"],
        "quantity" => &["1", "0.5", "12.50", "999999999999999.9999"],
        "taxPercent" => &["0", "7.5", "100.00000"],
        _ => &["A", "chair-1.x"],
    }
}

fn value(name: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => select(valid_texts(name)).prop_map(Value::from),
        2 => select(TEXTS).prop_map(Value::from),
        1 => select(vec![Value::Null, json!(1), json!(true), json!([]), json!({})]),
    ]
}

/// Generates an object with some of the fields, and sometimes one that does not exist.
fn members(names: &'static [&'static str]) -> impl Strategy<Value = Map<String, Value>> {
    let fields: Vec<_> = names
        .iter()
        .map(|name| prop::option::of(value(name)).prop_map(move |value| (*name, value)))
        .collect();
    (fields, prop::bool::weighted(0.05)).prop_map(|(fields, unknown)| {
        let known = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        known.chain(unknown.then(|| ("unknown".to_owned(), Value::Null))).collect()
    })
}

fn document() -> impl Strategy<Value = Value> {
    (members(HEAD), prop::collection::vec(members(LINE), 0..3), prop::bool::weighted(0.9)).prop_map(
        |(mut head, lines, right)| {
            if right {
                head.insert("lines".to_owned(), lines.into_iter().map(Value::Object).collect());
                head.remove("explain");
                head.remove("pricesIncludeTax");
            }
            Value::Object(head)
        },
    )
}

const TODAY: NaiveDate = NaiveDate::from_ymd_opt(2031, 1, 1).unwrap();

/// Reads a body with deserr.
fn by_deserr(text: &str) -> Option<QuoteRequest<'static>> {
    let body = decode::<QuoteBody<'_>>(parse(text.as_bytes()).ok()?).ok()?;
    body.into_request(|| TODAY, false).ok()
}

/// Reads a body with serde.
fn by_serde(text: &str) -> Option<QuoteRequest<'_>> {
    object::<QuoteBody<'_>>(text.as_bytes())?.into_request(|| TODAY, false).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn serde_and_deserr_read_the_same_bodies(document in document()) {
        let text = document.to_string();
        prop_assert_eq!(by_serde(&text), by_deserr(&text));
    }
}

#[test]
fn texts_are_borrowed_unless_they_are_escaped() {
    let body = r#"{
        "customerNumber": "D1", "date": "2031-05-15", "currencyCode": "usd",
        "pricesIncludeTax": true, "campaignNumber": "C", "explain": true,
        "lines": [
            {"itemNumber": "chair", "variantCode": "OAK", "unitOfMeasureCode": null,
                "quantity": "2.50", "taxPercent": "7"},
            {"itemNumber": "D\u0045SK"}
        ]
    }"#;
    let request = by_serde(body).unwrap();
    assert_eq!(Some(&request), by_deserr(body).as_ref());
    assert!(matches!(&request.party, QuoteParty::Customer(Cow::Borrowed("D1"))));
    assert_eq!(request.lines[0].item_number, "CHAIR");
    assert_eq!(request.lines[1].item_number, "DESK");
}

#[test]
fn query_is_read() {
    let read = |query: &str| {
        let params = QueryParams::parse(query, &GET_PARAMETERS).ok()?;
        read_query(&params, || TODAY, true).ok().map(QuoteRequest::into_owned)
    };
    let request = read(
        "contactNumber=ct1&itemNumber=ch%61ir&quantity=12&date=2031-05-15&currencyCode=usd&\
         campaignNumber=C&variantCode=OAK&unitOfMeasureCode=BOX&taxPercent=0&\
         pricesIncludeTax=true&explain=true",
    )
    .unwrap();
    assert_eq!(request.party, QuoteParty::Contact("CT1".into()));
    assert_eq!(request.currency_code.as_deref(), Some("USD"));
    assert_eq!(request.lines[0].item_number, "CHAIR");
    assert_eq!(read("itemNumber=A").unwrap().date, TODAY);
    assert_eq!(read("itemNumber=r%c3%b8d+1%2fa%2b").unwrap().lines[0].item_number, "RØD 1/A+");
    for refused in [
        "itemNumber=A&date=2031-02-30",
        "itemNumber=A&quantity=+1",
        "itemNumber=A++B",
        "itemNumber=A&itemNumber=A",
        "itemNumber=A&explain=yes",
        "itemNumber=A&contactNumber=C&customerNumber=D",
        "quantity=1",
        "",
    ] {
        assert_eq!(read(refused), None, "{refused}");
    }
}
