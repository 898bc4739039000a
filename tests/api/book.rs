//! Random changes through the API, in any order. The snapshot in memory always equals the book in
//! the database, and the book always equals the drafts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use futures_util::future::join_all;
use kampanje::live_book::LiveBook;
use kampanje::platform::clock::Calendar;
use kampanje::publication::writer;
use kampanje::unit_of_work::ChangedKeys;
use price_book::facts::{Change, Fact};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::make;

const STEPS: usize = 80;
const SEEDS: [u8; 6] = [1, 2, 3, 4, 5, 6];
const ITEMS: [&str; 3] = ["I0", "I1", "I2"];
pub const CONTACTS: [&str; 6] = ["C0", "C1", "C2", "P0", "P1", "P2"];
const CAMPAIGNS: [&str; 3] = ["A0", "A1", "A2"];
const SEGMENTS: [&str; 3] = ["S0", "S1", "S2"];
const NUMBERS: [&str; 5] = ["1", "2.5", "9.99", "0", "100"];
const CURRENCIES: [Option<&str>; 3] = [None, Some("USD"), Some("NOK")];

/// A deterministic random generator: the same seed gives the same choices.
pub struct Dice(TestRunner);

impl Dice {
    pub fn new(seed: u8) -> Self {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    pub fn below(&mut self, end: usize) -> usize {
        (0..end).new_tree(&mut self.0).unwrap().current()
    }

    pub fn choose<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }
}

#[actix_web::test]
async fn book_equals_drafts_after_random_changes() {
    join_all(SEEDS.map(run_random_changes)).await;
}

async fn run_random_changes(seed: u8) {
    let app = seeded_app().await;
    let mut dice = Dice::new(seed);
    let mut story = format!("seed {seed}:\n");
    let mut written = 0;
    for _ in 0..STEPS {
        let (description, reply) = random_change(&app, &mut dice).await;
        writeln!(story, "{description}").unwrap();
        assert!(!reply.status.is_server_error(), "{reply:?}\n{story}");
        written += i32::from(!reply.header("publication-version").is_empty());
    }
    // Proof that enough changes reached the book.
    assert!(written > 15, "only {written} changes came into the book\n{story}");
    assert_snapshot_equals_database(&app, &story).await;
    assert_nothing_to_publish(&app, &story).await;
    let states = follow_price_changes(&app, dice.below(9) + 1, &story).await;
    for _ in 0..12 {
        let (from, to) = (dice.below(states.len()), dice.below(states.len()));
        assert_comparison_is_the_difference(&app, &states, (from, to), &story).await;
    }
}

#[actix_web::test]
async fn moved_line_leaves_nothing_to_publish() {
    let app = seeded_app().await;
    make::activate(&app, "A2").await;
    let price = json!({"itemNumber": "I1", "unitPrice": "8"});
    let line = app.post("/v1/campaigns/A1/prices", &price).await.expect(201);
    make::activate(&app, "A1").await;
    // From a campaign with manual publishing to one with automatic publishing.
    let path = format!("/v1/prices/{}", line["id"].as_str().unwrap());
    app.patch(&path, &json!({"source": {"type": "CAMPAIGN", "campaignNumber": "A2"}}))
        .await
        .expect(200);
    assert_snapshot_equals_database(&app, "a line moves").await;
    assert_nothing_to_publish(&app, "a line moves").await;
}

