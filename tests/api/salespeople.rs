//! Salespeople.

use kampanje::unit_of_work::ChangedKeys;
use reqwest::Method;
use serde_json::json;

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/salespeople";

#[actix_web::test]
async fn salesperson_crud() {
    let app = TestApp::new().await;
    let created = app
        .post(PATH, &json!({"code": "pb", "name": "Peter Berg", "email": "pb@example.com"}))
        .await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/salespeople/PB"),
        "{created:?}"
    );
    let path = format!("{PATH}/PB");
    let patched = app.patch(&path, &json!({"blocked": true, "email": null})).await;
    let expected = json!({
        "id": created.json()["id"], "code": "PB", "name": "Peter Berg", "email": "", "blocked": true
    });
    assert_eq!(patched.json(), expected);
    let rows = json!([{"code": "PB", "name": "P. Berg", "blocked": false}, {"code": "LT"}]);
    assert_eq!(app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.status, 200);
    let listed =
        app.get(&format!("{PATH}?orderby=code%20desc&filter=blocked%20eq%20false")).await.json();
    assert_eq!(
        (&listed["value"][0]["name"], &listed["value"][1]["code"]),
        (&json!("P. Berg"), &json!("LT"))
    );
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(
        app.send(Method::PUT, &path, &[], Some(&json!({"name": "New"}).to_string())).await.status,
        201
    );
    assert_eq!(app.changed_keys(), ChangedKeys::default());
}

#[actix_web::test]
async fn texts_have_maximum_lengths() {
    let app = TestApp::new().await;
    let body = |length: usize| {
        json!({
            "code": "A", "name": "ä".repeat(length), "email": "e".repeat(length + 154)
        })
    };
    let refused = app.post(PATH, &body(101)).await;
    assert_eq!(refused.errors(), pairs(&[("/email", "TOO_LONG"), ("/name", "TOO_LONG")]));
    assert_eq!(app.post(PATH, &body(100)).await.status, 201);
}

#[actix_web::test]
async fn salesperson_in_use_is_kept_with_reasons() {
    let app = TestApp::new().await;
    assert_eq!(app.post(PATH, &json!({"code": "PB"})).await.status, 201);
    for statement in [
        "INSERT INTO contacts (id, number, type, name, salesperson_code)
            VALUES (gen_random_uuid(), 'C', 'PERSON', 'C', 'PB')",
        "INSERT INTO campaigns (id, number, salesperson_code) VALUES (gen_random_uuid(), 'CP', 'PB')",
        "INSERT INTO segments (id, number, salesperson_code) VALUES (gen_random_uuid(), 'S', 'PB')",
    ] {
        app.sql(statement).await;
    }
    app.put("/v1/teams/T", &json!({"members": ["PB"]})).await.expect(201);
    let task = json!({
        "campaignNumber": "CP", "salespersonCode": "PB", "date": "2031-05-01", "closed": true
    });
    app.post("/v1/tasks", &task).await.expect(201);
    app.post("/v1/opportunities", &json!({"contactNumber": "C", "salespersonCode": "PB"}))
        .await
        .expect(201);
    let refused = app.delete(&format!("{PATH}/PB")).await;
    assert_eq!((refused.status.as_u16(), refused.errors().len()), (409, 6), "{refused:?}");
}

#[actix_web::test]
async fn blocked_salesperson_keeps_assignments_and_gets_no_new_ones() {
    let app = TestApp::new().await;
    let people = json!({"rows": [{"code": "PB"}, {"code": "LT"}]});
    app.post(&format!("{PATH}/batch"), &people).await.expect(200);
    app.put("/v1/contacts/C", &json!({"type": "COMPANY", "name": "C"})).await.expect(201);
    app.put("/v1/campaigns/CP", &json!({})).await.expect(201);
    let kinds = [
        ("/v1/contacts", json!({"type": "PERSON", "name": "P", "salespersonCode": "PB"})),
        ("/v1/campaigns", json!({"salespersonCode": "PB"})),
        ("/v1/segments", json!({"salespersonCode": "PB"})),
        (
            "/v1/tasks",
            json!({"campaignNumber": "CP", "date": "2031-05-01", "salespersonCode": "PB"}),
        ),
        ("/v1/opportunities", json!({"contactNumber": "C", "salespersonCode": "PB"})),
    ];
    let mut given = Vec::new();
    let mut others = Vec::new();
    for (path, body) in &kinds {
        given.push(format!(
            "{path}/{}",
            app.post(path, body).await.expect(201)["id"].as_str().unwrap()
        ));
        let mut body = body.clone();
        body["salespersonCode"] = "LT".into();
        others.push(format!(
            "{path}/{}",
            app.post(path, &body).await.expect(201)["id"].as_str().unwrap()
        ));
    }
    app.patch(&format!("{PATH}/PB"), &json!({"blocked": true})).await.expect(200);
    let blocked = pairs(&[("/salespersonCode", "SALESPERSON_BLOCKED")]);
    for (((path, body), given), other) in kinds.iter().zip(&given).zip(&others) {
        let refused = app.post(path, body).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (422, blocked.clone()), "{path}");
        let refused = app.patch(other, &json!({"salespersonCode": "PB"})).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (422, blocked.clone()), "{other}");
        let batch = app
            .post(&format!("{path}/batch"), &json!({"rows": [body], "atomic": false}))
            .await
            .expect(207);
        assert_eq!(batch["receipts"][0]["errors"][0]["code"], "SALESPERSON_BLOCKED", "{path}");
        // Earlier assignments stay, and can be moved to others.
        app.patch(given, &json!({"salespersonCode": "PB"})).await.expect(200);
        app.patch(given, &json!({"salespersonCode": "LT"})).await.expect(200);
        let refused = app.patch(given, &json!({"salespersonCode": "PB"})).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (422, blocked.clone()), "{given}");
    }
    let refused = app
        .post("/v1/opportunities", &json!({"contactNumber": "NO", "salespersonCode": "PB"}))
        .await;
    let expected = pairs(&[
        ("/contactNumber", "REFERENCE_NOT_FOUND"),
        ("/salespersonCode", "SALESPERSON_BLOCKED"),
    ]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
    app.patch(&format!("{PATH}/PB"), &json!({"blocked": false})).await.expect(200);
    app.patch(&given[0], &json!({"salespersonCode": "PB"})).await.expect(200);
}
