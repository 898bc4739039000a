//! API keys: their creation, what each scope allows, restriction to an account, expiry, revocation
//! and limits.

use kampanje::platform::http::access::scope::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::clock::Clock;
use super::support::make;
use super::support::wait::eventually;

const BOOTSTRAP: &str = "a-bootstrap-key-of-forty-characters-1234";

/// Sends a request with a bearer token.
async fn ask(app: &TestApp, token: &str, method: Method, path: &str, body: Option<Value>) -> Reply {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("authorization", authorization.as_str())];
    if method == Method::DELETE {
        headers.push(("if-match", "*"));
    }
    let body = body.map(|body| body.to_string());
    app.send(method, path, &headers, body.as_deref()).await
}

async fn get(app: &TestApp, token: &str, path: &str) -> Reply {
    ask(app, token, Method::GET, path, None).await
}

/// Creates a key, and returns the answer.
async fn create(app: &TestApp, creator: &str, key: Value) -> Value {
    ask(app, creator, Method::POST, "/v1/api-keys", Some(key)).await.expect(201)
}

/// Creates a key with scopes, and returns its token.
async fn key(app: &TestApp, name: &str, scopes: &[&str]) -> String {
    let created = create(app, BOOTSTRAP, json!({"name": name, "scopes": scopes})).await;
    created["secret"].as_str().unwrap().to_owned()
}

async fn app() -> TestApp {
    TestApp::with_key(Some(BOOTSTRAP)).await
}

#[actix_web::test]
async fn key_is_shown_once_and_identifies_its_program() {
    let app = app().await;
    let write = json!({"name": "Shop", "roles": ["SHOP"], "scopes": ["book:read"]});
    let reply = ask(&app, BOOTSTRAP, Method::POST, "/v1/api-keys", Some(write)).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let location = reply.header("location").to_owned();
    let mut created = reply.expect(201);
    let secret = created.as_object_mut().unwrap().remove("secret").unwrap();
    let secret = secret.as_str().unwrap();
    assert_eq!(
        (created["createdBy"].as_str(), &created["lastUsedAt"]),
        (Some("bootstrap"), &Value::Null)
    );
    let stored = get(&app, BOOTSTRAP, &location).await;
    assert!(!stored.text.contains(secret.rsplit('_').next().unwrap()));
    assert_eq!(stored.expect(200), created);
    let me = get(&app, secret, "/v1/me").await.expect(200);
    let id = created["id"].as_str().unwrap();
    assert_eq!(
        me,
        json!({
            "subject": format!("key:{id}"), "name": "Shop", "kind": "API_KEY", "roles": ["SHOP"],
            "scopes": ["quotes:read", "book:read"], "restrictedToContactNumber": null
        })
    );
    assert_eq!(get(&app, BOOTSTRAP, "/v1/me").await.expect(200)["kind"], "BOOTSTRAP");
    let local = TestApp::new().await.get("/v1/me").await.expect(200);
    assert_eq!((&local["kind"], local["scopes"].as_array().unwrap().len()), (&json!("LOCAL"), 13));
}

#[actix_web::test]
async fn author_of_a_publication_is_the_key() {
    let app = app().await;
    let created = create(&app, BOOTSTRAP, json!({"name": "ERP", "roles": ["INTEGRATOR"]})).await;
    let token = created["secret"].as_str().unwrap();
    ask(&app, token, Method::PUT, "/v1/items/DESK", Some(json!({"listPrice": "1"})))
        .await
        .expect(201);
    let newest = get(&app, BOOTSTRAP, "/v1/publications?top=1").await.expect(200);
    let subject = format!("key:{}", created["id"].as_str().unwrap());
    assert_eq!(newest["value"][0]["author"], subject);
}

