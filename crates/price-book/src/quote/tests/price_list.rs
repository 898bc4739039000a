//! Tests that the rows of a price list agree with quotes.

use std::time::Instant;

use chrono::{Days, NaiveDate};
use pricing::resolve::Book as _;
use proptest::prelude::*;
use serde_json::{Value, json};
use values::{Amount, Quantity};

use super::properties::{facts, question};
use super::world::{audience, book, campaign, contact, item, price, request, settings};
use crate::listing::{Visit, Walk};
use crate::quote::answer::QuoteLine;
use crate::quote::price_list::write_rows;
use crate::quote::quote;
use crate::quote::request::{QuoteParty, QuoteRequest};
use crate::snapshot::Snapshot;

/// Returns the rows of the chair for the account of the request.
fn rows(snapshot: &Snapshot, request: &QuoteRequest) -> Vec<Value> {
    let contact = match &request.party {
        QuoteParty::Anybody => None,
        QuoteParty::Contact(number) => snapshot.find_contact(number),
        QuoteParty::Customer(number) => snapshot.find_customer(number),
    };
    let request = QuoteRequest { campaign_number: None, explain: None, ..request.clone() };
    let mut rows = Vec::new();
    let item = ("CHAIR", snapshot.find_item("CHAIR").unwrap());
    let account = contact.map(|contact| snapshot.account_of(contact));
    write_rows(snapshot, &request, account, item, Some("ONE"), |row| {
        rows.push(serde_json::to_value(row).unwrap());
    });
    rows
}

fn minimum(row: &Value) -> Amount {
    row["minimumQuantity"].as_str().unwrap().parse().unwrap()
}

/// Returns the row that answers a request, found as the description of the list says.
fn row_for<'r>(
    rows: &'r [Value],
    variant: Option<&str>,
    unit: &str,
    quantity: Quantity,
) -> Option<&'r Value> {
    let of = |variant: Value| -> Vec<&Value> {
        rows.iter()
            .filter(|row| row["variantCode"] == variant && row["unitOfMeasureCode"] == unit)
            .collect()
    };
    let with_variant = of(json!(variant));
    let found = if with_variant.is_empty() { of(Value::Null) } else { with_variant };
    found.into_iter().rfind(|row| minimum(row).units() <= quantity.units())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn row_agrees_with_quote(facts in facts(), request in question()) {
        let snapshot = book(facts);
        let mut request = QuoteRequest { campaign_number: None, explain: None, ..request };
        request.lines[0].tax_percent = None;
        let line = &request.lines[0];
        let rows = rows(&snapshot, &request);
        let unit = line.unit_of_measure_code.as_deref().unwrap_or("PCS");
        let row = row_for(&rows, line.variant_code.as_deref(), unit, line.quantity.magnitude());
        let quote = quote(&snapshot, &request).unwrap();
        match &quote.lines[0] {
            QuoteLine::Priced(priced) => {
                let row = row.unwrap();
                if row["problem"].is_null() {
                    prop_assert_eq!(&row["unitPrice"], &json!(priced.unit_price), "{:?}", rows);
                    prop_assert_eq!(
                        &row["lineDiscountPercent"],
                        &json!(priced.line_discount_percent)
                    );
                    prop_assert_eq!(&row["listPrice"], &json!(priced.list_price));
                    prop_assert_eq!(&row["currencyCode"], &json!(quote.currency_code));
                    let until: Option<NaiveDate> =
                        serde_json::from_value(row["validUntil"].clone()).unwrap();
                    prop_assert!(
                        priced
                            .valid_until
                            .is_none_or(|line| until.is_some_and(|until| until <= line))
                    );
                } else {
                    // The amount can be too large at the quantity from which the row applies.
                    prop_assert_eq!(&row["problem"]["code"], "AMOUNT_TOO_LARGE");
                }
            }
            QuoteLine::Unpriced(unpriced) => match unpriced.problem.code.text() {
                "NO_PRICE" => prop_assert!(row.is_none(), "{rows:?}"),
                // The row has the price of one unit. The amount of the quantity can be too large.
                "AMOUNT_TOO_LARGE" => prop_assert!(row.is_some()),
                code => prop_assert_eq!(&row.unwrap()["problem"]["code"], code),
            },
        }
    }

    #[test]
    fn rows_are_ordered_and_differ(facts in facts(), request in question()) {
        let rows = rows(&book(facts), &request);
        let place = |row: &Value| {
            let mut units = ["PCS", "BOX", "GRM"].into_iter();
            let unit = units.position(|unit| row["unitOfMeasureCode"] == unit).unwrap();
            (row["variantCode"].as_str().map(str::to_owned), unit, minimum(row))
        };
        prop_assert!(rows.is_sorted_by(|one, next| place(one) < place(next)), "{:?}", rows);
        for pair in rows.windows(2) {
            let (above, row) = (&pair[0], &pair[1]);
            if place(above).0 == place(row).0 && place(above).1 == place(row).1 {
                let says = |row: &Value| {
                    let [price, percent] =
                        ["unitPrice", "lineDiscountPercent"].map(|name| row[name].clone());
                    (price, percent, row["problem"]["code"].clone())
                };
                prop_assert_ne!(says(above), says(row), "{:?}", rows);
            }
        }
    }

    #[test]
    fn rows_are_unchanged_until_valid_until(
        facts in facts(),
        request in question(),
        days in 1_u64..15,
    ) {
        let snapshot = book(facts);
        let now = rows(&snapshot, &request);
        let later = request.date.checked_add_days(Days::new(days)).unwrap();
        let ends: Vec<NaiveDate> = now
            .iter()
            .filter_map(|row| serde_json::from_value(row["validUntil"].clone()).ok())
            .collect();
        // A quantity without a price has no row that could end.
        let is_plain = |row: &&Value| {
            row["variantCode"].is_null() && minimum(row) == Amount::ZERO
        };
        let complete = now.iter().filter(is_plain).count() == 3;
        if complete
            && now.iter().all(|row| row["problem"].is_null())
            && ends.iter().all(|end| *end > later)
        {
            let then = rows(&snapshot, &QuoteRequest { date: later, ..request.clone() });
            prop_assert_eq!(now, then);
        }
    }
}

