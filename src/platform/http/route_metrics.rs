//! Metrics of routes: a counter and a histogram of requests by method and status.
//!
//! Looking up a series by its labels costs more than counting. So each worker caches the series of
//! a route in the app data of that route, which the router has found already.

use std::cell::RefCell;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram};

/// Counter of answered requests.
pub const REQUESTS_TOTAL: &str = "kampanje_http_requests_total";
/// Histogram of request times in seconds.
pub const REQUEST_SECONDS: &str = "kampanje_http_request_seconds";
/// Route label of requests that no route matches.
const UNMATCHED: &str = "unmatched";

/// The metrics of one route in one worker.
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
    /// Creates the metrics of the route with this pattern, with an empty cache.
    #[must_use]
    pub const fn new(route: String) -> Self {
        Self { route, cached: RefCell::new(Vec::new()) }
    }

    /// Counts an answered request.
    pub fn count(&self, method: &Method, status: StatusCode, took: Duration) {
        let mut cached = self.cached.borrow_mut();
        let known =
            cached.iter().position(|cached| cached.method == *method && cached.status == status);
        let place = known.unwrap_or_else(|| {
            let (requests, seconds) = route_metrics(&self.route, method, status);
            // A client can invent methods, so the cache keeps one series for each label and status.
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

/// Counts an answered request.
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

/// Returns the method as a label. A client can invent methods, so unknown ones share a label.
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
