//! The limits of streams: their number, and the lifetime of an unread one. Their content is
//! compared with pages in tests/api/effective_prices.rs.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use kampanje::platform::http::connections::ConnectionLimits;
use kampanje::platform::http::stream::Streams;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::app::{Bounds, Reply, TestApp};
use super::support::make;
use super::support::wait::{eventually, in_time};

const ITEMS: usize = 500;
const ACCOUNTS: usize = 100;
/// A stream larger than the buffers of a connection, some 20 MB.
const LARGE: &str = "/v1/effective-prices?campaignNumber=ALL&date=2031-05-15";
const SMALL: &str = "/v1/effective-prices?date=2031-05-15";
const LINES: &[(&str, &str)] = &[("accept", "application/x-ndjson")];

/// Returns a campaign with a discount on all items for all accounts.
async fn shop(max_streams: usize, limits: ConnectionLimits) -> TestApp {
    let streams = Streams::new(max_streams);
    let bounds = Bounds { streams, connections: limits, ..Bounds::default() };
    let app = TestApp::with_bounds(bounds).await;
    let item = |n: usize| json!({"number": format!("N{n:05}"), "listPrice": "10"});
    let rows: Vec<Value> = (0..ITEMS).map(item).collect();
    app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    let contact = |n: usize| json!({"number": format!("C{n:04}"), "type": "COMPANY", "name": "C"});
    let rows: Vec<Value> = (0..ACCOUNTS).map(contact).collect();
    app.post("/v1/contacts/batch", &json!({ "rows": rows })).await.expect(200);
    app.put("/v1/campaigns/ALL", &json!({"startingDate": "2031-05-01"})).await.expect(201);
    make::target_segment(&app, "ALL", "ALL").await;
    let line = |n: usize| json!({"contactNumber": format!("C{n:04}")});
    let rows: Vec<Value> = (0..ACCOUNTS).map(line).collect();
    app.post("/v1/segments/ALL/lines/batch", &json!({ "rows": rows })).await.expect(200);
    app.post("/v1/campaigns/ALL/discounts", &json!({"lineDiscountPercent": "3"})).await.expect(201);
    make::activate(&app, "ALL").await;
    app
}

/// Opens a connection on which the large stream has begun, and reads only the beginning.
async fn unread(app: &TestApp) -> TcpStream {
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    let request =
        format!("GET {LARGE} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    in_time("the stream begins", connection.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    connection
}

async fn stream(app: &TestApp, path: &str) -> Reply {
    app.send(Method::GET, path, LINES, None).await
}

fn rows(reply: &Reply) -> usize {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.text.ends_with("}\n"));
    reply.text.lines().count()
}

/// Reads the rest of a connection, and returns whether it ended with a connection error.
async fn rest(mut connection: TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match in_time("the connection ends", connection.read_buf(&mut bytes)).await {
            Ok(0) => return (bytes, false),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
                return (bytes, true);
            }
        }
    }
}

#[actix_web::test]
async fn stalled_client_is_disconnected_and_releases_its_snapshot() {
    let limits =
        ConnectionLimits { write_timeout: Duration::from_secs(3), ..ConnectionLimits::default() };
    let app = shop(1, limits).await;
    // Slower than the service, but never idle for long.
    let mut reply =
        app.request(Method::GET, LARGE).header("accept", LINES[0].1).send().await.unwrap();
    let (mut bytes, mut pauses) = (0, 0);
    let mut last = Vec::new();
    while let Some(piece) = in_time("the stream continues", reply.chunk()).await.unwrap() {
        bytes += piece.len();
        last = piece.to_vec();
        if bytes / 1_000_000 > pauses {
            pauses += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(last.ends_with(b"}\n") && pauses > 10, "{bytes} bytes");

    let snapshot = app.book.snapshot().clone();
    let connection = unread(&app).await;
    let refused = stream(&app, SMALL).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "TOO_MANY_STREAMS"));
    // The book is replaced, so only the stream and this test still hold the old snapshot.
    app.patch("/v1/items/N00000", &json!({"listPrice": "21"})).await.expect(200);
    eventually("the stream releases its snapshot", async || Arc::strong_count(&snapshot) == 1)
        .await;
    let (rest, broken) = rest(connection).await;
    assert!(broken || !rest.ends_with(b"\r\n0\r\n\r\n"), "it does not end as if it were complete");
    assert!(rest.len() < bytes, "{} of {bytes}", rest.len());
    assert_eq!(rows(&stream(&app, SMALL).await), ITEMS, "its slot is free");
}

#[actix_web::test]
async fn excess_stream_is_refused_and_others_continue() {
    let app = shop(2, ConnectionLimits::default()).await;
    let (first, second) = (unread(&app).await, unread(&app).await);
    for path in [SMALL, LARGE] {
        let refused = stream(&app, path).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "TOO_MANY_STREAMS"));
        assert_eq!(refused.header("retry-after"), "5");
    }
    assert_eq!(app.send(Method::HEAD, LARGE, LINES, None).await.status, 200);
    let page = app.get(&format!("{LARGE}&top=1000")).await.expect(200);
    assert_eq!(page["value"].as_array().unwrap().len(), 1000);
    let quote = app
        .get("/v1/price-quotes?contactNumber=C0001&itemNumber=N00001&date=2031-05-15")
        .await
        .expect(200);
    assert_eq!(quote["lines"][0]["lineAmount"], "9.7");

    // A slot is free after a client has left, and can be used again.
    drop(first);
    eventually("a client that leaves frees its slot", async || {
        stream(&app, SMALL).await.status == 200
    })
    .await;
    // One after the other, each stream has a slot.
    for _ in 0..5 {
        assert_eq!(rows(&stream(&app, SMALL).await), ITEMS);
    }
    let third = unread(&app).await;
    assert_eq!(stream(&app, SMALL).await.code(), "TOO_MANY_STREAMS");
    drop((second, third));
}

#[actix_web::test]
async fn refused_request_takes_no_slot() {
    let app = shop(1, ConnectionLimits::default()).await;
    for query in [
        "contactNumber=NOBODY",
        "campaignNumber=NEVER",
        "publicationVersion=10000",
        "date=x",
        "top=5",
    ] {
        for _ in 0..2 {
            let refused = stream(&app, &format!("/v1/effective-prices?{query}")).await;
            assert!([400, 422].contains(&refused.status.as_u16()), "{query}: {refused:?}");
        }
    }
    assert_eq!(rows(&stream(&app, SMALL).await), ITEMS);
}
