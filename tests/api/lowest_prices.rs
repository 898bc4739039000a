//! The lowest price of the last days: the prices that count, compared with a computation from the
//! whole book, version by version and day by day.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Timestamptz};
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use price_book::quote::answer::QuoteLine;
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::snapshot::Snapshot;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use values::{Shown, SignedQuantity};

use super::support::app::{TestApp, pairs};
use super::support::clock::Clock;
use super::support::make;
use super::support::make::Campaign;

const PATH: &str = "/v1/lowest-prices";
const TODAY: &str = "2031-05-15T10:00:00Z";

/// Returns a desk for 100, and a customer. All publications so far are older than every window.
async fn shop() -> TestApp {
    let app = TestApp::at(Clock::at(TODAY).calendar()).await;
    app.patch("/v1/settings", &json!({"timeZone": "Europe/Oslo"})).await.expect(200);
    app.put("/v1/items/DESK", &json!({"listPrice": "100", "variants": [{"code": "OAK"}]}))
        .await
        .expect(201);
    app.put(
        "/v1/contacts/FIRM",
        &json!({"type": "COMPANY", "name": "Firm", "customer": {"number": "D1"}}),
    )
    .await
    .expect(201);
    app.sql("UPDATE publications SET published_at = '2031-01-01'").await;
    app
}

/// Sets the time of the newest publication.
async fn set_published_at(app: &TestApp, instant: &str) {
    let newest = "(SELECT max(version) FROM publications)";
    app.sql(&format!(
        "UPDATE publications SET published_at = '{instant}' WHERE version = {newest}"
    ))
    .await;
}

async fn list_price(app: &TestApp, price: &str, instant: &str) {
    app.patch("/v1/items/DESK", &json!({ "listPrice": price })).await.expect(200);
    set_published_at(app, instant).await;
}

async fn asked(app: &TestApp, query: &str) -> Value {
    app.get(&format!("{PATH}?itemNumber=DESK&{query}")).await.expect(200)
}

/// Returns the periods, oldest first: days and net price.
fn periods(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let history = answer["history"].as_array().unwrap().iter().rev();
    history
        .map(|row| ["from", "to", "netUnitPrice"].map(|field| text(&row[field])).join(" "))
        .collect()
}

#[actix_web::test]
async fn each_version_counts_on_the_days_it_was_in_force() {
    let app = shop().await;
    let first = app.book.snapshot().version();
    // The company's day begins at 22:00 UTC. So 30 April has the price 110 until its last instant.
    list_price(&app, "110", "2031-04-20T12:00:00Z").await;
    list_price(&app, "90", "2031-04-30T22:00:00Z").await;
    list_price(&app, "120", "2031-05-03T21:59:59Z").await;
    let answer = asked(&app, "").await;
    assert_eq!(
        periods(&answer),
        [
            "2031-04-15 2031-04-20 100",
            "2031-04-20 2031-04-30 110",
            "2031-05-01 2031-05-03 90",
            "2031-05-03 2031-05-14 120"
        ]
    );
    let price = |price: &str, version: i64| {
        json!({
            "unitPrice": price, "lineDiscountPercent": "0", "netUnitPrice": price,
            "source": {"type": "LIST_PRICE"}, "publicationVersion": version
        })
    };
    let mut lowest = price("90", first + 2);
    lowest["firstDate"] = json!("2031-05-01");
    lowest["lastDate"] = json!("2031-05-03");
    assert_eq!((&answer["lowest"], &answer["current"]), (&lowest, &price("120", first + 3)));
    assert_eq!(answer["reductionPercent"], "-33.34");
    let window = ["date", "firstDate", "lastDate", "days", "daysCovered", "historyIsComplete"]
        .map(|name| answer[name].clone());
    let expected = json!(["2031-05-15", "2031-04-15", "2031-05-14", 30, 30, true]);
    assert_eq!(json!(window), expected);
    // Another day has another window; later versions were not in force.
    let then = asked(&app, "date=2031-05-01&days=10").await;
    assert_eq!(periods(&then), ["2031-04-21 2031-04-30 110"]);
    assert_eq!(
        (&then["current"]["netUnitPrice"], &then["reductionPercent"]),
        (&json!("90"), &json!("18.18"))
    );
    // Future days count with the present knowledge.
    let to_come = asked(&app, "date=2031-05-20&days=7").await;
    assert_eq!(periods(&to_come), ["2031-05-13 2031-05-19 120"]);
}

