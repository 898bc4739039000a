//! Campaign statuses, and with them the conventions that all plain resources share.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/campaign-statuses";

#[actix_web::test]
async fn campaign_status_crud() {
    let app = TestApp::new().await;
    let created =
        app.post(PATH, &json!({"code": "planned", "description": "Planned", "sequence": 1})).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), "/v1/campaign-statuses/PLANNED");
    assert_eq!(created.json()["allowsActivation"], true);
    let by_id = app.get(&format!("{PATH}/{}", created.json()["id"].as_str().unwrap())).await;
    assert_eq!(
        (by_id.text.as_str(), by_id.header("etag")),
        (created.text.as_str(), created.header("etag"))
    );
    let etag = created.header("etag").to_owned();
    let same =
        app.send(Method::GET, &format!("{PATH}/planned"), &[("if-none-match", &etag)], None).await;
    assert_eq!(same.status, 304);

    let path = format!("{PATH}/PLANNED");
    let patch = r#"{"description": null, "isFinal": true}"#;
    assert_eq!(
        app.send(Method::PATCH, &path, &[], Some(patch)).await.code(),
        "PRECONDITION_REQUIRED"
    );
    let stale = app.send(Method::PATCH, &path, &[("if-match", "\"old\"")], Some(patch)).await;
    assert_eq!(
        (stale.code().as_str(), stale.header("etag")),
        ("PRECONDITION_FAILED", etag.as_str())
    );
    let patched = app.send(Method::PATCH, &path, &[("if-match", &etag)], Some(patch)).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    assert_eq!(
        (&patched.json()["description"], &patched.json()["isFinal"]),
        (&json!(""), &json!(true))
    );
    let renamed =
        app.send(Method::PATCH, &path, &[("if-match", "*")], Some(r#"{"code": "X"}"#)).await;
    assert_eq!(renamed.errors(), pairs(&[("/code", "IMMUTABLE")]));

    let unknown = app
        .send(Method::PATCH, &path, &[("if-match", "*")], Some(r#"{"isFnal": null, "x": 1}"#))
        .await;
    assert_eq!(unknown.errors(), pairs(&[("/isFnal", "UNKNOWN_FIELD"), ("/x", "UNKNOWN_FIELD")]));
    let required =
        app.send(Method::PATCH, &path, &[("if-match", "*")], Some(r#"{"sequence": null}"#)).await;
    assert_eq!(required.errors(), pairs(&[("/sequence", "REQUIRED")]));
    let whole =
        app.send(Method::PATCH, &path, &[("if-match", "*")], Some(r#"{"sequence": 4.0}"#)).await;
    assert_eq!((whole.status.as_u16(), &whole.json()["sequence"]), (200, &json!(4)));
    for (header, value) in [
        ("if-match", "bare"),
        ("if-none-match", ""),
        ("idempotency-key", ""),
        ("idempotency-key", "a\tb"),
    ] {
        let malformed = app.send(Method::PATCH, &path, &[(header, value)], Some(patch)).await;
        assert_eq!(malformed.code(), "MALFORMED_REQUEST", "{header}: {value}");
    }

    assert_eq!(app.send(Method::DELETE, &path, &[("if-match", "*")], None).await.status, 204);
    assert_eq!(app.get(&path).await.code(), "NOT_FOUND");
}

#[actix_web::test]
async fn put_creates_and_replaces() {
    let app = TestApp::new().await;
    let path = format!("{PATH}/DONE");
    let body = r#"{"sequence": 9}"#;
    assert_eq!(app.send(Method::PUT, &path, &[("if-match", "*")], Some(body)).await.status, 412);
    let created = app.send(Method::PUT, &path, &[], Some(body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(app.send(Method::PUT, &path, &[], Some(body)).await.status, 428);
    assert_eq!(
        app.send(Method::PUT, &path, &[("if-none-match", "*")], Some(body)).await.status,
        412
    );
    let replaced =
        app.send(Method::PUT, &path, &[("if-match", "*")], Some(r#"{"sequence": 8}"#)).await;
    assert_eq!((replaced.status.as_u16(), &replaced.json()["sequence"]), (200, &json!(8)));
    assert_eq!(replaced.json()["id"], created.json()["id"]);
    let other = app
        .send(Method::PUT, &format!("{PATH}/A"), &[], Some(r#"{"code": "B", "sequence": 1}"#))
        .await;
    assert_eq!(other.errors(), pairs(&[("/code", "IMMUTABLE")]));
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = TestApp::new().await;
    let wrong = app
        .post(
            PATH,
            &json!({"code": "a  b", "sequence": "1", "isFnal": true, "description": "\u{1}"}),
        )
        .await;
    assert_eq!(wrong.errors(), pairs(&[("/description", "INVALID_CHARACTER")]));
    let wrong = app.post(PATH, &json!({"code": "a  b", "sequence": "1", "isFnal": true})).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.errors(),
        pairs(&[
            ("/code", "INVALID_KEY"),
            ("/isFnal", "UNKNOWN_FIELD"),
            ("/sequence", "INVALID_TYPE")
        ])
    );
    assert_eq!(
        app.post(PATH, &json!({"sequence": 1})).await.errors(),
        pairs(&[("/code", "REQUIRED")])
    );
    assert_eq!(app.post(PATH, &json!({"code": "A", "sequence": 1})).await.status, 201);
    let taken = app.post(PATH, &json!({"code": "a", "sequence": 1})).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/code", "ALREADY_EXISTS")]))
    );
}

#[actix_web::test]
async fn framework_errors_are_problems_too() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/nowhere").await.code(), "NOT_FOUND");
    let refused = app.send(Method::DELETE, PATH, &[], None).await;
    assert_eq!(
        (refused.code().as_str(), refused.header("allow")),
        ("METHOD_NOT_ALLOWED", "GET, POST, HEAD")
    );
    let large = " ".repeat(1_048_577);
    assert_eq!(app.send(Method::POST, PATH, &[], Some(&large)).await.code(), "PAYLOAD_TOO_LARGE");
    for text in ["{", "", "{\"a\":1} x"] {
        assert_eq!(
            app.send(Method::POST, PATH, &[], Some(text)).await.code(),
            "MALFORMED_REQUEST",
            "{text}"
        );
    }
    let deep = "[".repeat(10_000);
    assert_eq!(app.send(Method::POST, PATH, &[], Some(&deep)).await.code(), "MALFORMED_REQUEST");
    let typeless = app.send(Method::POST, PATH, &[("content-type", "text/plain")], None).await;
    assert_eq!(typeless.code(), "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(
        app.send(Method::GET, PATH, &[("accept", "text/html")], None).await.code(),
        "NOT_ACCEPTABLE"
    );
}

#[actix_web::test]
async fn lists_are_paged_filtered_and_counted() {
    let app = TestApp::new().await;
    let rows: Vec<Value> =
        (0..25).map(|n| json!({"code": format!("S{n:02}"), "sequence": n % 3})).collect();
    assert_eq!(app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.status, 200);
    let mut seen = Vec::new();
    let mut link =
        format!("{PATH}?top=7&orderby=sequence%20desc&count=true&$filter=code%20ne%20'S03'");
    loop {
        let page = app.get(&link).await;
        assert_eq!(page.status, 200, "{page:?}");
        let body = page.json();
        assert_eq!(body["count"], 24);
        seen.extend(
            body["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["code"].as_str().unwrap().to_owned()),
        );
        let Some(next) = body["nextLink"].as_str() else { break };
        link = next.to_owned();
    }
    let mut expected: Vec<(i32, String)> =
        (0..25).filter(|n| *n != 3).map(|n| (-(n % 3), format!("S{n:02}"))).collect();
    expected.sort();
    assert_eq!(seen, expected.into_iter().map(|(_, code)| code).collect::<Vec<_>>());
    let one = app.get(&format!("{PATH}/S01")).await;
    let listed = app.get(&format!("{PATH}?filter=code%20eq%20's01'")).await.json();
    assert_eq!(listed["value"][0]["etag"], one.header("etag"));
    assert_eq!(app.get(&format!("{PATH}?filter=cod%20eq%20'A'")).await.code(), "INVALID_FILTER");
}

#[actix_web::test]
async fn batches_are_atomic_by_default() {
    let app = TestApp::new().await;
    let path = format!("{PATH}/batch");
    let rows = json!([{"code": "A", "sequence": 1}, {"code": "B"}, {"code": "a", "sequence": 2}]);
    let refused = app.post(&path, &json!({"rows": rows})).await;
    assert_eq!(
        refused.errors(),
        pairs(&[("/rows/1/sequence", "REQUIRED"), ("/rows/2/code", "DUPLICATE")])
    );
    assert_eq!(app.get(&format!("{PATH}/A")).await.status, 404);
    let mixed = app.post(&path, &json!({"rows": rows, "atomic": false})).await;
    assert_eq!(mixed.status, 207);
    let statuses: Vec<_> =
        mixed.json()["receipts"].as_array().unwrap().iter().map(|r| r["status"].clone()).collect();
    assert_eq!(statuses, [201, 400, 422]);
    let again = app.post(&path, &json!({"rows": [{"code": "A", "sequence": 5}]})).await;
    assert_eq!(again.json()["receipts"][0]["status"], 200);
    assert_eq!(app.get(&format!("{PATH}/A")).await.json()["sequence"], 5);
    assert_eq!(
        app.post(&path, &json!({"rows": []})).await.errors(),
        pairs(&[("/rows", "TOO_SHORT")])
    );
}

#[actix_web::test]
async fn idempotency_key_returns_the_stored_response() {
    let app = TestApp::new().await;
    let key = [("idempotency-key", "k-1")];
    let body = r#"{"code": "ONCE", "sequence": 1}"#;
    let first = app.send(Method::POST, PATH, &key, Some(body)).await;
    let second = app.send(Method::POST, PATH, &key, Some(body)).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!((&first.text, second.header("idempotency-replayed")), (&second.text, "true"));
    assert_eq!(first.header("etag"), second.header("etag"));
    let other =
        app.send(Method::POST, PATH, &key, Some(r#"{"code": "TWICE", "sequence": 1}"#)).await;
    assert_eq!(other.code(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(app.get(&format!("{PATH}/TWICE")).await.status, 404);
}
