//! Benchmarks of quotes: from a parsed request to the answer, to its JSON, and to an HTTP response.
//!
//! The book has 10,000 items with ten price lines and two discount lines each, 100,000 contacts and
//! 10 campaigns. Each request is for another item and contact, so that CPU caches are as cold as in
//! production. The same requests for a hundred items are also run on books of other sizes. Lines of
//! other items must not affect them.

// A benchmark may panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use actix_http::test::TestRequest;
use actix_http::{Method, Request};
use actix_web::web::Data;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kampanje::live_book::LiveBook;
use kampanje::live_book::SnapshotFile;
use kampanje::platform::clock::Calendar;
use kampanje::platform::http::access::Credentials;
use kampanje::platform::http::access::keys::KeyRing;
use kampanje::platform::http::call::BodyLimits;
use kampanje::platform::http::short_circuit::FastPath;
use kampanje::quotes::fast_path::QuoteFastPath;
use kampanje::quotes::response::QuoteResponder;
use price_book::facts::{Change, Fact, FactKind};
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::quote::{quote, write_quote};
use price_book::snapshot::Snapshot;
use pricing::resolve::Scratch;
use serde_json::{Value, json};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The size of a book.
#[derive(Clone, Copy)]
struct Size {
    items: usize,
    contacts: usize,
    campaigns: usize,
}

const USUAL: Size = Size { items: 10_000, contacts: 100_000, campaigns: 10 };

fn put(kind: FactKind, key: String, members: Value) -> Change {
    Change::Put { key, fact: Fact::from_text(kind, &members.to_string()).unwrap(), version: 1 }
}

fn ordinal(index: usize) -> u32 {
    index.try_into().unwrap()
}

fn contact_number(index: usize) -> String {
    format!("CT{index:06}")
}

fn sources(item: usize, size: Size) -> [Value; 10] {
    let campaign = |index: usize| {
        let number = format!("CP{:04}", index % size.campaigns);
        json!({ "type": "CAMPAIGN", "campaignNumber": number })
    };
    let contact = |index: usize| {
        let number = contact_number(index % size.contacts);
        json!({ "type": "CONTACT", "contactNumber": number })
    };
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

fn lines(item: usize, size: Size) -> Vec<Change> {
    let mut changes = Vec::new();
    for (place, source) in sources(item, size).into_iter().enumerate() {
        let members = json!({
            "source": source, "itemNumber": format!("ITEM{item}"),
            "unitPrice": format!("{}.95", 90 + place),
            "minimumQuantity": (place % 3 * 10).to_string(),
            "allowLineDiscount": true, "priceIncludesTax": place == 4
        });
        changes.push(put(FactKind::PriceLine, Uuid::new_v4().to_string(), members));
    }
    for source in sources(item, size).into_iter().skip(8) {
        let members = json!({
            "source": source, "itemNumber": format!("ITEM{item}"),
            "minimumQuantity": "0", "lineDiscountPercent": "7.5"
        });
        changes.push(put(FactKind::DiscountLine, Uuid::new_v4().to_string(), members));
    }
    changes
}

fn book(size: Size) -> Snapshot {
    let settings = json!({ "localCurrencyCode": "EUR", "timeZone": "Europe/Berlin" });
    let mut changes = vec![
        put(FactKind::Settings, String::new(), settings),
        put(
            FactKind::ExchangeRate,
            "USD|2031-01-01".to_owned(),
            json!({ "currencyCode": "USD", "startingDate": "2031-01-01", "rate": "1.0865" }),
        ),
    ];
    for index in 0..size.campaigns {
        let dates = json!({ "startingDate": "2031-05-01", "endingDate": "2031-05-31" });
        changes.push(put(FactKind::Campaign, format!("CP{index:04}"), dates));
    }
    // Built one by one as they are applied: together they would be larger than the book.
    let audiences = (0..size.campaigns).map(|index| Change::AudienceAdd {
        campaign: format!("CP{index:04}"),
        accounts: (0..size.contacts)
            .filter(|contact| contact % 3 != index % 3)
            .map(ordinal)
            .collect(),
    });
    let contacts = (0..size.contacts).map(|index| {
        let customer = json!({
            "number": format!("D{index}"), "priceGroupCode": "GOLD",
            "allowLineDiscount": true, "pricesIncludeTax": false
        });
        let members = json!({ "type": "COMPANY", "ordinal": index, "customer": customer });
        put(FactKind::Contact, contact_number(index), members)
    });
    let items = (0..size.items).flat_map(|item| {
        let members =
            json!({ "listPrice": "129.95", "taxPercent": "25", "baseUnitOfMeasureCode": "PCS" });
        std::iter::once(put(FactKind::Item, format!("ITEM{item}"), members))
            .chain(lines(item, size))
    });
    Snapshot::empty().advanced(1, changes.into_iter().chain(audiences).chain(contacts).chain(items))
}

/// Returns requests with a number of lines each. Each is for another contact and other items, among
/// the first `items` and `contacts`.
fn requests(
    lines: usize,
    currency: Option<&str>,
    items: usize,
    contacts: usize,
) -> Vec<QuoteRequest<'static>> {
    let line = |index: usize| RequestLine {
        item_number: format!("ITEM{}", index * 7_919 % items).into(),
        variant_code: None,
        unit_of_measure_code: None,
        quantity: "5".parse().unwrap(),
        tax_percent: None,
    };
    let request = |index: usize| QuoteRequest {
        party: QuoteParty::Contact(contact_number(index * 7_919 % contacts).into()),
        currency_code: currency.map(|code| code.to_owned().into()),
        lines: (0..lines).map(|place| line(index * lines + place)).collect(),
        ..QuoteRequest::on("2031-05-15".parse().unwrap())
    };
    (0..1_000).map(request).collect()
}

