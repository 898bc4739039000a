//! Deletions of resources in use. They are refused with all dependents, and succeed when the
//! dependents are gone.

use std::sync::Arc;

use kampanje::platform::clock::Calendar;
use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make;

/// Returns a service on 15 May 2031 with one of everything. The active campaign FAIR at the status
/// OPEN has a price for DESK, a segment and a logged segment. It also has an open task, a running
/// opportunity and a single interaction.
async fn app() -> TestApp {
    let app =
        TestApp::at(Calendar::new(Arc::new(|| "2031-05-15T12:00:00Z".parse().unwrap()))).await;
    let ready = json!({"interactionTemplateCode": "MAIL", "salespersonCode": "JO"});
    let of_campaign = json!({"campaignNumber": "FAIR", "campaignTarget": true});
    let segment = |extra: Value| merged(&[&ready, &of_campaign, &extra]);
    let task = json!({"campaignNumber": "FAIR", "contactNumber": "SOLO", "date": "2031-05-20"});
    for (path, body) in [
        ("salespeople", json!({"code": "JO"})),
        ("teams", json!({"code": "INNER", "members": ["JO"]})),
        ("campaign-statuses", json!({"code": "OPEN", "sequence": 1})),
        ("items", json!({"number": "DESK", "listPrice": "100"})),
        ("interaction-templates", json!({"code": "MAIL", "description": "Invitation"})),
        (
            "contacts",
            json!({"number": "ACME", "type": "COMPANY", "name": "Acme", "salespersonCode": "JO"}),
        ),
        (
            "contacts",
            json!({"number": "ANN", "type": "PERSON", "name": "Ann", "companyNumber": "ACME"}),
        ),
        ("contacts", json!({"number": "SOLO", "type": "PERSON", "name": "Solo"})),
        (
            "campaigns",
            json!({
                "number": "FAIR", "statusCode": "OPEN", "salespersonCode": "JO",
                "startingDate": "2031-05-01"
            }),
        ),
        ("campaigns/FAIR/prices", json!({"itemNumber": "DESK", "unitPrice": "80"})),
        ("segments", segment(json!({"number": "DONE"}))),
        ("segments/DONE/lines", json!({"contactNumber": "SOLO"})),
        ("segments/DONE/logs", json!({})),
        ("segments", segment(json!({"number": "NEXT"}))),
        ("segments/NEXT/lines", json!({"contactNumber": "SOLO"})),
        ("segments/NEXT/lines", json!({"contactNumber": "ACME"})),
        ("tasks", merged(&[&task, &json!({"salespersonCode": "JO"})])),
        ("tasks", merged(&[&task, &json!({"teamCode": "INNER"})])),
        (
            "opportunities",
            json!({
                "number": "OP1", "contactNumber": "SOLO", "campaignNumber": "FAIR",
                "salespersonCode": "JO"
            }),
        ),
        (
            "interactions",
            json!({
                "contactNumber": "ANN", "campaignNumber": "FAIR", "interactionTemplateCode": "MAIL",
                "salespersonCode": "JO", "campaignResponse": true
            }),
        ),
        ("campaigns/FAIR/activations", json!({"acknowledge": ["*"]})),
    ] {
        app.post(&format!("/v1/{path}"), &body).await.expect(201);
    }
    app
}

fn merged(parts: &[&Value]) -> Value {
    let fields = parts.iter().flat_map(|part| part.as_object().unwrap().clone());
    Value::Object(fields.collect())
}

/// Returns the code of the refused deletion, and its dependents with their numbers.
async fn dependents(app: &TestApp, path: &str) -> (String, Vec<String>) {
    let refused = app.delete(path).await;
    assert_eq!(refused.status, 409, "{path}: {refused:?}");
    let body = refused.json();
    let errors = body["errors"].as_array().unwrap();
    let what = |error: &Value| {
        format!("{} {}", error["params"]["count"], error["params"]["what"].as_str().unwrap())
    };
    assert!(errors.iter().all(|error| error["code"] == "IN_USE"), "{body}");
    (refused.code(), errors.iter().map(what).collect())
}

fn in_use(what: &[&str]) -> (String, Vec<String>) {
    ("IN_USE".to_owned(), what.iter().map(|what| (*what).to_owned()).collect())
}