/// Lines with every source and every column, and where they are created.
fn lines_of_every_source() -> Vec<(&'static str, Value)> {
    let contact = json!({"type": "CONTACT", "contactNumber": "ACME"});
    let [prices, discounts] = ["/v1/campaigns/SPRING/prices", "/v1/campaigns/SPRING/discounts"];
    vec![
        (
            "/v1/prices",
            json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "unitPrice": "0"}),
        ),
        (
            "/v1/prices",
            json!({
                "source": contact, "itemNumber": "DESK", "variantCode": "OAK",
                "unitOfMeasureCode": "SET", "currencyCode": "EUR", "minimumQuantity": "2.50000",
                "startingDate": "2031-05-01", "endingDate": "2031-12-31",
                "unitPrice": "123456789012345.00001", "allowLineDiscount": false,
                "priceIncludesTax": true, "taxPercent": "12.50"
            }),
        ),
        (
            "/v1/prices",
            json!({
                "source": {"type": "CUSTOMER_PRICE_GROUP", "code": "A"}, "itemNumber": "DESK",
                "unitPrice": "390.10"
            }),
        ),
        (prices, json!({"itemNumber": "DESK", "unitPrice": "350"})),
        (
            prices,
            json!({
                "itemNumber": "DESK", "variantCode": "OAK", "unitPrice": "360", "taxPercent": "0"
            }),
        ),
        ("/v1/discounts", json!({"source": {"type": "ALL_CUSTOMERS"}, "lineDiscountPercent": "1"})),
        (
            "/v1/discounts",
            json!({
                "source": contact, "itemNumber": "DESK", "variantCode": "OAK",
                "unitOfMeasureCode": "SET", "currencyCode": "EUR", "minimumQuantity": "1000",
                "startingDate": "2031-05-01", "endingDate": "2031-12-31",
                "lineDiscountPercent": "99.99999"
            }),
        ),
        (
            "/v1/discounts",
            json!({
                "source": {"type": "CUSTOMER_DISCOUNT_GROUP", "code": "B"},
                "itemDiscountGroupCode": "WOOD", "lineDiscountPercent": "2.5"
            }),
        ),
        (discounts, json!({"itemDiscountGroupCode": "WOOD", "lineDiscountPercent": "5"})),
        (discounts, json!({"itemNumber": "DESK", "lineDiscountPercent": "100"})),
    ]
}

/// The service writes the text of a line's facts. It is compared with the facts that the database
/// derives.
#[actix_web::test]
async fn rewriting_a_line_unchanged_makes_no_version() {
    let app = TestApp::new().await;
    let item = json!({
        "listPrice": "400", "itemDiscountGroupCode": "WOOD", "variants": [{"code": "OAK"}],
        "unitsOfMeasure": [{"code": "SET", "quantityPerUnit": "2"}]
    });
    let customer = json!({"number": "D1", "priceGroupCode": "A", "discountGroupCode": "B"});
    for (path, body) in [
        ("/v1/items/DESK", item),
        ("/v1/contacts/ACME", json!({"type": "COMPANY", "name": "Acme", "customer": customer})),
        ("/v1/campaigns/SPRING", json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"})),
        ("/v1/segments/FAIR", json!({"campaignNumber": "SPRING", "campaignTarget": true})),
    ] {
        app.put(path, &body).await.expect(201);
    }
    make::segment_line(&app, "FAIR", "ACME").await;
    let mut lines = Vec::new();
    for (path, line) in lines_of_every_source() {
        let made = app.post(path, &line).await.expect(201);
        lines.push((format!("{path}/{}", made["id"].as_str().unwrap()), line));
    }
    let all = json!({"acknowledge": ["*"]});
    app.post("/v1/campaigns/SPRING/activations", &all).await.expect(201);
    app.post("/v1/campaigns/SPRING/activations", &all).await.expect(200);
    for (path, mut line) in lines {
        line.as_object_mut().unwrap().remove("source");
        let reply = app.patch(&path, &line).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("publication-version")),
            (200, ""),
            "{path} {line}"
        );
    }
}

