//! Sends the examples of all request bodies in the API document, against a company that makes them
//! valid. None may be refused.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};

/// The version of the book that the example of a rollback restores.
const VERSION: i64 = 42;

/// Operations in an order in which each finds what its example refers to. Those with the same
/// collection follow each other: the example creates a resource, replaces it in a batch and by PUT,
/// and is patched.
const ORDER: &[&str] = &[
    "/v1/settings",
    "/v1/currencies",
    "/v1/exchange-rates",
    "/v1/salespeople",
    "/v1/teams",
    "/v1/items",
    "/v1/contacts",
    "/v1/api-keys",
    "/v1/webhook-subscriptions",
    "/v1/webhook-subscriptions/{webhook_subscription}/secret-rotations",
    "/v1/campaign-statuses",
    "/v1/campaigns",
    "/v1/interaction-templates",
    "/v1/segments",
    "/v1/segments/{segment}/lines",
    "/v1/segments/{segment}/criteria-actions",
    "/v1/segments/{segment}/criteria-previews",
    "/v1/saved-criteria",
    "/v1/segments/{segment}/criteria-replays",
    "/v1/prices",
    "/v1/discounts",
    "/v1/campaigns/{campaign}/prices",
    "/v1/campaigns/{campaign}/discounts",
    "/v1/campaigns/{campaign}/golden-quotes",
    "/v1/campaigns/{campaign}/activations",
    "/v1/campaigns/{campaign}/rollbacks",
    "/v1/campaigns/{campaign}/approval-requests",
    "/v1/campaigns/{campaign}/approval-requests/{approval_request}/rejections",
    "/v1/campaigns/{campaign}/approval-requests/{approval_request}/approvals",
    "/v1/price-quotes",
    "/v1/campaigns/{campaign}/status-changes",
    "/v1/campaigns/{campaign}/copies",
    "/v1/activities",
    "/v1/campaigns/{campaign}/activities",
    "/v1/tasks",
    "/v1/opportunities",
    "/v1/interactions",
    "/v1/sales",
    "/v1/segments/{segment}/logs",
    "/v1/campaigns/{campaign}/entries",
    "/v1/logged-segments/{logged_segment}/reuses",
    "/v1/logged-segments",
    "/v1/contacts/{contact}/erasures",
    "/v1/webhook-subscriptions",
    "/v1/webhook-subscriptions/{webhook_subscription}/secret-rotations",
];

/// An operation with a body: its method and path, and the examples by media type.
type Operation = (String, String, Vec<(String, Value)>);

/// Returns all operations with a body.
fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(content) = operation.pointer("/requestBody/content") else { continue };
            // Files, which tests/api/imports.rs sends.
            if content["application/json"].is_null() {
                continue;
            }
            let examples = content.as_object().unwrap().iter().map(|(media, content)| {
                assert!(content["example"].is_object(), "{method} {path} has no example");
                (media.clone(), content["example"].clone())
            });
            found.push((method.to_uppercase(), path.clone(), examples.collect()));
        }
    }
    found
}

/// Returns the order of the operations of one collection.
fn rank(collection: &str, method: &str, path: &str) -> usize {
    match (method, path.strip_prefix(collection)) {
        ("POST", Some("")) => 0,
        ("POST", Some(_)) => 1,
        ("PUT", _) => 2,
        _ => 3,
    }
}

