//! Endpoints for operators: health, metrics and documentation; and HEAD requests.

use std::io::{Read, Write};
use std::net::TcpStream;

use reqwest::Method;
use serde_json::json;

use super::support::app::TestApp;
use super::support::make;
use super::support::wait::{TEST_TIMEOUT, eventually};

#[actix_web::test]
async fn service_is_ready_until_it_stops() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/livez").await.text, r#"{"status":"OK"}"#);
    let ready = app.get("/readyz").await.expect(200);
    assert_eq!(
        (&ready["status"], &ready["checks"]["database"]["status"]),
        (&json!("OK"), &json!("OK")),
        "{ready}"
    );
    // On a slow start, the book may have been read a second or two ago.
    let age = ready["checks"]["book"]["ageSeconds"].as_i64().unwrap();
    assert!((0..=5).contains(&age), "{ready}");
    let book = json!({"version": 1, "ageSeconds": age, "stale": false, "lastSelfCheck": null});
    assert_eq!(ready["checks"]["book"], book, "{ready}");
    app.readiness.stop();
    let stopping = app.get("/readyz").await;
    assert_eq!((stopping.status.as_u16(), stopping.code().as_str()), (503, "UNAVAILABLE"));
    assert_eq!(stopping.header("retry-after"), "1");
    assert_eq!(app.get("/livez").await.status, 200, "a stopping process is alive");
    assert_eq!(
        app.get("/v1/campaign-statuses").await.status,
        200,
        "requests in flight are still served"
    );
}

#[actix_web::test]
async fn service_without_database_is_alive_but_not_ready() {
    // No process listens on port 1.
    let app = TestApp::without_database();
    assert_eq!(app.get("/livez").await.status, 200);
    for path in ["/readyz", "/v1/campaign-statuses", "/v1/price-quotes?itemNumber=DESK"] {
        let refused = app.get(path).await;
        assert_eq!(
            (refused.code().as_str(), refused.header("retry-after")),
            ("UNAVAILABLE", "1"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn service_that_loses_its_database_is_ready_for_quotes() {
    let mut app = TestApp::new().await;
    make::item(&app, "DESK", "400").await;
    app.lose_database();
    let mut ready = json!(null);
    eventually("readiness is degraded", async || {
        ready = app.get("/readyz").await.expect(200);
        ready["status"] == "DEGRADED"
    })
    .await;
    assert_eq!(ready["checks"]["database"]["status"], "OUT_OF_REACH", "{ready}");
    assert_eq!(
        app.get("/v1/price-quotes?itemNumber=DESK").await.expect(200)["lines"][0]["unitPrice"],
        "400"
    );
    let metrics = app.get("/metrics").await.text;
    assert!(
        metrics.contains("kampanje_database_up ") && metrics.contains("kampanje_book_version "),
        "{metrics}"
    );
}

#[actix_web::test]
async fn operators_need_no_key_and_clients_do() {
    let app = TestApp::with_key(Some("open sesame")).await;
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs/", "/", "/v1"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    for path in ["/v1/campaign-statuses", "/v1/nowhere"] {
        let refused = app.get(path).await;
        assert_eq!(
            (refused.code().as_str(), refused.header("www-authenticate")),
            ("UNAUTHORIZED", "Bearer"),
            "{path}"
        );
    }
    for (value, status) in [
        ("Bearer open sesame", 200),
        ("bearer open sesame", 200),
        ("Bearer x", 401),
        ("Basic x", 401),
    ] {
        let reply =
            app.send(Method::GET, "/v1/campaign-statuses", &[("authorization", value)], None).await;
        assert_eq!(reply.status, status, "{value}");
    }
}

#[actix_web::test]
async fn requests_are_counted_by_route() {
    let app = TestApp::new().await;
    app.get("/v1/campaign-statuses/COUNTED").await;
    app.send(Method::from_bytes(b"MADEUP").unwrap(), "/made/up", &[], None).await;
    let metrics = app.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let series = r#"kampanje_http_requests_total{method="GET",route="/v1/campaign-statuses/{campaign_status}",status="404"}"#;
    assert!(metrics.text.contains(series), "{}", metrics.text);
    assert!(metrics.text.contains("# HELP kampanje_http_request_seconds "), "{}", metrics.text);
    assert!(metrics.text.contains("kampanje_http_request_seconds_bucket{"), "{}", metrics.text);
    assert!(
        metrics.text.contains(r#"{method="OTHER",route="unmatched",status="404"}"#),
        "{}",
        metrics.text
    );
    assert!(!metrics.text.contains("MADEUP") && !metrics.text.contains("COUNTED"));
}

#[actix_web::test]
async fn documentation_is_served() {
    let app = TestApp::new().await;
    let page = app.get("/docs").await;
    assert_eq!(page.status, 200, "redirected to /docs/");
    assert!(
        page.text.contains("swagger-ui-bundle.js") && !page.text.contains("https://"),
        "{}",
        page.text
    );
    let policy = app.get("/docs/").await.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(app.get("/docs/swagger-initializer.js").await.text.contains("/openapi.json"));
    assert_eq!(app.get("/docs/swagger-ui-bundle.js").await.status, 200);
    assert_eq!(app.get("/docs/nowhere").await.code(), "NOT_FOUND");
}

#[actix_web::test]
async fn head_equals_get_without_body() {
    let app = TestApp::new().await;
    for path in
        ["/v1/campaign-statuses", "/v1/campaign-statuses/NOWHERE", "/livez", "/openapi.json"]
    {
        let get = app.get(path).await;
        let head = app.send(Method::HEAD, path, &[], None).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    // Client libraries would hide bytes after the head.
    let mut stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
        .write_all(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    actix_web::rt::task::spawn_blocking(move || {
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(text.to_lowercase().contains("content-length: 15"), "{text}");
    })
    .await
    .unwrap();
}