/// Returns an app with some of everything and two active campaigns.
pub async fn seeded_app() -> TestApp {
    let app = TestApp::new().await;
    for code in ["USD", "NOK"] {
        app.put(&format!("/v1/currencies/{code}"), &json!({})).await.expect(201);
        let rate = json!({"currencyCode": code, "startingDate": "2031-01-01", "rate": "2"});
        app.post("/v1/exchange-rates", &rate).await.expect(201);
    }
    for item in ITEMS {
        let units = json!([{"code": "BOX", "quantityPerUnit": "12"}]);
        let item_of =
            json!({"listPrice": "50", "variants": [{"code": "RED"}], "unitsOfMeasure": units});
        app.put(&format!("/v1/items/{item}"), &item_of).await.expect(201);
    }
    for contact in CONTACTS {
        let contact_of = match contact.strip_prefix('P') {
            Some(number) => {
                json!({"type": "PERSON", "name": contact, "companyNumber": format!("C{number}")})
            }
            None => json!({"type": "COMPANY", "name": contact, "customer": {"number": contact}}),
        };
        app.put(&format!("/v1/contacts/{contact}"), &contact_of).await.expect(201);
    }
    for ((campaign, segment), publishing) in
        CAMPAIGNS.iter().zip(SEGMENTS).zip(["AUTOMATIC", "MANUAL", "AUTOMATIC"])
    {
        let path = format!("/v1/campaigns/{campaign}");
        let campaign_of = json!({
            "startingDate": "2031-05-01", "endingDate": "2031-05-31", "publishing": publishing
        });
        app.put(&path, &campaign_of).await.expect(201);
        let segment_of = json!({"campaignNumber": campaign, "campaignTarget": true});
        app.put(&format!("/v1/segments/{segment}"), &segment_of).await.expect(201);
        let rows = json!([{"contactNumber": "P0"}, {"contactNumber": "C1"}]);
        app.post(&format!("/v1/segments/{segment}/lines/batch"), &json!({ "rows": rows }))
            .await
            .expect(200);
        let price = json!({"itemNumber": "I0", "unitPrice": "9"});
        app.post(&format!("{path}/prices"), &price).await.expect(201);
        if *campaign != "A2" {
            app.post(&format!("{path}/activations"), &json!({"acknowledge": ["*"]}))
                .await
                .expect(201);
        }
    }
    app
}

/// Performs a random change. Returns its description and its reply.
pub async fn random_change(app: &TestApp, dice: &mut Dice) -> (String, Reply) {
    let (method, path, body) = random_request(app, dice).await;
    let sent = body.as_ref().map(Value::to_string);
    let conditions: &[_] = if method == Method::POST { &[] } else { &[("if-match", "*")] };
    let mut reply = app.send(method.clone(), &path, conditions, sent.as_deref()).await;
    if method == Method::PUT && reply.status == 412 {
        reply = app.send(method.clone(), &path, &[], sent.as_deref()).await;
    }
    let version = reply.header("publication-version");
    let description =
        format!("{method} {path} {} -> {} {version}", sent.unwrap_or_default(), reply.status);
    (description, reply)
}

/// A request: its method, path and body.
type Request = (Method, String, Option<Value>);

/// Returns the next random request.
async fn random_request(app: &TestApp, dice: &mut Dice) -> Request {
    match dice.below(25) {
        0..=2 => random_item_request(dice),
        3..=6 => random_contact_request(dice),
        7..=9 => random_campaign_request(dice),
        10..=15 => random_segment_request(dice),
        16..=18 => random_lines_request(dice),
        19 => {
            let (item, contact) = (dice.choose(&ITEMS), dice.choose(&CONTACTS));
            let campaign = dice.choose(&CAMPAIGNS);
            line_change(app, dice, item, contact, campaign).await
        }
        20 => random_settings_request(dice),
        21 => random_currency_request(dice),
        22 => random_rollback_request(app, dice).await,
        _ => random_publication_request(dice),
    }
}

