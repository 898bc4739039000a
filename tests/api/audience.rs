//! The audience of a campaign: in draft, as published, and the reasons.

use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make;

async fn app() -> TestApp {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    for (number, contact) in [
        ("ACME", json!({"type": "COMPANY", "name": "Acme"})),
        ("BOLT", json!({"type": "COMPANY", "name": "Bolt"})),
        ("ANN", json!({"type": "PERSON", "name": "Ann", "companyNumber": "ACME"})),
        ("ART", json!({"type": "PERSON", "name": "Art", "companyNumber": "ACME"})),
        ("SOLO", json!({"type": "PERSON", "name": "Solo"})),
    ] {
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    let campaign = json!({
        "number": "C", "startingDate": "2031-05-01", "endingDate": "2031-05-31",
        "publishing": "MANUAL"
    });
    app.post("/v1/campaigns", &campaign).await.expect(201);
    make::campaign_price(&app, "C", "DESK", "80").await;
    app.post(
        "/v1/segments",
        &json!({"number": "S", "campaignNumber": "C", "campaignTarget": true}),
    )
    .await
    .expect(201);
    app.post("/v1/segments", &json!({"number": "T", "campaignNumber": "C"})).await.expect(201);
    app
}

async fn line(app: &TestApp, segment: &str, contact: &str, target: Value) {
    let line = json!({"contactNumber": contact, "campaignTarget": target});
    app.put(&format!("/v1/segments/{segment}/lines/{contact}"), &line).await;
}

async fn accounts(app: &TestApp, query: &str) -> Vec<(String, bool, bool)> {
    let page = app.get(&format!("/v1/campaigns/C/audience{query}")).await.expect(200);
    let flag = |row: &Value, name: &str| row[name].as_bool().unwrap();
    let rows = page["value"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            (
                row["accountNumber"].as_str().unwrap().to_owned(),
                flag(row, "inDraft"),
                flag(row, "published"),
            )
        })
        .collect()
}

fn rows(expected: &[(&str, bool, bool)]) -> Vec<(String, bool, bool)> {
    expected
        .iter()
        .map(|(account, draft, published)| ((*account).to_owned(), *draft, *published))
        .collect()
}

#[actix_web::test]
async fn accounts_are_listed_in_draft_and_as_published() {
    let app = app().await;
    assert_eq!(accounts(&app, "").await, []);
    line(&app, "S", "ANN", Value::Null).await;
    line(&app, "S", "ART", Value::Null).await;
    line(&app, "S", "SOLO", Value::Null).await;
    line(&app, "T", "BOLT", Value::Null).await;
    assert_eq!(accounts(&app, "").await, rows(&[("ACME", true, false), ("SOLO", true, false)]));
    make::activate(&app, "C").await;
    line(&app, "T", "BOLT", json!(true)).await;
    app.delete("/v1/segments/S/lines/SOLO").await.expect(204);
    let all = rows(&[("ACME", true, true), ("BOLT", true, false), ("SOLO", false, true)]);
    assert_eq!(accounts(&app, "").await, all);
    assert_eq!(accounts(&app, "?filter=not%20published").await, all[1..2]);
    assert_eq!(accounts(&app, "?filter=published%20and%20not%20inDraft").await, all[2..]);
    let mut reversed = all.clone();
    reversed.reverse();
    assert_eq!(accounts(&app, "?orderby=accountNumber%20desc").await, reversed);
    // Page by page.
    for order in ["accountNumber", "published", "published%20desc"] {
        let mut found = Vec::new();
        let mut next = Some(format!("/v1/campaigns/C/audience?top=1&count=true&orderby={order}"));
        while let Some(path) = next {
            let page = app.get(&path).await.expect(200);
            assert_eq!(page["count"], 3);
            found.extend(
                page["value"].as_array().unwrap().iter().map(|row| row["name"].to_string()),
            );
            next = page["nextLink"].as_str().map(str::to_owned);
        }
        found.sort();
        assert_eq!(found, ["\"Acme\"", "\"Bolt\"", "\"Solo\""], "{order}");
    }
    assert_eq!(app.get("/v1/campaigns/NONE/audience").await.status, 404);
    assert_eq!(app.get("/v1/campaigns/C/audience?filter=name%20eq%20'x'").await.status, 400);
}

async fn membership(app: &TestApp, contact: &str) -> Value {
    app.get(&format!("/v1/campaigns/C/audience/{contact}")).await.expect(200)
}

fn text<'a>(reason: &'a Value, name: &str) -> &'a str {
    reason[name].as_str().unwrap()
}

