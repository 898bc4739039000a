//! Checks of request targets and hosts by RFC 9110 and RFC 9112, before routing and before the
//! fast path. The HTTP library checks the rest of a request's head; `docs/security.md` lists what
//! neither can.

use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_http::{ConnectionType, Request, Response};
use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::uri::Scheme;
use actix_web::http::{Method, Uri};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::middleware::add_common_headers;
use super::problem::{Problem, ProblemCode};
use super::request_ids::trace_id;

/// Maximum length of a host with its port.
const MAX_AUTHORITY_LENGTH: usize = 261;
/// Number of malformed requests that are logged in a second.
const MAX_LOGGED_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// Checks the target and the host of a request.
///
/// # Errors
/// 400 when the target is none of the forms of RFC 9112 section 3.2, or when `Host` is not one host
/// with an optional port.
pub fn check(request: &Request) -> Result<(), Problem> {
    let head = request.head();
    if !is_target(&head.method, &head.uri) {
        let detail = "the request target is neither a path nor an http URL without user";
        return Err(Problem::new(ProblemCode::MalformedRequest, detail));
    }
    // The HTTP library demands exactly one Host of HTTP/1.1.
    if head.headers.get(header::HOST).is_none_or(|host| is_authority(host.as_bytes())) {
        return Ok(());
    }
    let detail = "Host is not one host name or address with an optional port";
    Err(Problem::new(ProblemCode::MalformedRequest, detail))
}

fn is_target(method: &Method, uri: &Uri) -> bool {
    match (uri.scheme(), uri.authority()) {
        (None, None) => {
            uri.path().starts_with('/') || (uri.path() == "*" && *method == Method::OPTIONS)
        }
        (None, Some(_)) => *method == Method::CONNECT,
        (Some(scheme), Some(authority)) => {
            (*scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
                && is_authority(authority.as_str().as_bytes())
        }
        (Some(_), None) => false,
    }
}

/// Returns whether a text is a host with an optional port. Hosts are names, IPv4 addresses and IPv6
/// addresses in brackets; percent-encoding and the delimiters of RFC 3986 are in no name of a host.
fn is_authority(text: &[u8]) -> bool {
    if text.len() > MAX_AUTHORITY_LENGTH {
        return false;
    }
    let (host_is_valid, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, rest) = rest.split_at(end);
            let address = std::str::from_utf8(address).unwrap_or_default();
            (address.parse::<Ipv6Addr>().is_ok(), rest.get(1..).unwrap_or_default())
        }
        None => {
            let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
            let (name, port) = text.split_at(end);
            let is_name = |byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(*byte, b'.' | b'-' | b'_' | b'~')
            };
            (!name.is_empty() && name.iter().all(is_name), port)
        }
    };
    host_is_valid
        && match port.split_first() {
            None => true,
            Some((colon, digits)) => {
                *colon == b':'
                    && digits.len() <= 5
                    && digits.iter().all(u8::is_ascii_digit)
                    && std::str::from_utf8(digits)
                        .is_ok_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
            }
        }
}

/// Creates the response to a request that is refused before it reaches the app. It closes the
/// connection, because the next request on it would be as doubtful.
#[must_use]
pub fn refusal(request: &Request, problem: &Problem) -> Response<BoxBody> {
    log_malformed(request.head().peer_addr, &problem.detail);
    let trace_id = trace_id(&request.head().headers);
    let mut response = Response::from(problem.response(request.path(), trace_id.text()));
    if let Ok(header) = HeaderValue::from_str(trace_id.text()) {
        add_common_headers(response.headers_mut(), header);
    }
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}

/// Logs a malformed request. Anybody can send those without credentials, so their log is bounded:
/// one in a second is logged, with the number of those before it that were not.
pub fn log_malformed(peer: Option<SocketAddr>, reason: &str) {
    static LIMIT: LazyLock<DefaultDirectRateLimiter> =
        LazyLock::new(|| RateLimiter::direct(Quota::per_second(MAX_LOGGED_PER_SECOND)));
    static SUPPRESSED: AtomicU64 = AtomicU64::new(0);
    if LIMIT.check().is_err() {
        SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let suppressed = SUPPRESSED.swap(0, Ordering::Relaxed);
    let peer = peer.map(tracing::field::display);
    tracing::info!(peer, reason, suppressed, "malformed request refused");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in [
            "localhost",
            "localhost:",
            "LOCALHOST:8080",
            "prices.example.com:443",
            "my_host-1",
            "127.0.0.1:1",
            "[::1]",
            "[::ffff:127.0.0.1]:8080",
            "[2001:db8::1]:65535",
        ] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "user@host",
            "user:secret@host",
            "host/path",
            "host, other",
            "host,other",
            "two words",
            "host:port",
            "host:+1",
            "host:65536",
            "host:000001",
            "host:80:80",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]]",
            "[::1%eth0]",
            "[1:2]",
            "[v1.a]",
            "[]",
            "h%6fst",
            "host?query",
            "host#fragment",
            "host\\",
            "h\u{f6}st",
        ] {
            assert!(!is_authority(host.as_bytes()), "{host}");
        }
        assert!(!is_authority("a".repeat(262).as_bytes()));
    }

    #[test]
    fn targets() {
        let get = |target: &str| is_target(&Method::GET, &target.parse().unwrap());
        for target in ["/", "/v1/items?top=1", "//x", "http://host/v1", "HTTPS://host:443/"] {
            assert!(get(target), "{target}");
        }
        for target in ["*", "v1", "host:80", "ftp://host/", "http://user@host/", "http://host:x/"] {
            assert!(target.parse::<Uri>().is_err() || !get(target), "{target}");
        }
        assert!(is_target(&Method::OPTIONS, &"*".parse().unwrap()));
        assert!(is_target(&Method::CONNECT, &"host:80".parse().unwrap()));
    }
}