fn random_item_request(dice: &mut Dice) -> Request {
    let path = format!("/v1/items/{}", dice.choose(&ITEMS));
    let number = dice.choose(&NUMBERS);
    let flag = dice.flag();
    match dice.below(3) {
        0 => (Method::PUT, path, Some(random_item(dice, number))),
        1 => {
            let change = dice.choose(&[
                json!({ "listPrice": number }),
                json!({ "blocked": flag }),
                json!({"itemDiscountGroupCode": if flag { json!("G") } else { Value::Null }}),
                json!({"description": "without influence on prices"}),
                json!({"variants": []}),
            ]);
            (Method::PATCH, path, Some(change))
        }
        _ => (Method::DELETE, path, None),
    }
}

fn random_contact_request(dice: &mut Dice) -> Request {
    let contact = dice.choose(&CONTACTS);
    let path = format!("/v1/contacts/{contact}");
    let flag = dice.flag();
    match dice.below(4) {
        0 | 1 => (Method::PUT, path, Some(random_contact(dice, contact))),
        2 => {
            let currency = dice.choose(&CURRENCIES).map_or(Value::Null, Value::from);
            let change = dice.choose(&[
                json!({ "privacyBlocked": flag }),
                json!({ "excludeFromSegments": flag }),
                json!({ "currencyCode": currency }),
                json!({ "city": "Oslo" }),
            ]);
            (Method::PATCH, path, Some(change))
        }
        _ => (Method::DELETE, path, None),
    }
}

fn random_campaign_request(dice: &mut Dice) -> Request {
    let path = format!("/v1/campaigns/{}", dice.choose(&CAMPAIGNS));
    match dice.below(3) {
        0 => (Method::PUT, path, Some(random_campaign(dice))),
        1 => {
            let publishing = if dice.flag() { "MANUAL" } else { "AUTOMATIC" };
            let change = dice.choose(&[
                json!({"endingDate": "2031-06-30"}),
                json!({"startingDate": "2031-04-15"}),
                json!({ "publishing": publishing }),
            ]);
            (Method::PATCH, path, Some(change))
        }
        _ => (Method::DELETE, path, None),
    }
}

fn random_segment_request(dice: &mut Dice) -> Request {
    let path = format!("/v1/segments/{}", dice.choose(&SEGMENTS));
    let contact = dice.choose(&CONTACTS);
    match dice.below(6) {
        0 | 1 => {
            let campaign = json!(dice.choose(&CAMPAIGNS));
            let campaign = dice.choose(&[campaign, Value::Null]);
            let segment = json!({"campaignNumber": campaign, "campaignTarget": dice.flag()});
            (Method::PUT, path, Some(segment))
        }
        2 => (Method::DELETE, path, None),
        3 | 4 => {
            let target = dice.choose(&[Value::Null, json!(true), json!(false)]);
            let row = json!({"contactNumber": contact, "campaignTarget": target});
            (Method::POST, format!("{path}/lines/batch"), Some(json!({ "rows": [row] })))
        }
        _ => (Method::DELETE, format!("{path}/lines/{contact}"), None),
    }
}

fn random_lines_request(dice: &mut Dice) -> Request {
    let campaign = dice.choose(&CAMPAIGNS);
    let kind = dice.choose(&["prices", "discounts"]);
    let (item, number) = (dice.choose(&ITEMS), dice.choose(&NUMBERS));
    let currency = dice.choose(&CURRENCIES).map_or(Value::Null, Value::from);
    let mut row = random_line(dice, kind, item, number, &currency);
    if dice.below(3) < 2 {
        let path = format!("/v1/campaigns/{campaign}/{kind}/batch");
        return (Method::POST, path, Some(json!({ "rows": [row] })));
    }
    let contact = dice.choose(&CONTACTS);
    let group = if kind == "prices" { "CUSTOMER_PRICE_GROUP" } else { "CUSTOMER_DISCOUNT_GROUP" };
    row["source"] = dice.choose(&[
        json!({"type": "ALL_CUSTOMERS"}),
        json!({"type": "CONTACT", "contactNumber": contact}),
        json!({"type": group, "code": "G"}),
        json!({"type": "CAMPAIGN", "campaignNumber": campaign}),
    ]);
    (Method::POST, format!("/v1/{kind}/batch"), Some(json!({ "rows": [row] })))
}

