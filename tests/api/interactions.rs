//! Single interactions: creation, permitted changes, and the resources that they keep.

use std::sync::Arc;

use kampanje::platform::clock::Calendar;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/interactions";

/// Returns a service on 15 May 2031 with the campaign SPRING, the contact ANNE, the salesperson JO
/// and the template CALL.
async fn app() -> TestApp {
    let app =
        TestApp::at(Calendar::new(Arc::new(|| "2031-05-15T12:00:00Z".parse().unwrap()))).await;
    app.put("/v1/contacts/ANNE", &json!({"type": "PERSON", "name": "Anne"})).await.expect(201);
    app.put("/v1/salespeople/JO", &json!({"name": "Jo"})).await.expect(201);
    app.put("/v1/campaigns/SPRING", &json!({})).await.expect(201);
    let template = json!({"description": "Telephone call", "cost": "2.5", "durationMinutes": 15});
    app.put("/v1/interaction-templates/CALL", &template).await.expect(201);
    app
}

async fn post(app: &TestApp, body: &Value) -> String {
    let view = app.post(PATH, body).await.expect(201);
    format!("{PATH}/{}", view["id"].as_str().unwrap())
}

#[actix_web::test]
async fn response_takes_defaults_from_the_template() {
    let app = app().await;
    let sent = json!({
        "contactNumber": "anne", "campaignNumber": "SPRING", "interactionTemplateCode": "CALL",
        "salespersonCode": "JO",
        "campaignResponse": true, "evaluation": "POSITIVE"
    });
    let created = app.post(PATH, &sent).await;
    let mut view = created.json();
    let id = view.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, format!("{PATH}/{}", id.as_str().unwrap()).as_str())
    );
    assert_eq!(
        view,
        json!({
            "date": "2031-05-15", "contactNumber": "ANNE", "campaignNumber": "SPRING",
            "segmentNumber": null,
            "interactionTemplateCode": "CALL", "salespersonCode": "JO", "campaignTarget": false,
            "campaignResponse": true,
            "cost": "2.5", "durationMinutes": 15, "description": "Telephone call",
            "evaluation": "POSITIVE", "canceled": false
        })
    );
    let path = format!("{PATH}/{}", id.as_str().unwrap());
    let same =
        app.send(Method::PATCH, &path, &[("if-match", created.header("etag"))], Some("{}")).await;
    assert_eq!((same.status.as_u16(), &same.text), (200, &created.text));
    // Given values have priority over the template.
    let own = json!({
        "contactNumber": "ANNE", "date": "2031-05-01", "interactionTemplateCode": "CALL",
        "cost": "0", "durationMinutes": 0,
        "description": ""
    });
    let view = app.post(PATH, &own).await.expect(201);
    assert_eq!(
        (&view["date"], &view["cost"], &view["durationMinutes"], &view["description"]),
        (&json!("2031-05-01"), &json!("0"), &json!(0), &json!(""))
    );
    let bare = app.post(PATH, &json!({"contactNumber": "ANNE"})).await.expect(201);
    assert_eq!((&bare["cost"], &bare["description"]), (&json!("0"), &json!("")));
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let missing = json!({
        "contactNumber": "X", "campaignNumber": "X", "interactionTemplateCode": "X",
        "salespersonCode": "X"
    });
    let refused = app.post(PATH, &missing).await;
    let not_found = "REFERENCE_NOT_FOUND";
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            422,
            pairs(&[
                ("/campaignNumber", not_found),
                ("/contactNumber", not_found),
                ("/interactionTemplateCode", not_found),
                ("/salespersonCode", not_found)
            ])
        )
    );
    let refused = app
        .post(
            PATH,
            &json!({"campaignTarget": true, "campaignResponse": true, "durationMinutes": -1}),
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            422,
            pairs(&[
                ("/campaignResponse", "NOT_ALLOWED"),
                ("/campaignTarget", "NOT_ALLOWED"),
                ("/durationMinutes", "OUT_OF_RANGE")
            ])
        )
    );
    let refused = app.post(PATH, &json!({})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/contactNumber", "MISSING")]))
    );
    let refused = app.post(PATH, &json!({"contactNumber": "ANNE", "segmentNumber": "S"})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("/segmentNumber", "UNKNOWN_FIELD")]))
    );
}

#[actix_web::test]
async fn past_interactions_cannot_be_rewritten() {
    let app = app().await;
    let path =
        post(&app, &json!({"contactNumber": "ANNE", "interactionTemplateCode": "CALL"})).await;
    let changes = json!({
        "date": "2031-05-14", "contactNumber": null, "campaignNumber": "SPRING",
        "interactionTemplateCode": null,
        "salespersonCode": "JO", "campaignTarget": true, "campaignResponse": true, "cost": "1",
        "durationMinutes": 1
    });
    let refused = app.patch(&path, &changes).await;
    let expected: Vec<_> = [
        "/campaignNumber",
        "/campaignResponse",
        "/campaignTarget",
        "/contactNumber",
        "/cost",
        "/date",
        "/durationMinutes",
        "/interactionTemplateCode",
        "/salespersonCode",
    ]
    .map(|pointer| (pointer, "IMMUTABLE"))
    .into();
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, pairs(&expected)));
    let changes =
        json!({"canceled": true, "evaluation": "VERY_NEGATIVE", "description": "Wrong number"});
    let changed = app.patch(&path, &changes).await.expect(200);
    for (field, value) in changes.as_object().unwrap() {
        assert_eq!(&changed[field], value);
    }
    let back = app
        .patch(&path, &json!({"canceled": false, "evaluation": null, "description": null}))
        .await
        .expect(200);
    assert_eq!(
        (&back["canceled"], &back["evaluation"], &back["description"]),
        (&json!(false), &Value::Null, &json!("Telephone call"))
    );
    // A change of the template leaves existing interactions unchanged.
    app.patch("/v1/interaction-templates/CALL", &json!({"cost": "9", "durationMinutes": 9}))
        .await
        .expect(200);
    let put = json!({"contactNumber": "ANNE", "interactionTemplateCode": "CALL", "canceled": true});
    let replaced = app.put(&path, &put).await.expect(200);
    assert_eq!(
        (&replaced["cost"], &replaced["durationMinutes"], &replaced["canceled"]),
        (&json!("2.5"), &json!(15), &json!(true))
    );
}

