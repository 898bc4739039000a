//! Strong ETags and the conditions on them (RFC 9110 section 13).
//!
//! An ETag is the hash of the representation itself, so it changes with everything a client can
//! see, what is derived (a campaign's state) included, and never without.

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

/// The longest condition in characters.
pub const MAX_CONDITION_LENGTH: usize = 1_000;

/// What `If-Match` or `If-None-Match` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: whatever is there.
    Any,
    /// One of these, with their quotes.
    OneOf(Vec<String>),
}

impl Condition {
    /// Reads a header; absent is `None`.
    ///
    /// # Errors
    /// 400 when it is neither `*` nor a list of quoted tags, or longer than
    /// [`MAX_CONDITION_LENGTH`].
    pub fn read(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<Self>, Problem> {
        let mut tags = Vec::new();
        for value in headers.get_all(&name) {
            match value.to_str().map(str::trim) {
                Ok("*") => return Ok(Some(Self::Any)),
                Ok(text) if text.len() <= MAX_CONDITION_LENGTH => {
                    tags.extend(entity_tags(text).ok_or_else(|| malformed(&name))?);
                }
                _ => return Err(malformed(&name)),
            }
        }
        Ok((!tags.is_empty()).then_some(Self::OneOf(tags)))
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
            Self::OneOf(tags) => {
                tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == current)
            }
        }
    }
}

/// The tags of a list, `"a", W/"b"`, with their quotes; nothing when it is none.
fn entity_tags(text: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    let mut rest = text;
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or(("", rest), |quoted| ("W/", quoted));
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !tag.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        tags.push(format!("{weak}\"{tag}\""));
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn malformed(name: &header::HeaderName) -> Problem {
    let detail = format!(
        "{name} is * or a list of ETags in their quotes, of at most {MAX_CONDITION_LENGTH} characters"
    );
    Problem::new(ProblemCode::MalformedRequest, detail)
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
    let problem = Problem::new(
        ProblemCode::PreconditionFailed,
        "the resource is not the one that the condition names",
    );
    match current.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        Some(etag) => problem.header(header::ETAG, etag),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<Condition>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        Condition::read(&headers, header::IF_MATCH)
    }

    fn condition(value: &str) -> Option<Condition> {
        read(value).unwrap()
    }

    #[test]
    fn only_tags_in_quotes_are_a_condition() {
        assert_eq!(Condition::read(&HeaderMap::new(), header::IF_MATCH).unwrap(), None);
        let tags = |tags: &[&str]| {
            Some(Condition::OneOf(tags.iter().map(|tag| (*tag).to_owned()).collect()))
        };
        assert_eq!(condition("\"a,b\",W/\"\" ,  \"c\""), tags(&["\"a,b\"", "W/\"\"", "\"c\""]));
        let long = format!("\"{}\"", "a".repeat(MAX_CONDITION_LENGTH));
        for wrong in [
            "",
            "a",
            "\"a",
            "a\"",
            "\"a\" \"b\"",
            "\"a\",",
            ", \"a\"",
            "\"a b\"",
            "w/\"a\"",
            "*, \"a\"",
            &long,
        ] {
            assert_eq!(read(wrong).unwrap_err().code, ProblemCode::MalformedRequest, "{wrong:?}");
        }
    }

    #[test]
    fn conditions() {
        let current = of(b"{}");
        assert!(condition("*").unwrap().holds(&current));
        assert!(condition(&format!("\"x\", {current}")).unwrap().holds(&current));
        assert!(!condition(&format!("W/{current}")).unwrap().holds(&current));
        assert!(condition(&format!("W/{current}")).unwrap().names(&current));
        assert_eq!(require(None, &current).unwrap_err().code, ProblemCode::PreconditionRequired);
        assert_eq!(
            require(condition("\"x\"").as_ref(), &current).unwrap_err().code,
            ProblemCode::PreconditionFailed
        );
    }
}
