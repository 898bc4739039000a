//! Access control: which callers may use an operation.
//!
//! The route table declares an [`Access`] for every operation. The decision is made inside the
//! matched route, so no spelling of a path can bypass it. An operation that declares nothing needs
//! credentials. The fast path of quotes makes the same decision through the same function.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, Version};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::call::Caller;
use super::problem::{Problem, ProblemCode};

/// Header with the relation between a request's initiator and its target (Fetch Metadata, a W3C
/// working draft that all browsers implement).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The callers that may use an operation; part of its declaration in the route table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Callers with credentials, if the service has any.
    #[default]
    Protected,
    /// All callers that can reach the service: probes, metrics and the documentation.
    Public,
}

/// The credentials that the service accepts. Only the hash of the API key is kept.
#[derive(Clone)]
pub struct Credentials(Option<[u8; 32]>);

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
    /// Returns credentials that consist of this key. Without a key the service is for programs on
    /// the same machine only.
    #[must_use]
    pub fn new(api_key: Option<&str>) -> Self {
        Self(api_key.map(|key| Sha256::digest(key.as_bytes()).into()))
    }

    /// Returns the caller of a request.
    ///
    /// # Errors
    /// 401 when the operation needs a key and the request does not carry it. Without a key, 403
    /// when the request was not meant for this machine, or when a web page of another origin tries
    /// to change something.
    pub fn authorize(&self, access: Access, request: Request<'_>) -> Result<Caller, Problem> {
        match (self.0, access) {
            (None, _) => request.check_is_local().map(|()| Caller("local".to_owned())),
            (Some(_), Access::Public) => Ok(Caller("anonymous".to_owned())),
            (Some(expected), Access::Protected) if has_token(request.headers, &expected) => {
                Ok(Caller("api-key".to_owned()))
            }
            (Some(_), Access::Protected) => Err(Problem::new(
                ProblemCode::Unauthorized,
                "the request needs the API key as a bearer token",
            )
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        }
    }

    /// Returns whether [`Credentials::authorize`] would admit the request, for the fast path, which
    /// leaves every refusal to the router.
    #[must_use]
    pub fn admit(&self, access: Access, request: Request<'_>) -> bool {
        match (self.0, access) {
            (None, _) => request.check_is_local().is_ok(),
            (Some(_), Access::Public) => true,
            (Some(expected), Access::Protected) => has_token(request.headers, &expected),
        }
    }
}

/// Returns whether the bearer token of the request has this hash. The comparison takes the same
/// time for every wrong token.
fn has_token(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| Sha256::digest(token.trim().as_bytes()));
    given.is_some_and(|hash| bool::from(hash.as_slice().ct_eq(expected)))
}

impl Request<'_> {
    /// Protects a service without credentials from web pages. A page can reach it through the
    /// browser of somebody who works on this machine: by a request across origins, or by a host
    /// name that resolves to 127.0.0.1 (DNS rebinding).
    fn check_is_local(self) -> Result<(), Problem> {
        let mut hosts = self.headers.get_all(header::HOST);
        let host = hosts.next().map(|host| host.to_str().unwrap_or_default());
        // HTTP/1.0 has no Host, and no browser speaks it.
        let local = match (host, self.authority) {
            (None, None) => self.version < Version::HTTP_11,
            (host, target) => {
                host.is_none_or(is_loopback)
                    && target.is_none_or(|target| is_loopback(target.as_str()))
            }
        };
        if !local || hosts.next().is_some() {
            let detail = "without an API key the service answers only requests to localhost; \
                 set KAMPANJE_API_KEY to use it under another name";
            return Err(Problem::new(ProblemCode::HostNotAllowed, detail));
        }
        if matches!(*self.method, Method::GET | Method::HEAD | Method::OPTIONS)
            || self.is_same_origin(host)
        {
            return Ok(());
        }
        let detail = "without an API key the service accepts changes only from its own pages \
             and from programs";
        Err(Problem::new(ProblemCode::OriginNotAllowed, detail))
    }

    fn is_same_origin(self, host: Option<&str>) -> bool {
        let own_site =
            |site: &HeaderValue| site.as_bytes() == b"same-origin" || site.as_bytes() == b"none";
        let own_origin = |origin: &HeaderValue| {
            let named = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            named.map(|(_, authority)| authority).is_some_and(|authority| Some(authority) == host)
        };
        self.headers.get_all(SEC_FETCH_SITE).all(own_site)
            && self.headers.get_all(header::ORIGIN).all(own_origin)
    }
}

/// Returns whether the host of an authority (`localhost:8080`, `127.0.0.1`, `[::1]:8080`) is this
/// machine's own.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                (address, port.strip_prefix(':').or(port.is_empty().then_some("0")))
            }
            None => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("0")),
        },
    };
    let is_port = port.is_some_and(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'));
    is_port
        && (host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: IpAddr| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts() {
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:",
            "localhost:x",
            "localhost:+1",
            "localhost:99999",
            "user@localhost",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "0.0.0.0",
            "[::1",
            "[::1]x",
            "[::2]:1",
            "::1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