#[actix_web::test]
async fn wrong_keys_are_not_created() {
    let app = app().await;
    make_company(&app, "ACME").await;
    for (write, expected) in [
        (json!({"name": "A"}), ("/scopes", "MISSING")),
        (json!({"name": "A", "scopes": ["prices:read"]}), ("/scopes/0", "INVALID_VALUE")),
        (json!({"name": "A", "roles": ["BOSS"]}), ("/roles/0", "INVALID_VALUE")),
        (json!({"name": "", "roles": ["SHOP"]}), ("/name", "TOO_SHORT")),
        (
            json!({"name": "A", "roles": ["SHOP"], "expiresAt": "2020-01-01T00:00:00Z"}),
            ("/expiresAt", "OUT_OF_RANGE"),
        ),
        (
            json!({"name": "A", "roles": ["SHOP"], "expiresAt": "tomorrow"}),
            ("/expiresAt", "INVALID_TIME"),
        ),
        (
            json!({"name": "A", "roles": ["SHOP"], "requestsPerSecond": 0}),
            ("/requestsPerSecond", "OUT_OF_RANGE"),
        ),
        (
            json!({"name": "A", "roles": ["SHOP"], "restrictedToContactNumber": "NOBODY"}),
            ("/restrictedToContactNumber", "REFERENCE_NOT_FOUND"),
        ),
        (
            json!({
                "name": "A", "roles": ["MARKETER"], "restrictedToContactNumber": "ACME"
            }),
            ("/scopes", "NOT_ALLOWED"),
        ),
    ] {
        let refused = ask(&app, BOOTSTRAP, Method::POST, "/v1/api-keys", Some(write.clone())).await;
        assert_eq!(refused.errors(), pairs(&[expected]), "{write}");
    }
    create(&app, BOOTSTRAP, json!({"name": "Shop", "roles": ["SHOP"]})).await;
    let twice = json!({"name": "Shop", "roles": ["SHOP"]});
    let refused = ask(&app, BOOTSTRAP, Method::POST, "/v1/api-keys", Some(twice)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (409, pairs(&[("/name", "ALREADY_EXISTS")]))
    );
    // Its answer would have to be stored for a repetition, with the secret.
    let headers = [("authorization", &*format!("Bearer {BOOTSTRAP}")), ("idempotency-key", "1")];
    let body = json!({"name": "B", "roles": ["SHOP"]}).to_string();
    let refused = app.send(Method::POST, "/v1/api-keys", &headers, Some(&body)).await;
    assert_eq!(refused.status, 400);
}

async fn make_company(app: &TestApp, number: &str) {
    let body =
        json!({"type": "COMPANY", "name": number, "customer": {"number": format!("D-{number}")}});
    ask(app, BOOTSTRAP, Method::PUT, &format!("/v1/contacts/{number}"), Some(body))
        .await
        .expect(201);
}

#[actix_web::test]
async fn caller_cannot_grant_more_than_it_has() {
    let app = app().await;
    let admin = key(&app, "Admin", &["admin", "quotes:read"]).await;
    let write = json!({"name": "A", "roles": ["SHOP"], "scopes": ["book:read"]});
    let refused = ask(&app, &admin, Method::POST, "/v1/api-keys", Some(write)).await;
    assert_eq!(refused.errors(), pairs(&[("/scopes", "NOT_ALLOWED")]));
    create(&app, &admin, json!({"name": "A", "roles": ["SHOP"], "scopes": ["admin"]})).await;
}

#[actix_web::test]
async fn revoked_and_expired_keys_are_refused_everywhere() {
    let clock = Clock::at("2031-05-10T10:00:00Z");
    let app = TestApp::at(clock.calendar()).await;
    let replica = app.replica().await;
    let temporary = json!({
        "name": "Temporary", "roles": ["SHOP"], "expiresAt": "2031-05-10T11:00:00Z"
    });
    let temporary = app.post("/v1/api-keys", &temporary).await.expect(201);
    let token = temporary["secret"].as_str().unwrap();
    get(&app, token, "/v1/me").await.expect(200);
    clock.set("2031-05-10T11:00:00Z");
    let expired = get(&app, token, "/v1/me").await;
    assert_eq!((expired.status.as_u16(), expired.header("www-authenticate")), (401, "Bearer"));

    let shop = app.post("/v1/api-keys", &json!({"name": "Shop", "roles": ["SHOP"]})).await;
    let shop = shop.expect(201);
    let token = shop["secret"].as_str().unwrap();
    eventually("the replica learns of the key", async || {
        get(&replica, token, "/v1/me").await.status == 200
    })
    .await;
    let path = format!("/v1/api-keys/{}", shop["id"].as_str().unwrap());
    assert_eq!(replica.delete(&path).await.status, 204);
    for app in [&app, &replica] {
        eventually("the key is refused", async || {
            get(app, token, "/v1/price-quotes?itemNumber=DESK").await.status == 401
        })
        .await;
    }
}

#[actix_web::test]
async fn requests_beyond_the_limit_of_a_key_are_refused() {
    let app = app().await;
    let slow = json!({"name": "Slow", "roles": ["SHOP"], "requestsPerSecond": 2});
    let slow = create(&app, BOOTSTRAP, slow).await;
    let token = slow["secret"].as_str().unwrap();
    let mut refused = None;
    for _ in 0..100 {
        let reply = get(&app, token, "/v1/price-quotes?itemNumber=DESK").await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("100 requests take less than 50 seconds");
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "TOO_MANY_REQUESTS".to_owned()));
    assert_eq!(
        ["retry-after", "ratelimit", "ratelimit-policy"].map(|name| refused.header(name)),
        ["1", "\"key\";r=0;t=1", "\"key\";q=2;w=1"]
    );
    // Another key is not affected, and the limited one recovers.
    get(&app, BOOTSTRAP, "/v1/me").await.expect(200);
    eventually("the key is served again", async || get(&app, token, "/v1/me").await.status == 200)
        .await;
}

