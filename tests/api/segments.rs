//! Segments, and the campaigns that their changes affect.

use std::collections::BTreeSet;

use diesel_async::SimpleAsyncConnection;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, content};

const PATH: &str = "/v1/segments";

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

fn set(numbers: &[&str]) -> BTreeSet<String> {
    numbers.iter().map(|number| (*number).to_owned()).collect()
}

/// Returns a service with the campaigns A, B and C, the salesperson JO and the interaction template
/// MAIL.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.connection()
        .await
        .batch_execute(
            "INSERT INTO campaigns (id, number) SELECT gen_random_uuid(), number
                FROM unnest(ARRAY['A', 'B', 'C']) AS number;
             INSERT INTO salespeople (id, code) VALUES (gen_random_uuid(), 'JO');
             INSERT INTO interaction_templates (id, code) VALUES (gen_random_uuid(), 'MAIL')",
        )
        .await
        .unwrap();
    app
}

#[actix_web::test]
async fn segment_crud() {
    let app = app().await;
    let whole = json!({
        "number": "SM0001", "description": "Working places", "campaignNumber": "A",
        "campaignTarget": true,
        "campaignResponse": true, "salespersonCode": "JO", "subject": "Invitation",
        "interactionTemplateCode": "MAIL", "membership": "LIST", "filter": ""
    });
    let mut sent = whole.clone();
    sent.as_object_mut().unwrap().remove("number");
    let created = app.post(PATH, &sent).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/segments/SM0001"),
        "{created:?}"
    );
    let mut view = created.json();
    let id = view.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(content(view), whole);
    assert_eq!(app.get(&format!("{PATH}/{}", id.as_str().unwrap())).await.text, created.text);
    let path = format!("{PATH}/SM0001");
    let same =
        app.send(Method::PATCH, &path, &[("if-match", created.header("etag"))], Some("{}")).await;
    assert_eq!((same.status.as_u16(), &same.text), (200, &created.text));
    let replaced = app.send(Method::PUT, &path, &[("if-match", "*")], Some("{}")).await.json();
    let defaults = json!({
        "id": id, "number": "SM0001", "description": "", "campaignNumber": null,
        "campaignTarget": false,
        "campaignResponse": false, "salespersonCode": null, "subject": "",
        "interactionTemplateCode": null, "membership": "LIST", "filter": ""
    });
    assert_eq!(content(replaced), defaults);
    assert_eq!(app.send(Method::DELETE, &path, &[("if-match", "*")], None).await.status, 204);
    assert_eq!(app.get(&path).await.status, 404);
}

#[actix_web::test]
async fn references_must_exist() {
    let app = app().await;
    let refused = app
        .post(
            PATH,
            &json!({"campaignNumber": "X", "salespersonCode": "X", "interactionTemplateCode": "X"}),
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            422,
            pairs(&[
                ("/campaignNumber", "REFERENCE_NOT_FOUND"),
                ("/interactionTemplateCode", "REFERENCE_NOT_FOUND"),
                ("/salespersonCode", "REFERENCE_NOT_FOUND")
            ])
        )
    );
    let taken = json!({"number": "S1"});
    assert_eq!(app.post(PATH, &taken).await.status, 201);
    let refused = app.post(PATH, &taken).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (409, pairs(&[("/number", "ALREADY_EXISTS")]))
    );
}

#[actix_web::test]
async fn campaigns_before_and_after_a_change_are_noted() {
    let app = app().await;
    let path = format!("{PATH}/S1");
    let any = [("if-match", "*")];
    let put = async |headers: &[(&str, &str)], campaign: Value| {
        let body = json!({ "campaignNumber": campaign }).to_string();
        let reply = app.send(Method::PUT, &path, headers, Some(&body)).await;
        assert!(reply.status.is_success(), "{reply:?}");
        app.changed_keys().campaigns
    };
    assert_eq!(put(&[], json!(null)).await, set(&[]));
    assert_eq!(put(&any, json!("A")).await, set(&["A"]));
    assert_eq!(put(&any, json!("B")).await, set(&["A", "B"]));
    let patched = app.send(Method::PATCH, &path, &any, Some(r#"{"campaignTarget": true}"#)).await;
    assert_eq!((patched.status.as_u16(), app.changed_keys().campaigns), (200, set(&["B"])));
    let rows = json!({
        "rows": [{"number": "S1", "campaignNumber": "A"}, {"number": "S2", "campaignNumber": "C"}]
    });
    assert_eq!(app.post(&format!("{PATH}/batch"), &rows).await.status, 200);
    assert_eq!(app.changed_keys().campaigns, set(&["A", "B", "C"]));
    assert_eq!(put(&any, json!(null)).await, set(&["A"]));
    assert_eq!(put(&any, json!("B")).await, set(&["B"]));
    assert_eq!(app.send(Method::DELETE, &path, &any, None).await.status, 204);
    assert_eq!(app.changed_keys().campaigns, set(&["B"]));
}

#[actix_web::test]
async fn concurrently_created_segment_is_not_moved_unnoticed() {
    let app = app().await;
    let mut other = app.connection().await;
    other
        .batch_execute(
            "BEGIN; INSERT INTO segments (id, number, campaign_number) VALUES (gen_random_uuid(), 'S1', 'A')",
        )
        .await
        .unwrap();
    let body = json!({"rows": [{"number": "S1", "campaignNumber": "B"}]});
    let path = format!("{PATH}/batch");
    let (moved, ()) = tokio::join!(app.post(&path, &body), async {
        app.wait_for_blocked_statements(1).await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    // The row became a change of the segment that exists now.
    assert_eq!(moved.expect(200)["receipts"][0]["status"], 200);
    assert_eq!(app.changed_keys().campaigns, set(&["A", "B"]));
}

#[actix_web::test]
async fn every_field_filters_and_orders() {
    let app = app().await;
    let rows = json!([
        {"number": "S1", "campaignNumber": "A", "campaignTarget": true, "subject": "Spring"},
        {"number": "S2", "campaignNumber": "A", "salespersonCode": "JO", "campaignResponse": true},
        {"number": "S3", "description": "Third"},
    ]);
    assert_eq!(app.post(&format!("{PATH}/batch"), &json!({ "rows": rows })).await.status, 200);
    for (filter, expected) in [
        ("campaignNumber%20eq%20'a'", vec!["S1", "S2"]),
        ("campaignTarget%20or%20campaignResponse", vec!["S1", "S2"]),
        ("contains(subject,'spr')", vec!["S1"]),
        ("salespersonCode%20ne%20null", vec!["S2"]),
        ("startswith(description,'third')", vec!["S3"]),
    ] {
        let reply = app.get(&format!("{PATH}?filter={filter}")).await;
        let found: Vec<String> = reply.json()["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["number"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, expected, "{filter}");
    }
    for field in [
        "id",
        "number",
        "description",
        "campaignNumber",
        "campaignTarget",
        "campaignResponse",
        "salespersonCode",
        "subject",
        "interactionTemplateCode",
    ] {
        let first =
            app.get(&format!("{PATH}?top=2&count=true&orderby={field}%20desc")).await.json();
        let next = app.get(first["nextLink"].as_str().unwrap()).await.json();
        assert_eq!(
            (next["value"].as_array().unwrap().len(), &next["count"]),
            (1, &json!(3)),
            "{field}"
        );
    }
}
