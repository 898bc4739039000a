//! Strong ETags and the conditions on them (RFC 9110 section 13).
//!
//! An ETag is the hash of the representation itself, so it changes with everything a client can see, what is derived (a
//! campaign's state) included, and never without.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::problem::{Problem, ProblemCode};

/// The strong ETag of a representation, with its quotes.
#[must_use]
pub fn of(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let (front, _) = hash.split_at(16);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(front))
}

/// What `If-Match` or `If-None-Match` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: whatever is there.
    Any,
    /// One of these, with their quotes.
    OneOf(Vec<String>),
}

impl Condition {
    /// Reads a header; absent or unreadable is `None`.
    #[must_use]
    pub fn read(headers: &HeaderMap, name: header::HeaderName) -> Option<Self> {
        let mut tags = Vec::new();
        for value in headers.get_all(name) {
            for tag in value.to_str().ok()?.split(',').map(str::trim) {
                if tag == "*" {
                    return Some(Self::Any);
                }
                tags.push(tag.to_owned());
            }
        }
        (!tags.is_empty()).then_some(Self::OneOf(tags))
    }

    /// Whether the current ETag meets the condition; a weak tag never does under strong comparison.
    #[must_use]
    pub fn holds(&self, current: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| tag == current),
        }
    }

    /// Whether `If-None-Match` names the current ETag (weak comparison, as 304 wants it).
    #[must_use]
    pub fn names(&self, current: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == current),
        }
    }
}

/// Checks the condition of a change to what is there.
///
/// # Errors
/// 428 when there is none, 412 with the current ETag when it does not hold.
pub fn require(condition: Option<&Condition>, current: &str) -> Result<(), Problem> {
    match condition {
        None => Err(Problem::new(
            ProblemCode::PreconditionRequired,
            "changing what is there needs If-Match with its ETag, or * for whatever is there",
        )),
        Some(condition) if condition.holds(current) => Ok(()),
        Some(_) => Err(stale(Some(current))),
    }
}

/// The resource is not what the caller saw.
#[must_use]
pub fn stale(current: Option<&str>) -> Problem {
    let problem = Problem::new(ProblemCode::PreconditionFailed, "the resource is not the one that the condition names");
    match current.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        Some(etag) => problem.header(header::ETAG, etag),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(value: &str) -> Option<Condition> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        Condition::read(&headers, header::IF_MATCH)
    }

    #[test]
    fn conditions() {
        let current = of(b"{}");
        assert!(condition("*").unwrap().holds(&current));
        assert!(condition(&format!("\"x\", {current}")).unwrap().holds(&current));
        assert!(!condition(&format!("W/{current}")).unwrap().holds(&current));
        assert!(condition(&format!("W/{current}")).unwrap().names(&current));
        assert_eq!(require(None, &current).unwrap_err().code, ProblemCode::PreconditionRequired);
        assert_eq!(require(condition("\"x\"").as_ref(), &current).unwrap_err().code, ProblemCode::PreconditionFailed);
    }
}