/// Returns a function that cycles through the indexes below `count`.
fn cycle(count: usize) -> impl FnMut() -> usize {
    let mut next = 0;
    move || {
        next = (next + 1) % count;
        next
    }
}

fn bench(criterion: &mut Criterion) {
    let snapshot = book(USUAL);
    let tables =
        [("one line", 1, None), ("one line in USD", 1, Some("USD")), ("100 lines", 100, None)];
    for (name, lines, currency) in tables {
        let requests = requests(lines, currency, USUAL.items, USUAL.contacts);
        let mut turn = cycle(requests.len());
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(
                &mut turn,
                |at| black_box(quote(&snapshot, &requests[at]).unwrap()),
                BatchSize::SmallInput,
            );
        });
        criterion.bench_function(&format!("{name}, as JSON"), |bencher| {
            let mut scratch = Scratch::default();
            let answer = |at: usize| {
                let mut json = Vec::new();
                write_quote(&snapshot, &requests[at], &mut scratch, &mut json).unwrap();
                json
            };
            bencher.iter_batched(&mut turn, answer, BatchSize::SmallInput);
        });
    }
    let sizes = [
        Size { items: 100, contacts: 1_000, campaigns: 10 },
        Size { items: 10_000, contacts: 100_000, campaigns: 10 },
        Size { items: 10_000, contacts: 100_000, campaigns: 100 },
        Size { items: 50_000, contacts: 500_000, campaigns: 100 },
    ];
    for size in sizes {
        let Size { items, contacts, campaigns } = size;
        let snapshot = book(size);
        let requests = requests(1, None, 100, 1_000);
        let mut turn = cycle(requests.len());
        let name = format!("one line of {items} items, {contacts} contacts, {campaigns} campaigns");
        criterion.bench_function(&name, |bencher| {
            let answer = |at: usize| black_box(quote(&snapshot, &requests[at]).unwrap());
            bencher.iter_batched(&mut turn, answer, BatchSize::SmallInput);
        });
    }
    let mut change = lines(1, USUAL);
    criterion.bench_function("advance by a dozen lines", |bencher| {
        change.rotate_left(1);
        bencher.iter_batched(
            || change.clone(),
            |change| snapshot.advanced(2, change),
            BatchSize::SmallInput,
        );
    });
}

/// Benchmarks the fast path, with a book as in production.
fn fast_path(criterion: &mut Criterion) {
    let snapshot = Arc::new(book(USUAL));
    let calendar = Calendar::system();
    let live = LiveBook::new(calendar.clone());
    let known_at = calendar.now().timestamp_millis();
    let file = SnapshotFile { fingerprint: None, known_at, snapshot };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(live.restore(file));
    let quotes = QuoteFastPath::new(
        live.clone(),
        calendar.clone(),
        Credentials::new(None, KeyRing::default(), None, calendar),
        BodyLimits::new(1 << 20),
        Data::new(QuoteResponder::new(live)),
    );
    let path = "/v1/price-quotes";
    let gets: Vec<Request> = requests(1, None, USUAL.items, USUAL.contacts)
        .iter()
        .map(|request| {
            let QuoteParty::Contact(contact) = &request.party else {
                unreachable!("every request has a contact")
            };
            let item = &request.lines[0].item_number;
            let query =
                format!("contactNumber={contact}&itemNumber={item}&quantity=12&date=2031-05-15");
            TestRequest::with_uri(&format!("{path}?{query}"))
                .insert_header(("host", "127.0.0.1:8080"))
                .finish()
        })
        .collect();
    let mut turn = cycle(gets.len());
    criterion.bench_function("GET on the fast path", |bencher| {
        bencher.iter_batched(
            &mut turn,
            |at| quotes.answer(&gets[at]).unwrap(),
            BatchSize::SmallInput,
        );
    });
    let bodies: Vec<Vec<u8>> = requests(100, None, USUAL.items, USUAL.contacts)
        .iter()
        .map(|request| {
            let QuoteParty::Contact(contact) = &request.party else {
                unreachable!("every request has a contact")
            };
            let lines: Vec<Value> = request
                .lines
                .iter()
                .map(|line| json!({ "itemNumber": line.item_number, "quantity": "12" }))
                .collect();
            json!({ "contactNumber": contact, "date": "2031-05-15", "lines": lines })
                .to_string()
                .into_bytes()
        })
        .collect();
    for query in ["", "?explain=true"] {
        let mut post = TestRequest::with_uri(&format!("{path}{query}"));
        let post = post
            .method(Method::POST)
            .insert_header(("host", "127.0.0.1:8080"))
            .insert_header(("content-type", "application/json"))
            .finish();
        assert!(quotes.wants_body(&post), "the caller is admitted");
        criterion.bench_function(
            &format!("POST of 100 lines on the fast path{query}"),
            |bencher| {
                let answer = |at: usize| quotes.answer_with_body(&post, &bodies[at]).unwrap();
                bencher.iter_batched(&mut turn, answer, BatchSize::SmallInput);
            },
        );
    }
}

criterion_group!(benches, bench, fast_path);
criterion_main!(benches);
