//! Quotes over HTTP: headers, conditions, errors and the fast path. The pricing rules are tested by
//! tests/api/pricing_cases.rs.

use std::time::{Duration, Instant};

use futures_util::future::join;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::app::{Reply, TestApp, pairs};
use super::support::clock::Clock;
use super::support::make;
use super::support::wait::{eventually, in_time};

const PATH: &str = "/v1/price-quotes";
const DESK: &str = "/v1/price-quotes?itemNumber=DESK";

/// Returns a company with two items and one customer, who has a contract price.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    fill(&app).await;
    app
}

async fn fill(app: &TestApp) {
    let desk = json!({
        "number": "DESK", "listPrice": "100", "taxPercent": "25", "variants": [{"code": "OAK"}]
    });
    app.post("/v1/items", &desk).await.expect(201);
    app.post("/v1/items", &json!({"number": "LAMP", "listPrice": "20"})).await.expect(201);
    let buyer = json!({
        "number": "BUYER", "type": "COMPANY", "name": "Buyer", "customer": {"number": "D1"}
    });
    app.post("/v1/contacts", &buyer).await.expect(201);
    let anne =
        json!({"number": "ANNE", "type": "PERSON", "name": "Anne", "companyNumber": "BUYER"});
    app.post("/v1/contacts", &anne).await.expect(201);
    let price = json!({
        "source": {"type": "CONTACT", "contactNumber": "BUYER"}, "itemNumber": "DESK",
        "unitPrice": "90"
    });
    app.post("/v1/prices", &price).await.expect(201);
}

fn asking(lines: &Value) -> Value {
    json!({"customerNumber": "D1", "date": "2031-05-15", "lines": lines})
}

