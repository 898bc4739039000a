//! The published price list: the content of its rows, and their delivery in pages and streams. That
//! rows equal quotes is tested with random data in src/quotes/tests.

use std::sync::Arc;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::clock::Clock;
use super::support::make;
use super::support::wait::eventually;

const PATH: &str = "/v1/effective-prices";
const LINES: &[(&str, &str)] = &[("accept", "application/x-ndjson")];

/// Returns a shop with a chair that has quantity breaks, variants and a box, with a lamp, and with
/// items that cannot be sold.
async fn shop() -> TestApp {
    stocked(TestApp::new().await).await
}

async fn stocked(app: TestApp) -> TestApp {
    for (number, item) in [
        (
            "CHAIR",
            json!({
                "listPrice": "100", "taxPercent": "25", "itemDiscountGroupCode": "SEATS",
                "variants": [{"code": "OAK"}, {"code": "PINE"}],
                "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "4"}]
            }),
        ),
        ("LAMP", json!({"listPrice": "20"})),
        ("BLOCKED", json!({"listPrice": "1", "blocked": true})),
        ("UNPRICED", json!({})),
    ] {
        app.put(&format!("/v1/items/{number}"), &item).await.expect(201);
    }
    for (number, contact) in [
        ("FIRM", json!({"type": "COMPANY", "name": "Firm", "customer": {"number": "D1"}})),
        ("ANNE", json!({"type": "PERSON", "name": "Anne", "companyNumber": "FIRM"})),
        ("CARL", json!({"type": "PERSON", "name": "Carl"})),
        ("BANK", json!({"type": "COMPANY", "name": "Bank"})),
    ] {
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    app
}

async fn line(app: &TestApp, kind: &str, source: Value, mut line: Value) -> String {
    line["source"] = source;
    app.post(&format!("/v1/{kind}"), &line).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// Activates a campaign for some contacts.
async fn campaign(app: &TestApp, number: &str, contacts: &[&str], lines: &[(&str, Value)]) {
    let campaign = json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"});
    app.put(&format!("/v1/campaigns/{number}"), &campaign).await.expect(201);
    make::target_segment(app, number, number).await;
    for contact in contacts {
        make::segment_line(app, number, contact).await;
    }
    for (kind, line) in lines {
        app.post(&format!("/v1/campaigns/{number}/{kind}"), line).await.expect(201);
    }
    make::activate(app, number).await;
}

async fn list(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.get(&format!("{PATH}?date=2031-05-15&top=1000&{query}")).await.expect(200);
    assert!(page.get("nextLink").is_none(), "{page}");
    page["value"].as_array().unwrap().clone()
}

/// Returns the named fields of each row as one text.
fn field_texts(rows: &[Value], fields: &[&str]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.iter()
        .map(|row| fields.iter().map(|field| text(&row[*field])).collect::<Vec<_>>().join(" "))
        .collect()
}

const SHORT: [&str; 6] = [
    "itemNumber",
    "variantCode",
    "unitOfMeasureCode",
    "minimumQuantity",
    "unitPrice",
    "lineDiscountPercent",
];

#[actix_web::test]
async fn one_row_for_each_different_price() {
    let app = shop().await;
    assert_eq!(
        field_texts(&list(&app, "").await, &SHORT),
        ["CHAIR null PCS 0 100 0", "CHAIR null BOX 0 400 0", "LAMP null PCS 0 20 0"]
    );
    let everybody = || json!({"type": "ALL_CUSTOMERS"});
    let firm = || json!({"type": "CONTACT", "contactNumber": "FIRM"});
    let price = |from: &str, price: &str| {
        json!({
            "itemNumber": "CHAIR", "minimumQuantity": from, "unitPrice": price
        })
    };
    line(&app, "prices", everybody(), price("10", "90")).await;
    // Not cheaper than the break at 10.
    line(&app, "prices", everybody(), price("20", "95")).await;
    line(
        &app,
        "discounts",
        firm(),
        json!({"itemDiscountGroupCode": "SEATS", "lineDiscountPercent": "5"}),
    )
    .await;
    let mut pine = price("0", "120");
    pine["variantCode"] = json!("PINE");
    line(&app, "prices", firm(), pine).await;
    // The same price as without variant.
    let mut oak = price("0", "100");
    oak["variantCode"] = json!("OAK");
    line(&app, "prices", everybody(), oak).await;
    let mut boxed = price("2", "300");
    boxed["unitOfMeasureCode"] = json!("BOX");
    line(&app, "prices", firm(), boxed).await;
    assert_eq!(
        field_texts(&list(&app, "").await, &SHORT),
        [
            "CHAIR null PCS 0 100 0",
            "CHAIR null PCS 10 90 0",
            "CHAIR null BOX 0 400 0",
            // Ten chairs are two and a half boxes.
            "CHAIR null BOX 2.5 360 0",
            // The oak price fixes the variant and has no break, so the breaks at 10 do not compete
            // with it.
            "CHAIR OAK PCS 0 100 0",
            "CHAIR OAK BOX 0 400 0",
            "LAMP null PCS 0 20 0",
        ]
    );
    let of_firm = [
        "CHAIR null PCS 0 100 5",
        "CHAIR null PCS 10 90 5",
        "CHAIR null BOX 0 400 5",
        "CHAIR null BOX 2 300 5",
        "CHAIR OAK PCS 0 100 5",
        "CHAIR OAK BOX 0 400 5",
        "CHAIR PINE PCS 0 120 5",
        "CHAIR PINE BOX 0 480 5",
        "LAMP null PCS 0 20 0",
    ];
    for asker in ["contactNumber=FIRM", "contactNumber=anne", "customerNumber=D1"] {
        assert_eq!(field_texts(&list(&app, asker).await, &SHORT), of_firm, "{asker}");
    }
    let with_tax = list(&app, "contactNumber=CARL&pricesIncludeTax=true").await;
    assert_eq!(
        field_texts(&with_tax[..1], &["unitPrice", "pricesIncludeTax", "accountNumber"]),
        ["125 true CARL"]
    );
}

#[actix_web::test]
async fn row_names_its_source_and_its_end() {
    let app = shop().await;
    let firm = json!({"type": "CONTACT", "contactNumber": "FIRM"});
    let price = json!({"itemNumber": "CHAIR", "unitPrice": "80.5", "endingDate": "2031-05-20"});
    let price = line(&app, "prices", firm, price).await;
    let everybody = json!({"type": "ALL_CUSTOMERS"});
    let discount = json!({"itemNumber": "CHAIR", "lineDiscountPercent": "33.33333"});
    let discount = line(&app, "discounts", everybody.clone(), discount).await;
    let version = app.book.snapshot().version();
    let rows = list(&app, "contactNumber=ANNE").await;
    assert_eq!(
        rows[0],
        json!({
            "outcome": "PRICED",
            "accountNumber": "FIRM", "itemNumber": "CHAIR", "variantCode": null,
            "unitOfMeasureCode": "PCS",
            "minimumQuantity": "0", "currencyCode": "EUR", "pricesIncludeTax": false,
            "unitPrice": "80.5",
            "lineDiscountPercent": "33.33333", "netUnitPrice": "53.66666935", "listPrice": "100",
            "source": {"type": "CONTACT", "contactNumber": "FIRM"},
            "priceLine": {
                "id": price, "source": {"type": "CONTACT", "contactNumber": "FIRM"},
                "publicationVersion": version - 1
            },
            "discountLine": {
                "id": discount, "source": {"type": "ALL_CUSTOMERS"}, "publicationVersion": version
            },
            "validUntil": "2031-05-21"
        })
    );
    let later = app.get(&format!("{PATH}?contactNumber=FIRM&date=2031-05-21")).await.expect(200);
    let row = &later["value"][0];
    assert_eq!((&row["source"]["type"], &row["validUntil"]), (&json!("LIST_PRICE"), &Value::Null));
    assert_eq!((&row["priceLine"], &row["netUnitPrice"]), (&Value::Null, &json!("66.66667")));
    // A break that begins later ends the validity of the row above it; the list stays the same.
    let to_come = json!({
        "itemNumber": "LAMP", "unitPrice": "9", "minimumQuantity": "5", "startingDate": "2031-06-01"
    });
    line(&app, "prices", everybody, to_come).await;
    let rows = list(&app, "").await;
    assert_eq!(
        field_texts(&rows[2..], &["itemNumber", "minimumQuantity", "validUntil"]),
        ["LAMP 0 2031-06-01"]
    );
}

#[actix_web::test]
async fn item_without_price_has_a_reason() {
    let app = shop().await;
    app.put("/v1/currencies/USD", &json!({})).await.expect(201);
    let rows = list(&app, "currencyCode=USD").await;
    assert_eq!(
        field_texts(&rows, &["itemNumber", "unitOfMeasureCode"]),
        ["CHAIR PCS", "CHAIR BOX", "LAMP PCS", "UNPRICED PCS"]
    );
    for row in &rows {
        assert_eq!(
            (&row["problem"]["code"], row.get("unitPrice")),
            (&json!("EXCHANGE_RATE_MISSING"), None),
            "{row}"
        );
    }
    let rate =
        json!({"currencyCode": "USD", "startingDate": "2031-05-15", "rate": "100000000000000"});
    app.post("/v1/exchange-rates", &rate).await.expect(201);
    let rows = list(&app, "currencyCode=USD").await;
    let problems: Vec<&Value> = rows.iter().map(|row| &row["problem"]["code"]).collect();
    assert_eq!(problems, [&json!("AMOUNT_TOO_LARGE"); 3], "{rows:?}");
}

#[actix_web::test]
async fn campaign_lists_its_accounts_and_items() {
    let app = shop().await;
    app.put("/v1/items/STOOL", &json!({"listPrice": "30", "itemDiscountGroupCode": "SEATS"}))
        .await
        .expect(201);
    let bank = json!({"type": "CONTACT", "contactNumber": "BANK"});
    line(&app, "prices", bank, json!({"itemNumber": "STOOL", "unitPrice": "10"})).await;
    let group =
        ("discounts", json!({"itemDiscountGroupCode": "SEATS", "lineDiscountPercent": "10"}));
    campaign(&app, "SPRING", &["ANNE", "BANK"], &[group]).await;
    campaign(
        &app,
        "OTHER",
        &["CARL"],
        &[("prices", json!({"itemNumber": "LAMP", "unitPrice": "15"}))],
    )
    .await;
    let fields = [
        "accountNumber",
        "itemNumber",
        "unitOfMeasureCode",
        "unitPrice",
        "lineDiscountPercent",
        "wonByCampaign",
    ];
    assert_eq!(
        field_texts(&list(&app, "campaignNumber=spring").await, &fields),
        [
            "BANK CHAIR PCS 100 10 true",
            "BANK CHAIR BOX 400 10 true",
            "BANK STOOL PCS 10 10 true",
            "FIRM CHAIR PCS 100 10 true",
            "FIRM CHAIR BOX 400 10 true",
            "FIRM STOOL PCS 30 10 true",
        ]
    );
    assert_eq!(
        field_texts(&list(&app, "campaignNumber=OTHER").await, &fields),
        ["CARL LAMP PCS 15 0 true"]
    );
    // A better discount from another source wins, and the campaign's items stay listed.
    let everybody = json!({"type": "ALL_CUSTOMERS"});
    line(&app, "discounts", everybody, json!({"itemNumber": "CHAIR", "lineDiscountPercent": "20"}))
        .await;
    let rows = list(&app, "campaignNumber=SPRING").await;
    assert_eq!(
        field_texts(&rows[1..3], &fields),
        ["BANK CHAIR BOX 400 20 false", "BANK STOOL PCS 10 10 true"]
    );
    assert!(list(&app, "contactNumber=BANK").await[0].get("wonByCampaign").is_none());
    // A discount for all items covers every item.
    app.post("/v1/campaigns/SPRING/discounts", &json!({"lineDiscountPercent": "1"}))
        .await
        .expect(201);
    let rows = list(&app, "campaignNumber=SPRING").await;
    assert_eq!(
        field_texts(&rows[2..4], &fields),
        ["BANK LAMP PCS 20 1 true", "BANK STOOL PCS 10 10 true"]
    );
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    let withdrawn = app.get(&format!("{PATH}?campaignNumber=SPRING")).await;
    assert_eq!(withdrawn.errors(), pairs(&[("?campaignNumber", "REFERENCE_NOT_FOUND")]));
    let then = app.book.snapshot().version() - 1;
    assert_eq!(
        list(&app, &format!("campaignNumber=SPRING&publicationVersion={then}")).await,
        rows,
        "as it was"
    );
}

/// Follows the links from a page, and returns the rows of all pages.
async fn pages(app: &TestApp, mut link: String) -> Vec<Value> {
    let mut rows = Vec::new();
    loop {
        let page = app.get(&link).await.expect(200);
        rows.extend(page["value"].as_array().unwrap().iter().cloned());
        match page["nextLink"].as_str() {
            Some(next) => link = next.to_owned(),
            None => return rows,
        }
    }
}

fn lines_of(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    assert!(reply.text.is_empty() || reply.text.ends_with('\n'));
    reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn many_items(app: &TestApp, count: usize) {
    let item = |n: usize| json!({"number": format!("N{n:05}"), "listPrice": n.to_string()});
    let items: Vec<Value> = (0..count).map(item).collect();
    for rows in items.chunks(1000) {
        app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    }
}

#[actix_web::test]
async fn pages_and_stream_have_the_same_rows() {
    // The clock is fixed, so the book does not age.
    let app = stocked(TestApp::at(Clock::at("2031-05-15T12:00:00Z").calendar()).await).await;
    many_items(&app, 300).await;
    let lines = [
        ("prices", json!({"itemNumber": "CHAIR", "unitPrice": "90", "minimumQuantity": "3"})),
        ("discounts", json!({"lineDiscountPercent": "3"})),
    ];
    campaign(&app, "SPRING", &["ANNE", "CARL", "BANK"], &lines).await;
    for question in
        ["", "contactNumber=FIRM&pricesIncludeTax=true", "campaignNumber=SPRING&currencyCode=EUR"]
    {
        let path = format!("{PATH}?date=2031-05-15&{question}");
        let all = lines_of(&app.send(Method::GET, &path, LINES, None).await);
        assert!(all.len() > 300, "{}", all.len());
        let sizes = [7, 100, 1000].map(|top| pages(&app, format!("{path}&top={top}")));
        for rows in join_all(sizes).await {
            assert!(rows == all, "{question}");
        }
    }
    let first = app.get(&format!("{PATH}?date=2031-05-15")).await;
    let head = app.send(Method::HEAD, PATH, LINES, None).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-type"), head.text.as_str()),
        (200, LINES[0].1, "")
    );
    for reply in [&first, &head] {
        assert_eq!(reply.header("publication-version"), app.book.snapshot().version().to_string());
        assert_eq!((reply.header("snapshot-age"), reply.header("snapshot-stale")), ("0", "false"));
    }
    assert_eq!(first.json()["value"].as_array().unwrap().len(), 50);
}

#[actix_web::test]
async fn json_is_the_default_format() {
    let app = shop().await;
    for (accept, lines) in [
        ("application/json", false),
        ("*/*", false),
        ("application/json, application/x-ndjson;q=0.5", false),
        ("application/x-ndjson, application/json", false),
        ("application/x-ndjson;q=0, application/json", false),
        ("application/x-ndjson, */*;q=0.1", true),
        ("application/x-ndjson, application/json;q=0.9", true),
    ] {
        let reply = app.send(Method::GET, PATH, &[("accept", accept)], None).await;
        let kind = if lines { "application/x-ndjson" } else { "application/json" };
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, kind), "{accept}");
    }
}

