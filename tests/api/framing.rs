//! HTTP framing: targets, hosts, the end of a connection, and bodies that arrive slowly. Requests
//! are written byte for byte, since clients would correct them.

use std::net::SocketAddr;
use std::time::Duration;

use kampanje::platform::http::call::BodyLimits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::app::{Bounds, TestApp};
use super::support::make;
use super::support::wait::in_time;

const QUOTE: &str = "/v1/price-quotes?itemNumber=DESK";

async fn app() -> TestApp {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    app
}

/// Sends bytes, and returns everything that the service sends until it closes the connection.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = in_time("the connection is closed", connection.read_to_end(&mut answer)).await;
    assert!(read.is_ok() || !answer.is_empty(), "{request}: {read:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the number of responses in what a connection sent, `100 Continue` included.
fn responses(answer: &str) -> usize {
    answer.matches("HTTP/1.").count()
}

fn post(body: &str, headers: &str) -> String {
    format!(
        "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

#[actix_web::test]
async fn invalid_hosts_and_targets_are_refused_by_a_problem() {
    let app = app().await;
    for path in ["/v1/items", QUOTE, "/livez", "/nowhere"] {
        for host in [
            "",
            "user@localhost",
            "localhost/path",
            "localhost, localhost",
            "local host",
            "localhost:port",
            "localhost:99999",
            "[::1",
            "[::1]x",
            "::1",
        ] {
            let answer =
                exchange(app.address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
                    .await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{path} of {host:?}: {answer}");
            let body: Value =
                serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
            assert_eq!(body["code"], "MALFORMED_REQUEST", "{answer}");
            assert!(answer.contains("connection: close"), "{answer}");
            assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        }
    }
    for target in [
        "v1/items",
        "v1",
        "localhost:80",
        "*",
        "http://user@localhost/v1/items",
        "ftp://localhost/",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = exchange(app.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
    }
    for request in [
        format!("GET {QUOTE} HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n"),
        format!("GET {QUOTE} HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: close\r\n\r\n"),
        format!(
            "GET http://localhost{QUOTE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ),
        format!("GET {QUOTE} HTTP/1.0\r\n\r\n"),
    ] {
        let answer = exchange(app.address, &request).await;
        assert!(answer.contains(" 200 OK\r\n"), "{request}: {answer}");
    }
}

#[actix_web::test]
async fn upgrades_are_ignored() {
    let app = app().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for path in [QUOTE, "/v1/items", "/livez"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n");
        let answer = exchange(app.address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("connection: close"), "{path}: {answer}");
    }
    // What follows the declared length is not part of the body.
    let request = format!("{}GET / HTTP/1.1\r\n", post(r#"{"number":"NEW"}"#, upgrade));
    let answer = exchange(app.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(app.get("/v1/items/NEW").await.status, 200);
}

#[actix_web::test]
async fn too_large_body_is_refused_before_it_is_sent() {
    let app = app().await;
    let head = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    for (path, length) in [("/v1/items", 524_289), ("/v1/items/batch", 1_048_577)] {
        let answer = exchange(app.address, &head(path, length)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert_eq!(responses(&answer), 1, "{answer}");
        assert!(answer.contains(r#""code":"PAYLOAD_TOO_LARGE""#), "{answer}");
    }
    let body = r#"{"number":"NEW"}"#;
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    connection.write_all(head("/v1/items", body.len()).as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    in_time("100 Continue", connection.read_exact(&mut interim)).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    in_time("the response", connection.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 201");
}

#[actix_web::test]
async fn bodies_below_the_minimum_rate_are_refused() {
    let bodies = BodyLimits {
        timeout: Duration::from_secs(2),
        max_timeout: Duration::from_secs(60),
        min_rate: 5,
        ..BodyLimits::new(1_048_576)
    };
    let app = TestApp::with_bounds(Bounds { bodies, ..Bounds::default() }).await;
    let body = format!("{:90}", r#"{"number":"SLOW"}"#);
    for (sent, status) in [(1, "408"), (90, "201")] {
        let mut connection = TcpStream::connect(app.address).await.unwrap();
        let request = post(&body, "");
        let (head, _) = request.split_at(request.len() - body.len());
        connection.write_all(head.as_bytes()).await.unwrap();
        // Slower than the timeout, but faster than the minimum rate.
        for piece in body.as_bytes()[..sent].chunks(3) {
            connection.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut answer = [0; 12];
        in_time("the response", connection.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes(), "{sent}");
    }
}

#[actix_web::test]
async fn documents_are_parsed_to_their_first_limit() {
    let app = app().await;
    let fields: serde_json::Map<String, Value> =
        (0..101).map(|at| (format!("f{at}"), Value::Null)).collect();
    let refused = app.post("/v1/items", &Value::Object(fields)).await;
    assert_eq!(refused.errors(), [(String::new(), "TOO_LONG".to_owned())]);
    let name = json!({"a".repeat(101): 1});
    assert_eq!(app.post("/v1/items", &name).await.errors(), [(String::new(), "TOO_LONG".into())]);
    // A batch that is parsed on a background thread.
    let row = |at: usize| json!({"number": format!("N{at}"), "description": "d".repeat(90)});
    let rows: Vec<Value> = (0..1_000).map(row).collect();
    let receipts = app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    assert_eq!(receipts["receipts"].as_array().unwrap().len(), 1_000);
    // The receipts of a batch name a bounded number of errors.
    let unknown: serde_json::Map<String, Value> =
        (0..90).map(|at| (format!("f{at}"), Value::Null)).collect();
    let rows = vec![Value::Object(unknown); 100];
    let batch = json!({"rows": rows, "atomic": false});
    let receipts = app.post("/v1/items/batch", &batch).await.expect(207);
    let receipts = receipts["receipts"].as_array().unwrap();
    let errors = receipts.iter().map(|receipt| receipt["errors"].as_array().unwrap().len());
    assert_eq!(errors.sum::<usize>(), 1_000);
    assert!(receipts.iter().all(|receipt| receipt["status"] == 400));
}