#[actix_web::test]
async fn campaign_counts_for_its_accounts_on_its_days() {
    let app = shop().await;
    app.put(
        "/v1/contacts/ANNE",
        &json!({"type": "PERSON", "name": "Anne", "companyNumber": "FIRM"}),
    )
    .await
    .expect(201);
    app.put("/v1/contacts/OTHER", &json!({"type": "COMPANY", "name": "Other"})).await.expect(201);
    let dates = json!({"startingDate": "2031-05-01", "endingDate": "2031-05-05"});
    app.put("/v1/campaigns/SPRING", &dates).await.expect(201);
    make::target_segment(&app, "S", "SPRING").await;
    app.put("/v1/segments/S/lines/ANNE", &json!({})).await.expect(201);
    make::campaign_price(&app, "SPRING", "DESK", "60").await;
    make::activate(&app, "SPRING").await;
    app.sql("UPDATE publications SET published_at = '2031-01-01'").await;
    let in_campaign =
        ["2031-04-15 2031-04-30 100", "2031-05-01 2031-05-05 60", "2031-05-06 2031-05-14 100"];
    for party in ["contactNumber=FIRM", "contactNumber=ANNE", "customerNumber=D1"] {
        let answer = asked(&app, party).await;
        assert_eq!(periods(&answer), in_campaign, "{party}");
        assert_eq!(answer["accountNumber"], "FIRM");
        assert_eq!(
            answer["lowest"]["source"],
            json!({"type": "CAMPAIGN", "campaignNumber": "SPRING"})
        );
    }
    for party in ["", "contactNumber=OTHER"] {
        assert_eq!(periods(&asked(&app, party).await), ["2031-04-15 2031-05-14 100"], "{party}");
    }
    // An account that joins later has the price from then on.
    app.put("/v1/segments/S/lines/OTHER", &json!({})).await.expect(201);
    set_published_at(&app, "2031-05-03T12:00:00Z").await;
    // An account that leaves has it no longer.
    app.delete("/v1/segments/S/lines/ANNE").await.expect(204);
    set_published_at(&app, "2031-05-04T12:00:00Z").await;
    let other = asked(&app, "contactNumber=OTHER").await;
    assert_eq!(
        periods(&other),
        ["2031-04-15 2031-05-03 100", "2031-05-03 2031-05-05 60", "2031-05-06 2031-05-14 100"]
    );
    let firm = asked(&app, "contactNumber=FIRM").await;
    assert_eq!(
        periods(&firm),
        ["2031-04-15 2031-04-30 100", "2031-05-01 2031-05-04 60", "2031-05-04 2031-05-14 100"]
    );
}

#[actix_web::test]
async fn days_without_a_price_do_not_count() {
    let app = shop().await;
    app.patch("/v1/items/DESK", &json!({"blocked": true})).await.expect(200);
    set_published_at(&app, "2031-04-20T12:00:00Z").await;
    app.patch("/v1/items/DESK", &json!({"blocked": false})).await.expect(200);
    set_published_at(&app, "2031-04-25T12:00:00Z").await;
    let answer = asked(&app, "").await;
    assert_eq!(periods(&answer), ["2031-04-15 2031-04-20 100", "2031-04-25 2031-05-14 100"]);
    assert_eq!(answer["daysCovered"], 26);
    make::item(&app, "NEW", "5").await;
    set_published_at(&app, "2031-05-15T05:00:00Z").await;
    let new = app.get(&format!("{PATH}?itemNumber=NEW")).await.expect(200);
    assert_eq!(
        (&new["daysCovered"], &new["lowest"], &new["history"]),
        (&json!(0), &Value::Null, &json!([]))
    );
    assert_eq!(
        (&new["current"]["netUnitPrice"], &new["reductionPercent"]),
        (&json!("5"), &Value::Null)
    );
    app.patch("/v1/items/DESK", &json!({"blocked": true})).await.expect(200);
    set_published_at(&app, "2031-05-15T06:00:00Z").await;
    let blocked = asked(&app, "").await;
    assert_eq!(
        (&blocked["current"], &blocked["problem"]["code"]),
        (&Value::Null, &json!("ITEM_BLOCKED"))
    );
    assert_eq!(blocked["lowest"]["netUnitPrice"], "100");
    // Before the first publication there was no offer.
    let early = asked(&app, "date=2031-01-02&days=366").await;
    assert_eq!(
        (&early["daysCovered"], periods(&early)),
        (&json!(1), vec!["2031-01-01 2031-01-01 100".to_owned()])
    );
    let at_the_beginning =
        app.get(&format!("{PATH}?itemNumber=DESK&date=0001-01-01&days=366")).await;
    assert_eq!(at_the_beginning.errors(), pairs(&[("?itemNumber", "REFERENCE_NOT_FOUND")]));
    assert_eq!(asked(&app, "date=9999-12-31").await["daysCovered"], 0);
}