/// Returns the problem code of each line; empty for lines with a price.
fn codes(quote: &Value) -> Vec<&str> {
    quote["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["problem"]["code"].as_str().unwrap_or_default())
        .collect()
}

#[actix_web::test]
async fn both_forms_have_the_same_answer_and_version() {
    let app = app().await;
    let version = app.book.snapshot().version().to_string();
    let body = json!({
        "contactNumber": "anne", "date": "2031-05-15", "pricesIncludeTax": true,
        "lines": [
            {"itemNumber": "desk", "variantCode": "OAK", "quantity": "3", "taxPercent": "10"}
        ]
    });
    let posted = app.post(PATH, &body).await;
    let query = "contactNumber=ANNE&date=2031-05-15&pricesIncludeTax=true&itemNumber=DESK\
                 &variantCode=oak&quantity=3.0";
    let got = app.get(&format!("{PATH}?{query}&taxPercent=10")).await;
    assert_eq!((got.status.as_u16(), &got.text), (200, &posted.text));
    for reply in [&got, &posted] {
        assert_eq!(reply.header("publication-version"), version);
        assert_eq!((reply.header("snapshot-age"), reply.header("snapshot-stale")), ("0", "false"));
    }
    let quote = got.json();
    assert_eq!((&quote["accountNumber"], &quote["currencyCode"]), (&json!("BUYER"), &json!("EUR")));
    assert_eq!((&quote["date"], &quote["pricesIncludeTax"]), (&json!("2031-05-15"), &json!(true)));
    let line = &quote["lines"][0];
    assert_eq!(
        (&line["unitPrice"], &line["lineAmount"], &line["listPrice"]),
        (&json!("99"), &json!("297"), &json!("110"))
    );
    assert_eq!(line["source"], json!({"type": "CONTACT", "contactNumber": "BUYER"}));
    assert_eq!(line["priceLine"]["publicationVersion"].to_string(), version);
    assert_eq!(
        quote["totals"],
        json!({"grossAmount": "297", "discountAmount": "0", "lineAmount": "297"})
    );
}

#[actix_web::test]
async fn account_has_exactly_one_identifier() {
    let app = app().await;
    for (who, price) in
        [("contactNumber=BUYER", "90"), ("customerNumber=D1", "90"), ("contactNumber=ANNE", "90")]
    {
        assert_eq!(
            app.get(&format!("{DESK}&{who}")).await.expect(200)["lines"][0]["unitPrice"],
            price,
            "{who}"
        );
    }
    let nobody = app.get(DESK).await.expect(200);
    assert_eq!(
        (&nobody["accountNumber"], &nobody["lines"][0]["unitPrice"]),
        (&Value::Null, &json!("100"))
    );
    for (names, field, code) in [
        (json!({"contactNumber": "ANNE", "customerNumber": "D1"}), "customerNumber", "NOT_ALLOWED"),
        (json!({"contactNumber": "D1"}), "contactNumber", "REFERENCE_NOT_FOUND"),
        (json!({"customerNumber": "BUYER"}), "customerNumber", "REFERENCE_NOT_FOUND"),
    ] {
        let mut body = names.clone();
        body["lines"] = json!([{"itemNumber": "DESK"}]);
        let posted = app.post(PATH, &body).await;
        assert_eq!(
            (posted.status.as_u16(), posted.code().as_str()),
            (422, "VALIDATION_FAILED"),
            "{names}"
        );
        assert_eq!(posted.errors(), pairs(&[(&format!("/{field}"), code)]), "{names}");
        let got = Reply::to(app.request(Method::GET, DESK).query(names.as_object().unwrap())).await;
        assert_eq!(
            (got.status.as_u16(), got.errors()),
            (422, pairs(&[(&format!("?{field}"), code)])),
            "{names}"
        );
    }
}

#[actix_web::test]
async fn unpriceable_line_leaves_the_others_alone() {
    let app = app().await;
    app.put("/v1/items/GONE", &json!({"listPrice": "5", "blocked": true})).await.expect(201);
    app.put("/v1/items/FREE", &json!({})).await.expect(201);
    make::item(&app, "HUGE", "999999999999999").await;
    app.put("/v1/currencies/USD", &json!({})).await.expect(201);
    let lines = json!([
        {"itemNumber": "DESK"}, {"itemNumber": "NOWHERE"},
        {"itemNumber": "DESK", "variantCode": "RED"},
        {"itemNumber": "DESK", "unitOfMeasureCode": "BOX"}, {"itemNumber": "GONE"},
        {"itemNumber": "FREE"},
        {"itemNumber": "HUGE", "quantity": "2"}, {"itemNumber": "HUGE"},
        {"itemNumber": "LAMP", "quantity": "0.5"},
    ]);
    let quote = app.post(PATH, &asking(&lines)).await.expect(200);
    assert_eq!(
        codes(&quote),
        [
            "",
            "UNKNOWN_ITEM",
            "UNKNOWN_VARIANT",
            "UNKNOWN_UNIT_OF_MEASURE",
            "ITEM_BLOCKED",
            "NO_PRICE",
            "AMOUNT_TOO_LARGE",
            "",
            ""
        ]
    );
    assert_eq!(
        (&quote["lines"][0]["unitPrice"], &quote["lines"][8]["lineAmount"]),
        (&json!("90"), &json!("10"))
    );
    assert_eq!(
        quote["totals"]["lineAmount"], "1000000000000099",
        "sums may be longer than amounts"
    );
    assert_eq!(
        quote["lines"][1].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["outcome", "problem"]
    );
    // No exchange rate is in force, so every line that could be priced reports it.
    let mut body = asking(&json!([{"itemNumber": "DESK"}, {"itemNumber": "NOWHERE"}]));
    body["currencyCode"] = json!("USD");
    assert_eq!(
        codes(&app.post(PATH, &body).await.expect(200)),
        ["EXCHANGE_RATE_MISSING", "UNKNOWN_ITEM"]
    );
    let rate = json!({"currencyCode": "USD", "startingDate": "2031-05-16", "rate": "2"});
    app.post("/v1/exchange-rates", &rate).await.expect(201);
    assert_eq!(codes(&app.post(PATH, &body).await.expect(200))[0], "EXCHANGE_RATE_MISSING");
    body["date"] = json!("2031-05-16");
    assert_eq!(app.post(PATH, &body).await.expect(200)["lines"][0]["unitPrice"], "180");
}

#[actix_web::test]
async fn document_has_1_to_1000_lines() {
    let app = app().await;
    const ITEMS: [&str; 2] = ["DESK", "LAMP"];
    let lines = |count: usize| {
        let line =
            |at: usize| json!({"itemNumber": ITEMS[at % 2], "quantity": (at + 1).to_string()});
        asking(&json!((0..count).map(line).collect::<Vec<_>>()))
    };
    let quote = app.post(PATH, &lines(1_000)).await.expect(200);
    let amounts = quote["lines"].as_array().unwrap();
    assert_eq!(amounts.len(), 1_000);
    for (at, line) in amounts.iter().enumerate() {
        let price = [90, 20][at % 2];
        assert_eq!(
            line["lineAmount"],
            ((at + 1) * price).to_string(),
            "the lines keep their order"
        );
    }
    assert_eq!(quote["totals"]["lineAmount"], (250_000 * 90 + 250_500 * 20).to_string());
    let refused = app.post(PATH, &lines(1_001)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("/lines", "TOO_LONG")]))
    );
    let refused = app.post(PATH, &lines(0)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("/lines", "TOO_SHORT")]))
    );
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let body = json!({
        "contactNumber": "A  B", "customerNumber": 5, "date": "2031-02-29", "currencyCode": "EURO",
        "pricesIncludeTax": "yes", "explain": 1,
        "lines": [
            {"itemNumber": "DESK", "quantity": 2},
            {"quantity": "0", "taxPercent": "100.01", "price": "1"}
        ]
    });
    let refused = app.post(PATH, &body).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.errors(),
        pairs(&[
            ("/contactNumber", "INVALID_KEY"),
            ("/currencyCode", "INVALID_KEY"),
            ("/customerNumber", "INVALID_TYPE"),
            ("/date", "INVALID_DATE"),
            ("/explain", "INVALID_TYPE"),
            ("/lines/0/quantity", "INVALID_DECIMAL"),
            ("/lines/1/itemNumber", "REQUIRED"),
            ("/lines/1/price", "UNKNOWN_FIELD"),
            ("/lines/1/quantity", "OUT_OF_RANGE"),
            ("/lines/1/taxPercent", "OUT_OF_RANGE"),
            ("/pricesIncludeTax", "INVALID_TYPE"),
        ])
    );
    let refused = app
        .get(&format!(
            "{PATH}?contactNumber=A%20%20B&quantity=1e3&date=x&currencyCode=EURO&explain=yes\
             &taxPercent=-1"
        ))
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            400,
            pairs(&[
                ("?contactNumber", "INVALID_KEY"),
                ("?currencyCode", "INVALID_KEY"),
                ("?date", "INVALID_DATE"),
                ("?explain", "INVALID_TYPE"),
                ("?itemNumber", "REQUIRED"),
                ("?quantity", "INVALID_DECIMAL"),
                ("?taxPercent", "OUT_OF_RANGE"),
            ])
        )
    );
}

