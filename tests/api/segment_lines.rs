//! Segment lines: their effect on the campaign's audience, and concurrent changes.

use std::collections::BTreeSet;

use diesel_async::SimpleAsyncConnection;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make::{self, Campaign, activate};

const PATH: &str = "/v1/segments/S1/lines";

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

/// Returns the campaigns whose segment lines have changed.
fn targeted(app: &TestApp) -> BTreeSet<String> {
    let changed_keys = app.changed_keys();
    assert!(changed_keys.campaigns.is_empty(), "no more of the campaign changed than its targets");
    changed_keys.targets.into_keys().collect()
}

fn set(numbers: &[&str]) -> BTreeSet<String> {
    numbers.iter().map(|number| (*number).to_owned()).collect()
}

/// Returns a service with the campaigns A and B, the segments S1 (of A) and S2 (of none), and the
/// contacts N0001 to N2000.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.connection()
        .await
        .batch_execute(
            "INSERT INTO campaigns (id, number)
                 VALUES (gen_random_uuid(), 'A'), (gen_random_uuid(), 'B');
             INSERT INTO segments (id, number, campaign_number)
                 VALUES (gen_random_uuid(), 'S1', 'A'), (gen_random_uuid(), 'S2', NULL);
             INSERT INTO contacts (id, number, type, name)
                 SELECT gen_random_uuid(), 'N' || lpad(n::text, 4, '0'), 'PERSON', 'P'
                     FROM generate_series(1, 2000) AS n",
        )
        .await
        .unwrap();
    app
}

#[actix_web::test]
async fn segment_line_crud() {
    let app = app().await;
    let whole =
        json!({"contactNumber": "N0001", "campaignTarget": false, "campaignResponse": true});
    let created = app.post(PATH, &whole).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/segments/S1/lines/N0001"),
        "{created:?}"
    );
    assert_eq!(targeted(&app), set(&["A"]));
    let mut view = created.json();
    let id = view.as_object_mut().unwrap().remove("id").unwrap();
    let mut expected = whole.clone();
    expected["target"] = "CONTACT".into();
    expected["accountNumber"] = Value::Null;
    assert_eq!(view, expected);
    let segment = app.get("/v1/segments/S1").await.json()["id"].clone();
    let by_ids =
        format!("/v1/segments/{}/lines/{}", segment.as_str().unwrap(), id.as_str().unwrap());
    assert_eq!(app.get(&by_ids).await.text, created.text);

    let path = format!("{PATH}/n0001");
    let same =
        app.send(Method::PATCH, &path, &[("if-match", created.header("etag"))], Some("{}")).await;
    assert_eq!((same.status.as_u16(), &same.text), (200, &created.text));
    let patch = r#"{"campaignTarget": true, "campaignResponse": null}"#;
    let patched = app.send(Method::PATCH, &path, &[("if-match", "*")], Some(patch)).await.json();
    assert_eq!(
        (&patched["campaignTarget"], &patched["campaignResponse"]),
        (&json!(true), &json!(null))
    );
    let other = app
        .send(Method::PATCH, &path, &[("if-match", "*")], Some(r#"{"contactNumber": "N0002"}"#))
        .await;
    assert_eq!(other.errors(), pairs(&[("/contactNumber", "IMMUTABLE")]));
    let put = app.send(Method::PUT, &path, &[("if-match", "*")], Some("{}")).await;
    assert_eq!((&put.json()["campaignTarget"], &put.json()["id"]), (&json!(null), &id));
    app.changed_keys();
    assert_eq!(app.send(Method::DELETE, &path, &[("if-match", "*")], None).await.status, 204);
    assert_eq!(targeted(&app), set(&["A"]));
    assert_eq!(app.get(&path).await.status, 404);
    let put = app.send(Method::PUT, &path, &[], Some("{}")).await;
    assert_eq!((put.status.as_u16(), &put.json()["contactNumber"]), (201, &json!("N0001")));
}

#[actix_web::test]
async fn line_belongs_to_its_segment_alone() {
    let app = app().await;
    let line = json!({"contactNumber": "N0001"});
    let created = app.post(PATH, &line).await;
    assert_eq!(app.post("/v1/segments/S2/lines", &line).await.status, 201);
    assert_eq!(targeted(&app), set(&["A"]), "the second has no campaign and touches nothing");
    let elsewhere = format!("/v1/segments/S2/lines/{}", created.json()["id"].as_str().unwrap());
    assert_eq!(app.get(&elsewhere).await.status, 404);
    assert_eq!(app.send(Method::DELETE, &elsewhere, &[("if-match", "*")], None).await.status, 404);
    assert_eq!(
        app.send(Method::DELETE, "/v1/segments/S2/lines/N0001", &[("if-match", "*")], None)
            .await
            .status,
        204
    );
    assert_eq!(app.get(&format!("{PATH}?count=true")).await.json()["count"], 1);
    assert_eq!(
        app.send(Method::DELETE, "/v1/segments/S1", &[("if-match", "*")], None).await.status,
        204
    );
    assert_eq!(app.get(PATH).await.code(), "NOT_FOUND");
    assert_eq!(app.get("/v1/segments/A%20B/lines").await.code(), "NOT_FOUND");
    assert_eq!(app.post(PATH, &line).await.code(), "NOT_FOUND");
}

#[actix_web::test]
async fn contact_must_exist_and_is_unique() {
    let app = app().await;
    let refused = app.post(PATH, &json!({"contactNumber": "X"})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/contactNumber", "REFERENCE_NOT_FOUND")]))
    );
    assert_eq!(app.post(PATH, &json!({})).await.errors(), pairs(&[("/contactNumber", "REQUIRED")]));
    let wrong = app.post(PATH, &json!({"contactNumber": "N0001", "campaignTarget": "yes"})).await;
    assert_eq!(wrong.errors(), pairs(&[("/campaignTarget", "INVALID_TYPE")]));
    let line = json!({"contactNumber": "N0001"});
    assert_eq!(app.post(PATH, &line).await.status, 201);
    let taken = app.post(PATH, &line).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/contactNumber", "ALREADY_EXISTS")]))
    );
}

