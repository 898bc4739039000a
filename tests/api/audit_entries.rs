//! The audit log: an entry for each effect, in its transaction, and for each refused request; and
//! the authors of rows.

use diesel_async::SimpleAsyncConnection as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::make;

const BOOTSTRAP: &str = "a-bootstrap-key-of-forty-characters-1234";

async fn send(
    app: &TestApp,
    token: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Reply {
    let authorization = format!("Bearer {token}");
    let headers: Vec<_> =
        headers.iter().copied().chain([("authorization", authorization.as_str())]).collect();
    app.send(method, path, &headers, body.map(|body| body.to_string()).as_deref()).await
}

/// Creates a key with scopes, and returns its token and its subject.
async fn key(app: &TestApp, name: &str, scopes: &[&str]) -> (String, String) {
    let write = json!({"name": name, "scopes": scopes});
    let created = send(app, BOOTSTRAP, Method::POST, "/v1/api-keys", &[], Some(write)).await;
    let created = created.expect(201);
    let secret = created["secret"].as_str().unwrap().to_owned();
    (secret, format!("key:{}", created["id"].as_str().unwrap()))
}

/// Returns the entries of a subject, the oldest first.
async fn entries(app: &TestApp, subject: &str) -> Vec<Value> {
    let path = format!("/v1/audit-entries?filter=subject+eq+'{subject}'&orderby=at,id");
    let page = send(app, BOOTSTRAP, Method::GET, &path, &[], None).await.expect(200);
    page["value"].as_array().unwrap().clone()
}

fn operations(entries: &[Value]) -> Vec<(&str, i64)> {
    entries
        .iter()
        .map(|entry| (entry["operationId"].as_str().unwrap(), entry["status"].as_i64().unwrap()))
        .collect()
}

#[actix_web::test]
async fn effects_have_one_entry_each() {
    let app = TestApp::with_key(Some(BOOTSTRAP)).await;
    let (token, subject) = key(&app, "ERP", &["catalog:write", "catalog:read"]).await;
    let item = json!({"description": "Desk", "listPrice": "100"});
    let given = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let put = send(&app, &token, Method::PUT, "/v1/items/DESK", &given, Some(item.clone())).await;
    let version: i64 = put.header("publication-version").parse().unwrap();
    put.expect(201);
    // Nothing of these has an effect: a validation, a refusal, a read.
    let path = "/v1/items/CHAIR?validateOnly=true";
    send(&app, &token, Method::PUT, path, &[], Some(item.clone())).await.expect(200);
    let wrong = json!({"listPrice": "-1"});
    send(&app, &token, Method::PUT, "/v1/items/CHAIR", &[], Some(wrong)).await.expect(422);
    send(&app, &token, Method::GET, "/v1/items", &[], None).await.expect(200);
    // A repetition under the same idempotency key has no second effect.
    for replayed in [false, true] {
        let chair = [("idempotency-key", "chair")];
        let put =
            send(&app, &token, Method::PUT, "/v1/items/CHAIR", &chair, Some(item.clone())).await;
        assert_eq!(put.headers.contains_key("idempotency-replayed"), replayed);
        put.expect(201);
    }
    let any = [("if-match", "*")];
    send(&app, &token, Method::DELETE, "/v1/items/CHAIR", &any, None).await.expect(204);
    let entries = entries(&app, &subject).await;
    let expected = [("put_item", 201), ("put_item", 201), ("delete_item", 204)];
    assert_eq!(operations(&entries), expected);
    assert_eq!(entries[0]["path"], "/v1/items/DESK");
    assert_eq!(entries[0]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(entries[0]["publicationVersion"], version);
}

#[actix_web::test]
async fn refused_requests_have_an_entry_without_an_effect() {
    let app = TestApp::with_key(Some(BOOTSTRAP)).await;
    let (token, subject) = key(&app, "Shop", &["quotes:read"]).await;
    send(&app, &token, Method::GET, "/v1/items?top=1", &[], None).await.expect(403);
    send(&app, &token, Method::DELETE, "/v1/items/DESK", &[], None).await.expect(403);
    // Requests without valid credentials have no subject.
    send(&app, "kmp_wrong", Method::GET, "/v1/items", &[], None).await.expect(401);
    let entries = entries(&app, &subject).await;
    assert_eq!(operations(&entries), [("list_items", 403), ("delete_item", 403)]);
    assert_eq!(entries[0]["path"], "/v1/items", "a query can contain personal data");
    let all = send(&app, BOOTSTRAP, Method::GET, "/v1/audit-entries?count=true", &[], None).await;
    assert_eq!(all.expect(200)["count"], 3, "with the creation of the key");
}

#[actix_web::test]
async fn only_administrators_read_the_log_and_nobody_changes_it() {
    let app = TestApp::with_key(Some(BOOTSTRAP)).await;
    let (token, _) = key(&app, "Reader", &["book:read", "campaigns:approve"]).await;
    send(&app, &token, Method::GET, "/v1/audit-entries", &[], None).await.expect(403);
    for method in [Method::POST, Method::DELETE, Method::PATCH] {
        send(&app, BOOTSTRAP, method, "/v1/audit-entries", &[], None).await.expect(405);
    }
    let mut conn = app.connection().await;
    let refused = conn.batch_execute("UPDATE audit_entries SET subject = 'x'").await;
    assert!(refused.unwrap_err().to_string().contains("never change"));
}

#[actix_web::test]
async fn rows_name_their_authors() {
    let app = TestApp::with_key(Some(BOOTSTRAP)).await;
    let (one, first) = key(&app, "One", &["catalog:write", "campaigns:write"]).await;
    let (two, second) = key(&app, "Two", &["catalog:write", "campaigns:write"]).await;
    let (any, item) = ([("if-match", "*")], json!({"listPrice": "100"}));
    let created = send(&app, &one, Method::PUT, "/v1/items/DESK", &[], Some(item)).await;
    let created = created.expect(201);
    assert_eq!((&created["createdBy"], &created["updatedBy"]), (&json!(first), &json!(first)));
    let patch = Some(json!({"description": "Desk"}));
    let changed = send(&app, &two, Method::PATCH, "/v1/items/DESK", &any, patch).await.expect(200);
    assert_eq!((&changed["createdBy"], &changed["updatedBy"]), (&json!(first), &json!(second)));
    let at = |view: &Value| view["updatedAt"].as_str().unwrap().to_owned();
    assert!(at(&created) < at(&changed));
    // A batch does not write rows that stay the same.
    let rows = json!({"rows": [{"number": "DESK", "listPrice": "100"}, {"number": "CHAIR"}]});
    send(&app, &one, Method::POST, "/v1/items/batch", &[], Some(rows)).await.expect(200);
    let items = send(&app, BOOTSTRAP, Method::GET, "/v1/items?orderby=number", &[], None).await;
    let items = items.expect(200);
    assert_eq!(items["value"][0]["updatedBy"], json!(first), "the new chair");
    assert_eq!(items["value"][1]["updatedBy"], json!(second), "the unchanged desk");
    let path = format!("/v1/items?filter=updatedBy+eq+'{second}'&count=true");
    let mine = send(&app, BOOTSTRAP, Method::GET, &path, &[], None).await.expect(200);
    assert_eq!(mine["count"], 1);
}

#[actix_web::test]
async fn lines_segments_contacts_and_campaigns_name_their_authors() {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    for (path, body) in [
        ("/v1/contacts/C1", json!({"type": "COMPANY", "name": "C"})),
        ("/v1/campaigns/K", json!({"description": "K"})),
        ("/v1/segments/S", json!({"campaignNumber": "K"})),
    ] {
        let view = app.put(path, &body).await.expect(201);
        assert_eq!((&view["createdBy"], &view["updatedBy"]), (&json!("local"), &json!("local")));
    }
    let price = json!({"itemNumber": "DESK", "unitPrice": "80"});
    let price = app.post("/v1/campaigns/K/prices", &price).await.expect(201);
    let discount = json!({"itemNumber": "DESK", "lineDiscountPercent": "5"});
    let discount = app.post("/v1/campaigns/K/discounts", &discount).await.expect(201);
    assert_eq!((&price["createdBy"], &discount["updatedBy"]), (&json!("local"), &json!("local")));
    let copied = app.post("/v1/campaigns/K/copies", &json!({"number": "K2"})).await.expect(201);
    assert_eq!(copied["createdBy"], "local");
    let lines = app.get("/v1/campaigns/K2/discounts").await.expect(200);
    assert_eq!(lines["value"][0]["createdBy"], "local");
}