#[actix_web::test]
async fn prices_are_compared_in_one_currency_with_the_tax_of_the_day() {
    let app = shop().await;
    app.put("/v1/currencies/USD", &json!({"unitAmountPrecision": "0.01"})).await.expect(201);
    for (date, rate) in [("2031-04-20", "2"), ("2031-05-01", "1.5")] {
        let rate = json!({"currencyCode": "USD", "startingDate": date, "rate": rate});
        app.post("/v1/exchange-rates", &rate).await.expect(201);
    }
    app.patch("/v1/items/DESK", &json!({"taxPercent": "25"})).await.expect(200);
    app.sql("UPDATE publications SET published_at = '2031-01-01'").await;
    let in_dollars = ["2031-04-20 2031-04-30 250", "2031-05-01 2031-05-14 187.5"];
    let answer = asked(&app, "contactNumber=FIRM&currencyCode=USD&pricesIncludeTax=true").await;
    assert_eq!(
        (periods(&answer), &answer["daysCovered"]),
        (in_dollars.map(str::to_owned).to_vec(), &json!(25))
    );
    assert_eq!(
        (&answer["currencyCode"], &answer["pricesIncludeTax"]),
        (&json!("USD"), &json!(true))
    );
    // The contact's present data applies to all days.
    let customer =
        json!({"currencyCode": "USD", "customer": {"number": "D1", "pricesIncludeTax": true}});
    app.patch("/v1/contacts/FIRM", &customer).await.expect(200);
    set_published_at(&app, "2031-05-10T12:00:00Z").await;
    assert_eq!(periods(&asked(&app, "contactNumber=FIRM").await), in_dollars);
    assert_eq!(
        asked(&app, "contactNumber=FIRM&date=2031-05-09").await["currencyCode"],
        "EUR",
        "it was so then"
    );
    for (query, net) in [("quantity=10&unitOfMeasureCode=PCS", "100"), ("variantCode=oak", "100")] {
        assert_eq!(asked(&app, query).await["lowest"]["netUnitPrice"], net);
    }
}