#[actix_web::test]
async fn batch_of_a_thousand_lines() {
    let app = app().await;
    let rows: Vec<Value> =
        (1..=1_000).map(|n| json!({"contactNumber": format!("N{n:04}")})).collect();
    let path = format!("{PATH}/batch");
    for status in [201, 200] {
        let reply = app.post(&path, &json!({ "rows": rows })).await;
        let receipts = reply.json()["receipts"].clone();
        assert!(
            receipts.as_array().unwrap().iter().all(|receipt| receipt["status"] == status),
            "{receipts}"
        );
    }
    assert_eq!(targeted(&app), set(&["A"]));
    let wrong = json!({
        "rows": [{"contactNumber": "N1001"}, {"contactNumber": "X"}, {"contactNumber": "n1001"}]
    });
    assert_eq!(
        app.post(&path, &wrong).await.errors(),
        pairs(&[
            ("/rows/1/contactNumber", "REFERENCE_NOT_FOUND"),
            ("/rows/2/contactNumber", "DUPLICATE")
        ])
    );
    let first = app
        .get(&format!("{PATH}?top=600&count=true&filter=campaignTarget%20eq%20null"))
        .await
        .json();
    assert_eq!(
        (&first["count"], &first["value"][599]["contactNumber"]),
        (&json!(1_000), &json!("N0600"))
    );
    let next = app.get(first["nextLink"].as_str().unwrap()).await.json();
    assert_eq!(next["value"].as_array().unwrap().len(), 400);
    for field in ["id", "contactNumber", "campaignTarget", "campaignResponse"] {
        let first = app.get(&format!("{PATH}?top=700&orderby={field}%20desc")).await.json();
        let next = app.get(first["nextLink"].as_str().unwrap()).await.json();
        assert_eq!(next["value"].as_array().unwrap().len(), 300, "{field}");
    }
}

