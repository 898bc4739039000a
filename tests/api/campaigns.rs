//! Campaigns and their status changes.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use kampanje::unit_of_work::ChangedKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/campaigns";

/// Returns an app with the salesperson JO and the statuses NEW, MID, PLAN (as early as MID), DONE
/// (final) and LATE.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    let rows = json!([
        {"code": "NEW", "sequence": 1}, {"code": "PLAN", "sequence": 2},
        {"code": "MID", "sequence": 2},
        {"code": "DONE", "sequence": 3, "isFinal": true}, {"code": "LATE", "sequence": 9}
    ]);
    assert_eq!(app.post("/v1/campaign-statuses/batch", &json!({"rows": rows})).await.status, 200);
    app.sql("INSERT INTO salespeople (id, code) VALUES (gen_random_uuid(), 'JO')").await;
    app
}

async fn numbers(app: &TestApp, query: &str) -> Vec<String> {
    let page = app.get(&format!("{PATH}?{query}")).await;
    assert_eq!(page.status, 200, "{page:?}");
    page.json()["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["number"].as_str().unwrap().to_owned())
        .collect()
}

/// Returns the status changes in a campaign's history.
async fn steps(app: &TestApp, number: &str) -> Vec<(Value, Value)> {
    let page = app.get(&format!("{PATH}/{number}/status-changes")).await;
    assert_eq!(page.status, 200, "{page:?}");
    let rows = page.json()["value"].as_array().unwrap().clone();
    rows.iter().map(|row| (row["fromStatusCode"].clone(), row["toStatusCode"].clone())).collect()
}

#[actix_web::test]
async fn campaign_crud() {
    let app = app().await;
    let created = app.post(PATH, &json!({})).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.header("location"), "/v1/campaigns/CP0001");
    let first = created.json();
    assert_eq!(
        (&first["state"], &first["publishing"], &first["hasUnpublishedChanges"], &first["status"]),
        (&json!("DRAFT"), &json!("AUTOMATIC"), &json!(false), &Value::Null)
    );
    assert_eq!(first["nextStatus"]["code"], "NEW");

    let body = json!({
        "number": "spring", "description": "Spring sale", "type": "fair", "salespersonCode": "jo",
        "statusCode": "plan",
        "startingDate": "2031-05-01", "endingDate": "2031-05-31", "publishing": "MANUAL"
    });
    let created = app.post(PATH, &body).await;
    assert_eq!(created.status, 201, "{created:?}");
    let view = created.json();
    assert_eq!(
        (
            &view["type"],
            &view["salespersonCode"],
            &view["status"]["code"],
            &view["nextStatus"]["code"]
        ),
        (&json!("FAIR"), &json!("JO"), &json!("PLAN"), &json!("DONE"))
    );
    let patched = app
        .patch(
            "/v1/campaigns/SPRING",
            &json!({"type": null, "endingDate": null, "publishing": null}),
        )
        .await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let view = patched.json();
    assert_eq!(
        (
            &view["type"],
            &view["endingDate"],
            &view["publishing"],
            &view["startingDate"],
            &view["description"]
        ),
        (
            &Value::Null,
            &Value::Null,
            &json!("AUTOMATIC"),
            &json!("2031-05-01"),
            &json!("Spring sale")
        )
    );
    let same = app.put("/v1/campaigns/SPRING", &json!({"description": "Other"})).await;
    assert_eq!((same.status.as_u16(), &same.json()["statusCode"]), (200, &Value::Null));
    assert_eq!(same.json()["id"], created.json()["id"]);
    assert_eq!(app.delete("/v1/campaigns/SPRING").await.status, 204);
    assert_eq!(app.get("/v1/campaigns/SPRING").await.status, 404);
    assert_eq!(app.get("/v1/campaigns/SPRING/status-changes").await.status, 404);
    assert_eq!(app.post(PATH, &json!({})).await.json()["number"], "CP0002");
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let backwards = json!({"startingDate": "2031-05-02", "endingDate": "2031-05-01"});
    let refused = app.post(PATH, &backwards).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/endingDate", "END_BEFORE_START")]))
    );
    let equal = json!({"number": "A", "startingDate": "2031-05-01", "endingDate": "2031-05-01"});
    assert_eq!(app.post(PATH, &equal).await.status, 201);
    let patched = app.patch("/v1/campaigns/A", &json!({"endingDate": "2031-04-30"})).await;
    assert_eq!(patched.errors(), pairs(&[("/endingDate", "END_BEFORE_START")]));
    let missing = app.post(PATH, &json!({"statusCode": "X", "salespersonCode": "Y"})).await;
    assert_eq!(missing.status, 422);
    assert_eq!(
        missing.errors(),
        pairs(&[
            ("/salespersonCode", "REFERENCE_NOT_FOUND"),
            ("/statusCode", "REFERENCE_NOT_FOUND")
        ])
    );
    assert_eq!(
        app.post(PATH, &json!({"number": "a"})).await.errors(),
        pairs(&[("/number", "ALREADY_EXISTS")])
    );
    let form = app
        .post(
            PATH,
            &json!({"publishing": "NEVER", "state": "RUNNING", "startingDate": "2031-02-30"}),
        )
        .await;
    assert_eq!(form.status, 400);
    assert_eq!(
        form.errors(),
        pairs(&[
            ("/publishing", "INVALID_VALUE"),
            ("/startingDate", "INVALID_DATE"),
            ("/state", "UNKNOWN_FIELD")
        ])
    );
}