#[actix_web::test]
async fn history_is_bounded() {
    let app = shop().await;
    // The maximum number of publications, with alternating prices.
    app.sql(
        "INSERT INTO publications (version, kind, author, published_at, added, changed, removed,
            content_hash)
            SELECT 100 + n, 'BASE_DATA', 'test', '2031-05-01'::timestamptz
                + n * interval '1 minute', 0, 1, 0, 'x'
            FROM generate_series(0, 1200) AS n;
        UPDATE book_entries SET to_version = 100 WHERE kind = 'ITEM';
        INSERT INTO book_entries (kind, key, facts, from_version, to_version)
            SELECT kind, key, jsonb_set(facts, '{listPrice}', to_jsonb((50 + n % 2)::text)),
                100 + n, CASE WHEN n < 1200 THEN 101 + n END
            FROM book_entries, generate_series(0, 1200) AS n WHERE kind = 'ITEM';
        UPDATE book SET version = 1300",
    )
    .await;
    let answer = asked(&app, "").await;
    assert_eq!(answer["history"].as_array().unwrap().len(), 1000);
    assert_eq!(
        (&answer["historyIsComplete"], &answer["history"][0]["to"]),
        (&json!(false), &json!("2031-05-14"))
    );
    assert_eq!(
        (&answer["lowest"]["netUnitPrice"], &answer["lowest"]["firstDate"]),
        (&json!("50"), &json!("2031-05-01"))
    );
    assert_eq!(asked(&app, "date=2031-05-01").await["historyIsComplete"], true);
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let mut app = shop().await;
    let wrong = "contactNumber=..&days=0&date=x&variantCode=%20&unitOfMeasureCode=%20&quantity=0\
                 &currencyCode=E&pricesIncludeTax=no";
    assert_eq!(
        app.get(&format!("{PATH}?{wrong}")).await.errors(),
        pairs(&[
            ("?contactNumber", "INVALID_KEY"),
            ("?currencyCode", "INVALID_KEY"),
            ("?date", "INVALID_DATE"),
            ("?days", "OUT_OF_RANGE"),
            ("?itemNumber", "REQUIRED"),
            ("?pricesIncludeTax", "INVALID_TYPE"),
            ("?quantity", "OUT_OF_RANGE"),
            ("?unitOfMeasureCode", "INVALID_KEY"),
            ("?variantCode", "INVALID_KEY"),
        ])
    );
    for (query, pointer, code) in [
        ("itemNumber=NOTHING", "?itemNumber", "REFERENCE_NOT_FOUND"),
        ("itemNumber=DESK&variantCode=ELM", "?variantCode", "REFERENCE_NOT_FOUND"),
        ("itemNumber=DESK&unitOfMeasureCode=TON", "?unitOfMeasureCode", "REFERENCE_NOT_FOUND"),
        ("itemNumber=DESK&contactNumber=NOBODY", "?contactNumber", "REFERENCE_NOT_FOUND"),
        ("itemNumber=DESK&customerNumber=D9", "?customerNumber", "REFERENCE_NOT_FOUND"),
        ("itemNumber=DESK&contactNumber=FIRM&customerNumber=D1", "?customerNumber", "NOT_ALLOWED"),
        ("itemNumber=DESK&days=367", "?days", "OUT_OF_RANGE"),
        ("itemNumber=DESK&day=3", "?day", "UNKNOWN_PARAMETER"),
    ] {
        assert_eq!(
            app.get(&format!("{PATH}?{query}")).await.errors(),
            pairs(&[(pointer, code)]),
            "{query}"
        );
    }
    app.lose_database();
    let refused = app.get(&format!("{PATH}?itemNumber=DESK")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "UNAVAILABLE"),
        "{refused:?}"
    );
}

/// A deterministic random generator: the same seed gives the same choices.
struct Dice(TestRunner);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        (0..end).new_tree(&mut self.0).unwrap().current()
    }

    fn choose<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

const CHANGES: usize = 70;

#[actix_web::test]
async fn item_history_equals_the_whole_book() {
    join_all([1, 2, 3, 4].map(compare)).await;
}

async fn compare(seed: u8) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut dice = Dice(TestRunner::new_with_rng(Config::default(), rng));
    let app = seeded_app().await;
    for _ in 0..CHANGES {
        let (method, path, body) = random_change(&mut dice);
        let conditions: &[_] = if method == Method::POST { &[] } else { &[("if-match", "*")] };
        let reply = app
            .send(method, &path, conditions, body.as_ref().map(Value::to_string).as_deref())
            .await;
        assert!(!reply.status.is_server_error(), "{reply:?}");
    }
    // Two versions a day, one of them at midnight, from before the window on. Each seventh begins
    // only together with the next one.
    app.sql(
        "UPDATE publications SET published_at = '2031-04-11T22:00:00Z'::timestamptz
            + ((version + (version % 7 = 0)::int) / 2) * interval '1 day'
            + (version + (version % 7 = 0)::int) % 2 * interval '9 hours'",
    )
    .await;
    let whole = Whole::read(&app).await;
    let mut prices = BTreeSet::new();
    for party in
        ["contactNumber=C0", "contactNumber=P0", "contactNumber=C1", "customerNumber=D0", ""]
    {
        for what in [
            "itemNumber=I0",
            "itemNumber=I0&variantCode=RED&quantity=12",
            "itemNumber=I1&unitOfMeasureCode=BOX&currencyCode=USD",
        ] {
            let query = format!("{party}&{what}");
            let reply = app.get(&format!("{PATH}?{query}")).await;
            let context = format!("seed {seed}: {query}");
            match whole.answer(&query) {
                Some(expected) => {
                    let answer = reply.expect(200);
                    assert_eq!(by_day(&answer), expected.by_day, "{context}: {answer}");
                    let net = |price: &Value| price["netUnitPrice"].as_str().map(str::to_owned);
                    assert_eq!(
                        net(&answer["lowest"]),
                        expected.lowest.map(|net| net.to_string()),
                        "{context}"
                    );
                    assert_eq!(net(&answer["current"]), expected.current, "{context}");
                    assert_eq!(answer["daysCovered"], expected.by_day.len(), "{context}");
                    prices.extend(expected.by_day.into_values().flatten());
                }
                None => assert_eq!(reply.status, 422, "{context}: {reply:?}"),
            }
        }
    }
    // Proof that the prices vary enough.
    assert!(prices.len() > 10, "seed {seed}: only {prices:?}");
}

