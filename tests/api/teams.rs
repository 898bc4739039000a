//! Teams of salespeople.

use kampanje::unit_of_work::ChangedKeys;
use serde_json::json;

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/teams";

async fn app() -> TestApp {
    let app = TestApp::new().await;
    let rows = json!([{"code": "PB"}, {"code": "LT"}, {"code": "OFF", "blocked": true}]);
    app.post("/v1/salespeople/batch", &json!({"rows": rows})).await.expect(200);
    app
}

#[actix_web::test]
async fn team_crud() {
    let app = app().await;
    let created = app
        .post(PATH, &json!({"code": "north", "name": "North", "members": ["pb", "LT", "PB"]}))
        .await
        .expect(201);
    let expected =
        json!({"id": created["id"], "code": "NORTH", "name": "North", "members": ["LT", "PB"]});
    assert_eq!(created, expected);
    let path = format!("{PATH}/NORTH");
    assert_eq!(
        app.patch(&path, &json!({"name": "Far north"})).await.expect(200)["members"],
        json!(["LT", "PB"])
    );
    // A blocked salesperson may be in a team, because tasks are assigned to the team.
    assert_eq!(
        app.patch(&path, &json!({"members": ["OFF", "LT"]})).await.expect(200)["members"],
        json!(["LT", "OFF"])
    );
    let rows = json!([{"code": "NORTH", "members": ["PB"]}, {"code": "SOUTH"}]);
    app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.expect(200);
    let with = app
        .get(&format!("{PATH}?count=true&filter=members/any(m:%20m%20eq%20'pb')"))
        .await
        .expect(200);
    assert_eq!((&with["count"], &with["value"][0]["members"]), (&json!(1), &json!(["PB"])));
    assert_eq!(app.get(&format!("{PATH}/SOUTH")).await.expect(200)["members"], json!([]));
    app.delete(&path).await.expect(204);
    app.delete("/v1/salespeople/PB").await.expect(204);
    assert_eq!(app.changed_keys(), ChangedKeys::default());
}

#[actix_web::test]
async fn errors_have_pointers() {
    let app = app().await;
    let refused = app.post(PATH, &json!({"code": "A", "members": ["X", "PB", "Y"]})).await;
    let missing = ("/members", "REFERENCE_NOT_FOUND");
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, pairs(&[missing, missing])));
    let many: Vec<String> = (0..101).map(|n| format!("S{n}")).collect();
    let refused =
        app.post(PATH, &json!({"code": "A", "members": many, "name": "n".repeat(101)})).await;
    assert_eq!(refused.errors(), pairs(&[("/members", "TOO_LONG"), ("/name", "TOO_LONG")]));
    app.post(PATH, &json!({"code": "A"})).await.expect(201);
    assert_eq!(
        app.post(PATH, &json!({"code": "a"})).await.errors(),
        pairs(&[("/code", "ALREADY_EXISTS")])
    );
    assert_eq!(
        app.patch(&format!("{PATH}/A"), &json!({"members": ["NO"]})).await.errors(),
        pairs(&[missing])
    );
}

#[actix_web::test]
async fn team_with_tasks_is_kept() {
    let app = app().await;
    app.put(&format!("{PATH}/A"), &json!({"members": ["LT"]})).await.expect(201);
    app.put("/v1/campaigns/CP", &json!({})).await.expect(201);
    let task = json!({"campaignNumber": "CP", "teamCode": "A", "date": "2031-05-01"});
    let task = app.post("/v1/tasks", &task).await.expect(201);
    let refused = app.delete(&format!("{PATH}/A")).await;
    assert_eq!((refused.code().as_str(), refused.errors()), ("IN_USE", pairs(&[("", "IN_USE")])));
    app.delete(&format!("/v1/tasks/{}", task["id"].as_str().unwrap())).await.expect(204);
    app.delete(&format!("{PATH}/A")).await.expect(204);
}
