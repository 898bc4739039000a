//! Tests that the borrowed types parse the same requests as the types that report errors.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::world::day;
use crate::platform::http::json::{decode, object, parse};
use crate::platform::http::list::QueryParams;
use crate::quotes::borrowed::{BorrowedBody, BorrowedQuery};
use crate::quotes::http::{QuoteBody, read_query};
use crate::quotes::request::QuoteRequest;

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

fn owned(text: &str) -> Option<QuoteRequest<'static>> {
    let body = decode::<QuoteBody>(parse(text.as_bytes()).ok()?).ok()?;
    body.into_request(day("2031-01-01"), false).ok()
}

fn borrowed(text: &str) -> Option<QuoteRequest<'_>> {
    object::<BorrowedBody<'_>>(text.as_bytes())?.into_request(|| day("2031-01-01"), false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn bodies_are_parsed_alike(document in document()) {
        let text = document.to_string();
        if let Some(request) = borrowed(&text) {
            prop_assert_eq!(Some(request), owned(&text));
        }
    }

    #[test]
    fn queries_are_parsed_alike(
        head in members(HEAD),
        line in members(LINE),
        repeated in prop::bool::weighted(0.1),
    ) {
        let pair = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
        let pairs = head.iter().chain(&line).filter_map(pair);
        let mut pairs: Vec<String> = pairs.collect();
        if repeated {
            pairs.extend(pairs.first().cloned());
        }
        let text = pairs.join("&");
        let borrowed = BorrowedQuery::read(&text)
            .and_then(|query| query.into_request(|| day("2031-01-01")));
        if let Some(request) = borrowed {
            let names = HEAD.iter().chain(LINE).copied().filter(|name| *name != "lines");
            let known: Vec<&'static str> = names.collect();
            let owned = QueryParams::parse(&text, &known)
                .ok()
                .and_then(|params| read_query(&params, day("2031-01-01"), true).ok());
            prop_assert_eq!(Some(request), owned);
        }
    }
}

#[test]
fn well_formed_requests_are_borrowed() {
    let body = r#"{
        "customerNumber": "d1", "date": "2031-05-15", "currencyCode": "usd",
        "pricesIncludeTax": true, "campaignNumber": "C", "explain": true,
        "lines": [
            {"itemNumber": "chair", "variantCode": "OAK", "unitOfMeasureCode": null,
                "quantity": "2.50", "taxPercent": "7"},
            {"itemNumber": "DESK"}
        ]
    }"#;
    assert_eq!(borrowed(body).unwrap(), owned(body).unwrap());
    let query = "contactNumber=ct1&itemNumber=chair&quantity=12&date=2031-05-15&currencyCode=USD\
        &campaignNumber=C&variantCode=OAK&unitOfMeasureCode=BOX&taxPercent=0";
    let request = BorrowedQuery::read(query).unwrap().into_request(|| day("2031-01-01")).unwrap();
    assert_eq!(request.lines[0].item_number, "CHAIR");
    assert_eq!(request.asker, crate::quotes::request::Asker::Contact("CT1".into()));
    for refused in [
        "itemNumber=%41",
        "item%4eumber=A",
        "itemNumber=A&date=2031%2d05-15",
        "itemNumber=A&quantity=+1",
        "itemNumber=A&",
        "&itemNumber=A",
        "itemNumber=A+B",
        "itemNumber=A&itemNumber=A",
        "itemNumber=A&explain=true",
        "quantity=1",
        "",
    ] {
        assert!(
            BorrowedQuery::read(refused)
                .and_then(|query| query.into_request(|| day("2031-01-01")))
                .is_none(),
            "{refused}"
        );
    }
}
