//! The worked cases of tests/cases, each with its own price book.

use pricing::verdict::Verdict;
use serde_json::{Value, json};

use super::world::{
    audience, book, combining_campaign, contact, discount, item, line_id, price, put, rate,
    request, settings,
};
use crate::facts::{Change, FactKind};
use crate::quote::answer::{PricedLine, QuoteLine};
use crate::quote::quote;

#[test]
fn worked_cases_hold() {
    let read = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let mut cases = read(include_str!("../../../../../tests/cases/pricing.json"));
    cases.extend(read(include_str!("../../../../../tests/cases/combination.json")));
    assert_eq!(cases.len(), 61);
    let mut wrong = Vec::new();
    for case in &cases {
        let snapshot = book(world(&case["world"]));
        for asked in case["quotes"].as_array().unwrap() {
            let request = request(&asked["request"]);
            let quote = quote(&snapshot, &request).unwrap();
            let answer = serde_json::to_value(&quote.lines[0]).unwrap();
            if let Err(difference) = compare(&asked["expect"], &answer) {
                wrong.push(format!(
                    "{}: {}\n  {difference}\n  {answer}",
                    case["name"], asked["request"]
                ));
            }
            if let QuoteLine::Priced(line) = &quote.lines[0] {
                trace_names_the_winners(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The facts of a case.
fn world(world: &Value) -> Vec<Change> {
    let list = |name: &str| world.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let mut changes = vec![settings(world.get("settings").unwrap_or(&json!({})))];
    for currency in list("currencies") {
        let code = text(&currency, "code");
        let defaults = json!({ "unitAmountPrecision": "0.00001", "amountPrecision": "0.01" });
        changes.push(put(FactKind::Currency, &code, defaults, &currency));
        for entry in currency["exchangeRates"].as_array().unwrap() {
            changes.push(rate(&code, &text(entry, "startingDate"), &text(entry, "rate")));
        }
    }
    changes.extend(list("items").iter().map(|value| item(&text(value, "number"), value)));
    changes.extend(list("contacts").iter().map(|value| contact(&text(value, "number"), value)));
    let companies = list("contacts");
    let account = |number: &str| {
        let person = companies.iter().find(|value| value["number"] == number).unwrap();
        person["companyNumber"].as_str().unwrap_or(number).to_owned()
    };
    let mut published = Vec::new();
    for value in list("campaigns").iter().filter(|value| value["published"] == true) {
        let number = text(value, "number");
        changes.push(combining_campaign(
            &number,
            &text(value, "startingDate"),
            value["endingDate"].as_str(),
            value["combination"].as_str().unwrap_or("ANY"),
        ));
        let accounts: Vec<String> = value["audience"]
            .as_array()
            .unwrap()
            .iter()
            .map(|number| account(number.as_str().unwrap()))
            .collect();
        changes.push(audience(&number, &accounts.iter().map(String::as_str).collect::<Vec<_>>()));
        published.push(number);
    }
    let in_book = |value: &Value| {
        value["source"]["campaignNumber"]
            .as_str()
            .is_none_or(|number| published.contains(&number.to_owned()))
    };
    changes.extend(list("prices").iter().filter(|v| in_book(v)).map(|v| price(&text(v, "key"), v)));
    changes.extend(
        list("discounts").iter().filter(|v| in_book(v)).map(|v| discount(&text(v, "key"), v)),
    );
    changes
}

/// Compares an answer with the one that the case expects.
fn compare(expected: &Value, answer: &Value) -> Result<(), String> {
    for (name, want) in expected.as_object().unwrap() {
        let got = match name.as_str() {
            "error" => &answer["problem"]["code"],
            name => answer.get(name).unwrap_or(&Value::Null),
        };
        let same = match name.as_str() {
            "error" | "source" => want == got,
            "priceLine" | "discountLine" => {
                want.as_str().map(|key| line_id(key).to_string()).as_deref() == got["id"].as_str()
            }
            _ => number(want) == number(got),
        };
        if !same {
            return Err(format!("{name}: {want} expected, {got} answered"));
        }
    }
    Ok(())
}

fn number(value: &Value) -> Option<rust_decimal::Decimal> {
    value.as_str()?.parse().ok()
}

/// Asserts that the trace marks exactly the lines of the answer as chosen.
fn trace_names_the_winners(line: &PricedLine<'_>) {
    let trace = line.trace.as_ref().unwrap();
    let chosen: Vec<_> =
        trace.prices.iter().filter(|t| t.verdict == Verdict::Chosen).map(|t| t.line).collect();
    assert_eq!(chosen, line.price_line.into_iter().collect::<Vec<_>>());
    let chosen: Vec<_> =
        trace.discounts.iter().filter(|t| t.verdict == Verdict::Chosen).map(|t| t.line).collect();
    assert_eq!(chosen, line.discount_line.into_iter().collect::<Vec<_>>());
}
