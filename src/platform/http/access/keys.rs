//! API keys in memory. Every replica has all of them, so a request is authenticated without the
//! database.
//!
//! A token is `kmp_<id>_<secret>`. Only the hash of a token is kept, here and in the database. The
//! secret has 244 random bits, so a fast hash suffices.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::caller::Caller;

/// The first part of every token.
const PREFIX: &str = "kmp_";

/// A new token and its hash.
#[derive(Debug)]
pub struct NewToken {
    /// The token, which is shown once.
    pub token: String,
    /// The hash that is stored.
    pub hash: Vec<u8>,
}

impl NewToken {
    /// Creates a token for a key.
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        // Two random UUIDs: 244 bits from the operating system.
        let [one, two] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
        let token = format!("{PREFIX}{}_{one}{two}", id.simple());
        let hash = hash_of(&token).to_vec();
        Self { token, hash }
    }
}

/// Returns the hash of a token.
#[must_use]
pub fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Returns the id of the key in a token; `None` if the token has another form.
fn id_in(token: &str) -> Option<Uuid> {
    let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
    Uuid::try_parse(id).ok()
}

/// An API key as a replica keeps it.
#[derive(Debug)]
pub struct ApiKey {
    caller: Caller,
    hash: Vec<u8>,
    expires_at: Option<DateTime<Utc>>,
    limit: Option<NonZeroU32>,
    limiter: Option<DefaultDirectRateLimiter>,
    /// The time of the latest request, in milliseconds since 1970; 0 without one.
    last_used_at: AtomicI64,
}

impl ApiKey {
    /// Creates a key. `limit` is its maximum number of requests per second.
    #[must_use]
    pub fn new(
        caller: Caller,
        hash: Vec<u8>,
        expires_at: Option<DateTime<Utc>>,
        limit: Option<NonZeroU32>,
    ) -> Self {
        let limiter = limit.map(|limit| RateLimiter::direct(Quota::per_second(limit)));
        Self { caller, hash, expires_at, limit, limiter, last_used_at: AtomicI64::new(0) }
    }

    /// Returns the caller that the key identifies.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Counts a request.
    ///
    /// # Errors
    /// The seconds after which the next request is allowed, if there were too many, and the limit.
    pub fn count_request(&self) -> Result<(), TooMany> {
        let Some((limiter, limit)) = self.limiter.as_ref().zip(self.limit) else { return Ok(()) };
        limiter.check().map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            TooMany { retry_after_seconds: wait.as_secs().saturating_add(1), limit: limit.get() }
        })
    }
}

/// The refusal of a request beyond the limit of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// The seconds after which the next request is allowed.
    pub retry_after_seconds: u64,
    /// The maximum number of requests per second.
    pub limit: u32,
}

/// All API keys. Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct KeyRing(Arc<ArcSwap<HashMap<Uuid, Arc<ApiKey>>>>);

impl KeyRing {
    /// Returns the valid key that a token belongs to. The comparison takes the same time for every
    /// wrong secret.
    #[must_use]
    pub fn find(&self, token: &str, now: DateTime<Utc>) -> Option<Arc<ApiKey>> {
        let key = self.0.load().get(&id_in(token)?)?.clone();
        let is_right = bool::from(hash_of(token).as_slice().ct_eq(&key.hash));
        let is_expired = key.expires_at.is_some_and(|expires_at| expires_at <= now);
        if !is_right || is_expired {
            return None;
        }
        key.last_used_at.store(now.timestamp_millis(), Ordering::Relaxed);
        Some(key)
    }

    /// Returns the ids of all keys.
    #[must_use]
    pub fn ids(&self) -> Vec<Uuid> {
        self.0.load().keys().copied().collect()
    }

    /// Keeps only the keys with these ids, and adds new ones. Keys that stay keep their count of
    /// requests.
    pub fn update(&self, ids: &[Uuid], new: Vec<(Uuid, ApiKey)>) {
        let mut keys = HashMap::clone(&self.0.load());
        keys.retain(|id, _| ids.contains(id));
        keys.extend(new.into_iter().map(|(id, key)| (id, Arc::new(key))));
        self.0.store(Arc::new(keys));
    }

    /// Returns the keys that were used, with the time of their latest request.
    #[must_use]
    pub fn used(&self) -> Vec<(Uuid, DateTime<Utc>)> {
        let keys = self.0.load();
        let used = keys.iter().filter_map(|(id, key)| {
            let millis = key.last_used_at.load(Ordering::Relaxed);
            (millis > 0)
                .then(|| DateTime::from_timestamp_millis(millis))
                .flatten()
                .map(|at| (*id, at))
        });
        used.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::CallerKind;
    use super::*;

    fn ring(expires_at: Option<DateTime<Utc>>, limit: Option<u32>) -> (KeyRing, Uuid, String) {
        let id = Uuid::now_v7();
        let NewToken { token, hash } = NewToken::new(id);
        let caller = Caller::of_kind(CallerKind::ApiKey, "key");
        let key = ApiKey::new(caller, hash, expires_at, limit.and_then(NonZeroU32::new));
        let ring = KeyRing::default();
        ring.update(&[id], vec![(id, key)]);
        (ring, id, token)
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        let now = Utc::now();
        let (ring, id, token) = ring(None, None);
        assert!(ring.find(&token, now).is_some());
        let other = NewToken::new(Uuid::now_v7()).token;
        let same_id = NewToken::new(id).token;
        let short = &token[..token.len() - 1];
        for wrong in
            [&other, &same_id, short, "", "kmp_", "kmp__", "kmp_x_y", &token.to_uppercase()]
        {
            assert!(ring.find(wrong, now).is_none(), "{wrong}");
        }
        ring.update(&[], Vec::new());
        assert!(ring.find(&token, now).is_none(), "revoked");
    }

    #[test]
    fn expired_key_is_refused() {
        let now = Utc::now();
        let (ring, _, token) = ring(Some(now), None);
        assert!(ring.find(&token, now - chrono::TimeDelta::milliseconds(1)).is_some());
        assert!(ring.find(&token, now).is_none());
    }

    #[test]
    fn requests_beyond_the_limit_are_refused() {
        let (ring, _, token) = ring(None, Some(3));
        let key = ring.find(&token, Utc::now()).unwrap();
        for _ in 0..3 {
            assert_eq!(key.count_request(), Ok(()));
        }
        assert_eq!(key.count_request(), Err(TooMany { retry_after_seconds: 1, limit: 3 }));
        assert_eq!(ring.used().len(), 1);
    }
}