/// Measures a list at full size. It only runs when it is selected:
///
/// ```text
/// cargo test --release --lib price_list -- --ignored --nocapture
/// ```
#[test]
#[ignore = "takes a minute; it measures"]
fn list_of_a_hundred_thousand_items() {
    let items = (0..100_000)
        .map(|n| item(&format!("I{:06}", n * 7_919 % 100_000), &json!({ "listPrice": "100" })));
    let prices = (0..1_000_000).map(|n| {
        let source = if n / 100_000 < 4 {
            json!({ "type": "ALL_CUSTOMERS" })
        } else {
            json!({ "type": "CAMPAIGN", "campaignNumber": "ONE" })
        };
        let line = json!({
            "itemNumber": format!("I{:06}", n % 100_000),
            "unitPrice": (60 + n / 100_000).to_string(),
            "minimumQuantity": (n / 100_000).to_string(),
            "source": source
        });
        price(&format!("{n:012}"), &line)
    });
    let contacts =
        (0..1_000_000).map(|n| contact(&format!("C{:07}", n * 7_919 % 1_000_000), &json!({})));
    let accounts: Vec<String> = (0..1_000_000).map(|n| format!("C{n:07}")).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let given =
        [settings(&json!({})), campaign("ONE", "2031-05-01", None), audience("ONE", &accounts)];
    let snapshot = book(items.chain(prices).chain(contacts).chain(given));

    let time = |what: &str, work: &mut dyn FnMut() -> usize| {
        let begin = Instant::now();
        let count = work();
        println!("{what}: {:?} for {count}", begin.elapsed());
    };
    let index = snapshot.find_campaign("ONE").unwrap();
    time("first list: sort items", &mut || {
        count_places(&snapshot, &mut Walk::over_items(&snapshot), 1)
    });
    time("next list", &mut || count_places(&snapshot, &mut Walk::over_items(&snapshot), 1));
    time("first campaign: sort contacts", &mut || {
        count_places(&snapshot, &mut Walk::over_campaign(&snapshot, index), 1)
    });
    time("next campaign: its items", &mut || {
        count_places(&snapshot, &mut Walk::over_campaign(&snapshot, index), 1)
    });
    time("all rows of a contact", &mut || {
        count_rows(&snapshot, Walk::over_items(&snapshot), usize::MAX)
    });
    time("a page of a contact", &mut || count_rows(&snapshot, Walk::over_items(&snapshot), 1_000));
    time("a million rows of a campaign", &mut || {
        count_rows(&snapshot, Walk::over_campaign(&snapshot, index), 1_000_000)
    });
}

fn count_places(snapshot: &Snapshot, walk: &mut Walk, most: usize) -> usize {
    (0..most).take_while(|_| !matches!(walk.next(snapshot), Visit::End)).count()
}

/// Writes rows as the list does and counts them.
fn count_rows(snapshot: &Snapshot, mut walk: Walk, most: usize) -> usize {
    let mut request_of_account = request(&json!({ "contactNumber": "C0000007", "explain": false }));
    let (mut count, mut bytes) = (0, 0);
    loop {
        match walk.next(snapshot) {
            Visit::End => break,
            Visit::Nothing => {}
            Visit::At { account, item_number, found } => {
                if let Some(account) = account {
                    request_of_account.party = QuoteParty::Contact(account.to_owned().into());
                }
                let contact = snapshot.find_contact(account.unwrap_or("C0000007"));
                write_rows(
                    snapshot,
                    &request_of_account,
                    contact,
                    (item_number, found),
                    account.map(|_| "ONE"),
                    |row| {
                        count += 1;
                        bytes += serde_json::to_string(row).unwrap().len();
                    },
                );
            }
        }
        if count >= most {
            break;
        }
    }
    println!("{} bytes a row", bytes / count);
    count
}