fn random_settings_request(dice: &mut Dice) -> Request {
    let policy = if dice.flag() { "LOWEST_NET" } else { "CAMPAIGN_FIRST" };
    let flag = dice.flag();
    let change = dice.choose(&[
        json!({ "pricePolicy": policy }),
        json!({ "neverAboveListPrice": flag }),
        json!({"nextCampaignNumber": "K1"}),
    ]);
    (Method::PATCH, "/v1/settings".to_owned(), Some(change))
}

fn random_currency_request(dice: &mut Dice) -> Request {
    let currency = dice.choose(&["USD", "NOK"]);
    let path = format!("/v1/currencies/{currency}");
    match dice.below(3) {
        0 => (Method::DELETE, path, None),
        1 => {
            let precision = json!({"amountPrecision": dice.choose(&["0.01", "0.05", "1"])});
            (Method::PUT, path, Some(precision))
        }
        _ => {
            let date = dice.choose(&["2031-01-01", "2031-05-01"]);
            let rate = json!({"currencyCode": currency, "startingDate": date, "rate": "1.5"});
            let path = "/v1/exchange-rates/batch".to_owned();
            (Method::POST, path, Some(json!({ "rows": [rate] })))
        }
    }
}

async fn random_rollback_request(app: &TestApp, dice: &mut Dice) -> Request {
    let campaign = dice.choose(&CAMPAIGNS);
    let path = format!("/v1/publications?filter=campaignNumber%20eq%20'{campaign}'&top=1000");
    let publications = app.get(&path).await.expect(200)["value"].as_array().unwrap().clone();
    let version = if publications.is_empty() {
        json!(1)
    } else {
        dice.choose(&publications)["version"].clone()
    };
    let path = format!("/v1/campaigns/{campaign}/rollbacks");
    (Method::POST, path, Some(json!({ "version": version })))
}

fn random_publication_request(dice: &mut Dice) -> Request {
    let campaign = dice.choose(&CAMPAIGNS);
    if dice.below(4) < 3 {
        let path = format!("/v1/campaigns/{campaign}/activations");
        (Method::POST, path, Some(json!({"acknowledge": ["*"]})))
    } else {
        (Method::POST, format!("/v1/campaigns/{campaign}/deactivations"), Some(json!({})))
    }
}

fn random_item(dice: &mut Dice, price: &str) -> Value {
    let variants = dice.choose(&[json!([]), json!([{"code": "RED"}])]);
    let units = dice.choose(&[json!([]), json!([{"code": "BOX", "quantityPerUnit": "12"}])]);
    json!({ "listPrice": price, "taxPercent": "25", "variants": variants, "unitsOfMeasure": units })
}

fn random_contact(dice: &mut Dice, number: &str) -> Value {
    let mut contact =
        json!({"type": "COMPANY", "name": number, "privacyBlocked": dice.below(6) == 0});
    if number.starts_with('P') {
        contact["type"] = json!("PERSON");
        contact["companyNumber"] =
            dice.choose(&[Value::Null, json!("C0"), json!("C1"), json!("C2")]);
    } else if dice.below(3) > 0 {
        let groups = dice.choose(&[Value::Null, json!("G")]);
        // Sometimes two companies want the same number.
        let customer = dice.choose(&[number, number, "D"]);
        contact["customer"] =
            json!({"number": customer, "priceGroupCode": groups, "discountGroupCode": groups});
    }
    contact
}

fn random_campaign(dice: &mut Dice) -> Value {
    let starting =
        dice.choose(&[json!("2031-05-01"), json!("2031-05-01"), json!("2031-05-02"), Value::Null]);
    let ending = dice.choose(&[json!("2031-05-31"), Value::Null]);
    let publishing = dice.choose(&["AUTOMATIC", "AUTOMATIC", "MANUAL"]);
    json!({"startingDate": starting, "endingDate": ending, "publishing": publishing})
}

