//! Rollbacks to an earlier publication of a campaign, comparisons of versions, and copies that
//! follow the price changes.

use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make::{self, Campaign};

async fn price(app: &TestApp, contact: &str) -> Value {
    let path = format!("/v1/price-quotes?contactNumber={contact}&itemNumber=DESK&date=2031-05-10");
    app.get(&path).await.expect(200)["lines"][0]["unitPrice"].clone()
}

/// Returns a campaign for ACME and BOLT with the versions of its two publications, at 80 and then
/// at 70.
async fn app() -> (TestApp, i64, i64) {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    for contact in ["ACME", "BOLT", "CORE"] {
        make::company(&app, contact).await;
    }
    let campaign =
        Campaign { number: "C", segment: "S", contacts: &["ACME", "BOLT"], ..Campaign::default() };
    campaign.create(&app).await;
    let line = make::campaign_price(&app, "C", "DESK", "80").await;
    let first = app.post("/v1/campaigns/C/activations", &json!({})).await.expect(201);
    let path = format!("/v1/campaigns/C/prices/{}", line["id"].as_str().unwrap());
    let second = app.patch(&path, &json!({"unitPrice": "70"})).await;
    let second = second.header("publication-version").parse().unwrap();
    (app, first["version"].as_i64().unwrap(), second)
}

#[actix_web::test]
async fn rollback_restores_a_publication_and_suspends_the_drafts() {
    let (app, first, second) = app().await;
    assert_eq!(price(&app, "ACME").await, "70");
    let back =
        app.post("/v1/campaigns/C/rollbacks", &json!({ "version": first })).await.expect(201);
    assert_eq!((&back["kind"], &back["restoredVersion"]), (&json!("ROLLBACK"), &json!(first)));
    assert_eq!(
        (&back["version"], &back["hasUnpublishedChanges"]),
        (&json!(second + 1), &json!(true))
    );
    assert_eq!(price(&app, "ACME").await, "80");
    let campaign = app.get("/v1/campaigns/C").await.expect(200);
    assert_eq!(
        (&campaign["publishing"], &campaign["hasUnpublishedChanges"]),
        (&json!("MANUAL"), &json!(true))
    );
    let history = app.get("/v1/campaigns/C/activation-history").await.expect(200);
    assert_eq!(
        (&history["value"][0]["event"], &history["value"][0]["words"]),
        (&json!("ROLLBACK"), &json!("rolled back: 1 line changed"))
    );
    let path = "/v1/campaigns/C/activation-history?filter=event%20eq%20'ROLLBACK'&count=true";
    assert_eq!(app.get(path).await.expect(200)["count"], 1);
    // A change of the drafts does not undo the rollback.
    make::segment_line(&app, "S", "CORE").await;
    assert_eq!((price(&app, "ACME").await, price(&app, "CORE").await), (json!("80"), json!("100")));
    // The same rollback again changes nothing.
    let again =
        app.post("/v1/campaigns/C/rollbacks", &json!({ "version": first })).await.expect(200);
    assert_eq!(again["version"], second + 1);
    // The next activation publishes the drafts.
    app.post("/v1/campaigns/C/activations", &json!({})).await.expect(201);
    assert_eq!((price(&app, "ACME").await, price(&app, "CORE").await), (json!("70"), json!("70")));
    assert_eq!(app.get("/v1/campaigns/C").await.json()["hasUnpublishedChanges"], false);
}

#[actix_web::test]
async fn deactivated_campaign_can_be_restored() {
    let (app, _, second) = app().await;
    let gone = app.post("/v1/campaigns/C/deactivations", &json!({})).await.expect(201);
    assert_eq!(price(&app, "BOLT").await, "100");
    let back =
        app.post("/v1/campaigns/C/rollbacks", &json!({ "version": second })).await.expect(201);
    assert_eq!((&back["hasUnpublishedChanges"], &back["added"]), (&json!(false), &json!(4)));
    assert_eq!(price(&app, "BOLT").await, "70");
    let campaign = app.get("/v1/campaigns/C").await.expect(200);
    assert_eq!(
        (&campaign["publishing"], &campaign["state"]),
        (&json!("AUTOMATIC"), &json!("SCHEDULED"))
    );
    // At the version of the deactivation there is nothing to restore.
    let refused =
        app.post("/v1/campaigns/C/rollbacks", &json!({ "version": gone["version"] })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs("/version", "REFERENCE_NOT_FOUND"))
    );
}

fn pairs(pointer: &str, code: &str) -> Vec<(String, String)> {
    vec![(pointer.to_owned(), code.to_owned())]
}

#[actix_web::test]
async fn blocked_and_deleted_contacts_are_not_restored() {
    let (app, first, _) = app().await;
    app.patch("/v1/contacts/ACME", &json!({"privacyBlocked": true})).await.expect(200);
    app.delete("/v1/segments/S/lines/BOLT").await.expect(204);
    app.delete("/v1/contacts/BOLT").await.expect(204);
    let back =
        app.post("/v1/campaigns/C/rollbacks", &json!({ "version": first })).await.expect(201);
    assert_eq!(back["accountsLeftOut"], 2);
    assert_eq!(price(&app, "ACME").await, "100");
    // Another contact of the account is targeted and not blocked, so the account is included.
    app.patch("/v1/contacts/ACME", &json!({"privacyBlocked": false})).await.expect(200);
    let back =
        app.post("/v1/campaigns/C/rollbacks", &json!({ "version": first })).await.expect(201);
    assert_eq!(back["accountsLeftOut"], 1);
    assert_eq!(price(&app, "ACME").await, "80");
}

