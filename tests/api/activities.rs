//! Activities, and the tasks that they create.

use kampanje::unit_of_work::ChangedKeys;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/activities";
const OF_CAMPAIGN: &str = "/v1/campaigns/CP/activities";

/// Returns an app with the campaign CP, the salesperson JO, the team T and the activity FAIR.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.put("/v1/salespeople/JO", &json!({})).await.expect(201);
    app.put("/v1/teams/T", &json!({"members": ["JO"]})).await.expect(201);
    app.put("/v1/campaigns/CP", &json!({})).await.expect(201);
    app.changed_keys();
    let steps = json!([
        {"type": "letter", "description": "Invite", "priority": "HIGH", "offsetDays": -14},
        {"description": "Stand there"},
        {"type": "CALL", "description": "Call back", "offsetDays": 7},
    ]);
    app.put(&format!("{PATH}/FAIR"), &json!({"description": "Trade fair", "steps": steps}))
        .await
        .expect(201);
    app
}

#[actix_web::test]
async fn activity_crud() {
    let app = app().await;
    let path = format!("{PATH}/fair");
    let activity = app.get(&path).await.expect(200);
    let expected = json!([
        {"type": "LETTER", "description": "Invite", "priority": "HIGH", "offsetDays": -14},
        {"type": null, "description": "Stand there", "priority": "NORMAL", "offsetDays": 0},
        {"type": "CALL", "description": "Call back", "priority": "NORMAL", "offsetDays": 7},
    ]);
    assert_eq!((&activity["code"], &activity["steps"]), (&json!("FAIR"), &expected));
    let patched = app.patch(&path, &json!({"description": null})).await.expect(200);
    assert_eq!((&patched["description"], &patched["steps"]), (&json!(""), &expected));
    let patched = app.patch(&path, &json!({"steps": [{"description": "Only"}]})).await.expect(200);
    assert_eq!(patched["steps"].as_array().unwrap().len(), 1);
    let steps: Vec<Value> =
        (0..100).map(|n| json!({"description": n.to_string(), "offsetDays": -n})).collect();
    let rows: Vec<Value> =
        (0..100).map(|n| json!({"code": format!("A{n:02}"), "steps": steps})).collect();
    app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.expect(200);
    let listed = app
        .get(&format!("{PATH}?filter=startswith(code,'A')&top=100&count=true"))
        .await
        .expect(200);
    assert_eq!(
        (&listed["count"], &listed["value"][99]["steps"][99]["offsetDays"]),
        (&json!(100), &json!(-99))
    );
    app.delete(&path).await.expect(204);
    assert_eq!(app.changed_keys(), ChangedKeys::default());
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let refused = |body: Value| {
        let app = &app;
        async move { app.post(PATH, &body).await }
    };
    assert_eq!(refused(json!({"code": "A"})).await.errors(), pairs(&[("/steps", "REQUIRED")]));
    assert_eq!(
        refused(json!({"code": "A", "steps": []})).await.errors(),
        pairs(&[("/steps", "TOO_SHORT")])
    );
    let many = vec![json!({}); 101];
    assert_eq!(
        refused(json!({"code": "A", "steps": many})).await.errors(),
        pairs(&[("/steps", "TOO_LONG")])
    );
    let far = json!([
        {"offsetDays": 3_651},
        {"offsetDays": 3_650},
        {"offsetDays": -3_650},
        {"offsetDays": -3_651}
    ]);
    let reply = refused(json!({"code": "A", "steps": far})).await;
    let expected =
        pairs(&[("/steps/0/offsetDays", "OUT_OF_RANGE"), ("/steps/3/offsetDays", "OUT_OF_RANGE")]);
    assert_eq!((reply.status.as_u16(), reply.errors()), (422, expected));
    let wrong = json!([{"priority": "NOW", "offset": 1}, {"offsetDays": "1"}]);
    let expected = pairs(&[
        ("/steps/0/offset", "UNKNOWN_FIELD"),
        ("/steps/0/priority", "INVALID_VALUE"),
        ("/steps/1/offsetDays", "INVALID_TYPE"),
    ]);
    assert_eq!(refused(json!({"code": "A", "steps": wrong})).await.errors(), expected);
    assert_eq!(
        refused(json!({"code": "FAIR", "steps": [{}]})).await.errors(),
        pairs(&[("/code", "ALREADY_EXISTS")])
    );
}