fn random_line(dice: &mut Dice, kind: &str, item: &str, number: &str, currency: &Value) -> Value {
    let mut line = json!({
        "itemNumber": item, "currencyCode": currency,
        "minimumQuantity": dice.choose(&["0", "0", "10"])
    });
    line["unitOfMeasureCode"] = dice.choose(&[Value::Null, Value::Null, json!("BOX")]);
    line["variantCode"] = dice.choose(&[Value::Null, Value::Null, json!("RED")]);
    if kind == "prices" {
        line["unitPrice"] = json!(number);
        return line;
    }
    line["lineDiscountPercent"] = json!(number);
    if dice.below(3) == 0 {
        line["itemDiscountGroupCode"] = dice.choose(&[Value::Null, json!("G")]);
        line["itemNumber"] = Value::Null;
        line["unitOfMeasureCode"] = Value::Null;
        line["variantCode"] = Value::Null;
    }
    line
}

/// Returns a change of an existing line: of its price or source, or its deletion.
async fn line_change(
    app: &TestApp,
    dice: &mut Dice,
    item: &str,
    contact: &str,
    campaign: &str,
) -> Request {
    let kind = dice.choose(&["prices", "discounts"]);
    let mut lines =
        app.get(&format!("/v1/{kind}")).await.expect(200)["value"].as_array().unwrap().clone();
    // Concurrent clients may have lines for items of their own.
    lines.retain(|line| line["itemNumber"].as_str().is_none_or(|item| ITEMS.contains(&item)));
    if lines.is_empty() {
        return (Method::GET, format!("/v1/{kind}"), None);
    }
    let path = format!("/v1/{kind}/{}", dice.choose(&lines)["id"].as_str().unwrap());
    let source =
        json!({"type": "CONTACT", "contactNumber": contact, "code": null, "campaignNumber": null});
    let of_campaign = json!({
        "type": "CAMPAIGN", "campaignNumber": campaign, "code": null, "contactNumber": null
    });
    let change = match dice.below(4) {
        0 => return (Method::DELETE, path, None),
        1 => json!({ "itemNumber": item }),
        2 => json!({ "source": source }),
        _ => json!({ "source": of_campaign, "startingDate": null, "endingDate": null }),
    };
    (Method::PATCH, path, Some(change))
}

/// Asserts that the snapshot, which was advanced change by change, equals one that was read whole.
pub async fn assert_snapshot_equals_database(app: &TestApp, story: &str) {
    let fresh = LiveBook::new(Calendar::system());
    fresh.refresh(&app.background_pool()).await.unwrap();
    assert_eq!(app.book.snapshot().version(), fresh.snapshot().version(), "{story}");
    assert_eq!(app.book.snapshot().content_hash(), fresh.snapshot().content_hash(), "{story}");
}

/// The content of a copy of the book: facts by kind and key with their days, and the accounts of
/// audiences.
type State = BTreeMap<(String, String), Value>;

/// Returns the content that a copy of the book has at a version.
async fn state_of(app: &TestApp, version: i64) -> State {
    let book = app.book.as_of(&mut app.connection().await, version).await.unwrap().unwrap();
    let facts: Vec<(String, Fact)> = book
        .changes()
        .filter_map(|change| match change {
            Change::Put { key, fact, .. } => Some((key, fact)),
            _ => None,
        })
        .collect();
    let dates: BTreeMap<&str, Value> = facts
        .iter()
        .filter(|(_, fact)| matches!(fact, Fact::Campaign(_)))
        .map(|(key, fact)| (key.as_str(), fact.to_json().unwrap()))
        .collect();
    let mut state = State::new();
    for (key, fact) in &facts {
        let facts = fact.to_json().unwrap();
        let campaign = facts["source"]["campaignNumber"].as_str();
        let dated = matches!(fact, Fact::PriceLine(_) | Fact::DiscountLine(_) | Fact::Campaign(_));
        let period =
            campaign.map_or(&facts, |campaign| dates.get(campaign).unwrap_or(&Value::Null));
        let end = |name: &str| if dated { period[name].clone() } else { Value::Null };
        let row = json!({
            "facts": facts, "startingDate": end("startingDate"), "endingDate": end("endingDate")
        });
        state.insert((fact.kind().text().to_owned(), key.clone()), row);
    }
    for (campaign, accounts) in book.audiences() {
        for account in accounts {
            state.insert(("ACCOUNT".to_owned(), format!("{campaign}:{account}")), Value::Null);
        }
    }
    state
}