fn verdicts(membership: &Value) -> Vec<(&str, &str, &str)> {
    let reasons = membership["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|r| (text(r, "contactNumber"), text(r, "segmentNumber"), text(r, "verdict")))
        .collect()
}

#[actix_web::test]
async fn any_contact_has_a_membership_explanation() {
    let app = app().await;
    line(&app, "S", "ANN", json!(false)).await;
    line(&app, "T", "ANN", Value::Null).await;
    let out = membership(&app, "ann").await;
    assert_eq!(
        (&out["accountNumber"], &out["inDraft"], &out["published"]),
        (&json!("ACME"), &json!(false), &json!(false))
    );
    assert_eq!(verdicts(&out), [("ANN", "S", "LINE_NO_TARGET"), ("ANN", "T", "SEGMENT_NO_TARGET")]);
    assert_eq!(out["reasons"][0]["detail"], "ANN stands on S, but the line is no target");

    line(&app, "T", "ART", json!(true)).await;
    let through_art = membership(&app, "ANN").await;
    assert_eq!(through_art["inDraft"], true);
    assert_eq!(
        verdicts(&through_art),
        [("ART", "T", "TARGET"), ("ANN", "S", "LINE_NO_TARGET"), ("ANN", "T", "SEGMENT_NO_TARGET")]
    );
    assert_eq!(verdicts(&membership(&app, "ACME").await), verdicts(&through_art));
    let published = make::activate(&app, "C").await;
    let inside = membership(&app, "ANN").await;
    assert_eq!(
        (&inside["published"], &inside["publishedVersion"]),
        (&json!(true), &published["version"])
    );

    for (flag, verdict) in
        [("excludeFromSegments", "EXCLUDED"), ("privacyBlocked", "PRIVACY_BLOCKED")]
    {
        app.patch("/v1/contacts/ART", &json!({flag: true})).await.expect(200);
        let left_out = membership(&app, "ART").await;
        assert_eq!(
            (left_out["inDraft"].clone(), verdicts(&left_out)[0]),
            (json!(false), ("ART", "T", verdict))
        );
        // With manual publishing, only objections take effect immediately.
        assert_eq!(left_out["published"], flag == "excludeFromSegments");
    }
    let nobody = membership(&app, "SOLO").await;
    assert_eq!(
        (&nobody["reasons"], &nobody["inDraft"], &nobody["accountNumber"]),
        (&json!([]), &json!(false), &json!("SOLO"))
    );
    line(&app, "S", "SOLO", Value::Null).await;
    assert_eq!(verdicts(&membership(&app, "SOLO").await), [("SOLO", "S", "TARGET")]);
    assert_eq!(app.get("/v1/campaigns/C/audience/NONE").await.status, 404);
    assert_eq!(app.get("/v1/campaigns/NONE/audience/SOLO").await.status, 404);
}

#[actix_web::test]
async fn logged_segments_are_reasons_too() {
    let app = app().await;
    app.put("/v1/salespeople/JO", &json!({})).await.expect(201);
    app.put("/v1/interaction-templates/MAIL", &json!({"description": "Mail"})).await.expect(201);
    line(&app, "S", "ANN", Value::Null).await;
    line(&app, "S", "ART", json!(false)).await;
    line(&app, "T", "ANN", Value::Null).await;
    app.patch(
        "/v1/segments/S",
        &json!({"salespersonCode": "JO", "interactionTemplateCode": "MAIL"}),
    )
    .await
    .expect(200);
    let line_id = app.get("/v1/segments/S/lines/ANN").await.expect(200)["id"].clone();
    app.post("/v1/segments/S/logs", &json!({})).await.expect(201);
    let inside = membership(&app, "ANN").await;
    assert_eq!(inside["inDraft"], true);
    let expected =
        [("ANN", "S", "TARGET"), ("ANN", "T", "SEGMENT_NO_TARGET"), ("ART", "S", "LINE_NO_TARGET")];
    assert_eq!(verdicts(&inside), expected);
    let reason = &inside["reasons"][0];
    assert_eq!(
        (
            &reason["logged"],
            &reason["lineId"],
            &reason["segmentCampaignTarget"],
            &reason["lineCampaignTarget"]
        ),
        (&json!(true), &line_id, &json!(true), &json!(true))
    );
    assert_eq!(reason["detail"], "ANN stands on the logged S, and the interaction is a target");
    assert_eq!(inside["reasons"][1]["logged"], false);
    // Single interactions add nobody to an audience, so they are no reasons.
    let single = json!({"contactNumber": "ANN", "campaignNumber": "C", "campaignTarget": true});
    app.post("/v1/interactions", &single).await.expect(201);
    assert_eq!(verdicts(&membership(&app, "ANN").await), expected);
    app.patch("/v1/contacts/ANN", &json!({"excludeFromSegments": true})).await.expect(200);
    assert_eq!(verdicts(&membership(&app, "ANN").await)[0], ("ANN", "S", "EXCLUDED"));
    app.patch("/v1/contacts/ANN", &json!({"excludeFromSegments": false})).await.expect(200);
    app.patch("/v1/logged-segments/S", &json!({"canceled": true})).await.expect(200);
    let outside = membership(&app, "ANN").await;
    assert_eq!(outside["inDraft"], false);
    let canceled = [
        ("ANN", "S", "CANCELED"),
        ("ANN", "T", "SEGMENT_NO_TARGET"),
        ("ART", "S", "LINE_NO_TARGET"),
    ];
    assert_eq!(verdicts(&outside), canceled);
    assert_eq!(
        outside["reasons"][0]["detail"],
        "ANN stands on the logged S, but the interaction is canceled"
    );
}