#[actix_web::test]
async fn all_pages_are_of_one_book() {
    let mut app = shop().await;
    many_items(&app, 20).await;
    let all = list(&app, "").await;
    let path = format!("{PATH}?date=2031-05-15&top=4");
    let first = app.get(&path).await.expect(200);
    let next = first["nextLink"].as_str().unwrap().to_owned();
    app.patch("/v1/items/N00003", &json!({"listPrice": "7777"})).await.expect(200);
    make::item(&app, "N00003B", "1").await;
    app.delete("/v1/items/N00004").await.expect(204);
    let rest = pages(&app, next.clone()).await;
    assert_eq!(
        [first["value"].as_array().unwrap().clone(), rest].concat(),
        all,
        "as the list began"
    );
    let now = list(&app, "").await;
    assert_eq!(
        field_texts(&now[3..9], &["itemNumber"]),
        ["N00000", "N00001", "N00002", "N00003", "N00003B", "N00005"]
    );
    // The present book is in memory; the book of the earlier pages is not.
    let fresh = app.get(&path).await.expect(200);
    app.lose_database();
    app.get(fresh["nextLink"].as_str().unwrap()).await.expect(200);
    assert_eq!(app.get(&next).await.status, 503);
    app.get(PATH).await.expect(200);
}

#[actix_web::test]
async fn disconnected_client_ends_its_stream() {
    let app = shop().await;
    many_items(&app, 2000).await;
    let contact = |n: usize| json!({"number": format!("C{n:04}"), "type": "COMPANY", "name": "C"});
    let contacts: Vec<Value> = (0..500).map(contact).collect();
    app.post("/v1/contacts/batch", &json!({ "rows": contacts })).await.expect(200);
    let names: Vec<String> = (0..500).map(|n| format!("C{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    campaign(&app, "ALL", &names, &[("discounts", json!({"lineDiscountPercent": "3"}))]).await;
    let snapshot = app.book.snapshot().clone();
    let request = app.request(Method::GET, &format!("{PATH}?campaignNumber=ALL&date=2031-05-15"));
    let mut reply = request.header("accept", LINES[0].1).send().await.unwrap();
    let begin = reply.chunk().await.unwrap().unwrap();
    assert!(
        begin.starts_with(
            b"{\"outcome\":\"PRICED\",\"accountNumber\":\"C0000\",\"itemNumber\":\"CHAIR\","
        ),
        "{begin:?}"
    );
    // The book is replaced, so only the stream and this test still hold the old snapshot.
    app.patch("/v1/items/LAMP", &json!({"listPrice": "21"})).await.expect(200);
    assert!(Arc::strong_count(&snapshot) > 1, "a million rows do not fit between the two");
    drop(reply);
    eventually("the stream releases its snapshot", async || Arc::strong_count(&snapshot) == 1)
        .await;
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = shop().await;
    let wrong = "contactNumber=..&currencyCode=EURO&pricesIncludeTax=1&date=2031-02-30&top=0\
                 &publicationVersion=x&minPublicationVersion=-1";
    assert_eq!(
        app.get(&format!("{PATH}?{wrong}")).await.errors(),
        pairs(&[
            ("?contactNumber", "INVALID_KEY"),
            ("?currencyCode", "INVALID_KEY"),
            ("?date", "INVALID_DATE"),
            ("?minPublicationVersion", "OUT_OF_RANGE"),
            ("?pricesIncludeTax", "INVALID_TYPE"),
            ("?publicationVersion", "INVALID_VALUE"),
            ("?top", "OUT_OF_RANGE"),
        ])
    );
    for (query, pointer, code) in [
        ("contactNumber=NOBODY", "?contactNumber", "REFERENCE_NOT_FOUND"),
        ("customerNumber=D9", "?customerNumber", "REFERENCE_NOT_FOUND"),
        ("campaignNumber=NEVER", "?campaignNumber", "REFERENCE_NOT_FOUND"),
        ("publicationVersion=1000", "?publicationVersion", "REFERENCE_NOT_FOUND"),
        ("contactNumber=FIRM&customerNumber=D1", "?customerNumber", "NOT_ALLOWED"),
        ("contactNumber=FIRM&campaignNumber=SPRING", "?campaignNumber", "NOT_ALLOWED"),
        ("top=1001", "?top", "OUT_OF_RANGE"),
        ("itemNumber=CHAIR", "?itemNumber", "UNKNOWN_PARAMETER"),
    ] {
        assert_eq!(
            app.get(&format!("{PATH}?{query}")).await.errors(),
            pairs(&[(pointer, code)]),
            "{query}"
        );
    }
    assert_eq!(
        app.get(&format!("{PATH}?minPublicationVersion=1000")).await.code(),
        "VERSION_NOT_REACHED"
    );
    let paged = app.send(Method::GET, &format!("{PATH}?top=5&cursor=x"), LINES, None).await;
    assert_eq!(paged.errors(), pairs(&[("?cursor", "NOT_ALLOWED"), ("?top", "NOT_ALLOWED")]));
}

#[actix_web::test]
async fn cursor_belongs_to_its_list() {
    let app = shop().await;
    let first =
        app.get(&format!("{PATH}?contactNumber=FIRM&date=2031-05-15&top=1")).await.expect(200);
    let next = first["nextLink"].as_str().unwrap();
    assert!(next.starts_with("/v1/effective-prices?contactNumber=FIRM&top=1&cursor="), "{next}");
    let second = app.get(next).await.expect(200);
    assert_eq!(field_texts(second["value"].as_array().unwrap(), &SHORT[..3]), ["CHAIR null BOX"]);
    for other in [
        next.replace("FIRM", "BANK"),
        next.replace("contactNumber=FIRM&", ""),
        format!("{next}&pricesIncludeTax=true"),
        next.replace("cursor=", "cursor=A"),
        format!("{PATH}?cursor=x"),
    ] {
        assert_eq!(app.get(&other).await.code(), "INVALID_CURSOR", "{other}");
    }
    let again = app.get(&format!("{next}&date=2031-05-16&publicationVersion=1")).await;
    assert_eq!(
        again.errors(),
        pairs(&[("?date", "NOT_ALLOWED"), ("?publicationVersion", "NOT_ALLOWED")])
    );
}
