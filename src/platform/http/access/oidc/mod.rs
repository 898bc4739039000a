//! Access tokens of an OpenID Connect issuer: signed JWTs, which are verified with the issuer's
//! published keys.
//!
//! A token is verified without a request to the issuer. Only a token of an unknown key leads to
//! one, since the issuer may have changed its keys, and at most once in [`MIN_FETCH_INTERVAL`].
//! While the issuer is unreachable the known keys stay valid.
//!
//! ```text
//! keys.rs       the keys of the issuer, and how they are fetched
//! signature.rs  the verification of signatures
//! ```

mod keys;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, Header, Validation};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use self::keys::FetchError;
use self::keys::{IssuerKey, Source};
use super::caller::{Caller, CallerKind, Identity};
use super::scope::{Role, Scopes};
use crate::platform::http::json;

/// Interval between two regular fetches of the issuer's keys.
const FETCH_INTERVAL: Duration = Duration::from_secs(600);
/// Interval between two fetches after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// Minimum interval between two fetches because of unknown keys.
pub const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(15);
/// Timeout for a request that waits for the keys.
const WAIT_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum length of a token in bytes.
const MAX_TOKEN_LENGTH: usize = 16_384;
/// Maximum length of a subject in bytes.
const MAX_SUBJECT_LENGTH: usize = 190;
/// Maximum number of roles of a token that are looked at.
const MAX_ROLES: usize = 1_000;
/// Tolerated difference of clocks, in seconds.
const LEEWAY_SECONDS: u64 = 30;
/// Number of verified tokens that are remembered.
const MAX_VERIFIED: usize = 10_000;
/// Accepted signature algorithms, all with public keys.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Accepted token types: of RFC 7519, and of RFC 9068 for access tokens.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Settings of the issuer.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// The URL of the issuer: the claim `iss` of its tokens, and the place of its discovery
    /// document.
    pub issuer: String,
    /// The value that the claim `aud` of a token has to contain.
    pub audience: String,
    /// The claim with the names of roles; a path with dots for a claim inside another.
    pub roles_claim: String,
    /// The minimum interval between two fetches because of unknown keys.
    pub min_fetch_interval: Duration,
}

/// An OpenID Connect issuer, with its keys and the tokens that were verified lately. Clones share
/// them.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    settings: OidcSettings,
    source: Source,
    keys: ArcSwap<Vec<IssuerKey>>,
    /// The time of the latest fetch. Locked during a fetch, so that there is one at a time.
    fetched_at: Mutex<Option<Instant>>,
    /// Verified tokens by hash. A signature takes longer to verify than a quote to compute.
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Clone)]
struct Verified {
    caller: Caller,
    expires_at: i64,
}

/// The reason why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token is not valid.
    Invalid,
    /// The token may be valid, but names a key that is not known.
    UnknownKey,
}

impl Issuer {
    /// Creates an issuer without keys.
    ///
    /// # Errors
    /// If the URL is neither HTTPS nor of this machine, or the platform has no root certificates.
    pub fn new(settings: OidcSettings) -> Result<Self, FetchError> {
        signature::install();
        let source = Source::new(&settings.issuer)?;
        Ok(Self(Arc::new(Inner {
            settings,
            source,
            keys: ArcSwap::default(),
            fetched_at: Mutex::default(),
            verified: Cache::new(MAX_VERIFIED),
        })))
    }

    /// Fetches the keys now and then, for as long as the process lives.
    pub async fn run(self) {
        let mut has_failed = false;
        loop {
            let fetched = {
                let mut fetched_at = self.0.fetched_at.lock().await;
                *fetched_at = Some(Instant::now());
                self.fetch().await
            };
            match &fetched {
                Err(error) if !has_failed => tracing::warn!(
                    %error,
                    issuer = self.0.settings.issuer,
                    "the keys of the issuer cannot be fetched; the known ones stay valid"
                ),
                _ => {}
            }
            has_failed = fetched.is_err();
            tokio::time::sleep(if has_failed { RETRY_INTERVAL } else { FETCH_INTERVAL }).await;
        }
    }

    async fn fetch(&self) -> Result<(), FetchError> {
        let keys = self.0.source.fetch().await?;
        if **self.0.keys.load() != keys {
            tracing::info!(keys = keys.len(), "the issuer has new keys");
            self.0.keys.store(Arc::new(keys));
            // A token may have been signed by a key that is gone.
            self.0.verified.clear();
        }
        Ok(())
    }