/// Returns the prices of the history on each day, with their sources.
fn by_day(answer: &Value) -> BTreeMap<NaiveDate, BTreeSet<String>> {
    let mut days: BTreeMap<NaiveDate, BTreeSet<String>> = BTreeMap::new();
    for row in answer["history"].as_array().unwrap() {
        let date = |field: &str| row[field].as_str().unwrap().parse::<NaiveDate>().unwrap();
        let price =
            format!("{} {} {}", row["unitPrice"], row["lineDiscountPercent"], row["source"]);
        for day in date("from").iter_days().take_while(|day| *day <= date("to")) {
            days.entry(day).or_default().insert(price.clone());
        }
    }
    days
}

/// The whole book in each of its versions, with the instants between which it was in force.
struct Whole {
    versions: Vec<(std::sync::Arc<price_book::snapshot::Snapshot>, DateTime<Utc>, DateTime<Utc>)>,
}

struct Expected {
    by_day: BTreeMap<NaiveDate, BTreeSet<String>>,
    lowest: Option<Shown<12>>,
    current: Option<String>,
}

/// Returns the request of a query, or `None` if no customer has its number.
fn request_of(last: &Snapshot, query: &str) -> Option<QuoteRequest<'static>> {
    let param = |name: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned)
    };
    let customer =
        |number: String| Some(last.contact_number(last.find_customer(&number)?).to_owned());
    let party = match (param("contactNumber"), param("customerNumber")) {
        (Some(number), _) => QuoteParty::Contact(number.into()),
        (_, Some(number)) => QuoteParty::Contact(customer(number)?.into()),
        _ => QuoteParty::Anybody,
    };
    Some(QuoteRequest {
        party,
        currency_code: param("currencyCode").map(Into::into),
        lines: vec![RequestLine {
            item_number: param("itemNumber").unwrap().into(),
            variant_code: param("variantCode").map(Into::into),
            unit_of_measure_code: param("unitOfMeasureCode").map(Into::into),
            quantity: param("quantity")
                .map_or(SignedQuantity::ONE, |quantity| quantity.parse().unwrap()),
            tax_percent: None,
        }],
        ..QuoteRequest::on(TODAY[..10].parse().unwrap())
    })
}

impl Whole {
    async fn read(app: &TestApp) -> Self {
        #[derive(QueryableByName)]
        struct Published {
            #[diesel(sql_type = BigInt)]
            version: i64,
            #[diesel(sql_type = Timestamptz)]
            published_at: DateTime<Utc>,
        }
        let mut conn = app.connection().await;
        let all = "SELECT version, published_at FROM publications ORDER BY version";
        let published: Vec<Published> = diesel::sql_query(all).load(&mut conn).await.unwrap();
        let ends = published
            .iter()
            .skip(1)
            .map(|next| next.published_at)
            .chain([DateTime::<Utc>::MAX_UTC]);
        let mut versions = Vec::new();
        for (Published { version, published_at }, end) in published.iter().zip(ends) {
            let snapshot = app.book.as_of(&mut conn, *version).await.unwrap().unwrap();
            versions.push((snapshot, *published_at, end));
        }
        assert!(versions.len() > 40, "only {} versions", versions.len());
        Self { versions }
    }

