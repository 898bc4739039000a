//! Salespeople.

use kampanje::platform::effect::Touched;
use reqwest::Method;
use serde_json::json;

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/salespeople";

#[actix_web::test]
async fn a_salesperson_lives_from_creation_to_deletion() {
    let app = TestApp::new().await;
    let created = app.post(PATH, &json!({"code": "pb", "name": "Peter Berg", "email": "pb@example.com"})).await;
    assert_eq!((created.status.as_u16(), created.header("location")), (201, "/v1/salespeople/PB"), "{created:?}");
    let path = format!("{PATH}/PB");
    let patched = app.patch(&path, &json!({"blocked": true, "email": null})).await;
    let expected =
        json!({"id": created.json()["id"], "code": "PB", "name": "Peter Berg", "email": "", "blocked": true});
    assert_eq!(patched.json(), expected);
    let rows = json!([{"code": "PB", "name": "P. Berg"}, {"code": "LT"}]);
    assert_eq!(app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.status, 200);
    let listed = app.get(&format!("{PATH}?orderby=code%20desc&filter=blocked%20eq%20false")).await.json();
    assert_eq!((&listed["value"][0]["name"], &listed["value"][1]["code"]), (&json!("P. Berg"), &json!("LT")));
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.send(Method::PUT, &path, &[], Some(&json!({"name": "New"}).to_string())).await.status, 201);
    assert_eq!(app.touched(), Touched::default());
}

#[actix_web::test]
async fn texts_have_their_greatest_length() {
    let app = TestApp::new().await;
    let body = |length: usize| json!({"code": "A", "name": "ä".repeat(length), "email": "e".repeat(length + 154)});
    let refused = app.post(PATH, &body(101)).await;
    assert_eq!(refused.errors(), pairs(&[("/email", "TOO_LONG"), ("/name", "TOO_LONG")]));
    assert_eq!(app.post(PATH, &body(100)).await.status, 201);
}

#[actix_web::test]
async fn a_salesperson_in_use_stays_and_the_refusal_says_why() {
    let app = TestApp::new().await;
    assert_eq!(app.post(PATH, &json!({"code": "PB"})).await.status, 201);
    for statement in [
        "INSERT INTO contacts (id, number, type, name, salesperson_code) VALUES (gen_random_uuid(), 'C', 'PERSON', 'C', 'PB')",
        "INSERT INTO campaigns (id, number, salesperson_code) VALUES (gen_random_uuid(), 'CP', 'PB')",
        "INSERT INTO segments (id, number, salesperson_code) VALUES (gen_random_uuid(), 'S', 'PB')",
    ] {
        app.sql(statement).await;
    }
    let refused = app.delete(&format!("{PATH}/PB")).await;
    assert_eq!((refused.status.as_u16(), refused.errors().len()), (409, 3), "{refused:?}");
}
