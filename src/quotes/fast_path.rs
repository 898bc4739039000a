//! Fast path for price quotes: answers well-formed requests before routing, without awaiting or
//! copying the input. Response headers are only formatted again if their values have changed. All
//! other requests, and all that are refused, fall through to [`http`](super::http).

use std::cell::RefCell;
use std::time::Instant;

use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_http::{Method, Request, Response, StatusCode};
use actix_web::HttpMessage as _;
use actix_web::body::BoxBody;
use actix_web::web::Bytes;
use chrono::NaiveDate;

use super::borrowed::{BorrowedBody, BorrowedQuery};
use super::http::{PATH, SNAPSHOT_AGE, SNAPSHOT_STALE, etag_of};
use super::quote::write_quote;
use super::request::QuoteRequest;
use crate::platform::clock::Calendar;
use crate::platform::http::access::{self, Access, Credentials};
use crate::platform::http::call::{BodyLimit, IDEMPOTENCY_KEY};
use crate::platform::http::json;
use crate::platform::http::middleware::{
    TraceIds, accepts_json, add_common_headers, given_trace_id,
};
use crate::platform::http::route_metrics::RouteMetrics;
use crate::platform::http::routes::Routes;
use crate::platform::http::short_circuit::FastPath;
use crate::platform::unit_of_work::PUBLICATION_VERSION;
use crate::pricing::resolve::Scratch;
use crate::publication::live::LiveBook;

/// Headers that exclude a request from the fast path.
static EXCLUDED_HEADERS: [HeaderName; 7] = [
    IDEMPOTENCY_KEY,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::UPGRADE,
];

/// Responses up to this size are copied out of the reusable buffer into an allocation of exact
/// size. For larger ones the copy costs more than a second allocation.
const MAX_COPIED_BYTES: usize = 4_096;

/// The fast path of one worker.
pub struct QuoteFastPath {
    book: LiveBook,
    calendar: Calendar,
    credentials: Credentials,
    /// The access that the route table declares for GET and POST of the path.
    access: [Access; 2],
    body_limit: BodyLimit,
    route_metrics: RouteMetrics,
    buffers: RefCell<Buffers>,
}

/// The buffers and header values that are reused from response to response.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    json: Vec<u8>,
    trace_ids: TraceIds,
    version: CachedHeader<i64>,
    age: CachedHeader<i64>,
    etag: CachedHeader<(i64, NaiveDate)>,
}

/// A header value, cached with the key that it was formatted from.
struct CachedHeader<K>(Option<(K, HeaderValue)>);

impl<K> Default for CachedHeader<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: PartialEq + Copy> CachedHeader<K> {
    /// Returns the value for a key, formatting it only if the key has changed.
    fn value(&mut self, key: K, make: impl FnOnce(K) -> String) -> Option<HeaderValue> {
        match &self.0 {
            Some((known, value)) if *known == key => Some(value.clone()),
            _ => {
                let value = HeaderValue::try_from(make(key)).ok()?;
                self.0 = Some((key, value.clone()));
                Some(value)
            }
        }
    }
}

impl QuoteFastPath {
    /// Creates a fast path that answers from `book`.
    #[must_use]
    pub fn new(
        book: LiveBook,
        calendar: Calendar,
        credentials: Credentials,
        routes: &Routes,
        body_limit: BodyLimit,
    ) -> Self {
        let access = [Method::GET, Method::POST].map(|method| routes.access(&method, PATH));
        Self {
            book,
            calendar,
            credentials,
            access,
            body_limit,
            route_metrics: RouteMetrics::new(PATH.to_owned()),
            buffers: RefCell::default(),
        }
    }

    fn is_eligible(&self, request: &Request) -> bool {
        let headers = request.headers();
        let [get, post] = self.access;
        let access = if *request.method() == Method::GET { get } else { post };
        request.path() == PATH
            && !headers.keys().any(|name| EXCLUDED_HEADERS.contains(name))
            && self.credentials.admit(
                access,
                access::Request {
                    method: request.method(),
                    version: request.version(),
                    authority: request.uri().authority(),
                    headers,
                },
            )
            && accepts_json(headers)
            && self.book.is_loaded()
            // The fast path does not log, so it is disabled at debug level.
            && !tracing::enabled!(tracing::Level::DEBUG)
    }