#[actix_web::test]
async fn versions_that_span_pages_do_not_end_the_list() {
    let app = TestApp::new().await;
    let rows: Vec<Value> = (0..3).map(|n| json!({"number": format!("I{n}")})).collect();
    app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    app.put("/v1/items/LAST", &json!({})).await.expect(201);
    for top in 1..=4 {
        // Versions 0 and 1 are the empty book and the settings.
        assert_eq!(follow_price_changes(&app, top, "small pages").await.len(), 4, "top {top}");
    }
}

/// Follows the price changes page by page, and asserts that the copy equals the book at every
/// version. Returns its states from version 0 on.
async fn follow_price_changes(app: &TestApp, top: usize, story: &str) -> Vec<State> {
    let (mut copy, mut states) = (State::new(), Vec::new());
    let mut next = Some(format!("/v1/price-changes?since=0&top={top}"));
    let mut through = 0;
    while let Some(path) = next {
        let page = app.get(&path).await.expect(200);
        for row in page["value"].as_array().unwrap() {
            let version = usize::try_from(row["version"].as_i64().unwrap()).unwrap();
            assert!(version >= states.len(), "{row} comes too late\n{story}");
            while states.len() < version {
                states.push(copy.clone());
            }
            let key =
                (row["kind"].as_str().unwrap().to_owned(), row["key"].as_str().unwrap().to_owned());
            match (row["change"].as_str().unwrap(), key.0.as_str()) {
                (_, "AUDIENCE") => {
                    let campaign = row["campaignNumber"].as_str().unwrap();
                    let of = |account: &Value| {
                        ("ACCOUNT".to_owned(), format!("{campaign}:{}", account.as_str().unwrap()))
                    };
                    for account in row["left"].as_array().unwrap() {
                        assert!(
                            copy.remove(&of(account)).is_some(),
                            "{row} takes what is not there\n{story}"
                        );
                    }
                    copy.extend(
                        row["joined"]
                            .as_array()
                            .unwrap()
                            .iter()
                            .map(|account| (of(account), Value::Null)),
                    );
                }
                ("PUT", _) => {
                    let shown = json!({"facts": row["facts"], "startingDate": row["startingDate"],
                        "endingDate": row["endingDate"]});
                    copy.insert(key, shown);
                }
                ("REMOVE", _) => {
                    assert!(copy.remove(&key).is_some(), "{row} takes what is not there\n{story}")
                }
                other => panic!("{other:?}"),
            }
        }
        through = page["throughVersion"].as_i64().unwrap();
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    states.push(copy);
    assert_eq!(states.len() - 1, usize::try_from(through).unwrap(), "{story}");
    for (version, state) in (0_i64..).zip(&states) {
        assert_eq!(*state, state_of(app, version).await, "version {version}\n{story}");
    }
    states
}

/// Asserts that the comparison of two versions lists exactly the differences of their states.
async fn assert_comparison_is_the_difference(
    app: &TestApp,
    states: &[State],
    (from, to): (usize, usize),
    story: &str,
) {
    let facts =
        |state: &State, key: &(String, String)| state.get(key).map(|row| row["facts"].clone());
    let keys: BTreeSet<&(String, String)> = states[from].keys().chain(states[to].keys()).collect();
    let expected: BTreeSet<String> = keys
        .into_iter()
        .filter_map(|key| {
            let change = match (facts(&states[from], key), facts(&states[to], key)) {
                (Some(before), Some(after)) if before == after => return None,
                (Some(_), Some(_)) => "CHANGED",
                (None, _) => "ADDED",
                (_, None) => "REMOVED",
            };
            Some(format!("{change} {}:{}", key.0, key.1))
        })
        .collect();
    let mut found = BTreeSet::new();
    let mut next = Some(format!("/v1/publications/compare?from={from}&to={to}&top=7&count=true"));
    while let Some(path) = next {
        let page = app.get(&path).await.expect(200);
        assert_eq!(page["count"], expected.len(), "{from} to {to}\n{story}");
        for row in page["value"].as_array().unwrap() {
            found.insert(format!(
                "{} {}",
                row["change"].as_str().unwrap(),
                row["id"].as_str().unwrap()
            ));
        }
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(found, expected, "{from} to {to}\n{story}");
}

/// Selects the facts that belong to no campaign, as published and as in the drafts.
const STANDING: &str = "
    SELECT kind, key FROM book_entries WHERE to_version IS NULL AND campaign_number IS NULL
    UNION SELECT 'CURRENCY', code FROM currencies
    UNION SELECT 'EXCHANGE_RATE', currency_code FROM exchange_rates
    UNION SELECT 'ITEM', number FROM items
    UNION SELECT 'CONTACT', number FROM contacts
    UNION SELECT 'PRICE_LINE', id::text FROM price_lines WHERE campaign_number IS NULL
    UNION SELECT 'DISCOUNT_LINE', id::text FROM discount_lines WHERE campaign_number IS NULL";

#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
}

/// Asserts that publishing everything again would change nothing.
pub async fn assert_nothing_to_publish(app: &TestApp, story: &str) {
    let mut conn = app.connection().await;
    let mut changed_keys = ChangedKeys::default();
    for Standing { kind, key } in
        diesel::sql_query(STANDING).load::<Standing>(&mut conn).await.unwrap()
    {
        match kind.as_str() {
            "SETTINGS" => changed_keys.settings = true,
            "CURRENCY" => drop(changed_keys.currencies.insert(key)),
            "EXCHANGE_RATE" => {
                let currency = key.split('|').next().unwrap().to_owned();
                changed_keys.exchange_rates.insert(currency);
            }
            "ITEM" => drop(changed_keys.items.insert(key)),
            "CONTACT" => drop(changed_keys.contacts.insert(key)),
            "PRICE_LINE" => drop(changed_keys.price_lines.insert(key.parse().unwrap())),
            "DISCOUNT_LINE" => drop(changed_keys.discount_lines.insert(key.parse().unwrap())),
            kind => panic!("{kind} belongs to a campaign"),
        }
    }
    assert!(changed_keys.settings);
    let published = writer::publish_base_data(&mut conn, &changed_keys, "test").await;
    assert_eq!(published.unwrap(), None, "{story}");

    for campaign in app.get("/v1/campaigns").await.expect(200)["value"].as_array().unwrap() {
        if campaign["publicationVersion"].is_null() {
            continue;
        }
        let path = format!("/v1/campaigns/{}/activations", campaign["number"].as_str().unwrap());
        let activated = app.post(&path, &json!({"acknowledge": ["*"]})).await;
        if campaign["hasUnpublishedChanges"] == true {
            assert_eq!(campaign["publishing"], "MANUAL", "{story}");
            assert_ne!(activated.status, 200, "{campaign}: there is nothing to publish\n{story}");
        } else {
            assert_eq!(
                activated.status, 200,
                "{campaign}: there is something to publish, {activated:?}\n{story}"
            );
            assert_eq!(activated.json()["version"], campaign["publicationVersion"], "{story}");
        }
    }
}