#[actix_web::test]
async fn explain_lists_the_reasons() {
    let app = app().await;
    let dearer =
        json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "unitPrice": "95"});
    app.post("/v1/prices", &dearer).await.expect(201);
    let mut body = asking(&json!([{"itemNumber": "DESK"}]));
    let plain = app.post(PATH, &body).await.expect(200);
    assert_eq!(plain["lines"][0].get("trace"), None);
    let by_query = app.post(&format!("{PATH}?explain=true"), &body).await.expect(200);
    body["explain"] = json!(true);
    let by_body = app.post(PATH, &body).await.expect(200);
    let got = app
        .get(&format!("{DESK}&customerNumber=D1&date=2031-05-15&explain=true"))
        .await
        .expect(200);
    assert_eq!((&by_query, &by_body), (&got, &got));
    let mut verdicts: Vec<_> = got["lines"][0]["trace"]["prices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["unitPrice"].as_str().unwrap(), line["verdict"].as_str().unwrap()))
        .collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, [("90", "CHOSEN"), ("95", "HIGHER_NET")]);
    // A named campaign that grants nothing has a reason.
    app.post("/v1/campaigns", &json!({"number": "SPRING", "startingDate": "2031-05-01"}))
        .await
        .expect(201);
    body["campaignNumber"] = json!("SPRING");
    let named = app.post(PATH, &body).await.expect(200);
    let verdict = json!({"campaignNumber": "SPRING", "verdict": "NOT_PUBLISHED"});
    assert_eq!(named["lines"][0]["trace"]["campaign"], verdict);
}