    /// Responds to a request. Returns `None` if the request has to take the usual path.
    fn respond(
        &self,
        request: &Request,
        question: &QuoteRequest<'_>,
        started: Instant,
    ) -> Option<Response<BoxBody>> {
        let snapshot = self.book.snapshot();
        let mut buffers = self.buffers.borrow_mut();
        let Buffers { scratch, json, .. } = &mut *buffers;
        json.clear();
        write_quote(&snapshot, question, scratch, json).ok()?;
        let body = if json.len() > MAX_COPIED_BYTES {
            Bytes::from(std::mem::take(json))
        } else {
            Bytes::copy_from_slice(json)
        };
        let mut response = Response::with_body(StatusCode::OK, BoxBody::new(body));
        let method = &request.head().method;
        let headers = response.headers_mut();
        self.add_headers(headers, &mut buffers, snapshot.version())?;
        if *method == Method::GET {
            let key = (snapshot.version(), question.date);
            headers.insert(
                header::ETAG,
                buffers.etag.value(key, |(version, date)| etag_of(version, date))?,
            );
        }
        let trace_id = match given_trace_id(request.headers()) {
            Some(given) => HeaderValue::from_str(given.text()).ok()?,
            None => buffers.trace_ids.take()?,
        };
        add_common_headers(headers, trace_id);
        self.route_metrics.count(method, StatusCode::OK, started.elapsed());
        Some(response)
    }

    fn add_headers(
        &self,
        headers: &mut HeaderMap,
        buffers: &mut Buffers,
        version: i64,
    ) -> Option<()> {
        let age_ms = self.book.age_ms();
        let age = age_ms.checked_div(1_000).unwrap_or_default();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            PUBLICATION_VERSION,
            buffers.version.value(version, |version| version.to_string())?,
        );
        headers.insert(SNAPSHOT_AGE, buffers.age.value(age, |age| age.to_string())?);
        let stale = if self.book.is_stale_at(age_ms) { "true" } else { "false" };
        headers.insert(SNAPSHOT_STALE, HeaderValue::from_static(stale));
        Some(())
    }
}

impl FastPath for QuoteFastPath {
    fn answer(&self, request: &Request) -> Option<Response<BoxBody>> {
        let started = Instant::now();
        let head = request.head();
        if head.method != Method::GET
            || !self.is_eligible(request)
            || head.headers.contains_key(header::CONTENT_LENGTH)
        {
            return None;
        }
        let query = BorrowedQuery::read(request.uri().query()?)?;
        let question = query.into_request(|| self.calendar.today())?;
        self.respond(request, &question, started)
    }

    fn wants_body(&self, request: &Request) -> bool {
        let head = request.head();
        head.method == Method::POST
            && head
                .headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|media| media == "application/json")
            && explain(request.uri().query()).is_some()
            && self.is_eligible(request)
    }

    fn answer_with_body(&self, request: &Request, body: &[u8]) -> Option<Response<BoxBody>> {
        let started = Instant::now();
        if body.len() > self.body_limit.0 {
            return None;
        }
        let question = json::object::<BorrowedBody<'_>>(body)?;
        let question =
            question.into_request(|| self.calendar.today(), explain(request.uri().query())?)?;
        self.respond(request, &question, started)
    }
}

/// Returns whether a query requests explanations, or `None` if it contains anything else.
fn explain(query: Option<&str>) -> Option<bool> {
    match query {
        None | Some("" | "explain=false") => Some(false),
        Some("explain=true") => Some(true),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_http::test::TestRequest;

    use super::*;
    use crate::publication::live::SnapshotFile;
    use crate::publication::snapshot::Snapshot;

    #[actix_web::test]
    async fn body_over_the_limit_falls_through() {
        let calendar = Calendar::system();
        let book = LiveBook::new(calendar.clone());
        let known_at = calendar.now().timestamp_millis();
        book.restore(SnapshotFile {
            identity: Vec::new(),
            fingerprint: None,
            known_at,
            snapshot: Arc::new(Snapshot::empty()),
        })
        .await;
        let quotes = QuoteFastPath::new(
            book,
            calendar,
            Credentials::new(None),
            &Routes::default(),
            BodyLimit(100),
        );
        let mut request = TestRequest::with_uri(PATH);
        request.method(Method::POST);
        request
            .insert_header((header::HOST, "localhost"))
            .insert_header((header::CONTENT_TYPE, "application/json"));
        let request = request.finish();
        assert!(quotes.wants_body(&request));
        let body = |length: usize| {
            format!("{:<length$}", r#"{"lines":[{"itemNumber":"DESK"}]}"#).into_bytes()
        };
        assert!(quotes.answer_with_body(&request, &body(100)).is_some());
        assert!(quotes.answer_with_body(&request, &body(101)).is_none());
    }
}