#[actix_web::test]
async fn state_follows_from_publication_and_date() {
    let app = app().await;
    let rows: Vec<Value> = ["C1", "C2", "C3", "C4", "C5", "C6"]
        .iter()
        .map(|number| json!({"number": number}))
        .collect();
    assert_eq!(app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.status, 200);
    // C1 stays a draft. The first and the last day belong to the period.
    let today = Utc::now().date_naive();
    for (number, start, end) in [
        ("C2", 1, None),
        ("C3", 0, Some(0)),
        ("C4", -9, None),
        ("C5", -9, Some(-1)),
        ("C6", 1, Some(9)),
    ] {
        let day = |days: i64| format!("'{}'", today + TimeDelta::days(days));
        app.sql(&format!(
            "UPDATE campaigns SET publication_version = 1, published_starting_date = {}, \
             published_ending_date = {} \
             WHERE number = '{number}'",
            day(start),
            end.map_or("NULL".to_owned(), day)
        ))
        .await;
    }
    for (state, expected) in [
        ("DRAFT", &["C1"][..]),
        ("SCHEDULED", &["C2", "C6"]),
        ("RUNNING", &["C3", "C4"]),
        ("ENDED", &["C5"]),
    ] {
        assert_eq!(
            numbers(&app, &format!("filter=state%20eq%20'{state}'")).await,
            expected,
            "{state}"
        );
        for number in expected {
            assert_eq!(
                app.get(&format!("{PATH}/{number}")).await.json()["state"],
                state,
                "{number}"
            );
        }
    }
    assert_eq!(
        numbers(&app, "orderby=state,number%20desc").await,
        ["C1", "C5", "C4", "C3", "C6", "C2"]
    );
    let first = app.get(&format!("{PATH}?orderby=state&top=4")).await.json();
    let rest = app.get(first["nextLink"].as_str().unwrap()).await.json();
    assert_eq!(rest["value"].as_array().unwrap().len(), 2);
    assert_eq!(
        app.get(&format!("{PATH}?filter=state%20eq%20'OLD'")).await.code(),
        "INVALID_FILTER"
    );
}

#[actix_web::test]
async fn active_or_used_campaigns_cannot_be_deleted() {
    let app = app().await;
    assert_eq!(app.post(PATH, &json!({"number": "A", "statusCode": "NEW"})).await.status, 201);
    app.sql(
        "INSERT INTO segments (id, number, campaign_number) VALUES (gen_random_uuid(), 'S1', 'A')",
    )
    .await;
    let used = app.delete("/v1/campaigns/A").await;
    assert_eq!(
        (used.code().as_str(), used.json()["errors"][0]["params"]["what"].as_str()),
        ("IN_USE", Some("segments"))
    );
    app.sql(
        "DELETE FROM segments; \
         UPDATE campaigns SET publication_version = 7, published_starting_date = '2031-01-01'",
    )
    .await;
    let active = app.delete("/v1/campaigns/A").await;
    assert_eq!((active.status.as_u16(), active.code().as_str()), (409, "CAMPAIGN_ACTIVE"));
    assert_eq!(app.delete("/v1/campaign-statuses/NEW").await.code(), "IN_USE");
    app.sql("UPDATE campaigns SET publication_version = NULL, published_starting_date = NULL")
        .await;
    app.changed_keys();
    assert_eq!(app.delete("/v1/campaigns/A").await.status, 204);
    assert_eq!(app.changed_keys().campaigns, BTreeSet::from(["A".to_owned()]));
    assert_eq!(app.delete("/v1/campaign-statuses/NEW").await.status, 204);
}

