//! Opportunities.

use std::sync::Arc;

use kampanje::platform::clock::Calendar;
use kampanje::unit_of_work::ChangedKeys;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/opportunities";

/// Returns an app on 2031-05-14 with the contact C, the salesperson JO and the campaigns MAY (all
/// of May), SINCE (from June on) and OPEN (without dates).
async fn app() -> TestApp {
    let app =
        TestApp::at(Calendar::new(Arc::new(|| "2031-05-14T09:30:00Z".parse().unwrap()))).await;
    app.put("/v1/salespeople/JO", &json!({})).await.expect(201);
    app.put("/v1/contacts/C", &json!({"type": "COMPANY", "name": "C"})).await.expect(201);
    let rows = json!([
        {"number": "MAY", "startingDate": "2031-05-01", "endingDate": "2031-05-31"},
        {"number": "SINCE", "startingDate": "2031-06-01"}, {"number": "OPEN"}
    ]);
    app.post("/v1/campaigns/batch", &json!({"rows": rows})).await.expect(200);
    app.changed_keys();
    app
}

#[actix_web::test]
async fn opportunity_crud() {
    let app = app().await;
    let created = app.post(PATH, &json!({"contactNumber": "c"})).await;
    assert_eq!(created.header("location"), "/v1/opportunities/OP000001");
    let created = created.expect(201);
    let expected = json!({
        "id": created["id"], "number": "OP000001", "description": "", "contactNumber": "C",
        "campaignNumber": null,
        "salespersonCode": null, "estimatedValue": "0", "chancePercent": "0", "stage": "",
        "state": "NOT_STARTED",
        "creationDate": "2031-05-14", "closedDate": null
    });
    assert_eq!(created, expected);
    let body = json!({
        "number": "big", "description": "Big one", "contactNumber": "C", "campaignNumber": "may",
        "salespersonCode": "jo",
        "estimatedValue": "12500.50", "chancePercent": "62.5", "stage": "Offer sent",
        "state": "IN_PROGRESS",
        "creationDate": "2031-05-02"
    });
    let big = app.post(PATH, &body).await.expect(201);
    assert_eq!(
        (&big["estimatedValue"], &big["chancePercent"], &big["stage"], &big["creationDate"]),
        (&json!("12500.5"), &json!("62.5"), &json!("Offer sent"), &json!("2031-05-02"))
    );
    let path = format!("{PATH}/BIG");
    let won = app.patch(&path, &json!({"state": "WON", "chancePercent": "100"})).await.expect(200);
    assert_eq!(
        (&won["closedDate"], &won["creationDate"]),
        (&json!("2031-05-14"), &json!("2031-05-02"))
    );
    let patched = app
        .patch(&path, &json!({"state": "IN_PROGRESS", "salespersonCode": null, "stage": null}))
        .await;
    let patched = patched.expect(200);
    assert_eq!(
        (&patched["closedDate"], &patched["salespersonCode"], &patched["stage"]),
        (&Value::Null, &Value::Null, &json!(""))
    );
    // A repeated PUT without a date keeps the existing date.
    let replaced =
        app.put(&path, &json!({"contactNumber": "C", "state": "LOST"})).await.expect(200);
    assert_eq!(
        (&replaced["creationDate"], &replaced["closedDate"]),
        (&json!("2031-05-02"), &json!("2031-05-14"))
    );
    app.sql("UPDATE opportunities SET closed_date = '2031-05-03' WHERE number = 'BIG'").await;
    let rows =
        json!([{"number": "BIG", "contactNumber": "C", "state": "WON"}, {"contactNumber": "C"}]);
    let receipts = app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.expect(200);
    assert_eq!(
        (&receipts["receipts"][0]["status"], &receipts["receipts"][1]["key"]),
        (&json!(200), &json!("OP000002"))
    );
    let listed = app
        .get(&format!("{PATH}?filter=state%20eq%20'WON'%20and%20closedDate%20lt%202031-05-04"))
        .await;
    assert_eq!(listed.expect(200)["value"][0]["number"], "BIG");
    app.delete(&path).await.expect(204);
    assert_eq!(app.changed_keys(), ChangedKeys::default());
}

