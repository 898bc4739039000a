//! Access control: which callers may use an operation.
//!
//! The route table declares an [`Access`] for every operation. The decision is made inside the
//! matched route, so no spelling of a path can bypass it. The fast path of quotes makes the same
//! decision through the same function.
//!
//! ```text
//! scope.rs   scopes and roles
//! caller.rs  the caller that a request is made by
//! keys.rs    API keys in memory, with their limits
//! oidc/      tokens of an OpenID Connect issuer
//! local.rs   the protection of a service without credentials
//! ```

pub mod caller;
pub mod keys;
mod local;
pub mod oidc;
pub mod scope;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, Version};
use subtle::ConstantTimeEq;

use self::caller::{Caller, CallerKind};
use self::keys::{KeyRing, TooMany, hash_of};
use self::oidc::{Issuer, Refusal};
use self::scope::Scope;
use super::problem::{Problem, ProblemCode};
use crate::platform::clock::Calendar;

/// The callers that may use an operation; part of its declaration in the route table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// All callers that can reach the service: probes, metrics and the documentation.
    Public,
    /// Callers with credentials, whatever they may do.
    Authenticated,
    /// Callers with a scope.
    Scope(Scope),
}

impl Access {
    /// Checks that a caller may use the operation.
    ///
    /// # Errors
    /// 403 when it does not have the scope.
    pub fn check(self, caller: &Caller) -> Result<(), Problem> {
        match self {
            Self::Scope(scope) if !caller.scopes().contains(scope) => Err(forbidden(scope)),
            _ => Ok(()),
        }
    }
}

impl From<Scope> for Access {
    fn from(scope: Scope) -> Self {
        Self::Scope(scope)
    }
}

/// The credentials that the service accepts. Only hashes of keys are kept.
#[derive(Clone)]
pub struct Credentials {
    /// The hash of the key of the configuration. Without one, programs on the same machine need no
    /// credentials.
    bootstrap: Option<[u8; 32]>,
    keys: KeyRing,
    issuer: Option<Issuer>,
    calendar: Calendar,
    /// The callers without a key of their own, created once.
    local: Caller,
    by_bootstrap: Caller,
    anonymous: Caller,
}

