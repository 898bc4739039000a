//! How often a route was asked and how long it took: the counter and the histogram of each method
//! and status, found once.
//!
//! Finding a figure by its labels costs more than counting; so each worker keeps those it has met
//! at the route itself, which the router has found anyway.

use std::cell::RefCell;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

/// The counter of requests answered.
pub const REQUESTS_TOTAL: &str = "kampanje_http_requests_total";
/// The histogram of the time that requests took, in seconds.
pub const REQUEST_SECONDS: &str = "kampanje_http_request_seconds";
/// What requests are counted under that no route answers.
const UNMATCHED: &str = "unmatched";

/// The figures of one route in one worker.
pub struct RouteMetrics {
    route: String,
    cached: RefCell<Vec<CachedSeries>>,
}

struct CachedSeries {
    method: Method,
    status: StatusCode,
    requests: Counter,
    seconds: Histogram,
}

impl RouteMetrics {
    /// The figures of the route with this pattern, none met yet.
    #[must_use]
    pub const fn new(route: String) -> Self {
        Self { route, cached: RefCell::new(Vec::new()) }
    }

    /// Counts a request that was answered.
    pub fn count(&self, method: &Method, status: StatusCode, took: Duration) {
        let mut cached = self.cached.borrow_mut();
        let known =
            cached.iter().position(|cached| cached.method == *method && cached.status == status);
        let place = known.unwrap_or_else(|| {
            let (requests, seconds) = route_metrics(&self.route, method, status);
            // A client can make up methods, but not places to keep them in.
            cached.retain(|cached| {
                method_label(&cached.method) != method_label(method) || cached.status != status
            });
            cached.push(CachedSeries { method: method.clone(), status, requests, seconds });
            cached.len().saturating_sub(1)
        });
        if let Some(cached) = cached.get(place) {
            cached.requests.increment(1);
            cached.seconds.record(took);
        }
    }
}

/// Counts a request that was answered.
pub fn count(request: &HttpRequest, status: StatusCode, took: Duration) {
    match request.app_data::<RouteMetrics>() {
        Some(route_metrics) => route_metrics.count(request.method(), status, took),
        None => {
            let (requests, seconds) = route_metrics(UNMATCHED, request.method(), status);
            requests.increment(1);
            seconds.record(took);
        }
    }
}

fn route_metrics(route: &str, method: &Method, status: StatusCode) -> (Counter, Histogram) {
    let labels = [
        ("method", method_label(method).to_owned()),
        ("route", route.to_owned()),
        ("status", status.as_u16().to_string()),
    ];
    (metrics::counter!(REQUESTS_TOTAL, &labels), metrics::histogram!(REQUEST_SECONDS, &labels))
}

/// The method as a label: a client can make up methods, but not series of figures.
fn method_label(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if known.contains(method) { method.as_str() } else { "OTHER" }
}
