//! The keys of an issuer, fetched as its discovery document says (OpenID Connect Discovery 1.0, RFC
//! 7517).

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::platform::tls;

/// Timeout for a document of the issuer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a document of the issuer in bytes.
const MAX_DOCUMENT_SIZE: usize = 262_144;
/// Maximum number of keys.
const MAX_KEYS: usize = 100;
/// Minimum length of an RSA modulus in bytes: 2,048 bits.
const MIN_MODULUS_LENGTH: usize = 256;

/// The reason why the keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not acceptable.
    #[error("{0} has to be an https URL, or an http URL of this machine")]
    Url(String),
    /// The client cannot be created.
    #[error("no HTTPS client: {0}")]
    Client(String),
    /// The request failed.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// The answer is too large.
    #[error("the answer of {0} has more than {MAX_DOCUMENT_SIZE} bytes")]
    TooLarge(Url),
    /// The answer is not the expected document.
    #[error("the answer of {0} is not the expected document: {1}")]
    Document(Url, serde_json::Error),
    /// The discovery document is that of another issuer.
    #[error("the discovery document is that of {0}")]
    OtherIssuer(String),
    /// The issuer has too many keys.
    #[error("the issuer has {0} keys; at most {MAX_KEYS} are accepted")]
    TooMany(usize),
}

/// A key of the issuer for one algorithm.
pub(super) struct IssuerKey {
    /// The key as it was published.
    jwk: Jwk,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl PartialEq for IssuerKey {
    fn eq(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

/// Returns the key for a token. A token without key id has to leave no choice.
pub(super) fn find<'a>(
    keys: &'a [IssuerKey],
    id: Option<&str>,
    algorithm: Algorithm,
) -> Option<&'a DecodingKey> {
    let mut matching = keys.iter().filter(|key| {
        key.algorithm == algorithm && (id.is_none() || key.jwk.common.key_id.as_deref() == id)
    });
    let found = matching.next()?;
    matching.next().is_none().then_some(&found.key)
}

/// The place of an issuer's keys.
pub(super) struct Source {
    issuer: String,
    discovery: Url,
    client: Client,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Source {
    pub(super) fn new(issuer: &str) -> Result<Self, FetchError> {
        let base = issuer.trim_end_matches('/');
        let discovery = checked_url(&format!("{base}/.well-known/openid-configuration"))?;
        let tls =
            tls::platform_verifier().and_then(tls::client_config).map_err(FetchError::Client)?;
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .redirect(redirect::Policy::none())
            .timeout(FETCH_TIMEOUT)
            // Fetches are rare, and each may run on another thread's runtime.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { issuer: issuer.to_owned(), discovery, client })
    }

    /// Fetches the keys of the accepted algorithms.
    pub(super) async fn fetch(&self) -> Result<Vec<IssuerKey>, FetchError> {
        let discovery: Discovery = self.document(self.discovery.clone()).await?;
        if discovery.issuer != self.issuer {
            return Err(FetchError::OtherIssuer(discovery.issuer));
        }
        let KeySet { keys } = self.document(checked_url(&discovery.jwks_uri)?).await?;
        if keys.len() > MAX_KEYS {
            return Err(FetchError::TooMany(keys.len()));
        }
        Ok(keys.into_iter().filter_map(usable).collect())
    }

    async fn document<T: DeserializeOwned>(&self, url: Url) -> Result<T, FetchError> {
        let mut answer = self.client.get(url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len().saturating_add(chunk.len()) > MAX_DOCUMENT_SIZE {
                return Err(FetchError::TooLarge(url));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| FetchError::Document(url, error))
    }
}

/// Parses a URL. Keys that came over an open network could be anybody's.
fn checked_url(text: &str) -> Result<Url, FetchError> {
    let refused = || FetchError::Url(text.to_owned());
    let url = Url::parse(text).map_err(|_| refused())?;
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() == "https" || (url.scheme() == "http" && is_local) {
        Ok(url)
    } else {
        Err(refused())
    }
}

/// Returns a key of the set if it can verify tokens. An issuer may publish keys for other purposes.
fn usable(key: Value) -> Option<IssuerKey> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let is_for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let is_for_algorithm = jwk.common.key_algorithm.is_none_or(|declared| {
        matches!(
            (declared, algorithm),
            (KeyAlgorithm::RS256, Algorithm::RS256)
                | (KeyAlgorithm::ES256, Algorithm::ES256)
                | (KeyAlgorithm::EdDSA, Algorithm::EdDSA)
        )
    });
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let is_strong = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.len() >= MIN_MODULUS_LENGTH,
        DecodingKeyKind::SecretOrDer(_) => true,
    };
    (is_for_signatures && is_for_algorithm && is_strong).then(|| IssuerKey { jwk, algorithm, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_protected_urls_are_fetched() {
        for url in
            ["https://id.example", "http://localhost:1/x", "http://127.0.0.1", "http://[::1]"]
        {
            assert!(checked_url(url).is_ok(), "{url}");
        }
        for url in ["http://id.example", "http://10.0.0.1", "file:///etc/passwd", "id.example", ""]
        {
            assert!(checked_url(url).is_err(), "{url}");
        }
    }
}
