//! Tokens that are not valid, each for one reason.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use chrono::Utc;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::issuer::{Key, TestIssuer, encode};
use super::{BOOTSTRAP, LONG, get};
use crate::support::app::TestApp;

/// Replaces members of an object; null removes them.
fn with(object: &Value, changes: Value) -> Value {
    let mut object = object.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", encode(mac.finalize().into_bytes()))
}

/// Returns tokens whose header is wrong, with the reason.
fn wrong_headers(issuer: &TestIssuer, key: &Key, rsa: &Key) -> Vec<(String, String)> {
    let (header, claims) = (key.header("e"), issuer.claims());
    let changes = [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": ""}),
        json!({"alg": null}),
        json!({"alg": 256}),
        json!({"alg": ["ES256"]}),
        json!({"alg": "es256"}),
        json!({"alg": "ES384"}),
        json!({"alg": "RS256"}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "RS256", "kid": "r"}),
        json!({"kid": "unknown"}),
        json!({"kid": "E"}),
        json!({"kid": 1}),
        json!({"kid": "r"}),
        json!({"kid": "../../dev/null"}),
        json!({"typ": "dpop+jwt"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": "JWE"}),
        json!({"typ": 1}),
        json!({"crit": []}),
        json!({"crit": ["exp"]}),
        json!({"crit": ["b64"], "b64": false}),
    ];
    let mut tokens: Vec<_> = changes
        .into_iter()
        .map(|change| (change.to_string(), key.token(&with(&header, change), &claims)))
        .collect();
    // Keys that the token brings along or points to are ignored.
    let foreign = Key::ec();
    let evil = format!("{}/evil", issuer.url);
    for change in [
        json!({"jku": evil}),
        json!({"x5u": evil}),
        json!({"jku": evil, "kid": "unknown"}),
        json!({"jwk": foreign.jwk("e")}),
        json!({"jwk": foreign.jwk("e"), "kid": null}),
        json!({"x5c": ["MIIB"]}),
    ] {
        let header = with(&header, change.clone());
        tokens.push((format!("foreign key, {change}"), foreign.token(&header, &claims)));
    }
    // The public key as the secret of a symmetric algorithm.
    let published = rsa.jwk("r");
    let modulus = published["n"].as_str().unwrap();
    for secret in [modulus.as_bytes(), published.to_string().as_bytes(), b""] {
        let header = json!({"alg": "HS256", "kid": "r", "typ": "JWT"});
        tokens.push(("public key as secret".to_owned(), hs256(secret, &header, &claims)));
    }
    for text in [
        r#"{"alg":"none","alg":"ES256","kid":"e"}"#,
        r#"{"alg":"ES256","kid":"x","kid":"e"}"#,
        r#"["ES256"]"#,
        r#"{"alg":"ES256","kid":"e""#,
        "",
    ] {
        let token = key.token_of(text, claims.to_string());
        tokens.push((format!("header {text}"), token));
    }
    tokens.push(("header not UTF-8".to_owned(), key.token_of([0xff, 0xfe], claims.to_string())));
    tokens
}

/// Returns tokens whose claims are wrong, with the reason.
fn wrong_claims(issuer: &TestIssuer, key: &Key) -> Vec<(String, String)> {
    let (header, claims) = (key.header("e"), issuer.claims());
    let now = Utc::now().timestamp();
    let changes = [
        json!({"iss": null}),
        json!({"iss": "https://other.example"}),
        json!({"iss": format!("{}/", issuer.url)}),
        json!({"iss": 1}),
        json!({"aud": null}),
        json!({"aud": "other"}),
        json!({"aud": "kampanje2"}),
        json!({"aud": "KAMPANJE"}),
        json!({"aud": []}),
        json!({"aud": ["other"]}),
        json!({"aud": {"kampanje": true}}),
        json!({"exp": null}),
        json!({"exp": now - 60}),
        json!({"exp": 0}),
        json!({"exp": -1}),
        json!({"exp": "2100-01-01"}),
        json!({"exp": (now + 600).to_string()}),
        json!({"exp": true}),
        json!({"nbf": now + 120}),
        json!({"nbf": (now - 60).to_string()}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 1}),
        json!({"sub": ["u-1"]}),
        json!({"sub": "x".repeat(300)}),
        json!({"sub": "a\u{0}b"}),
    ];
    let mut tokens: Vec<_> = changes
        .into_iter()
        .map(|change| (change.to_string(), key.token(&header, &with(&claims, change))))
        .collect();
    let text = claims.to_string();
    let rest = &text[1..];
    for text in [
        format!(r#"{{"exp":1,{rest}"#),
        format!(r#"{{"sub":"admin",{rest}"#),
        format!(r#"{{"aud":"other",{rest}"#),
        format!(r#"{{"roles":["ADMIN"],{rest}"#),
        format!("[{text}]"),
        format!("{text}{text}"),
        "null".to_owned(),
        String::new(),
    ] {
        tokens.push((format!("claims {text}"), key.token_of(header.to_string(), text)));
    }
    tokens
}

/// Returns tokens whose signature or form is wrong, with the reason.
fn wrong_forms(issuer: &TestIssuer, key: &Key) -> Vec<(String, String)> {
    let (header, claims) = (key.header("e"), issuer.claims());
    let valid = key.token(&header, &claims);
    let (message, signature) = valid.rsplit_once('.').unwrap();
    let other = key.token(&header, &with(&claims, json!({"roles": ["ADMIN"]})));
    let mut flipped = key.sign(message.as_bytes());
    flipped[10] ^= 1;
    let (encoded_header, encoded_claims) = message.split_once('.').unwrap();
    let tokens = [
        ("no signature", message.to_owned()),
        ("empty signature", format!("{message}.")),
        ("short signature", valid[..valid.len() - 2].to_owned()),
        ("long signature", format!("{valid}AAAA")),
        ("changed signature", format!("{message}.{}", encode(flipped))),
        ("signature of zeros", format!("{message}.{}", encode([0; 64]))),
        ("signature as text", format!("{message}.{}", encode("valid"))),
        ("signature of another token", {
            format!("{message}.{}", other.rsplit_once('.').unwrap().1)
        }),
        ("claims of another token", {
            format!("{}.{signature}", other.rsplit_once('.').unwrap().0)
        }),
        ("signature of another key", Key::ec().token(&header, &claims)),
        ("padded header", {
            let header = URL_SAFE.encode(format!("{header} "));
            format!("{header}.{encoded_claims}.{signature}")
        }),
        ("standard alphabet", format!("{message}.{}", STANDARD.encode([0xfb; 64]))),
        ("four parts", format!("{valid}.{signature}")),
        ("five parts", format!("{encoded_header}.{encoded_header}.{valid}")),
        ("one part", encoded_header.to_owned()),
        ("dots", "..".to_owned()),
        ("nothing", String::new()),
        ("space inside", valid.replacen('.', ". ", 1)),
        ("first character missing", valid[1..].to_owned()),
        ("longer than a token may be", {
            key.token(&header, &with(&claims, json!({"x": "x".repeat(20_000)})))
        }),
    ];
    tokens.into_iter().map(|(reason, token)| (reason.to_owned(), token)).collect()
}

#[actix_web::test]
async fn invalid_tokens_are_refused_without_a_request_to_anybody() {
    let (key, rsa) = (Key::ec(), Key::rsa());
    let issuer = TestIssuer::start(vec![key.jwk("e"), rsa.jwk("r")]);
    let app = TestApp::with_issuer(BOOTSTRAP, issuer.client(LONG)).await;
    let valid = key.token(&key.header("e"), &issuer.claims());
    get(&app, &valid, "/v1/me").await.expect(200);
    let requests = issuer.requests();
    let tokens: Vec<_> = wrong_headers(&issuer, &key, &rsa)
        .into_iter()
        .chain(wrong_claims(&issuer, &key))
        .chain(wrong_forms(&issuer, &key))
        .collect();
    assert!(tokens.len() >= 60, "{}", tokens.len());
    for (reason, token) in tokens {
        for path in ["/v1/me", "/v1/price-quotes?itemNumber=DESK"] {
            let reply = get(&app, &token, path).await;
            assert_eq!(reply.status, 401, "{reason}: {}", reply.text);
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    assert_eq!(issuer.requests(), requests);
    get(&app, &valid, "/v1/me").await.expect(200);
}

#[actix_web::test]
async fn token_of_a_megabyte_is_refused() {
    let key = Key::ec();
    let issuer = TestIssuer::start(vec![key.jwk("e")]);
    let app = TestApp::with_issuer(BOOTSTRAP, issuer.client(LONG)).await;
    let token = "x".repeat(1_000_000);
    let request = app.request(reqwest::Method::GET, "/v1/me");
    // The head of a request is limited, so the connection may end before the answer is read.
    if let Ok(reply) = request.header("authorization", format!("Bearer {token}")).send().await {
        assert!(reply.status().is_client_error(), "{}", reply.status());
    }
    get(&app, BOOTSTRAP, "/v1/me").await.expect(200);
}
