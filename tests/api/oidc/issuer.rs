//! An OpenID Connect issuer for tests: signs tokens, publishes and rotates keys, and misbehaves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use kampanje::platform::http::access::oidc::{Issuer, OidcSettings};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

/// The audience of the service under test.
pub const AUDIENCE: &str = "kampanje";

/// Encodes a part of a token.
pub fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A key of the issuer.
pub enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Key {
    /// The RSA key is a constant, because ring does not create any. It protects nothing.
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(include_bytes!("rsa-2048.pk8")).unwrap())
    }

    pub fn ec() -> Self {
        let (random, alg) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(alg, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(alg, document.as_ref(), &random).unwrap())
    }

    pub fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// Returns the public key as the issuer publishes it.
    pub fn jwk(&self, id: &str) -> Value {
        let mut key = match self {
            Self::Rsa(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": encode(public.n), "e": encode(public.e)})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Self::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key())})
            }
        };
        key["kid"] = id.into();
        key["use"] = "sig".into();
        key["alg"] = self.algorithm().into();
        key
    }

    /// Returns a token with this header and these claims.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(header.to_string(), claims.to_string())
    }

    /// Returns a token with parts of any content.
    pub fn token_of(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Returns the header of a token that is signed by the key.
    pub fn header(&self, id: &str) -> Value {
        json!({"alg": self.algorithm(), "kid": id, "typ": "JWT"})
    }
}

/// The answer to a request for the keys.
#[derive(Clone)]
pub enum Answer {
    Keys(Vec<Value>),
    Text(String),
    /// More than the service reads.
    Huge,
    /// None, for as long as the test runs.
    Never,
    Redirect,
    Failure,
}

/// A running issuer.
pub struct TestIssuer {
    pub url: String,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
}

impl TestIssuer {
    pub fn start(keys: Vec<Value>) -> Self {
        let answer = Arc::new(Mutex::new(Answer::Keys(keys)));
        let requests = Arc::new(AtomicUsize::new(0));
        let state = web::Data::new((Arc::clone(&answer), Arc::clone(&requests)));
        let server = HttpServer::new(move || {
            App::new().app_data(state.clone()).default_service(web::to(respond))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self { url, answer, requests }
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Returns the number of requests of any path so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Returns the issuer as the service sees it.
    pub fn client(&self, min_fetch_interval: Duration) -> Issuer {
        Issuer::new(OidcSettings {
            issuer: self.url.clone(),
            audience: AUDIENCE.to_owned(),
            roles_claim: "roles".to_owned(),
            min_fetch_interval,
        })
        .unwrap()
    }

    /// Returns valid claims.
    pub fn claims(&self) -> Value {
        let now = Utc::now().timestamp();
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "u-1", "name": "Kari Nordmann",
            "iat": now, "nbf": now, "exp": now + 600, "roles": ["MARKETER", "offline_access"],
        })
    }
}

async fn respond(
    request: HttpRequest,
    state: web::Data<(Arc<Mutex<Answer>>, Arc<AtomicUsize>)>,
) -> HttpResponse {
    let (answer, requests) = state.get_ref();
    requests.fetch_add(1, Ordering::SeqCst);
    let base = format!("http://{}", request.connection_info().host());
    if request.path() == "/.well-known/openid-configuration" {
        let document = json!({"issuer": base, "jwks_uri": format!("{base}/keys"), "other": 1});
        return HttpResponse::Ok().json(document);
    }
    let answer = answer.lock().unwrap().clone();
    match answer {
        Answer::Keys(keys) => HttpResponse::Ok().json(json!({"keys": keys})),
        Answer::Text(text) => HttpResponse::Ok().body(text),
        Answer::Huge => HttpResponse::Ok().body(" ".repeat(1_000_000)),
        Answer::Never => std::future::pending().await,
        Answer::Redirect => {
            HttpResponse::Found().insert_header(("location", format!("{base}/elsewhere"))).finish()
        }
        Answer::Failure => HttpResponse::InternalServerError().finish(),
    }
}
