//! Replays of quotes: `publicationVersion` selects the known book, `date` the day that counts.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make;

const CONTACTS: [&str; 3] = ["BUYER", "OTHER", "ANNE"];

fn document(contact: &str) -> Value {
    let lines = json!([
        {"itemNumber": "DESK"},
        {"itemNumber": "DESK", "quantity": "10"},
        {"itemNumber": "LAMP"}
    ]);
    json!({"contactNumber": contact, "date": "2031-05-15", "lines": lines})
}

/// Changes of prices and audiences, each of which makes at most one version.
fn changes() -> [(Method, &'static str, Value); 13] {
    [
        (Method::POST, "/v1/segments/FAIR/lines", json!({"contactNumber": "ANNE"})),
        (
            Method::POST,
            "/v1/campaigns/SPRING/prices",
            json!({"itemNumber": "DESK", "unitPrice": "80"}),
        ),
        (Method::POST, "/v1/campaigns/SPRING/activations", json!({"acknowledge": ["*"]})),
        (Method::POST, "/v1/segments/FAIR/lines", json!({"contactNumber": "OTHER"})),
        (
            Method::PUT,
            "/v1/items/LAMP",
            json!({"listPrice": "20", "itemDiscountGroupCode": "LIGHT"}),
        ),
        (
            Method::POST,
            "/v1/campaigns/SPRING/discounts",
            json!({"itemDiscountGroupCode": "LIGHT", "lineDiscountPercent": "5"}),
        ),
        (Method::PATCH, "/v1/contacts/ANNE", json!({"companyNumber": "OTHER"})),
        (Method::PATCH, "/v1/campaigns/SPRING", json!({"endingDate": "2031-05-14"})),
        (Method::PATCH, "/v1/campaigns/SPRING", json!({"endingDate": null})),
        (Method::DELETE, "/v1/segments/FAIR/lines/ANNE", Value::Null),
        (Method::PATCH, "/v1/items/DESK", json!({"listPrice": "110"})),
        (Method::POST, "/v1/campaigns/SPRING/deactivations", json!({})),
        (Method::POST, "/v1/campaigns/SPRING/activations", json!({"acknowledge": ["*"]})),
    ]
}

#[actix_web::test]
async fn every_version_has_its_original_answers() {
    let app = TestApp::new().await;
    make::company(&app, "BUYER").await;
    make::company(&app, "OTHER").await;
    make::person(&app, "ANNE", "BUYER").await;
    make::item(&app, "DESK", "100").await;
    app.post("/v1/campaigns", &json!({"number": "SPRING", "startingDate": "2031-05-01"}))
        .await
        .expect(201);
    make::target_segment(&app, "FAIR", "SPRING").await;
    let mut answers = Vec::new();
    for (method, path, body) in changes() {
        let body = if body.is_null() { None } else { Some(body.to_string()) };
        let conditions: &[_] = if matches!(method, Method::PATCH | Method::DELETE) {
            &[("if-match", "*")]
        } else {
            &[]
        };
        let changed = app.send(method, path, conditions, body.as_deref()).await;
        assert!(changed.status.is_success(), "{path}: {changed:?}");
        for contact in CONTACTS {
            let answer = app.post("/v1/price-quotes?explain=true", &document(contact)).await;
            answers.push((
                contact,
                answer.header("publication-version").to_owned(),
                answer.expect(200),
            ));
        }
    }
    for (contact, version, then) in &answers {
        let path = format!("/v1/price-quotes?explain=true&publicationVersion={version}");
        assert_eq!(
            &app.post(&path, &document(contact)).await.expect(200),
            then,
            "version {version}"
        );
    }
    let versions: Vec<&str> = answers.iter().map(|(_, version, _)| version.as_str()).collect();
    assert!(versions.iter().collect::<std::collections::BTreeSet<_>>().len() > 8, "{versions:?}");
    let query = "/v1/price-quotes?contactNumber=BUYER&itemNumber=DESK&date=2031-05-15";
    assert_eq!(
        app.get(&format!("{query}&publicationVersion=0")).await.status,
        422,
        "nobody was known then"
    );
    let future = app.get(&format!("{query}&publicationVersion=1000")).await;
    assert_eq!(
        future.errors(),
        super::support::app::pairs(&[("?publicationVersion", "REFERENCE_NOT_FOUND")])
    );
    assert_eq!(app.get(&format!("{query}&publicationVersion=-1")).await.status, 400);
}