async fn ids(app: &TestApp, path: &str) -> Vec<String> {
    let page = app.get(path).await.expect(200);
    page["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[actix_web::test]
async fn all_dependents_are_reported_together() {
    let app = app().await;
    let (code, holders) = dependents(&app, "/v1/campaigns/FAIR").await;
    let of_campaign = [
        "1 segments",
        "2 open tasks",
        "1 running opportunities",
        "1 uncanceled entries",
        "1 uncanceled single interactions",
    ];
    assert_eq!(
        (code.as_str(), holders),
        ("CAMPAIGN_ACTIVE", of_campaign.map(str::to_owned).to_vec())
    );
    for (path, expected) in [
        (
            "/v1/salespeople/JO",
            vec![
                "1 contacts",
                "1 campaigns",
                "1 segments",
                "1 teams",
                "1 tasks",
                "1 opportunities",
                "1 logged segments",
                "2 interactions",
            ],
        ),
        ("/v1/teams/INNER", vec!["1 tasks"]),
        ("/v1/campaign-statuses/OPEN", vec!["1 campaigns"]),
        ("/v1/items/DESK", vec!["1 price lines"]),
        (
            "/v1/interaction-templates/MAIL",
            vec!["1 segments", "1 logged segments", "2 interactions"],
        ),
        (
            "/v1/contacts/ACME",
            vec!["1 persons of the company", "1 segment lines", "1 audiences of active campaigns"],
        ),
        (
            "/v1/contacts/SOLO",
            vec![
                "1 segment lines",
                "2 open tasks",
                "1 opportunities",
                "1 logged targets of active campaigns",
                "1 audiences of active campaigns",
            ],
        ),
    ] {
        assert_eq!(dependents(&app, path).await, in_use(&expected), "{path}");
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn resources_without_dependents_can_be_deleted() {
    let app = app().await;
    // Interactions keep the resource until they are canceled, tasks and opportunities until they
    // are closed.
    app.delete("/v1/segments/NEXT").await.expect(204);
    let tasks = ids(&app, "/v1/tasks").await;
    for task in &tasks {
        app.patch(&format!("/v1/tasks/{task}"), &json!({"closed": true})).await.expect(200);
    }
    app.patch("/v1/opportunities/OP1", &json!({"state": "LOST"})).await.expect(200);
    assert_eq!(
        dependents(&app, "/v1/contacts/SOLO").await,
        in_use(&[
            "1 opportunities",
            "1 logged targets of active campaigns",
            "1 audiences of active campaigns"
        ])
    );
    app.delete("/v1/opportunities/OP1").await.expect(204);
    assert_eq!(dependents(&app, "/v1/contacts/ACME").await, in_use(&["1 persons of the company"]));
    app.delete("/v1/contacts/ANN").await.expect(204);
    app.delete("/v1/contacts/ACME").await.expect(204);
    app.post("/v1/campaigns/FAIR/deactivations", &json!({})).await.expect(201);
    app.delete("/v1/contacts/SOLO").await.expect(204);

    let left = in_use(&["1 uncanceled entries", "1 uncanceled single interactions"]);
    assert_eq!(dependents(&app, "/v1/campaigns/FAIR").await, left);
    let interactions = ids(&app, "/v1/interactions?filter=segmentNumber eq null").await;
    app.patch(&format!("/v1/interactions/{}", interactions[0]), &json!({"canceled": true}))
        .await
        .expect(200);
    app.patch("/v1/campaigns/FAIR/entries/DONE", &json!({"canceled": true})).await.expect(200);
    app.delete("/v1/campaigns/FAIR").await.expect(204);
    for path in [
        "/v1/items/DESK",
        "/v1/campaign-statuses/OPEN",
        "/v1/interaction-templates/MAIL",
        "/v1/teams/INNER",
        "/v1/salespeople/JO",
    ] {
        app.delete(path).await.expect(204);
    }
    for path in ["tasks", "opportunities", "interactions", "logged-segments", "segments", "prices"]
    {
        assert_eq!(
            app.get(&format!("/v1/{path}?count=true")).await.expect(200)["count"],
            0,
            "{path}"
        );
    }
}

#[actix_web::test]
async fn published_account_is_kept_with_manual_publishing() {
    let app = app().await;
    app.patch("/v1/campaigns/FAIR", &json!({"publishing": "MANUAL"})).await.expect(200);
    let solitary = json!({"number": "LONE", "type": "PERSON", "name": "Lone"});
    app.post("/v1/contacts", &solitary).await.expect(201);
    make::segment_line(&app, "NEXT", "LONE").await;
    let activations = "/v1/campaigns/FAIR/activations";
    app.post(activations, &json!({"acknowledge": ["*"]})).await.expect(201);
    // The segment no longer has the contact, but the campaign's prices still include it.
    app.delete("/v1/segments/NEXT/lines/LONE").await.expect(204);
    assert_eq!(
        dependents(&app, "/v1/contacts/LONE").await,
        in_use(&["1 audiences of active campaigns"])
    );
    app.post(activations, &json!({"acknowledge": ["*"]})).await.expect(201);
    app.delete("/v1/contacts/LONE").await.expect(204);
    // An objection removes the contact immediately, without a publication by hand.
    app.post("/v1/contacts", &solitary).await.expect(201);
    make::segment_line(&app, "NEXT", "LONE").await;
    app.post(activations, &json!({"acknowledge": ["*"]})).await.expect(201);
    app.delete("/v1/segments/NEXT/lines/LONE").await.expect(204);
    app.patch("/v1/contacts/LONE", &json!({"privacyBlocked": true})).await.expect(200);
    app.delete("/v1/contacts/LONE").await.expect(204);
}
