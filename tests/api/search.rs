//! The search over campaigns, segments, items and contacts.

use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};
use super::support::make;

/// Returns the numbers of the results of one kind.
fn numbers(results: &Value, kind: &str) -> Vec<String> {
    let results = results[kind].as_array().unwrap().iter();
    results.map(|result| result["number"].as_str().unwrap().to_owned()).collect()
}

async fn search(app: &TestApp, text: &str) -> Value {
    app.get(&format!("/v1/search?q={text}")).await.expect(200)
}

async fn ready() -> TestApp {
    let app = TestApp::new().await;
    for (number, description) in [
        ("DESK", "Oak desk"),
        ("DESK-2", "Desk of steel, height adjustable"),
        ("A-DESK", "Ash table"),
        ("LAMP", "Lamp for desks and tables"),
        ("RØD", "Rød stol"),
    ] {
        let item = json!({ "description": description });
        app.put(&format!("/v1/items/{number}"), &item).await.expect(201);
    }
    make::person_alone(&app, "CT1", "Ola Nordmann").await;
    make::person_alone(&app, "CT2", "Kari O'Neill").await;
    let campaign = json!({"description": "Desks in spring"});
    app.put("/v1/campaigns/SPRING", &campaign).await.expect(201);
    make::target_segment(&app, "FAIR", "SPRING").await;
    app
}

#[actix_web::test]
async fn equal_number_comes_first_then_numbers_then_words() {
    let app = ready().await;
    let found = search(&app, "desk").await;
    assert_eq!(numbers(&found, "items"), ["DESK", "DESK-2", "LAMP"]);
    assert_eq!(numbers(&found, "campaigns"), ["SPRING"]);
    assert_eq!(found["campaigns"][0]["description"], "Desks in spring");
    assert_eq!(numbers(&found, "segments"), [""; 0]);
    assert_eq!(numbers(&search(&app, "DESK-").await, "items"), ["DESK-2", "DESK", "LAMP"]);
    let id = app.get("/v1/items/DESK").await.json()["id"].clone();
    assert_eq!(found["items"][0]["id"], id);
}

#[actix_web::test]
async fn every_word_is_the_beginning_of_a_word() {
    let app = ready().await;
    for (text, kind, expected) in [
        ("steel%20des", "items", vec!["DESK-2"]),
        ("oak%20steel", "items", vec![]),
        ("nord", "contacts", vec!["CT1"]),
        ("o'neill", "contacts", vec!["CT2"]),
        ("r%C3%B8d", "items", vec!["RØD"]),
        ("ordmann", "contacts", vec![]),
        // Characters with a meaning in conditions and patterns.
        ("%25", "items", vec![]),
        ("a%20%7C%20!b%20%26%20(", "items", vec![]),
        ("%5C", "items", vec![]),
        ("'", "items", vec![]),
    ] {
        assert_eq!(numbers(&search(&app, text).await, kind), expected, "{text}");
    }
}

#[actix_web::test]
async fn each_list_has_twenty_results() {
    let app = TestApp::new().await;
    let rows: Vec<Value> =
        (10..40).map(|n| json!({"number": format!("N{n}"), "description": "Chair"})).collect();
    app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    for text in ["n", "chair"] {
        let found = numbers(&search(&app, text).await, "items");
        assert_eq!((found.len(), found[0].as_str(), found[19].as_str()), (20, "N10", "N29"));
    }
}

#[actix_web::test]
async fn wrong_searches_are_refused() {
    let app = TestApp::new().await;
    for (query, code) in [
        ("", "REQUIRED"),
        ("?q=", "TOO_SHORT"),
        ("?q=%20%20", "TOO_SHORT"),
        (&format!("?q={}", "x".repeat(101)), "TOO_LONG"),
    ] {
        let refused = app.get(&format!("/v1/search{query}")).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (400, pairs(&[("?q", code)])));
    }
    assert_eq!(app.get("/v1/search?q=a%00b").await.status, 400);
    assert_eq!(app.get("/v1/search?q=a&kind=items").await.status, 400);
}

#[actix_web::test]
async fn caller_finds_only_resources_that_it_may_read() {
    let app = TestApp::new().await;
    let app = app.with_scopes(&["campaigns:read"]).await;
    let found = search(&app, "a").await;
    assert_eq!(found, json!({"campaigns": [], "segments": null, "items": null, "contacts": null}));
}
