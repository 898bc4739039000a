//! Responses show the state after the publication that a change makes; derived fields do not stand
//! in the way of edits; a status can hold the publication of changes.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::make::{self, Campaign, activate, campaign_price};

const CAMPAIGN: &str = "/v1/campaigns/SPRING";

/// An app with an active campaign, its statuses, and one customer who has its price.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    for status in [
        json!({"code": "PLANNED", "sequence": 1}),
        json!({"code": "RUNNING", "sequence": 2}),
        json!({"code": "FROZEN", "sequence": 3, "allowsActivation": false}),
        json!({"code": "DONE", "sequence": 4, "isFinal": true}),
    ] {
        app.post("/v1/campaign-statuses", &status).await.expect(201);
    }
    make::item(&app, "DESK", "100").await;
    make::item(&app, "LAMP", "50").await;
    make::customer(&app, "ACME", "D1").await;
    make::customer(&app, "BOLT", "D2").await;
    let campaign =
        Campaign { contacts: &["ACME"], prices: &[("DESK", "80")], ..Campaign::default() };
    campaign.create(&app).await;
    activate(&app, "SPRING").await;
    app
}

async fn changed(app: &TestApp, method: Method, path: &str, tag: &str, body: &Value) -> Reply {
    app.send(method, path, &[("if-match", tag)], Some(&body.to_string())).await
}

async fn price(app: &TestApp, contact: &str, item: &str) -> Value {
    let query = format!("contactNumber={contact}&itemNumber={item}&date=2031-05-15");
    let quote = app.get(&format!("/v1/price-quotes?{query}")).await.expect(200);
    quote["lines"][0]["unitPrice"].clone()
}

