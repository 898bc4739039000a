//! Disclosure: the data of an account never reaches a key that is restricted to another account,
//! nor metrics, events and problems.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};

const BOOTSTRAP: &str = "a-bootstrap-key-of-forty-characters-1234";
/// Name, e-mail address, telephone number and prices of the canary.
const SECRETS: [&str; 6] = ["Xanthippe", "canary.example", "555 12 34", "61.23", "45.67", "LOYAL"];

async fn ask(app: &TestApp, token: &str, method: Method, path: &str, body: Option<Value>) -> Reply {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("authorization", authorization.as_str())];
    if matches!(method, Method::DELETE | Method::PATCH) {
        headers.push(("if-match", "*"));
    }
    let body = body.map(|body| body.to_string());
    app.send(method, path, &headers, body.as_deref()).await
}

fn assert_silent(reply: &Reply, what: &str) {
    let headers = format!("{:?}", reply.headers);
    for secret in SECRETS {
        let is_disclosed = reply.text.contains(secret) || headers.contains(secret);
        assert!(!is_disclosed, "{what} discloses {secret}: {reply:?}");
    }
}

/// A service with the canary, another account, and prices of both; and the token of a key that is
/// restricted to the other account.
async fn app() -> (TestApp, String) {
    let app = TestApp::with_key(Some(BOOTSTRAP)).await;
    let put = async |path: &str, body: Value| {
        let reply = ask(&app, BOOTSTRAP, Method::PUT, path, Some(body)).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
    };
    let post = async |path: &str, body: Value| {
        let reply = ask(&app, BOOTSTRAP, Method::POST, path, Some(body)).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        reply.json()
    };
    put("/v1/items/DESK", json!({"listPrice": "100"})).await;
    let customer = json!({"number": "D77", "priceGroupCode": "LOYAL"});
    let canary = json!({
        "type": "COMPANY", "name": "Xanthippe AS", "email": "xq@canary.example",
        "phone": "+47 555 12 34", "customer": customer
    });
    put("/v1/contacts/CT-77", canary).await;
    let acme = json!({"type": "COMPANY", "name": "Acme", "customer": {"number": "D1"}});
    put("/v1/contacts/ACME", acme).await;
    for (contact, price) in [("CT-77", "61.23"), ("ACME", "80")] {
        let source = json!({"type": "CONTACT", "contactNumber": contact});
        let line = json!({"source": source, "itemNumber": "DESK", "unitPrice": price});
        post("/v1/prices", line).await;
    }
    let dates = json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"});
    put("/v1/campaigns/SPRING", dates).await;
    let target = json!({"campaignNumber": "SPRING", "campaignTarget": true});
    put("/v1/segments/FAIR", target).await;
    post("/v1/segments/FAIR/lines", json!({"contactNumber": "CT-77"})).await;
    let price = json!({"itemNumber": "DESK", "unitPrice": "45.67"});
    post("/v1/campaigns/SPRING/prices", price).await;
    post("/v1/campaigns/SPRING/activations", json!({"acknowledge": ["*"]})).await;
    let write = json!({"name": "Portal", "roles": ["SHOP"], "restrictedToContactNumber": "ACME"});
    let created = post("/v1/api-keys", write).await;
    (app, created["secret"].as_str().unwrap().to_owned())
}

/// Every operation of the document, with the canary's data in its path.
fn operations() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let segments = path.split('/').map(|segment| match segment {
            "{contact}" => "CT-77",
            "{campaign}" => "SPRING",
            "{segment}" => "FAIR",
            "{item}" => "DESK",
            "{version}" => "1",
            segment if segment.starts_with('{') => "0190b5c2-7d5e-7000-8000-00000000dead",
            segment => segment,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        for method in item.as_object().unwrap().keys() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    operations
}

#[actix_web::test]
async fn restricted_key_learns_nothing_of_another_account() {
    let (app, token) = app().await;
    // Everybody else sees what must not be disclosed.
    let all = "/v1/price-quotes?contactNumber=CT-77&itemNumber=DESK&date=2031-05-15";
    let quote = ask(&app, BOOTSTRAP, Method::GET, all, None).await.expect(200);
    assert_eq!(quote["lines"][0]["unitPrice"], "45.67");
    let own = ask(&app, &token, Method::GET, "/v1/price-quotes?itemNumber=DESK", None).await;
    assert_eq!(own.expect(200)["lines"][0]["unitPrice"], "80");
    let queries = [
        "",
        "?contactNumber=CT-77&itemNumber=DESK&date=2031-05-15",
        "?customerNumber=D77&itemNumber=DESK&date=2031-05-15&explain=true",
        "?contactNumber=ACME&itemNumber=DESK&date=2031-05-15&explain=true",
        "?itemNumber=DESK&date=2031-05-15&explain=true",
        "?itemNumber=DESK&date=2031-05-15&campaignNumber=SPRING",
        "?contactNumber=ACME&date=2031-05-15&campaignNumber=SPRING",
        "?filter=contains(name,'Xan')&count=true",
    ];
    let line = json!({"itemNumber": "DESK"});
    let bodies = [
        None,
        Some(json!({})),
        Some(json!({"contactNumber": "CT-77", "date": "2031-05-15", "lines": [line]})),
        Some(json!({"date": "2031-05-15", "campaignNumber": "SPRING", "lines": [line]})),
    ];
    let mut answers = 0;
    for (method, path) in operations() {
        let is_get = method == Method::GET;
        for query in queries.iter().take(if is_get { queries.len() } else { 1 }) {
            for body in bodies.iter().take(if is_get { 1 } else { bodies.len() }) {
                let path = format!("{path}{query}");
                let reply = ask(&app, &token, method.clone(), &path, body.clone()).await;
                assert!(reply.status.as_u16() < 500, "{method} {path}: {reply:?}");
                assert_silent(&reply, &format!("{method} {path} {body:?}"));
                answers += 1;
            }
        }
    }
    println!("{answers} answers");
}

#[actix_web::test]
async fn metrics_events_and_problems_contain_no_personal_data() {
    let (app, token) = app().await;
    ask(&app, &token, Method::GET, "/v1/price-quotes?itemNumber=DESK&contactNumber=CT-77", None)
        .await
        .expect(403);
    let taken = json!({"type": "COMPANY", "name": "B", "customer": {"number": "D77"}});
    let number = json!({"type": "COMPANY", "name": "B", "number": "CT-77"});
    for (method, path, body, status) in [
        (Method::DELETE, "/v1/contacts/CT-77", None, 409),
        (Method::PUT, "/v1/contacts/B", Some(taken), 409),
        (Method::POST, "/v1/contacts", Some(number), 409),
        (Method::PATCH, "/v1/contacts/CT-77", Some(json!({"companyNumber": "ACME"})), 422),
        (Method::POST, "/v1/segments/FAIR/logs", Some(json!({})), 422),
        (Method::POST, "/v1/segments/FAIR/lines", Some(json!({"contactNumber": "CT-77"})), 409),
    ] {
        let reply = ask(&app, BOOTSTRAP, method.clone(), path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        for secret in &SECRETS[..3] {
            assert!(!reply.text.contains(secret), "{method} {path}: {reply:?}");
        }
    }
    for path in ["/metrics", "/readyz", "/v1/events?top=1000", "/v1/audit-entries?top=1000"] {
        let reply = ask(&app, BOOTSTRAP, Method::GET, path, None).await;
        assert_eq!(reply.status, 200);
        assert_silent(&reply, path);
    }
}
