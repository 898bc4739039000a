//! What a quote costs: from a parsed request to the answer, and to the answer as JSON.
//!
//! A book of 10,000 items with ten price lines and two discount lines each, and 100,000 contacts. Every request asks for
//! another item and contact, so that the caches are no warmer than they would be.

// A benchmark may fail by panicking.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kampanje::publication::facts::{Change, Fact, FactKind};
use kampanje::publication::snapshot::Snapshot;
use kampanje::quotes::quote::quote;
use kampanje::quotes::request::{Asker, QuoteRequest, RequestLine};
use serde_json::{Value, json};
use uuid::Uuid;

const ITEMS: usize = 10_000;
const CONTACTS: usize = 100_000;

fn put(kind: FactKind, key: String, members: Value) -> Change {
    Change::Put { key, fact: Fact::from_json(kind, members).unwrap(), version: 1 }
}

fn contact_number(index: usize) -> String {
    format!("CT{index:06}")
}

fn sources(item: usize) -> [Value; 10] {
    let campaign = |index: usize| json!({ "type": "CAMPAIGN", "campaignNumber": format!("CP{:04}", index % 10) });
    let contact = |index: usize| json!({ "type": "CONTACT", "contactNumber": contact_number(index % CONTACTS) });
    let group = |code: &str| json!({ "type": "CUSTOMER_PRICE_GROUP", "code": code });
    let all = json!({ "type": "ALL_CUSTOMERS" });
    [
        campaign(item),
        campaign(item + 1),
        campaign(item + 2),
        campaign(item + 3),
        contact(item * 7),
        contact(item * 13),
        group("GOLD"),
        group("IRON"),
        all.clone(),
        all,
    ]
}

fn lines(item: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    for (place, source) in sources(item).into_iter().enumerate() {
        let members = json!({ "source": source, "itemNumber": format!("ITEM{item}"), "unitPrice": format!("{}.95", 90 + place),
            "minimumQuantity": (place % 3 * 10).to_string(), "allowLineDiscount": true, "priceIncludesTax": place == 4 });
        changes.push(put(FactKind::PriceLine, Uuid::new_v4().to_string(), members));
    }
    for source in sources(item).into_iter().skip(8) {
        let members = json!({ "source": source, "itemNumber": format!("ITEM{item}"), "minimumQuantity": "0",
            "lineDiscountPercent": "7.5" });
        changes.push(put(FactKind::DiscountLine, Uuid::new_v4().to_string(), members));
    }
    changes
}

fn book() -> Snapshot {
    let settings = json!({ "localCurrencyCode": "EUR", "timeZone": "Europe/Berlin" });
    let mut changes = vec![
        put(FactKind::Settings, String::new(), settings),
        put(
            FactKind::ExchangeRate,
            "USD|2031-01-01".to_owned(),
            json!({ "currencyCode": "USD", "startingDate": "2031-01-01", "rate": "1.0865" }),
        ),
    ];
    for index in 0..10 {
        let number = format!("CP{index:04}");
        changes.push(put(
            FactKind::Campaign,
            number.clone(),
            json!({ "startingDate": "2031-05-01", "endingDate": "2031-05-31" }),
        ));
        let accounts = (0..CONTACTS).filter(|contact| contact % 3 != index % 3).map(contact_number).collect();
        changes.push(Change::AudienceAdd { campaign: number, accounts });
    }
    for index in 0..CONTACTS {
        let customer = json!({ "number": format!("D{index}"), "priceGroupCode": "GOLD", "allowLineDiscount": true, "pricesIncludeTax": false });
        changes.push(put(FactKind::Contact, contact_number(index), json!({ "type": "COMPANY", "customer": customer })));
    }
    for item in 0..ITEMS {
        let members = json!({ "listPrice": "129.95", "taxPercent": "25", "baseUnitOfMeasureCode": "PCS" });
        changes.push(put(FactKind::Item, format!("ITEM{item}"), members));
        changes.extend(lines(item));
    }
    Snapshot::empty().advanced(1, changes)
}

/// Requests for a number of lines each, every one for another contact and other items.
fn requests(lines: usize, currency: Option<&str>) -> Vec<QuoteRequest<'static>> {
    let line = |index: usize| RequestLine {
        item_number: format!("ITEM{}", index * 7_919 % ITEMS).into(),
        variant_code: None,
        unit_of_measure_code: None,
        quantity: "5".parse().unwrap(),
        tax_percent: None,
    };
    let request = |index: usize| QuoteRequest {
        asker: Asker::Contact(contact_number(index * 7_919 % CONTACTS).into()),
        date: "2031-05-15".parse().unwrap(),
        currency_code: currency.map(|code| code.to_owned().into()),
        prices_include_tax: None,
        campaign_number: None,
        lines: (0..lines).map(|place| line(index * lines + place)).collect(),
        explain: false,
    };
    (0..1_000).map(request).collect()
}

fn bench(criterion: &mut Criterion) {
    let snapshot = book();
    let tables = [("one line", 1, None), ("one line in USD", 1, Some("USD")), ("100 lines", 100, None)];
    for (name, lines, currency) in tables {
        let requests = requests(lines, currency);
        let mut next = 0;
        let mut turn = || {
            next = (next + 1) % requests.len();
            next
        };
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                &mut turn,
                |at| black_box(quote(&snapshot, &requests[at]).unwrap()),
                BatchSize::SmallInput,
            );
        });
        criterion.bench_function(&format!("{name}, as JSON"), |bencher| {
            let answer = |at: usize| serde_json::to_vec(&quote(&snapshot, &requests[at]).unwrap()).unwrap();
            bencher.iter_batched(&mut turn, |at| black_box(answer(at)), BatchSize::SmallInput);
        });
    }
    let mut change = lines(1);
    criterion.bench_function("advance by a dozen lines", |bencher| {
        change.rotate_left(1);
        bencher.iter_batched(|| change.clone(), |change| snapshot.advanced(2, change), BatchSize::SmallInput);
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