#[actix_web::test]
async fn only_publications_of_the_campaign_can_be_restored() {
    let (app, first, _) = app().await;
    app.put("/v1/campaigns/D", &json!({"startingDate": "2031-05-01"})).await.expect(201);
    for version in [1, first, 999_999] {
        let refused = app.post("/v1/campaigns/D/rollbacks", &json!({ "version": version })).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (422, pairs("/version", "REFERENCE_NOT_FOUND"))
        );
    }
    assert_eq!(app.post("/v1/campaigns/NONE/rollbacks", &json!({"version": 1})).await.status, 404);
    for body in [
        json!({}),
        json!({"version": "1"}),
        json!({"version": -1}),
        json!({"version": 1, "verson": 1}),
    ] {
        assert_eq!(app.post("/v1/campaigns/C/rollbacks", &body).await.status, 400, "{body}");
    }
    // A line that belongs to another campaign by now.
    let line = app.get("/v1/campaigns/C/prices").await.json()["value"][0]["id"].clone();
    let moved = json!({"source": {"type": "CAMPAIGN", "campaignNumber": "D"}});
    app.patch(&format!("/v1/prices/{}", line.as_str().unwrap()), &moved).await.expect(200);
    make::target_segment(&app, "T", "D").await;
    make::segment_line(&app, "T", "CORE").await;
    make::activate(&app, "D").await;
    let refused = app.post("/v1/campaigns/C/rollbacks", &json!({ "version": first })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs("/version", "NOT_ALLOWED"))
    );
    assert!(refused.text.contains(line.as_str().unwrap()), "{refused:?}");
}

#[actix_web::test]
async fn versions_are_compared_in_both_directions() {
    let (app, first, second) = app().await;
    let one =
        app.get(&format!("/v1/publications/compare?from={first}&to={second}")).await.expect(200);
    let row = &one["value"][0];
    assert_eq!((one["value"].as_array().unwrap().len(), &row["change"]), (1, &json!("CHANGED")));
    assert_eq!(
        (&row["before"]["unitPrice"], &row["after"]["unitPrice"]),
        (&json!("80"), &json!("70"))
    );
    let other =
        app.get(&format!("/v1/publications/compare?from={second}&to={first}")).await.expect(200);
    let row = &other["value"][0];
    assert_eq!(
        (&row["before"]["unitPrice"], &row["after"]["unitPrice"]),
        (&json!("70"), &json!("80"))
    );
    let all = app
        .get(&format!("/v1/publications/compare?from=0&to={first}&filter=kind%20eq%20'ACCOUNT'"))
        .await;
    let accounts: Vec<_> =
        all.json()["value"].as_array().unwrap().iter().map(|row| row["key"].clone()).collect();
    assert_eq!(accounts, ["ACME", "BOLT"]);
    let none =
        app.get(&format!("/v1/publications/compare?from={first}&to={first}")).await.expect(200);
    assert_eq!(none["value"], json!([]));
    // All errors are reported together.
    let refused = app.get("/v1/publications/compare").await;
    let required = |name: &str| (format!("?{name}"), "REQUIRED".to_owned());
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, vec![required("from"), required("to")])
    );
    let refused = app.get("/v1/publications/compare?from=-1&to=x").await;
    let wrong = |name: &str| (format!("?{name}"), "INVALID_TYPE".to_owned());
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, vec![wrong("from"), wrong("to")])
    );
    let refused = app.get("/v1/publications/compare?from=1&to=99999").await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs("?to", "REFERENCE_NOT_FOUND"))
    );
}

#[actix_web::test]
async fn price_changes_include_moved_dates() {
    let (app, _, second) = app().await;
    let none = app.get(&format!("/v1/price-changes?since={second}")).await.expect(200);
    assert_eq!((&none["value"], &none["throughVersion"]), (&json!([]), &json!(second)));
    app.patch("/v1/campaigns/C", &json!({"endingDate": "2031-06-15"})).await.expect(200);
    let moved = app.get(&format!("/v1/price-changes?since={second}&count=true")).await.expect(200);
    assert_eq!((&moved["throughVersion"], &moved["count"]), (&json!(second + 1), &json!(2)));
    let rows: Vec<_> = moved["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["kind"], &row["endingDate"]))
        .collect();
    let ends = json!("2031-06-15");
    assert_eq!(rows, [(&json!("CAMPAIGN"), &ends), (&json!("PRICE_LINE"), &ends)]);
    let refused = app.get("/v1/price-changes?since=99999").await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs("?since", "REFERENCE_NOT_FOUND"))
    );
    let refused = app.get("/v1/price-changes").await;
    assert_eq!((refused.status.as_u16(), refused.errors()), (400, pairs("?since", "REQUIRED")));
}