#[actix_web::test]
async fn minimum_version_waits_for_a_write() {
    let app = app().await;
    let version = app.book.snapshot().version();
    let at = |version: &str| format!("{DESK}&minPublicationVersion={version}");
    for known in [0, 1, version] {
        assert_eq!(app.get(&at(&known.to_string())).await.status, 200, "{known}");
    }
    let body = asking(&json!([{"itemNumber": "DESK"}]));
    let begun = Instant::now();
    let got = app.get(&at(&(version + 1).to_string())).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let posted = app.post(&format!("{PATH}?minPublicationVersion={}", i64::MAX), &body).await;
    for refused in [got, posted] {
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (503, "VERSION_NOT_REACHED")
        );
        assert_eq!(refused.header("retry-after"), "1");
    }
    for wrong in ["-1", "x", "1.5", "9223372036854775808", ""] {
        let refused = app.get(&at(wrong)).await;
        assert_eq!((refused.status.as_u16(), refused.errors().len()), (400, 1), "{wrong}");
        assert_eq!(refused.errors()[0].0, "?minPublicationVersion", "{wrong}");
    }
    // The version is published while the request waits.
    let price =
        json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "unitPrice": "80"});
    let next = at(&(version + 1).to_string());
    let (quote, written) = join(app.get(&next), app.post("/v1/prices", &price)).await;
    assert_eq!(written.header("publication-version"), (version + 1).to_string());
    assert_eq!(quote.expect(200)["lines"][0]["unitPrice"], "80");
}

#[actix_web::test]
async fn known_answer_is_not_sent_again() {
    let app = app().await;
    let path = format!("{DESK}&customerNumber=D1&date=2031-05-15");
    let first = app.get(&path).await;
    let etag = first.header("etag").to_owned();
    let known = app.send(Method::GET, &path, &[("if-none-match", &etag)], None).await;
    assert_eq!(
        (known.status.as_u16(), known.text.as_str(), known.header("etag")),
        (304, "", etag.as_str())
    );
    assert_eq!(known.header("publication-version"), first.header("publication-version"));
    assert_eq!(
        app.send(Method::GET, &path, &[("if-none-match", "\"x\"")], None).await.text,
        first.text
    );
    app.patch("/v1/items/DESK", &json!({"listPrice": "101"})).await.expect(200);
    let changed = app.send(Method::GET, &path, &[("if-none-match", &etag)], None).await;
    assert_eq!(changed.expect(200)["lines"][0]["listPrice"], "101");
}

#[actix_web::test]
async fn quotes_continue_without_the_database_and_state_their_age() {
    let clock = Clock::at("2031-05-15T12:00:00Z");
    let mut app = TestApp::at(clock.calendar()).await;
    fill(&app).await;
    let path = format!("{DESK}&contactNumber=ANNE");
    let before = app.get(&path).await;
    assert_eq!((before.header("snapshot-age"), before.header("snapshot-stale")), ("0", "false"));

    app.lose_database();
    for (instant, age, stale) in [
        ("2031-05-15T12:00:05Z", "5", "false"),
        ("2031-05-15T12:00:05.001Z", "5", "true"),
        ("2031-05-15T13:00:00Z", "3600", "true"),
    ] {
        clock.set(instant);
        let quote = app.get(&path).await;
        assert_eq!((quote.status.as_u16(), &quote.text), (200, &before.text));
        assert_eq!(
            (quote.header("snapshot-age"), quote.header("snapshot-stale")),
            (age, stale),
            "{instant}"
        );
    }
    let body = asking(&json!([{"itemNumber": "LAMP"}]));
    assert_eq!(app.post(PATH, &body).await.expect(200)["lines"][0]["unitPrice"], "20");
    assert_eq!(app.get("/readyz").await.status, 200, "quotes go on, so requests may go on coming");
    assert_eq!(app.get("/livez").await.status, 200);
    for refused in [
        app.post("/v1/items", &json!({"number": "X"})).await,
        app.patch("/v1/settings", &json!({"timeZone": "UTC"})).await,
        app.delete("/v1/items/LAMP").await,
        app.get("/v1/items").await,
        app.get("/v1/publications/1").await,
    ] {
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (503, "UNAVAILABLE"),
            "{refused:?}"
        );
        assert_eq!(refused.header("retry-after"), "1");
    }
}

/// Returns the headers of a reply without those that differ between any two replies.
fn headers(reply: &Reply) -> Vec<(String, String)> {
    let others = reply.headers.iter().filter(|(name, _)| *name != "trace-id" && *name != "date");
    let mut headers: Vec<_> = others
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    headers
}

/// Asserts that two replies are equal.
fn assert_same_reply(one: &Reply, other: &Reply, about: &str) {
    assert_eq!(one.status, other.status, "{about}");
    assert_eq!(headers(one), headers(other), "{about}");
    if one.status == 200 {
        assert_eq!(one.text, other.text, "{about}");
    } else {
        assert_eq!(one.errors(), other.errors(), "{about}");
    }
}

