//! Interaction templates.

use serde_json::json;

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/interaction-templates";

#[actix_web::test]
async fn interaction_template_crud() {
    let app = TestApp::new().await;
    let whole = json!({
        "code": "GOLF", "description": "Invitation", "cost": "10.25", "durationMinutes": 15
    });
    let created = app.post(PATH, &whole).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/interaction-templates/GOLF")
    );
    let mut view = created.json();
    view.as_object_mut().unwrap().remove("id");
    assert_eq!(view, whole);
    let path = format!("{PATH}/golf");
    assert_eq!(app.patch(&path, &json!({})).await.text, created.text);
    let changed =
        app.patch(&path, &json!({"cost": null, "durationMinutes": 1_000_000})).await.expect(200);
    assert_eq!((&changed["cost"], &changed["durationMinutes"]), (&json!("0"), &json!(1_000_000)));
    let rows = json!({"rows": [{"code": "GOLF", "description": "Golf"}, {"code": "CALL"}]});
    app.post(&format!("{PATH}/batch"), &rows).await.expect(200);
    let listed = app
        .get(&format!("{PATH}?count=true&orderby=description desc,cost,durationMinutes,id"))
        .await
        .json();
    assert_eq!((&listed["count"], &listed["value"][0]["description"]), (&json!(2), &json!("Golf")));
    app.delete(&path).await.expect(204);
    assert_eq!(app.get(&path).await.status, 404);
}

#[actix_web::test]
async fn costs_and_durations_have_bounds() {
    let app = TestApp::new().await;
    for (body, status, error) in [
        (json!({"code": "A", "durationMinutes": -1}), 422, ("/durationMinutes", "OUT_OF_RANGE")),
        (
            json!({"code": "A", "durationMinutes": 1_000_001}),
            422,
            ("/durationMinutes", "OUT_OF_RANGE"),
        ),
        (
            json!({"code": "A", "durationMinutes": 9_999_999_999_i64}),
            422,
            ("/durationMinutes", "OUT_OF_RANGE"),
        ),
        (json!({"code": "A", "cost": "-1"}), 422, ("/cost", "OUT_OF_RANGE")),
        (json!({"code": "A", "cost": 1.5}), 400, ("/cost", "INVALID_DECIMAL")),
        (json!({}), 400, ("/code", "REQUIRED")),
    ] {
        let refused = app.post(PATH, &body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (status, pairs(&[error])),
            "{body}"
        );
    }
}

#[actix_web::test]
async fn template_in_use_is_kept_and_its_dependents_are_listed() {
    let app = TestApp::new().await;
    app.post(PATH, &json!({"code": "CALL"})).await.expect(201);
    app.put("/v1/contacts/ANNE", &json!({"type": "PERSON", "name": "Anne"})).await.expect(201);
    app.post("/v1/segments", &json!({"number": "S", "interactionTemplateCode": "CALL"}))
        .await
        .expect(201);
    let interaction =
        json!({"contactNumber": "ANNE", "interactionTemplateCode": "CALL", "canceled": true});
    let id = app.post("/v1/interactions", &interaction).await.expect(201)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = app.delete(&format!("{PATH}/CALL")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    let held: Vec<_> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["params"]["what"].clone())
        .collect();
    assert_eq!(held, ["segments", "interactions"]);
    app.patch("/v1/segments/S", &json!({"interactionTemplateCode": null})).await.expect(200);
    app.delete(&format!("/v1/interactions/{id}")).await.expect(204);
    app.delete(&format!("{PATH}/CALL")).await.expect(204);
}