#[actix_web::test]
async fn status_changes_are_recorded() {
    let app = app().await;
    assert_eq!(app.post(PATH, &json!({"number": "A"})).await.status, 201);
    let path = format!("{PATH}/A/status-changes");
    assert_eq!(app.changed_keys().campaigns, BTreeSet::from(["A".to_owned()]));
    let moved = app.post(&path, &json!({})).await;
    assert_eq!(app.changed_keys(), ChangedKeys::default(), "no price depends on a status");
    assert_eq!(moved.status, 201, "{moved:?}");
    let record = moved.json();
    assert_eq!((&record["fromStatusCode"], &record["toStatusCode"]), (&Value::Null, &json!("NEW")));
    assert!(!record["changedBy"].as_str().unwrap().is_empty());
    assert!(record["changedAt"].as_str().unwrap().ends_with('Z'), "{record}");
    assert_eq!(app.get(&format!("{PATH}/A")).await.json()["nextStatus"]["code"], "MID");
    assert_eq!(
        app.post(&path, &json!({"statusCode": "new"})).await.errors(),
        pairs(&[("/statusCode", "NOT_ALLOWED")])
    );
    let unknown = app.post(&path, &json!({"statusCode": "X"})).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.errors()),
        (422, pairs(&[("/statusCode", "REFERENCE_NOT_FOUND")]))
    );
    assert_eq!(
        app.post(&path, &json!({"status": "X"})).await.errors(),
        pairs(&[("/status", "UNKNOWN_FIELD")])
    );
    assert_eq!(app.post(&path, &json!({"statusCode": "DONE"})).await.status, 201);
    let view = app.get(&format!("{PATH}/A")).await.json();
    assert_eq!((&view["status"]["isFinal"], &view["nextStatus"]), (&json!(true), &Value::Null));
    let over = app.send(Method::POST, &path, &[], None).await;
    assert_eq!((over.status.as_u16(), over.errors()), (422, pairs(&[("/statusCode", "REQUIRED")])));
    // A final status has no next one, but can be left by naming another. The last status has no
    // next one either.
    assert_eq!(app.post(&path, &json!({"statusCode": "LATE"})).await.status, 201);
    assert_eq!(app.get(&format!("{PATH}/A")).await.json()["nextStatus"], Value::Null);
    assert_eq!(app.post(&path, &json!({})).await.status, 422);
    assert_eq!(app.post(&format!("{PATH}/B/status-changes"), &json!({})).await.code(), "NOT_FOUND");

    // Writes of the campaign are recorded too, but only if they change the status.
    assert_eq!(app.patch(&format!("{PATH}/A"), &json!({"statusCode": "PLAN"})).await.status, 200);
    assert_eq!(app.patch(&format!("{PATH}/A"), &json!({"description": "x"})).await.status, 200);
    assert_eq!(app.put(&format!("{PATH}/A"), &json!({})).await.status, 200);
    let rows = json!([
        {"number": "A", "statusCode": "NEW"},
        {"number": "B", "statusCode": "NEW"},
        {"number": "C"}
    ]);
    assert_eq!(app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.status, 200);
    let expected = [
        (Value::Null, json!("NEW")),
        (json!("NEW"), json!("DONE")),
        (json!("DONE"), json!("LATE")),
        (json!("LATE"), json!("PLAN")),
        (json!("PLAN"), Value::Null),
        (Value::Null, json!("NEW")),
    ];
    assert_eq!(steps(&app, "A").await, expected);
    assert_eq!(steps(&app, "B").await, [(Value::Null, json!("NEW"))]);
    assert_eq!(steps(&app, "C").await, []);
    let page =
        app.get(&format!("{path}?top=4&count=true&filter=toStatusCode%20ne%20'DONE'")).await.json();
    assert_eq!((page["value"].as_array().unwrap().len(), &page["count"]), (4, &json!(5)));
    let rest = app.get(page["nextLink"].as_str().unwrap()).await.json();
    assert_eq!(rest["value"][0]["toStatusCode"], "NEW");
    assert_eq!(app.get(&format!("{path}?filter=x%20eq%201")).await.code(), "INVALID_FILTER");
}