/// Replaces the parameters of a path.
fn filled(path: &str, values: &BTreeMap<String, String>) -> String {
    let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => {
            let value = values.get(name);
            value.unwrap_or_else(|| panic!("{path}: no value for {name}")).clone()
        }
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Remembers the id or key of a created resource as the value of the path parameter that names it.
fn remember(reply: &Reply, one: Option<&str>, values: &mut BTreeMap<String, String>) {
    let Some(name) = one else { return };
    let location = reply.header("location");
    if let Some((_, place)) = location.rsplit_once('/') {
        values.insert(name.to_owned(), place.to_owned());
    }
}

/// Publishes changes until the next publication has the version of the example.
async fn reach_version(app: &TestApp) {
    let last = app.get("/v1/publications?top=1&orderby=version%20desc").await.expect(200);
    let version = last["value"][0]["version"].as_i64().unwrap();
    assert!(
        version < VERSION,
        "the example of a rollback names a version that is taken: {version}"
    );
    for step in version..VERSION - 1 {
        let cost = json!({"unitCost": (step % 2).to_string()});
        app.patch("/v1/items/1896-S", &cost).await.expect(200);
    }
}

#[actix_web::test]
async fn every_example_of_a_request_is_accepted() {
    let app = TestApp::new().await;
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let mut waiting = operations(&document);
    // What examples refer to and no other example creates.
    let running = json!({"code": "RUNNING", "sequence": 2});
    app.post("/v1/campaign-statuses", &running).await.expect(201);
    let approver = json!({"name": "Approver", "scopes": ["campaigns:approve"]});
    let approver = app.post("/v1/api-keys", &approver).await.expect(201);
    let approver = approver["secret"].as_str().unwrap();
    let mut values = BTreeMap::new();
    let mut refused = Vec::new();
    for collection in ORDER {
        let below = |path: &str| {
            path.strip_prefix(collection).is_some_and(|rest| {
                rest.is_empty()
                    || rest == "/batch"
                    || (rest.starts_with("/{") && !rest[1..].contains('/'))
            })
        };
        let (mut now, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, path, _)| below(path));
        waiting = later;
        now.sort_by_key(|(method, path, _)| rank(collection, method, path));
        let one = now.iter().find_map(|(_, path, _)| {
            path.strip_prefix(collection)?.strip_prefix("/{")?.strip_suffix('}').map(str::to_owned)
        });
        if collection.ends_with("/activations") {
            reach_version(&app).await;
        }
        if collection.contains("{approval_request}") {
            // Each decision has a request of its own; the loop sends the example of a request too.
            let requests = format!("/v1/campaigns/{}/approval-requests", values["campaign"]);
            app.post(&requests, &json!({})).await;
            let pending = format!("{requests}?filter=state%20eq%20'PENDING'");
            let pending = app.get(&pending).await.expect(200);
            let id = pending["value"][0]["id"].as_str().unwrap().to_owned();
            values.insert("approval_request".to_owned(), id);
        }
        for (method, path, examples) in now {
            for (media, example) in examples {
                let method: Method = method.parse().unwrap();
                let mut request = app
                    .request(method.clone(), &filled(&path, &values))
                    .header("content-type", media)
                    .body(example.to_string());
                if matches!(method, Method::PUT | Method::PATCH) {
                    request = request.header("if-match", "*");
                }
                if path.ends_with("/approvals") {
                    request = request.header("authorization", format!("Bearer {approver}"));
                }
                let reply = Reply::to(request).await;
                if !reply.status.is_success() || reply.status == 207 {
                    refused.push(format!("{method} {path}\n{example}\n{}", reply.text));
                }
                remember(&reply, one.as_deref(), &mut values);
            }
        }
        // A logged segment keeps its number.
        if let Some(segment) = values.get("segment").cloned() {
            values.insert("logged_segment".to_owned(), segment);
        }
        if collection.ends_with("/logs") {
            let entries = app.get("/v1/campaigns/CP0001/entries").await.expect(200);
            let id = entries["value"][0]["id"].as_str().unwrap().to_owned();
            values.insert("campaign_entry".to_owned(), id);
            // The golden quote would refuse that the campaign loses its only target.
            let path = "/v1/campaigns/CP0001/deactivations";
            app.post(path, &json!({})).await.expect(201);
        }
    }
    assert!(refused.is_empty(), "refused examples: {}", refused.join("\n\n"));
    let left: BTreeSet<_> = waiting.iter().map(|(method, path, _)| (method, path)).collect();
    assert!(left.is_empty(), "operations that the test does not know: {left:?}");
}
