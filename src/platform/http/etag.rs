//! Strong ETags and the conditions on them (RFC 9110 section 13).
//!
//! An ETag is the hash of the representation. So it changes with every visible field, and never
//! without a change. If the representation has derived fields, such as a campaign's state, the ETag
//! begins with the hash of the content that clients write. `If-Match` compares this part alone: a
//! change of derived fields is none that an edit could overwrite.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::problem::{Problem, ProblemCode};

/// Separates the two parts of an ETag. The encoding of hashes does not contain it.
const SEPARATOR: char = '.';

/// Returns the strong ETag of a representation, in quotes.
#[must_use]
pub fn of(body: &[u8]) -> String {
    format!("\"{}\"", hash(body))
}

/// Returns the strong ETag of a representation with derived fields, in quotes. `content` is what
/// clients write of it.
#[must_use]
pub fn with_content(content: &[u8], body: &[u8]) -> String {
    format!("\"{}{SEPARATOR}{}\"", hash(content), hash(body))
}

fn hash(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let (front, _) = hash.split_at(16);
    URL_SAFE_NO_PAD.encode(front)
}

/// Returns the part of an ETag that `If-Match` compares.
fn content(tag: &str) -> &str {
    tag.split_once(SEPARATOR).map_or(tag, |(content, _)| content)
}

/// Maximum length of a condition in characters.
pub const MAX_CONDITION_LENGTH: usize = 1_000;

/// The condition of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `*`: any representation.
    Any,
    /// One of these ETags, in quotes.
    OneOf(Vec<String>),
}

impl Condition {
    /// Reads the condition of a header; `None` if the header is absent.
    ///
    /// # Errors
    /// 400 when the value is neither `*` nor a list of quoted tags, or is longer than
    /// [`MAX_CONDITION_LENGTH`].
    pub fn read(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<Self>, Problem> {
        let mut tags = Vec::new();
        for value in headers.get_all(&name) {
            match value.to_str().ok().and_then(Self::parse) {
                Some(Self::Any) => return Ok(Some(Self::Any)),
                Some(Self::OneOf(more)) => tags.extend(more),
                None => return Err(malformed(&name)),
            }
        }
        Ok((!tags.is_empty()).then_some(Self::OneOf(tags)))
    }

    /// Parses `*` or a list of quoted tags; `None` if the text is neither, or is longer than
    /// [`MAX_CONDITION_LENGTH`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "*" => Some(Self::Any),
            text if text.len() <= MAX_CONDITION_LENGTH => entity_tags(text).map(Self::OneOf),
            _ => None,
        }
    }

    /// Returns whether the condition holds for the current ETag. The comparison is strong, so a
    /// weak tag never matches. Derived fields do not count.
    #[must_use]
    pub fn holds(&self, current: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|tag| content(tag) == content(current)),
        }
    }

    /// Returns whether the condition contains the current ETag. The comparison is weak, as
    /// `If-None-Match` requires.
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

/// Returns the tags of a list such as `"a", W/"b"`, in quotes; `None` if the text is no such list.
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

/// Checks the `If-Match` condition of a change (`docs/api-conventions.md` section 7).
///
/// # Errors
/// 428 without a condition; 412 with the current ETag when the condition does not hold.
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

/// Creates the problem of a condition that does not hold: 412.
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
    fn unquoted_tags_are_refused() {
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
        let derived = with_content(b"{}", b"1");
        let later = condition(&with_content(b"{}", b"2")).unwrap();
        assert!(later.holds(&derived) && !later.names(&derived));
        assert!(!condition(&format!("W/{derived}")).unwrap().holds(&derived));
        assert!(!condition(&with_content(b"[]", b"1")).unwrap().holds(&derived));
        assert_eq!(require(None, &current).unwrap_err().code, ProblemCode::PreconditionRequired);
        assert_eq!(
            require(condition("\"x\"").as_ref(), &current).unwrap_err().code,
            ProblemCode::PreconditionFailed
        );
    }
}
