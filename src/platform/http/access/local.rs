//! Protection of a service without credentials, which only programs on the same machine may use.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, Version};

use super::Request;
use crate::platform::http::problem::{Problem, ProblemCode};

/// Header with the relation between a request's initiator and its target (Fetch Metadata, a W3C
/// working draft that all browsers implement).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Request<'_> {
    /// Protects a service without credentials from web pages. A page can reach it through the
    /// browser of somebody who works on this machine: by a request across origins, or by a host
    /// name that resolves to 127.0.0.1 (DNS rebinding).
    pub(super) fn check_is_local(self) -> Result<(), Problem> {
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