    /// Fetches the keys because a token names an unknown one, unless they were fetched lately.
    /// Returns true if they are recent.
    async fn fetch_if_due(&self) -> bool {
        let fetch = async {
            let mut fetched_at = self.0.fetched_at.lock().await;
            let is_recent =
                fetched_at.is_some_and(|at| at.elapsed() < self.0.settings.min_fetch_interval);
            if is_recent {
                return true;
            }
            *fetched_at = Some(Instant::now());
            match self.fetch().await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "the keys of the issuer cannot be fetched");
                    false
                }
            }
        };
        tokio::time::timeout(WAIT_TIMEOUT, fetch).await.unwrap_or_default()
    }

    /// Returns the caller that a token identifies. Fetches the keys if the token names an unknown
    /// one.
    ///
    /// # Errors
    /// If the token is not valid.
    pub async fn identify(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, Refusal> {
        match self.verify(token, now) {
            Err(Refusal::UnknownKey) if self.fetch_if_due().await => self.verify(token, now),
            verified => verified,
        }
    }

    /// Returns the caller that a token identifies, by the known keys.
    ///
    /// # Errors
    /// If the token is not valid, or names an unknown key.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, Refusal> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(Refusal::Invalid);
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(Verified { caller, expires_at }) = self.0.verified.get(&hash) {
            return if now.timestamp() < expires_at { Ok(caller) } else { Err(Refusal::Invalid) };
        }
        let verified = self.verify_anew(token)?;
        self.0.verified.insert(hash, verified.clone());
        Ok(verified.caller)
    }

    fn verify_anew(&self, token: &str) -> Result<Verified, Refusal> {
        let header = header_of(token)?;
        let claims = claims_of(token)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.0.settings.issuer]);
        validation.set_audience(&[&self.0.settings.audience]);
        let keys = self.0.keys.load();
        let key =
            keys::find(&keys, header.kid.as_deref(), header.alg).ok_or(Refusal::UnknownKey)?;
        jsonwebtoken::decode::<Value>(token, key, &validation).map_err(|_| Refusal::Invalid)?;
        let expires_at = claims.get("exp").and_then(Value::as_f64).ok_or(Refusal::Invalid)?;
        let leeway = i64::try_from(LEEWAY_SECONDS).unwrap_or_default();
        #[expect(clippy::as_conversions, reason = "saturates; no conversion trait exists")]
        let expires_at = (expires_at as i64).saturating_add(leeway);
        Ok(Verified { caller: self.caller(&claims)?, expires_at })
    }

    /// Returns the caller that claims describe.
    fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, Refusal> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let subject = text("sub")
            .filter(|subject| (1..=MAX_SUBJECT_LENGTH).contains(&subject.len()))
            .ok_or(Refusal::Invalid)?;
        let name = ["name", "preferred_username"].into_iter().find_map(text).unwrap_or(subject);
        let roles = roles_in(claims, &self.0.settings.roles_claim);
        Ok(Caller::new(Identity {
            kind: CallerKind::Oidc,
            subject: format!("user:{subject}"),
            name: name.chars().take(MAX_NAME_LENGTH).collect(),
            scopes: Scopes::granted(&roles, &[]),
            roles,
            restricted_to_contact_number: None,
        }))
    }
}

/// Maximum number of characters of the name in `/v1/me`.
const MAX_NAME_LENGTH: usize = 100;

/// Returns the header of a token of an accepted kind.
fn header_of(token: &str) -> Result<Header, Refusal> {
    let members = object_in(token.split('.').next().unwrap_or_default())?;
    // An extension that must be understood is one that is not.
    if members.contains_key("crit") || token.split('.').count() != 3 {
        return Err(Refusal::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Invalid)?;
    let is_known_type =
        header.typ.as_ref().is_none_or(|typ| TYPES.contains(&typ.to_lowercase().as_str()));
    if is_known_type && ALGORITHMS.contains(&header.alg) {
        Ok(header)
    } else {
        Err(Refusal::Invalid)
    }
}

/// Returns the claims of a token, whose signature is not verified yet.
fn claims_of(token: &str) -> Result<Map<String, Value>, Refusal> {
    object_in(token.split('.').nth(1).unwrap_or_default())
}

/// Decodes a part of a token. Repeated names are refused, because readers differ in which they
/// take.
fn object_in(part: &str) -> Result<Map<String, Value>, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Invalid)?;
    match json::parse(&text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Refusal::Invalid),
    }
}

/// Returns the roles in a claim: a list of names, or names separated by spaces. Other names are
/// ignored, since an issuer has roles for many services. A dot leads to a claim inside another,
/// unless there is a claim with the whole name.
fn roles_in(claims: &Map<String, Value>, claim: &str) -> Vec<Role> {
    let nested = || {
        let mut parts = claim.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    };
    let names: Vec<&str> = match claims.get(claim).or_else(nested) {
        Some(Value::Array(names)) => {
            names.iter().take(MAX_ROLES).filter_map(Value::as_str).collect()
        }
        Some(Value::String(names)) => names.split(' ').take(MAX_ROLES).collect(),
        _ => Vec::new(),
    };
    Role::ALL.iter().copied().filter(|role| names.contains(&role.text())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn roles(claims: Value, claim: &str) -> Vec<Role> {
        let Value::Object(claims) = claims else { unreachable!("claims are an object") };
        roles_in(&claims, claim)
    }

    #[test]
    fn roles_are_found_in_lists_texts_and_nested_claims() {
        let expected = [Role::Shop, Role::Admin];
        let names = json!(["ADMIN", "SHOP", "offline_access", "shop", 7]);
        assert_eq!(roles(json!({"roles": names}), "roles"), expected);
        assert_eq!(roles(json!({"roles": "ADMIN SHOP other"}), "roles"), expected);
        assert_eq!(
            roles(json!({"realm_access": {"roles": names}}), "realm_access.roles"),
            expected
        );
        assert_eq!(
            roles(json!({"https://x.example/roles": names}), "https://x.example/roles"),
            expected
        );
        for none in [json!({}), json!({"roles": null}), json!({"roles": {"ADMIN": true}})] {
            assert!(roles(none, "roles").is_empty());
        }
    }
}