    /// Computes the expected result of a query, or `None` if the query names unknown resources.
    fn answer(&self, query: &str) -> Option<Expected> {
        let (last, ..) = self.versions.last().unwrap();
        let mut request = request_of(last, query)?;
        let now = quote(last, &request).ok()?;
        let current = match &now.lines[0] {
            QuoteLine::Priced(line) => Some(
                Shown::<12>(
                    line.unit_price.units() * u128::from(line.line_discount_percent.rest()),
                )
                .to_string(),
            ),
            QuoteLine::Unpriced(_) => None,
        };
        let unknown = serde_json::to_value(&now.lines[0]).unwrap()["problem"]["code"]
            .as_str()
            .is_some_and(|code| code.starts_with("UNKNOWN_"));
        let (currency, tax) = (now.currency_code.map(str::to_owned), now.prices_include_tax);
        let today = request.date;
        request.currency_code = currency.map(Into::into);
        request.prices_include_tax = Some(tax);
        let (mut by_day, mut lowest) = (BTreeMap::<_, BTreeSet<String>>::new(), None::<Shown<12>>);
        for back in 1..=30 {
            let day = today.checked_sub_days(Days::new(back)).unwrap();
            request.date = day;
            // The company is two hours ahead of UTC on all these days.
            let begins = day.and_hms_opt(0, 0, 0).unwrap().and_utc() - TimeDelta::hours(2);
            let ends = begins + TimeDelta::days(1);
            for (book, since, until) in &self.versions {
                if *since.max(&begins) >= *until.min(&ends) {
                    continue;
                }
                let Ok(quoted) = quote(book, &request) else { continue };
                let QuoteLine::Priced(line) = &quoted.lines[0] else { continue };
                let net =
                    Shown(line.unit_price.units() * u128::from(line.line_discount_percent.rest()));
                lowest = Some(lowest.map_or(net, |lowest| lowest.min(net)));
                let line = serde_json::to_value(line).unwrap();
                let price = format!(
                    "{} {} {}",
                    line["unitPrice"], line["lineDiscountPercent"], line["source"]
                );
                by_day.entry(day).or_default().insert(price);
            }
        }
        (!unknown || lowest.is_some()).then_some(Expected { by_day, lowest, current })
    }
}

async fn seeded_app() -> TestApp {
    let app = TestApp::at(Clock::at(TODAY).calendar()).await;
    app.patch("/v1/settings", &json!({"timeZone": "Europe/Oslo"})).await.expect(200);
    app.put("/v1/currencies/USD", &json!({})).await.expect(201);
    let rate = json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "2"});
    app.post("/v1/exchange-rates", &rate).await.expect(201);
    let units = json!([{"code": "BOX", "quantityPerUnit": "12"}]);
    for number in ["I0", "I1"] {
        let item =
            json!({"listPrice": "50", "variants": [{"code": "RED"}], "unitsOfMeasure": units});
        app.put(&format!("/v1/items/{number}"), &item).await.expect(201);
    }
    for number in ["C0", "C1"] {
        let contact = json!({
            "type": "COMPANY", "name": number, "customer": {"number": number.replace('C', "D")}
        });
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    app.put("/v1/contacts/P0", &json!({"type": "PERSON", "name": "P0", "companyNumber": "C0"}))
        .await
        .expect(201);
    for number in ["A0", "A1"] {
        let campaign = Campaign {
            number,
            starting_date: "2031-04-10",
            ending_date: "2031-05-20",
            segment: number,
            contacts: &["P0"],
            prices: &[("I0", "49")],
        };
        campaign.create(&app).await;
        make::activate(&app, number).await;
    }
    app
}