#[actix_web::test]
async fn line_counts_for_the_campaign_of_a_concurrently_moved_segment() {
    let app = app().await;
    let mut other = app.connection().await;
    other
        .batch_execute("BEGIN; UPDATE segments SET campaign_number = 'B' WHERE number = 'S1'")
        .await
        .unwrap();
    let line = json!({"contactNumber": "N0001"});
    let (created, ()) = tokio::join!(app.post(PATH, &line), async {
        app.wait_for_blocked_statements(1).await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!((created.status.as_u16(), targeted(&app)), (201, set(&["B"])));

    other.batch_execute("BEGIN; DELETE FROM segments WHERE number = 'S1'").await.unwrap();
    let path = format!("{PATH}/N0001");
    let (refused, ()) =
        tokio::join!(app.send(Method::DELETE, &path, &[("if-match", "*")], None), async {
            app.wait_for_blocked_statements(1).await;
            other.batch_execute("COMMIT").await.unwrap();
        });
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (404, "NOT_FOUND"));
}

#[actix_web::test]
async fn lines_are_added_concurrently() {
    let app = app().await;
    let mut other = app.connection().await;
    other.batch_execute("BEGIN; SELECT FROM segments WHERE number = 'S1' FOR SHARE").await.unwrap();
    assert_eq!(app.post(PATH, &json!({"contactNumber": "N0001"})).await.status, 201);
    other.batch_execute("COMMIT").await.unwrap();
}

/// An active campaign with ANNE of ACME on its segment, and the account of her line.
async fn targeting_account(line: Value) -> TestApp {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    for company in ["ACME", "BOLT"] {
        make::company(&app, company).await;
    }
    make::person(&app, "ANNE", "ACME").await;
    make::person(&app, "BERT", "BOLT").await;
    let campaign =
        Campaign { contacts: &["BERT"], prices: &[("DESK", "80")], ..Campaign::default() };
    campaign.create(&app).await;
    app.put("/v1/segments/FAIR/lines/ANNE", &line).await.expect(201);
    activate(&app, "SPRING").await;
    app
}

async fn prices(app: &TestApp) -> [Value; 2] {
    let mut found = Vec::new();
    for company in ["ACME", "BOLT"] {
        let query = format!("contactNumber={company}&itemNumber=DESK&date=2031-05-15");
        let quote = app.get(&format!("/v1/price-quotes?{query}")).await.expect(200);
        found.push(quote["lines"][0]["unitPrice"].clone());
    }
    found.try_into().unwrap()
}

#[actix_web::test]
async fn a_line_that_targets_an_account_keeps_it() {
    let line = "/v1/segments/FAIR/lines/ANNE";
    let app = targeting_account(json!({"target": "ACCOUNT"})).await;
    let created = app.get(line).await.expect(200);
    assert_eq!(
        (&created["target"], &created["accountNumber"]),
        (&json!("ACCOUNT"), &json!("ACME"))
    );
    app.delete("/v1/segments/FAIR/lines/BERT").await.expect(204);
    assert_eq!(prices(&app).await, ["80", "100"]);
    // The person moves, and objects.
    let moved = app.patch("/v1/contacts/ANNE", &json!({"companyNumber": "BOLT"})).await.expect(200);
    assert_eq!(moved.get("warnings"), None, "{moved}");
    assert_eq!(prices(&app).await, ["80", "100"]);
    app.patch("/v1/contacts/ANNE", &json!({"privacyBlocked": true})).await.expect(200);
    app.patch(line, &json!({"campaignResponse": true})).await.expect(200);
    assert_eq!(prices(&app).await, ["80", "100"]);
    // The company is on the segment as long as the line is.
    let kept = app.delete("/v1/contacts/ACME").await;
    assert_eq!((kept.status.as_u16(), kept.code()), (409, "IN_USE".to_owned()));
    // An objection of the account counts.
    app.patch("/v1/contacts/ACME", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(prices(&app).await, ["100", "100"]);
    app.patch("/v1/contacts/ACME", &json!({"privacyBlocked": false})).await.expect(200);
    assert_eq!(prices(&app).await, ["80", "100"]);
    // Logging keeps the account.
    for (path, body) in [
        ("/v1/interaction-templates/MAIL", json!({"description": "Letter"})),
        ("/v1/salespeople/JO", json!({})),
    ] {
        app.put(path, &body).await.expect(201);
    }
    app.patch("/v1/contacts/ANNE", &json!({"privacyBlocked": false})).await.expect(200);
    let template = json!({"interactionTemplateCode": "MAIL", "salespersonCode": "JO"});
    app.patch("/v1/segments/FAIR", &template).await.expect(200);
    app.post("/v1/segments/FAIR/logs", &json!({})).await.expect(201);
    assert_eq!(prices(&app).await, ["80", "100"]);
    let membership = app.get("/v1/campaigns/SPRING/audience/ACME").await.expect(200);
    assert_eq!((&membership["inDraft"], &membership["published"]), (&json!(true), &json!(true)));
}

#[actix_web::test]
async fn a_line_that_targets_a_contact_follows_it() {
    let line = "/v1/segments/FAIR/lines/ANNE";
    let app = targeting_account(json!({})).await;
    let created = app.get(line).await.expect(200);
    assert_eq!((&created["target"], &created["accountNumber"]), (&json!("CONTACT"), &Value::Null));
    app.delete("/v1/segments/FAIR/lines/BERT").await.expect(204);
    assert_eq!(prices(&app).await, ["80", "100"]);
    app.patch("/v1/contacts/ANNE", &json!({"companyNumber": "BOLT"})).await.expect(200);
    assert_eq!(prices(&app).await, ["100", "80"]);
    // The account is that of the time when the line gets the target.
    let changed = app.patch(line, &json!({"target": "ACCOUNT"})).await.expect(200);
    assert_eq!(changed["accountNumber"], "BOLT");
    app.patch("/v1/contacts/ANNE", &json!({"companyNumber": "ACME"})).await.expect(200);
    assert_eq!(prices(&app).await, ["100", "80"]);
    let rows = json!({"rows": [{"contactNumber": "ANNE", "target": "ACCOUNT"}]});
    app.post("/v1/segments/FAIR/lines/batch", &rows).await.expect(200);
    assert_eq!(app.get(line).await.expect(200)["accountNumber"], "BOLT");
    app.patch(line, &json!({"target": null})).await.expect(200);
    assert_eq!(prices(&app).await, ["80", "100"]);
    let wrong = app.patch(line, &json!({"target": "COMPANY"})).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.errors()),
        (400, pairs(&[("/target", "INVALID_VALUE")]))
    );
}

#[actix_web::test]
async fn criteria_restore_the_account_of_a_line() {
    let app = targeting_account(json!({"target": "ACCOUNT"})).await;
    let before = app.get("/v1/segments/FAIR/lines/ANNE").await.expect(200);
    app.patch("/v1/contacts/ANNE", &json!({"companyNumber": "BOLT"})).await.expect(200);
    let reduce = json!({"action": "REDUCE", "filter": "number eq 'ANNE'"});
    app.post("/v1/segments/FAIR/criteria-actions", &reduce).await.expect(201);
    assert_eq!(prices(&app).await, ["100", "80"]);
    app.delete("/v1/segments/FAIR/criteria-actions/latest").await.expect(204);
    assert_eq!(app.get("/v1/segments/FAIR/lines/ANNE").await.expect(200), before);
    assert_eq!(prices(&app).await, ["80", "80"]);
}
