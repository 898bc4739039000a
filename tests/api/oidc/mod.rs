//! Access tokens of an OpenID Connect issuer.

mod invalid_tokens;
mod issuer;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use kampanje::platform::http::access::oidc::Refusal;
use reqwest::Method;
use serde_json::{Value, json};

use self::issuer::{Answer, Key, TestIssuer};
use super::support::app::{Reply, TestApp};

const BOOTSTRAP: &str = "a-bootstrap-key-of-forty-characters-1234";
/// Longer than a test runs.
const LONG: Duration = Duration::from_secs(600);

async fn send(
    app: &TestApp,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Reply {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    app.send(method, path, &headers, body.map(|body| body.to_string()).as_deref()).await
}

async fn get(app: &TestApp, token: &str, path: &str) -> Reply {
    send(app, token, Method::GET, path, None).await
}

#[actix_web::test]
async fn tokens_of_every_algorithm_identify_their_user() {
    let keys = [("r", Key::rsa()), ("e", Key::ec()), ("d", Key::ed())];
    let mut published: Vec<Value> = keys.iter().map(|(id, key)| key.jwk(id)).collect();
    // Keys for other purposes are no reason to refuse the others.
    published.push(json!({"kty": "oct", "k": "c2VjcmV0", "kid": "h"}));
    published.push(json!({"kty": "of the future"}));
    let issuer = TestIssuer::start(published);
    let app = TestApp::with_issuer(BOOTSTRAP, issuer.client(LONG)).await;
    for (id, key) in &keys {
        let token = key.token(&key.header(id), &issuer.claims());
        let me = get(&app, &token, "/v1/me").await.expect(200);
        assert_eq!(
            (&me["subject"], &me["name"], &me["kind"], &me["roles"]),
            (&json!("user:u-1"), &json!("Kari Nordmann"), &json!("OIDC"), &json!(["MARKETER"]))
        );
    }
    let (id, key) = &keys[1];
    let mut claims = issuer.claims();
    claims["aud"] = json!(["other", issuer::AUDIENCE]);
    let token = key.token(&json!({"alg": "ES256", "kid": id, "typ": "at+jwt"}), &claims);
    let campaign = json!({"description": "Spring"});
    let created = send(&app, &token, Method::PUT, "/v1/campaigns/K", Some(campaign)).await;
    assert_eq!(created.expect(201)["createdBy"], "user:u-1");
    let refused = get(&app, &token, "/v1/api-keys").await;
    assert_eq!(refused.expect(403)["scope"], "admin");
    // The other credentials are not affected.
    get(&app, BOOTSTRAP, "/v1/api-keys").await.expect(200);
    app.get("/v1/campaigns").await.expect(401);
}

#[actix_web::test]
async fn quotes_are_answered_with_tokens() {
    let key = Key::ed();
    let issuer = TestIssuer::start(vec![key.jwk("d")]);
    let app = TestApp::with_issuer(BOOTSTRAP, issuer.client(LONG)).await;
    let item = json!({"listPrice": "100"});
    send(&app, BOOTSTRAP, Method::PUT, "/v1/items/DESK", Some(item)).await.expect(201);
    let mut claims = issuer.claims();
    claims["roles"] = json!("SHOP");
    let token = key.token(&key.header("d"), &claims);
    for _ in 0..3 {
        let quote = get(&app, &token, "/v1/price-quotes?itemNumber=DESK").await.expect(200);
        assert_eq!(quote["lines"][0]["unitPrice"], "100");
    }
    claims["roles"] = json!(["NOBODY"]);
    let token = key.token(&key.header("d"), &claims);
    get(&app, &token, "/v1/price-quotes?itemNumber=DESK").await.expect(403);
}

#[actix_web::test]
async fn rotated_keys_are_fetched_and_removed_ones_refused() {
    let (old, new) = (Key::ec(), Key::ed());
    let issuer = TestIssuer::start(vec![old.jwk("1")]);
    let app = TestApp::with_issuer(BOOTSTRAP, issuer.client(Duration::ZERO)).await;
    let (by_old, by_new) = (
        old.token(&old.header("1"), &issuer.claims()),
        new.token(&new.header("2"), &issuer.claims()),
    );
    get(&app, &by_old, "/v1/me").await.expect(200);
    get(&app, &by_new, "/v1/me").await.expect(401);
    issuer.answer(Answer::Keys(vec![old.jwk("1"), new.jwk("2")]));
    get(&app, &by_new, "/v1/me").await.expect(200);
    get(&app, &by_old, "/v1/me").await.expect(200);
    // The key is gone once the service knows it, which any unknown key causes here.
    issuer.answer(Answer::Keys(vec![new.jwk("2")]));
    let unknown = new.token(&new.header("3"), &issuer.claims());
    get(&app, &unknown, "/v1/me").await.expect(401);
    get(&app, &by_old, "/v1/me").await.expect(401);
    get(&app, &by_new, "/v1/me").await.expect(200);
}

#[actix_web::test]
async fn failing_issuer_affects_nobody_else() {
    let key = Key::ec();
    let issuer = TestIssuer::start(vec![key.jwk("1")]);
    let app = TestApp::with_issuer(BOOTSTRAP, issuer.client(Duration::ZERO)).await;
    let known = key.token(&key.header("1"), &issuer.claims());
    let unknown = key.token(&key.header("2"), &issuer.claims());
    get(&app, &known, "/v1/me").await.expect(200);
    let many = (0..101).map(|id| key.jwk(&id.to_string())).collect();
    for answer in [
        Answer::Huge,
        Answer::Redirect,
        Answer::Failure,
        Answer::Text("<html>".to_owned()),
        Answer::Text(json!({"keys": {}}).to_string()),
        Answer::Keys(many),
    ] {
        issuer.answer(answer);
        get(&app, &unknown, "/v1/me").await.expect(401);
        get(&app, &known, "/v1/me").await.expect(200);
    }
    // While one request waits for an answer that never comes, others are answered.
    issuer.answer(Answer::Never);
    let waiting = get(&app, &unknown, "/v1/me");
    let others = async {
        for _ in 0..20 {
            get(&app, &known, "/v1/me").await.expect(200);
            get(&app, BOOTSTRAP, "/v1/items").await.expect(200);
        }
    };
    let (waited, ()) = tokio::join!(waiting, others);
    waited.expect(401);
}

#[actix_web::test]
async fn verified_token_expires() {
    let key = Key::ed();
    let issuer = TestIssuer::start(vec![key.jwk("d")]);
    let client = issuer.client(LONG);
    let token = key.token(&key.header("d"), &issuer.claims());
    let now = Utc::now();
    assert_eq!(client.verify(&token, now).err(), Some(Refusal::UnknownKey), "not fetched yet");
    assert!(client.identify(&token, now).await.is_ok());
    assert!(client.verify(&token, now + TimeDelta::seconds(590)).is_ok());
    let late = now + TimeDelta::seconds(640);
    assert_eq!(client.verify(&token, late).err(), Some(Refusal::Invalid));
}