#[actix_web::test]
async fn patch_and_put_return_the_published_state() {
    let app = app().await;
    let mut tag = app.get(CAMPAIGN).await.header("etag").to_owned();
    for (method, body) in [
        (Method::PATCH, json!({"endingDate": "2031-06-30"})),
        (Method::PUT, json!({"startingDate": "2031-05-02", "endingDate": "2031-06-29"})),
        (Method::PATCH, json!({"description": "No publication"})),
        (Method::PATCH, json!({"endingDate": "2031-06-28"})),
    ] {
        let reply = changed(&app, method, CAMPAIGN, &tag, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let now = app.get(CAMPAIGN).await;
        assert_eq!(
            (reply.json(), reply.header("etag")),
            (now.json(), now.header("etag")),
            "{body}"
        );
        let body = reply.json();
        assert_eq!(body["publishedEndingDate"], body["endingDate"]);
        let version = reply.header("publication-version");
        assert!(
            version.is_empty() || body["publicationVersion"] == version.parse::<i64>().unwrap()
        );
        tag = reply.header("etag").to_owned();
    }
    // The tag of the content before is stale.
    let stale = changed(&app, Method::PATCH, CAMPAIGN, "\"x\"", &json!({})).await;
    assert_eq!((stale.status.as_u16(), stale.header("etag")), (412, tag.as_str()));
    // The response is stored under its idempotency key in this state.
    let send = async || {
        let headers = [("if-match", "*"), ("idempotency-key", "k")];
        app.send(Method::PATCH, CAMPAIGN, &headers, Some(r#"{"endingDate": "2031-06-20"}"#)).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((&first.text, again.header("idempotency-replayed")), (&again.text, "true"));
    assert_eq!(first.json()["publishedEndingDate"], "2031-06-20");
}

#[actix_web::test]
async fn a_refused_publication_changes_nothing() {
    let app = app().await;
    let before = app.get(CAMPAIGN).await;
    let refused = changed(&app, Method::PATCH, CAMPAIGN, "*", &json!({"startingDate": null})).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "ACTIVATION_REFUSED".to_owned()));
    let after = app.get(CAMPAIGN).await;
    assert_eq!((after.json(), after.header("etag")), (before.json(), before.header("etag")));
}

#[actix_web::test]
async fn derived_fields_do_not_refuse_an_edit() {
    let app = app().await;
    let before = app.get(CAMPAIGN).await;
    let tag = before.header("etag").to_owned();
    let line = campaign_price(&app, "SPRING", "LAMP", "40").await;
    make::segment_line(&app, "FAIR", "BOLT").await;
    app.patch("/v1/campaign-statuses/PLANNED", &json!({"description": "New"})).await.expect(200);
    let after = app.get(CAMPAIGN).await;
    assert_ne!(after.json()["publicationVersion"], before.json()["publicationVersion"]);
    // A cache sees the change, a condition does not.
    let cached = app.send(Method::GET, CAMPAIGN, &[("if-none-match", &tag)], None).await;
    assert_eq!(cached.status, 200);
    let listed = app.get("/v1/campaigns").await.expect(200);
    assert_eq!(listed["value"][0]["etag"], after.header("etag"));
    let body = json!({"description": "Edited in the meantime"});
    let edited = changed(&app, Method::PATCH, CAMPAIGN, &tag, &body).await;
    assert_eq!(edited.status, 200, "{edited:?}");
    // Content that was edited does refuse.
    let body = json!({"description": "Edited again"});
    let refused = changed(&app, Method::PATCH, CAMPAIGN, &tag, &body).await;
    assert_eq!(refused.code(), "PRECONDITION_FAILED");
    assert_eq!(changed(&app, Method::PUT, CAMPAIGN, &tag, &json!({})).await.status, 412);
    let refused = app.send(Method::DELETE, CAMPAIGN, &[("if-match", &tag)], None).await;
    assert_eq!(refused.status, 412, "{refused:?}");
    // A line has no derived fields: its own tag changes with every edit of it.
    let path = format!("{CAMPAIGN}/prices/{}", line["id"].as_str().unwrap());
    let line_tag = app.get(&path).await.header("etag").to_owned();
    let body = json!({"unitPrice": "41"});
    assert_eq!(changed(&app, Method::PATCH, &path, &line_tag, &body).await.status, 200);
    assert_eq!(changed(&app, Method::PATCH, &path, &line_tag, &body).await.status, 412);
}

#[actix_web::test]
async fn a_status_holds_changes_until_another_publishes_them() {
    for status in ["FROZEN", "DONE"] {
        let app = app().await;
        let version = app.get(CAMPAIGN).await.expect(200)["publicationVersion"].clone();
        app.patch(CAMPAIGN, &json!({"statusCode": "RUNNING"})).await.expect(200);
        let moved = app.patch(CAMPAIGN, &json!({"statusCode": status})).await.expect(200);
        assert_eq!(moved["hasUnpublishedChanges"], false, "{moved}");
        assert_eq!(moved.get("warnings"), None, "{moved}");

        let line = json!({"itemNumber": "LAMP", "unitPrice": "40"});
        let created = app.post(&format!("{CAMPAIGN}/prices"), &line).await;
        assert_eq!(created.header("publication-version"), "", "{created:?}");
        let warning = created.json()["warnings"][0].clone();
        assert_eq!(
            (&warning["code"], &warning["params"]),
            (
                &json!("STATUS_HOLDS_CHANGES"),
                &json!({"campaignNumber": "SPRING", "statusCode": status})
            )
        );
        make::segment_line(&app, "FAIR", "BOLT").await;
        let changed = app.patch(CAMPAIGN, &json!({"endingDate": "2031-05-20"})).await.expect(200);
        assert_eq!(
            (&changed["hasUnpublishedChanges"], &changed["publishedEndingDate"]),
            (&json!(true), &json!("2031-05-31"))
        );
        assert_eq!(changed["publicationVersion"], version);
        // The published prices stay in force.
        assert_eq!(price(&app, "ACME", "DESK").await, "80");
        assert_eq!(price(&app, "ACME", "LAMP").await, "50");
        assert_eq!(price(&app, "BOLT", "DESK").await, "100");

        // A status that permits it publishes all that waited.
        let moves = format!("{CAMPAIGN}/status-changes");
        let moved = app.post(&moves, &json!({"statusCode": "RUNNING"})).await;
        assert_eq!(moved.status, 201, "{moved:?}");
        assert_ne!(moved.header("publication-version"), "");
        let published = app.get(CAMPAIGN).await.expect(200);
        assert_eq!(
            (&published["hasUnpublishedChanges"], &published["publishedEndingDate"]),
            (&json!(false), &json!("2031-05-20"))
        );
        assert_eq!(price(&app, "ACME", "LAMP").await, "40");
        assert_eq!(price(&app, "BOLT", "DESK").await, "80");
    }
}

#[actix_web::test]
async fn an_objection_and_a_deactivation_do_not_wait_for_a_status() {
    let app = app().await;
    make::segment_line(&app, "FAIR", "BOLT").await;
    app.patch(CAMPAIGN, &json!({"statusCode": "DONE"})).await.expect(200);
    app.patch("/v1/contacts/ACME", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(price(&app, "ACME", "DESK").await, "100");
    assert_eq!(price(&app, "BOLT", "DESK").await, "80");
    app.patch("/v1/contacts/BOLT", &json!({"excludeFromSegments": true})).await.expect(200);
    assert_eq!(price(&app, "BOLT", "DESK").await, "80");
    assert_eq!(app.get(CAMPAIGN).await.expect(200)["hasUnpublishedChanges"], true);
    app.post(&format!("{CAMPAIGN}/deactivations"), &json!({})).await.expect(201);
    assert_eq!(price(&app, "BOLT", "DESK").await, "100");
}

#[actix_web::test]
async fn a_status_that_is_opened_again_lets_the_next_change_publish_all() {
    let app = app().await;
    app.patch(CAMPAIGN, &json!({"statusCode": "FROZEN"})).await.expect(200);
    campaign_price(&app, "SPRING", "LAMP", "40").await;
    app.patch("/v1/campaign-statuses/FROZEN", &json!({"allowsActivation": true})).await.expect(200);
    assert_eq!(price(&app, "ACME", "LAMP").await, "50");
    make::segment_line(&app, "FAIR", "BOLT").await;
    assert_eq!(price(&app, "ACME", "LAMP").await, "40");
    assert_eq!(price(&app, "BOLT", "DESK").await, "80");
    assert_eq!(app.get(CAMPAIGN).await.expect(200)["hasUnpublishedChanges"], false);
}