#[actix_web::test]
async fn only_canceled_interactions_can_be_deleted() {
    let app = app().await;
    let path = post(&app, &json!({"contactNumber": "ANNE"})).await;
    let refused = app.delete(&path).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "ENTRY_NOT_CANCELED"));
    app.patch(&path, &json!({"canceled": true})).await.expect(200);
    app.delete(&path).await.expect(204);
    assert_eq!(app.get(&path).await.status, 404);
}

#[actix_web::test]
async fn batch_reports_the_result_of_each_row() {
    let app = app().await;
    let path = format!("{PATH}/batch");
    let row =
        json!({"contactNumber": "ANNE", "campaignNumber": "SPRING", "campaignResponse": true});
    let rows = vec![row.clone(); 1_000];
    app.post(&path, &json!({ "rows": rows })).await.expect(200);
    let responses = app
        .get(&format!(
            "{PATH}?filter=campaignResponse and campaignNumber eq 'SPRING'&count=true&top=1"
        ))
        .await;
    assert_eq!(responses.json()["count"], 1_000);
    let rows = json!([row, {"contactNumber": "X"}, {}]);
    let refused = app.post(&path, &json!({ "rows": rows })).await;
    let errors = pairs(&[
        ("/rows/1/contactNumber", "REFERENCE_NOT_FOUND"),
        ("/rows/2/contactNumber", "MISSING"),
    ]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, errors));
    let receipts = app.post(&path, &json!({"atomic": false, "rows": rows})).await.expect(207);
    let statuses: Vec<_> =
        receipts["receipts"].as_array().unwrap().iter().map(|r| r["status"].clone()).collect();
    assert_eq!(statuses, [201, 422, 422]);
}

#[actix_web::test]
async fn every_field_filters_and_orders() {
    let app = app().await;
    for n in 0..3 {
        let body = json!({
            "contactNumber": "ANNE", "campaignNumber": "SPRING", "cost": n.to_string(),
            "durationMinutes": n, "canceled": n == 1,
            "evaluation": if n == 0 { json!(null) } else { json!("NEUTRAL") }
        });
        post(&app, &body).await;
    }
    for (filter, expected) in [
        ("cost ge 1", 2),
        ("canceled", 1),
        ("evaluation eq 'NEUTRAL' and not canceled", 1),
        ("date eq 2031-05-15", 3),
        ("segmentNumber eq null", 3),
    ] {
        let page = app.get(&format!("{PATH}?count=true&filter={filter}")).await.expect(200);
        assert_eq!(page["count"], expected, "{filter}");
    }
    let fields = [
        "id",
        "date",
        "contactNumber",
        "campaignNumber",
        "segmentNumber",
        "interactionTemplateCode",
        "salespersonCode",
        "campaignTarget",
        "campaignResponse",
        "cost",
        "durationMinutes",
        "description",
        "evaluation",
        "canceled",
    ];
    for field in fields {
        let first =
            app.get(&format!("{PATH}?top=2&count=true&orderby={field} desc")).await.expect(200);
        let next = app.get(first["nextLink"].as_str().unwrap()).await.expect(200);
        assert_eq!(
            (first["value"].as_array().unwrap().len(), next["value"].as_array().unwrap().len()),
            (2, 1),
            "{field}"
        );
    }
}

#[actix_web::test]
async fn interactions_outlive_their_contact_and_keep_campaign_and_salesperson() {
    let app = app().await;
    let response = json!({
        "contactNumber": "ANNE", "campaignNumber": "SPRING", "salespersonCode": "JO",
        "campaignResponse": true
    });
    let path = post(&app, &response).await;
    app.delete("/v1/contacts/ANNE").await.expect(204);
    assert_eq!(app.get(&path).await.json()["contactNumber"], Value::Null);
    // The rest of it can still be changed.
    app.patch(&path, &json!({"evaluation": "NEUTRAL"})).await.expect(200);
    let refused = app.delete("/v1/salespeople/JO").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    let refused = app.delete("/v1/campaigns/SPRING").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    assert_eq!(
        refused.json()["errors"][0]["params"],
        json!({"what": "uncanceled single interactions", "count": 1})
    );
    app.patch(&path, &json!({"canceled": true})).await.expect(200);
    app.delete("/v1/campaigns/SPRING").await.expect(204);
    assert_eq!(app.get(&path).await.status, 404);
    app.delete("/v1/salespeople/JO").await.expect(204);
}