#[actix_web::test]
async fn applying_an_activity_creates_tasks() {
    let app = app().await;
    let body = json!({"code": "fair", "date": "2031-05-14", "teamCode": "t"});
    let tasks = app.post(OF_CAMPAIGN, &body).await.expect(201)["value"].as_array().unwrap().clone();
    let expected = [
        ("LETTER", "2031-04-30", "HIGH"),
        ("", "2031-05-14", "NORMAL"),
        ("CALL", "2031-05-21", "NORMAL"),
    ];
    assert_eq!(tasks.len(), expected.len());
    for (task, (kind, date, priority)) in tasks.iter().zip(expected) {
        assert_eq!((task["type"].as_str().unwrap_or(""), &task["date"]), (kind, &json!(date)));
        assert_eq!((&task["priority"], &task["state"]), (&json!(priority), &json!("NOT_STARTED")));
        assert_eq!(
            (&task["campaignNumber"], &task["activityCode"]),
            (&json!("CP"), &json!("FAIR"))
        );
        assert_eq!((&task["teamCode"], &task["salespersonCode"]), (&json!("T"), &Value::Null));
        let read = app.get(&format!("/v1/tasks/{}", task["id"].as_str().unwrap())).await;
        assert_eq!(task["etag"], read.header("etag"));
    }
    // A changed task keeps its activity.
    let first = format!("/v1/tasks/{}", tasks[0]["id"].as_str().unwrap());
    let changed = app
        .patch(&first, &json!({"state": "COMPLETED", "teamCode": null, "salespersonCode": "JO"}))
        .await;
    assert_eq!(changed.expect(200)["activityCode"], "FAIR");
    let refused = app.delete(&format!("{PATH}/FAIR")).await.expect(409);
    assert_eq!(
        (&refused["code"], &refused["errors"][0]["params"]["count"]),
        (&json!("IN_USE"), &json!(3))
    );
    let by_activity =
        app.get("/v1/tasks?count=true&filter=activityCode%20eq%20'FAIR'").await.expect(200);
    assert_eq!(by_activity["count"], 3);
    assert_eq!(app.changed_keys(), ChangedKeys::default());
}

#[actix_web::test]
async fn refused_activity_creates_nothing() {
    let app = app().await;
    let refused = app
        .post("/v1/campaigns/NO/activities", &json!({"code": "FAIR", "date": "2031-05-14"}))
        .await;
    assert_eq!(refused.status, 404);
    let refused = app
        .post(OF_CAMPAIGN, &json!({"code": "NO", "date": "2031-05-14", "salespersonCode": "NO"}))
        .await;
    let expected =
        pairs(&[("/code", "REFERENCE_NOT_FOUND"), ("/salespersonCode", "REFERENCE_NOT_FOUND")]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
    let both =
        json!({"code": "FAIR", "date": "9999-12-30", "salespersonCode": "NO", "teamCode": "T"});
    let refused = app.post(OF_CAMPAIGN, &both).await;
    let expected = pairs(&[
        ("/date", "OUT_OF_RANGE"),
        ("/salespersonCode", "REFERENCE_NOT_FOUND"),
        ("/teamCode", "NOT_ALLOWED"),
    ]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
    let nobody = app.post(OF_CAMPAIGN, &json!({"code": "FAIR", "date": "2031-05-14"})).await;
    assert_eq!(
        (nobody.status.as_u16(), nobody.errors()),
        (422, pairs(&[("/salespersonCode", "MISSING")]))
    );
    let missing = app
        .post(OF_CAMPAIGN, &json!({"code": "FAIR", "date": "2031-05-14", "teamCode": "NO"}))
        .await;
    assert_eq!(missing.errors(), pairs(&[("/teamCode", "REFERENCE_NOT_FOUND")]));
    app.patch("/v1/salespeople/JO", &json!({"blocked": true})).await.expect(200);
    let blocked = json!({"code": "FAIR", "date": "2031-05-14", "salespersonCode": "JO"});
    let refused = app.post(OF_CAMPAIGN, &blocked).await;
    assert_eq!(refused.errors(), pairs(&[("/salespersonCode", "SALESPERSON_BLOCKED")]));
    assert_eq!(app.get("/v1/tasks?count=true").await.json()["count"], 0);
}