#[actix_web::test]
async fn opportunity_is_created_within_its_campaign_dates() {
    let app = app().await;
    let create = |campaign: &str, date: &str| {
        let body = json!({"contactNumber": "C", "campaignNumber": campaign, "creationDate": date});
        let app = &app;
        async move { app.post(PATH, &body).await }
    };
    for (campaign, date) in [
        ("MAY", "2031-05-01"),
        ("MAY", "2031-05-31"),
        ("SINCE", "2031-06-01"),
        ("SINCE", "9999-12-31"),
        ("OPEN", "0001-01-01"),
    ] {
        create(campaign, date).await.expect(201);
    }
    let outside = pairs(&[("/creationDate", "OUTSIDE_CAMPAIGN")]);
    for (campaign, date) in [("MAY", "2031-04-30"), ("MAY", "2031-06-01"), ("SINCE", "2031-05-31")]
    {
        let refused = create(campaign, date).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (422, outside.clone()),
            "{campaign} {date}"
        );
    }
    let params = create("SINCE", "2031-05-31").await.json()["errors"][0]["params"].clone();
    assert_eq!(params, json!({"startingDate": "2031-06-01", "endingDate": null}));
    // Without a date, today counts.
    let today = app.post(PATH, &json!({"contactNumber": "C", "campaignNumber": "SINCE"})).await;
    assert_eq!(today.errors(), outside);

    // Only a change of the campaign or the date is checked.
    let path = format!("{PATH}/A");
    let body = json!({"contactNumber": "C", "campaignNumber": "MAY", "creationDate": "2031-05-20"});
    app.put(&path, &body).await.expect(201);
    assert_eq!(app.patch(&path, &json!({"campaignNumber": "SINCE"})).await.errors(), outside);
    assert_eq!(app.patch(&path, &json!({"creationDate": "2031-06-20"})).await.errors(), outside);
    app.patch("/v1/campaigns/MAY", &json!({"endingDate": "2031-05-10"})).await.expect(200);
    app.patch(&path, &json!({"stage": "Later"})).await.expect(200);
    let rows = json!([
        {"contactNumber": "C"},
        {"number": "B", "contactNumber": "C", "campaignNumber": "SINCE"}
    ]);
    let refused = app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await;
    assert_eq!(refused.errors(), pairs(&[("/rows/1/creationDate", "OUTSIDE_CAMPAIGN")]));
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let form = json!({
        "estimatedValue": 5, "chancePercent": "100.1", "state": "OPEN", "stage": "s".repeat(51),
        "creationDate": "2031-02-30", "closedDate": "2031-05-01"
    });
    let refused = app.post(PATH, &form).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            400,
            pairs(&[
                ("/chancePercent", "OUT_OF_RANGE"),
                ("/closedDate", "UNKNOWN_FIELD"),
                ("/contactNumber", "REQUIRED"),
                ("/creationDate", "INVALID_DATE"),
                ("/estimatedValue", "INVALID_DECIMAL"),
                ("/stage", "TOO_LONG"),
                ("/state", "INVALID_VALUE"),
            ])
        )
    );
    let not_found = "REFERENCE_NOT_FOUND";
    let missing = json!({"contactNumber": "NO", "campaignNumber": "NO", "salespersonCode": "NO"});
    let expected = pairs(&[
        ("/campaignNumber", not_found),
        ("/contactNumber", not_found),
        ("/salespersonCode", not_found),
    ]);
    assert_eq!(app.post(PATH, &missing).await.errors(), expected);
    app.patch("/v1/salespeople/JO", &json!({"blocked": true})).await.expect(200);
    let all = json!({"contactNumber": "NO", "campaignNumber": "SINCE", "salespersonCode": "JO"});
    let expected = pairs(&[
        ("/contactNumber", not_found),
        ("/creationDate", "OUTSIDE_CAMPAIGN"),
        ("/salespersonCode", "SALESPERSON_BLOCKED"),
    ]);
    let refused = app.post(PATH, &all).await;
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
    app.put(&format!("{PATH}/A"), &json!({"contactNumber": "C"})).await.expect(201);
    let taken = app
        .post(PATH, &json!({"number": "a", "contactNumber": "C", "campaignNumber": "SINCE"}))
        .await;
    let expected = pairs(&[("/creationDate", "OUTSIDE_CAMPAIGN"), ("/number", "ALREADY_EXISTS")]);
    assert_eq!((taken.status.as_u16(), taken.errors()), (409, expected));
}