#[actix_web::test]
async fn fast_path_query_equals_the_router() {
    let app = app().await;
    for query in [
        "itemNumber=DESK&date=2031-05-15",
        "itemNumber=desk&contactNumber=anne&quantity=2.50&variantCode=oak&taxPercent=7",
        "itemNumber=DESK&customerNumber=D1&currencyCode=USD",
        "itemNumber=NEVER&campaignNumber=NEVER",
        "itemNumber=DESK&contactNumber=NEVER",
        "itemNumber=DESK&contactNumber=ANNE&customerNumber=D1",
        "itemNumber=DESK&itemNumber=DESK",
        "itemNumber=DESK&quantity=0",
        "itemNumber=DESK&quantity=1e3",
        "itemNumber=DESK&date=2031-02-30",
        "itemNumber=DESK&unknown=1",
        "itemNumber=%44ESK&explain=true",
        "quantity=1",
        "",
    ] {
        let path = format!("{PATH}?{query}");
        let usual = app.get(&path).await;
        // A request with a condition is answered by the router.
        let other = app.send(Method::GET, &path, &[("if-none-match", "\"x\"")], None).await;
        assert_same_reply(&usual, &other, query);
    }
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for path in [DESK, "/v1/price-quotes?itemNumber=%44ESK", "/v1/items"] {
        let traced = app.send(Method::GET, path, &[("traceparent", parent)], None).await;
        assert_eq!(traced.header("trace-id"), "4bf92f3577b34da6a3ce929d0e0e4736", "{path}");
        let own = app.get(path).await;
        assert!(
            own.header("trace-id").len() == 32
                && own.header("trace-id") != traced.header("trace-id"),
            "{path}"
        );
    }
    let head = app.send(Method::HEAD, DESK, &[], None).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[actix_web::test]
async fn fast_path_document_equals_the_router() {
    let app = app().await;
    let line = |members: &str| {
        format!(r#"{{"date":"2031-05-15","contactNumber":"anne","lines":[{members}]}}"#)
    };
    let desk = line(concat!(
        r#"{"itemNumber":"desk","quantity":"2.50","variantCode":"oak","taxPercent":"7"},"#,
        r#"{"itemNumber":"NEVER"}"#
    ));
    for (query, body) in [
        ("", desk.as_str()),
        ("", &format!(" {desk}\n")),
        ("?", &desk),
        ("?explain=true", &desk),
        ("?explain=false", &desk),
        ("?explain=maybe", &desk),
        ("?explain=true&explain=true", &desk),
        ("?publicationVersion=1", &desk),
        ("?unknown=1", &desk),
        (
            "",
            concat!(
                r#"{"date":"2031-05-15","customerNumber":"D1","explain":true,"#,
                r#""lines":[{"itemNumber":"LAMP"}]}"#
            ),
        ),
        ("", r#"{"lines":[]}"#),
        (
            "",
            concat!(
                r#"{"lines":[{"itemNumber":"DESK","quantity":"0"},"#,
                r#"{"itemNumber":"DESK","quantity":1}],"other":null}"#
            ),
        ),
        ("", &line(r#"{"itemNumber":"DESK"},{"itemNumber":""}"#)),
        ("", &line(r#"["DESK"]"#)),
        ("", &line(r#"{"itemNumber":"DE\u0053K"}"#)),
        ("", &desk.replace("anne", "NEVER")),
        ("", &desk[..40]),
        ("", &format!("{desk}{desk}")),
        ("", "null"),
        ("", ""),
    ] {
        let path = format!("{PATH}{query}");
        let usual = app
            .send(Method::POST, &path, &[("content-type", "application/json")], Some(body))
            .await;
        // A request with parameters in its content type is answered by the router.
        let kind = [("content-type", "application/json; charset=utf-8")];
        let other = app.send(Method::POST, &path, &kind, Some(body)).await;
        assert_same_reply(&usual, &other, &format!("{query} {body}"));
    }
}

/// Reads the next response of a connection: its head and its body.
async fn next_answer(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse::<usize>().unwrap() {
                return (head.to_owned(), body.to_owned());
            }
        }
        // Byte by byte, so that the next response stays unread.
        bytes.push(in_time("the response arrives", stream.read_u8()).await.unwrap());
    }
}

/// Waits until the service has read every byte that was sent on a connection. So the next part is
/// read separately.
async fn wait_until_read(stream: &TcpStream) {
    let client = stream.local_addr().unwrap().port();
    let service = stream.peer_addr().unwrap().port();
    // The client's side first: acknowledged bytes are in the service's receive queue, or read.
    eventually("the bytes arrive", async || queued_bytes(client, service).0 == 0).await;
    eventually("the service reads the bytes", async || queued_bytes(service, client).1 == 0).await;
}

/// Returns the number of bytes in the send queue (not acknowledged) and in the receive queue (not
/// read) of a socket.
fn queued_bytes(local_port: u16, remote_port: u16) -> (u64, u64) {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (format!(":{local_port:04X}"), format!(":{remote_port:04X}"));
    let queues = sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_socket = fields[1].ends_with(&local) && fields[2].ends_with(&remote);
        is_socket.then(|| fields[4].split_once(':'))?
    });
    let (send, receive) = queues.expect("the connection is open");
    let bytes = |text: &str| u64::from_str_radix(text, 16).unwrap();
    (bytes(send), bytes(receive))
}

#[actix_web::test]
async fn document_may_arrive_in_any_parts() {
    let app = app().await;
    let document =
        asking(&json!([{"itemNumber": "DESK", "quantity": "3"}, {"itemNumber": "LAMP"}]));
    let answer = app.post(PATH, &document).await;
    let expected = answer.text.clone();
    assert_eq!(answer.json()["lines"][0]["unitPrice"], "90");
    let (document, wrong) = (document.to_string(), r#"{"lines":[{}]}"#.to_owned());
    let post = |body: &str| {
        format!(
            "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let whole = post(&document);
    let head = whole.len() - document.len();
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    // One connection for all requests, so leftovers of a request would break the next one.
    for cuts in [
        vec![],
        vec![head],
        vec![head + 20],
        vec![head, head + 1, head + 50],
        vec![10, head + 9],
        vec![],
    ] {
        let mut from = 0;
        for cut in cuts.iter().copied().chain([whole.len()]) {
            stream.write_all(&whole.as_bytes()[from..cut]).await.unwrap();
            from = cut;
            if cut < whole.len() {
                wait_until_read(&stream).await;
            }
        }
        let (head, body) = next_answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200") && body == expected, "{cuts:?} {head} {body}");
    }
    // Pipelined requests, one of which is refused.
    stream
        .write_all([post(&document), post(&wrong), post(&document)].concat().as_bytes())
        .await
        .unwrap();
    for (status, sought) in [("200", expected.as_str()), ("400", "REQUIRED"), ("200", &expected)] {
        let (head, body) = next_answer(&mut stream).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")) && body.contains(sought),
            "{head} {body}"
        );
    }
    // Chunked, without a length.
    let chunks = format!("{:x}\r\n{document}\r\n0\r\n\r\n", document.len());
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(format!("{head}{chunks}").as_bytes()).await.unwrap();
    let (_, body) = next_answer(&mut stream).await;
    assert_eq!(body, expected);
}

#[actix_web::test]
async fn fast_path_requests_are_counted_and_checked() {
    let app = TestApp::with_key(Some("open sesame")).await;
    let with = |name: &'static str, value: &'static str| {
        let app = &app;
        async move {
            let headers = [("authorization", "Bearer open sesame"), (name, value)];
            app.send(Method::GET, DESK, &headers, None).await.status.as_u16()
        }
    };
    assert_eq!(app.get(DESK).await.status, 401);
    assert_eq!(
        app.send(Method::GET, DESK, &[("authorization", "Bearer x")], None).await.status,
        401
    );
    assert_eq!(with("accept", "application/JSON;q=0.5").await, 200);
    assert_eq!(with("accept", "text/html").await, 406);
    assert_eq!(with("accept", "application/json;q=0").await, 406);
    // Other tests of this process increment the counter too, so only its growth is checked.
    let counted = || async {
        let name =
            r#"kampanje_http_requests_total{method="GET",route="/v1/price-quotes",status="200"}"#;
        let text = app.get("/metrics").await.text;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
            .unwrap_or_default()
    };
    let before = counted().await;
    for _ in 0..3 {
        assert_eq!(with("accept", "*/*").await, 200);
    }
    assert!(counted().await >= before + 3);
}