#[actix_web::test]
async fn restricted_key_sees_the_prices_of_its_account_only() {
    let app = app().await;
    for number in ["ACME", "OTHER"] {
        make_company(&app, number).await;
    }
    let person = json!({"type": "PERSON", "name": "Pia", "companyNumber": "ACME"});
    ask(&app, BOOTSTRAP, Method::PUT, "/v1/contacts/PIA", Some(person)).await.expect(201);
    ask(&app, BOOTSTRAP, Method::PUT, "/v1/items/DESK", Some(json!({"listPrice": "100"})))
        .await
        .expect(201);
    for (contact, price) in [("ACME", "80"), ("OTHER", "66.66")] {
        let line = json!({
            "source": {"type": "CONTACT", "contactNumber": contact}, "itemNumber": "DESK",
            "unitPrice": price
        });
        ask(&app, BOOTSTRAP, Method::POST, "/v1/prices", Some(line)).await.expect(201);
    }
    let write = json!({"name": "Portal", "roles": ["SHOP"], "restrictedToContactNumber": "ACME"});
    let created = create(&app, BOOTSTRAP, write).await;
    let token = created["secret"].as_str().unwrap();
    let quote = |party: &str| format!("/v1/price-quotes?itemNumber=DESK&explain=true{party}");
    for party in ["", "&contactNumber=ACME", "&contactNumber=PIA", "&customerNumber=D-ACME"] {
        let answer = get(&app, token, &quote(party)).await.expect(200);
        assert_eq!(answer["lines"][0]["unitPrice"], "80", "{party}");
        assert_eq!(answer["accountNumber"], "ACME");
    }
    let of_other = json!({"contactNumber": "OTHER", "lines": [{"itemNumber": "DESK"}]});
    let mut answers = Vec::new();
    for path in [
        quote("&contactNumber=OTHER"),
        quote("&customerNumber=D-OTHER"),
        quote("&contactNumber=NOBODY"),
        "/v1/effective-prices?contactNumber=OTHER".to_owned(),
        "/v1/effective-prices?campaignNumber=SPRING".to_owned(),
        "/v1/lowest-prices?itemNumber=DESK&contactNumber=OTHER".to_owned(),
        "/v1/price-timeline?itemNumber=DESK&contactNumber=OTHER".to_owned(),
    ] {
        let refused = get(&app, token, &path).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (403, "FORBIDDEN".to_owned()),
            "{path}"
        );
        answers.push(refused.text);
    }
    let refused = ask(&app, token, Method::POST, "/v1/price-quotes", Some(of_other)).await;
    assert_eq!(refused.status, 403);
    answers.push(refused.text);
    for path in [
        "/v1/effective-prices",
        "/v1/lowest-prices?itemNumber=DESK",
        "/v1/price-timeline?itemNumber=DESK",
    ] {
        answers.push(get(&app, token, path).await.text);
    }
    answers.push(get(&app, token, &quote("")).await.text);
    assert!(!answers.iter().any(|text| text.contains("66.66")), "{answers:?}");
    // A key that explains sees the lines of all accounts.
    let pricing = key(&app, "Pricing", &["quotes:read", "quotes:explain"]).await;
    let all = get(&app, &pricing, &quote("&contactNumber=ACME")).await;
    assert!(all.text.contains("66.66"), "{}", all.text);
    let shop = key(&app, "Shop", &["quotes:read"]).await;
    assert!(!get(&app, &shop, &quote("&contactNumber=ACME")).await.text.contains("66.66"));
}

/// Every operation of the document with the scope that it states: method, path and scope.
fn operations() -> Vec<(Method, String, Option<String>)> {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        // Their scope is that of the imported resource, which tests/api/imports.rs checks.
        if path.starts_with("/v1/imports") {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            let scope = operation["x-required-scope"].as_str().map(str::to_owned);
            assert!(
                scope.is_some() || is_public || path == "/v1/me",
                "{method} {path} states no scope"
            );
            if !is_public {
                // An id of nothing: what is admitted is answered 404, and changes nothing.
                let segments = path.split('/').map(|segment| {
                    if segment.starts_with('{') {
                        "0190b5c2-7d5e-7000-8000-00000000dead"
                    } else {
                        segment
                    }
                });
                operations.push((method, segments.collect::<Vec<_>>().join("/"), scope));
            }
        }
    }
    operations
}