/// Returns a random change that affects prices, or might.
fn random_change(dice: &mut Dice) -> (Method, String, Option<Value>) {
    let item = dice.choose(&["I0", "I1"]);
    let contact = dice.choose(&["C0", "C1", "P0"]);
    let campaign = dice.choose(&["A0", "A1"]);
    let date = dice.choose(&["2031-04-12", "2031-04-20", "2031-05-02", "2031-05-10"]);
    let number = dice.choose(&["1", "2.5", "9.99", "25", "48"]);
    let truth = dice.below(2) == 0;
    let group = dice.choose(&[Value::Null, json!("G")]);
    match dice.below(14) {
        0 => (Method::PATCH, format!("/v1/items/{item}"), Some(json!({ "listPrice": number }))),
        1 => (
            Method::PATCH,
            format!("/v1/items/{item}"),
            Some(json!({ "itemDiscountGroupCode": group })),
        ),
        2 => (
            Method::PATCH,
            format!("/v1/items/{item}"),
            Some(json!({"blocked": dice.below(4) == 0})),
        ),
        3 => {
            let company = dice.choose(&[Value::Null, json!("C0"), json!("C1")]);
            (Method::PATCH, "/v1/contacts/P0".to_owned(), Some(json!({ "companyNumber": company })))
        }
        4 => {
            let company = dice.choose(&["C0", "C1"]);
            let customer = json!({
                "customer": {
                    "priceGroupCode": group, "discountGroupCode": group, "allowLineDiscount": truth
                }
            });
            (Method::PATCH, format!("/v1/contacts/{company}"), Some(customer))
        }
        5 => {
            let dates = json!({
                "startingDate": date, "endingDate": dice.choose(&["2031-05-03", "2031-05-20"])
            });
            (Method::PATCH, format!("/v1/campaigns/{campaign}"), Some(dates))
        }
        6 if truth => (Method::DELETE, format!("/v1/segments/{campaign}/lines/{contact}"), None),
        6 | 7 => {
            let rows = json!({"rows": [{ "contactNumber": contact }]});
            (Method::POST, format!("/v1/segments/{campaign}/lines/batch"), Some(rows))
        }
        8 => {
            let what = if truth { "activations" } else { "deactivations" };
            let body = if truth { json!({"acknowledge": ["*"]}) } else { json!({}) };
            (Method::POST, format!("/v1/campaigns/{campaign}/{what}"), Some(body))
        }
        9 => {
            let rate = json!({"currencyCode": "USD", "startingDate": date, "rate": number});
            (Method::POST, "/v1/exchange-rates/batch".to_owned(), Some(json!({ "rows": [rate] })))
        }
        10 => {
            let policy = json!({
                "neverAboveListPrice": truth,
                "pricePolicy": dice.choose(&["LOWEST_NET", "CAMPAIGN_FIRST"])
            });
            (Method::PATCH, "/v1/settings".to_owned(), Some(policy))
        }
        _ => random_line(dice, item, contact, campaign, date, number, truth),
    }
}

fn random_line(
    dice: &mut Dice,
    item: &str,
    contact: &str,
    campaign: &str,
    date: &str,
    number: &str,
    truth: bool,
) -> (Method, String, Option<Value>) {
    let kind = if truth { "prices" } else { "discounts" };
    let group = if truth { "CUSTOMER_PRICE_GROUP" } else { "CUSTOMER_DISCOUNT_GROUP" };
    let source = dice.choose(&[
        json!({"type": "CAMPAIGN", "campaignNumber": campaign}),
        json!({"type": "CAMPAIGN", "campaignNumber": campaign}),
        json!({"type": "CONTACT", "contactNumber": contact}),
        json!({"type": group, "code": "G"}),
        json!({"type": "ALL_CUSTOMERS"}),
    ]);
    let mut line = json!({
        "source": source, "itemNumber": item, "minimumQuantity": dice.choose(&["0", "0", "10"])
    });
    line["currencyCode"] = dice.choose(&[Value::Null, Value::Null, json!("USD")]);
    line["variantCode"] = dice.choose(&[Value::Null, Value::Null, json!("RED")]);
    if source["type"] != "CAMPAIGN" {
        line["startingDate"] = dice.choose(&[Value::Null, json!(date)]);
        line["endingDate"] = dice.choose(&[Value::Null, json!("2031-05-12")]);
    }
    line[if truth { "unitPrice" } else { "lineDiscountPercent" }] = json!(number);
    if !truth && dice.below(3) == 0 {
        line["itemDiscountGroupCode"] = dice.choose(&[Value::Null, json!("G")]);
        line["itemNumber"] = Value::Null;
        line["variantCode"] = Value::Null;
    }
    (Method::POST, format!("/v1/{kind}/batch"), Some(json!({ "rows": [line] })))
}