/// The parts of a request that determine access.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The protocol version.
    pub version: Version,
    /// The host of an absolute request target.
    pub authority: Option<&'a Authority>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl Credentials {
    /// Creates credentials: the bootstrap key of the configuration, API keys, and the tokens of an
    /// issuer.
    #[must_use]
    pub fn new(
        bootstrap_key: Option<&str>,
        keys: KeyRing,
        issuer: Option<Issuer>,
        calendar: Calendar,
    ) -> Self {
        Self {
            bootstrap: bootstrap_key.map(hash_of),
            keys,
            issuer,
            calendar,
            local: Caller::of_kind(CallerKind::Local, "local"),
            by_bootstrap: Caller::of_kind(CallerKind::Bootstrap, "bootstrap"),
            anonymous: Caller::of_kind(CallerKind::Anonymous, "anonymous"),
        }
    }

    /// Returns the API keys.
    #[must_use]
    pub const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Returns the caller of a request, which [`Access::check`] may still refuse.
    ///
    /// # Errors
    /// 401 when the operation needs credentials and the request has none that are valid; 429 beyond
    /// the limit of the key. Without credentials of the service, 403 when the request was not meant
    /// for this machine, or when a web page of another origin tries to change something.
    pub async fn caller_of(&self, access: Access, request: Request<'_>) -> Result<Caller, Problem> {
        match token(request.headers) {
            Some(token) => match self.identify(token)? {
                Identified::Caller(caller) => Ok(caller),
                _ if access == Access::Public => Ok(self.anonymous.clone()),
                Identified::ByUnknownKey(issuer) => issuer
                    .identify(token, self.calendar.now())
                    .await
                    .map_err(|_| unauthorized(INVALID_TOKEN)),
                Identified::Nobody => Err(unauthorized(INVALID_TOKEN)),
            },
            None if self.is_open() => {
                request.check_is_local()?;
                Ok(self.local.clone())
            }
            None if access == Access::Public => Ok(self.anonymous.clone()),
            None => Err(unauthorized("the request needs a bearer token")),
        }
    }

    /// Returns the caller of a request if [`Credentials::caller_of`] and [`Access::check`] would
    /// admit it, for the fast
    /// path, which leaves every refusal to the router. A request that is admitted here and routed
    /// after all counts twice against the limit of its key.
    #[must_use]
    pub fn admit(&self, scope: Scope, request: Request<'_>) -> Option<Caller> {
        let caller = match token(request.headers) {
            Some(token) => match self.identify(token).ok()? {
                Identified::Caller(caller) => caller,
                _ => return None,
            },
            None if self.is_open() => {
                request.check_is_local().ok()?;
                self.local.clone()
            }
            None => return None,
        };
        caller.scopes().contains(scope).then_some(caller)
    }

    /// Returns whether programs on the same machine need no credentials.
    const fn is_open(&self) -> bool {
        self.bootstrap.is_none() && self.issuer.is_none()
    }

    /// Returns the caller that a token identifies, by the keys that are known.
    ///
    /// # Errors
    /// 429 beyond the limit of the key.
    fn identify(&self, token: &str) -> Result<Identified<'_>, Problem> {
        if let Some(key) = self.keys.find(token, self.calendar.now()) {
            return match key.count_request() {
                Ok(()) => Ok(Identified::Caller(key.caller().clone())),
                Err(refused) => Err(too_many(refused)),
            };
        }
        let is_bootstrap = self
            .bootstrap
            .is_some_and(|expected| bool::from(hash_of(token).as_slice().ct_eq(&expected)));
        if is_bootstrap {
            return Ok(Identified::Caller(self.by_bootstrap.clone()));
        }
        let Some(issuer) = &self.issuer else { return Ok(Identified::Nobody) };
        Ok(match issuer.verify(token, self.calendar.now()) {
            Ok(caller) => Identified::Caller(caller),
            Err(Refusal::UnknownKey) => Identified::ByUnknownKey(issuer),
            Err(Refusal::Invalid) => Identified::Nobody,
        })
    }
}

/// The result of looking at a token.
enum Identified<'a> {
    Caller(Caller),
    /// The issuer has to be asked for its keys.
    ByUnknownKey(&'a Issuer),
    Nobody,
}

/// The refusal of a token. It does not say why, which would help to forge one.
const INVALID_TOKEN: &str = "the bearer token is not valid";

/// Returns the bearer token of a request. Credentials of another scheme are a token that is not
/// valid.
fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    Some(match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    })
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(ProblemCode::Unauthorized, detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// Creates the problem of a caller without a scope.
#[must_use]
pub fn forbidden(scope: Scope) -> Problem {
    let detail = format!("the caller needs the scope {scope}, which its key does not have");
    let mut problem = Problem::new(ProblemCode::Forbidden, detail);
    problem.extensions.insert("scope".to_owned(), scope.text().into());
    problem
}

fn too_many(TooMany { retry_after_seconds, limit }: TooMany) -> Problem {
    let detail = format!("the key is limited to {limit} requests per second");
    let problem = Problem::new(ProblemCode::TooManyRequests, detail);
    // RateLimit and RateLimit-Policy as in draft-ietf-httpapi-ratelimit-headers.
    [
        (header::RETRY_AFTER, retry_after_seconds.to_string()),
        (RATE_LIMIT, format!("\"key\";r=0;t={retry_after_seconds}")),
        (RATE_LIMIT_POLICY, format!("\"key\";q={limit};w=1")),
    ]
    .into_iter()
    .fold(problem, |problem, (name, value)| match HeaderValue::try_from(value) {
        Ok(value) => problem.header(name, value),
        Err(_) => problem,
    })
}

const RATE_LIMIT: header::HeaderName = header::HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: header::HeaderName = header::HeaderName::from_static("ratelimit-policy");