#[actix_web::test]
async fn every_operation_requires_exactly_the_scope_that_it_states() {
    let app = app().await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        tokens.push((scope.text(), key(&app, scope.text(), &[scope.text()]).await));
    }
    let revoked = create(&app, BOOTSTRAP, json!({"name": "Revoked", "roles": ["ADMIN"]})).await;
    let path = format!("/v1/api-keys/{}", revoked["id"].as_str().unwrap());
    assert_eq!(ask(&app, BOOTSTRAP, Method::DELETE, &path, None).await.status, 204);
    let revoked = revoked["secret"].as_str().unwrap();
    eventually("the key is revoked", async || get(&app, revoked, "/v1/me").await.status == 401)
        .await;
    let expiry = chrono::Utc::now() + chrono::TimeDelta::seconds(2);
    let expired = json!({"name": "Expired", "roles": ["ADMIN"], "expiresAt": expiry.to_rfc3339()});
    let expired = create(&app, BOOTSTRAP, expired).await["secret"].as_str().unwrap().to_owned();
    eventually("the key has expired", async || get(&app, &expired, "/v1/me").await.status == 401)
        .await;
    let operations = operations();
    assert!(operations.len() > 140, "{}", operations.len());
    let mut cells = 0;
    for (method, path, required) in &operations {
        for token in ["", revoked, &expired, "kmp_x", &"k".repeat(200)] {
            let refused = ask(&app, token, method.clone(), path, None).await;
            assert_eq!(refused.status, 401, "{method} {path} with {token:?}");
            cells += 1;
        }
        assert_eq!(app.send(method.clone(), path, &[], None).await.status, 401, "{method} {path}");
        for (scope, token) in &tokens {
            let reply = ask(&app, token, method.clone(), path, None).await;
            let is_allowed = required.as_deref().is_none_or(|required| required == *scope);
            assert_eq!(reply.status == 403, !is_allowed, "{method} {path} with {scope}: {reply:?}");
            assert!(
                reply.status != 401 && reply.status.as_u16() < 500,
                "{method} {path}: {reply:?}"
            );
            if !is_allowed {
                let body = reply.json();
                assert_eq!(body["scope"].as_str(), required.as_deref(), "{method} {path}");
            }
            cells += 1;
        }
    }
    println!("{} operations, {cells} cells", operations.len());
}

/// The request of an operation for the prices of an account, with the parameters that the document
/// gives it.
fn request_for(path: &str, method: &Method, contact: &str) -> (String, Option<Value>) {
    let document: Value = serde_json::from_str(include_str!("../../openapi/openapi.json")).unwrap();
    if *method == Method::POST {
        let lines = json!([{"itemNumber": "DESK"}]);
        return (path.to_owned(), Some(json!({"contactNumber": contact, "lines": lines})));
    }
    let operation = &document["paths"][path][method.as_str().to_lowercase()];
    let known = |name: &str| {
        operation["parameters"].as_array().unwrap().iter().any(|known| known["name"] == name)
    };
    let item = if known("itemNumber") { "&itemNumber=DESK" } else { "" };
    (format!("{path}?contactNumber={contact}{item}"), None)
}

#[actix_web::test]
async fn key_of_an_account_is_refused_everywhere_for_another_account() {
    let app = app().await;
    let item = json!({"listPrice": "100"});
    ask(&app, BOOTSTRAP, Method::PUT, "/v1/items/DESK", Some(item)).await.expect(201);
    for number in ["OWN", "OTHER"] {
        make_company(&app, number).await;
    }
    let write = json!({
        "name": "Shop", "scopes": ["quotes:read"], "restrictedToContactNumber": "OWN"
    });
    let token = create(&app, BOOTSTRAP, write).await["secret"].as_str().unwrap().to_owned();
    let mut answered = 0;
    for (method, path, required) in &operations() {
        if required.as_deref() == Some("quotes:read") {
            let (path_of_own, body) = request_for(path, method, "OWN");
            ask(&app, &token, method.clone(), &path_of_own, body).await.expect(200);
            let (path_of_other, body) = request_for(path, method, "OTHER");
            let refused = ask(&app, &token, method.clone(), &path_of_other, body).await;
            assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text);
            answered += 1;
        } else if required.is_some() {
            let refused = ask(&app, &token, method.clone(), path, None).await;
            assert_eq!(refused.status, 403, "{method} {path}");
        }
    }
    assert!(answered >= 4, "{answered}");
}

#[actix_web::test]
async fn keyless_service_accepts_keys_but_no_wrong_ones() {
    let app = TestApp::new().await;
    let shop = app.post("/v1/api-keys", &json!({"name": "Shop", "roles": ["SHOP"]})).await;
    let shop = shop.expect(201);
    let token = shop["secret"].as_str().unwrap();
    assert_eq!(get(&app, token, "/v1/items").await.code(), "FORBIDDEN");
    assert_eq!(get(&app, "wrong", "/v1/items").await.status, 401);
    app.get("/v1/items").await.expect(200);
    make::item(&app, "DESK", "1").await;
}
