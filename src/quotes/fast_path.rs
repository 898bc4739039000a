//! Fast path for price quotes: answers well-formed requests before routing, without awaiting. It
//! reads and answers them with the functions of [`http`](super::http). All other requests, and all
//! that are refused, fall through to it.

use std::time::Instant;

use actix_http::header::{HeaderName, HeaderValue};
use actix_http::{Method, Request, Response, StatusCode, header};
use actix_web::HttpMessage as _;
use actix_web::body::BoxBody;
use actix_web::web::{Bytes, Data};
use price_book::quote::request::QuoteRequest;
use values::Id;

use super::http::{
    CREATE_PARAMETERS, GET_PARAMETERS, MIN_VERSION, PATH, SCOPE, VERSION, show_all_lines,
};
use super::request::{QuoteBody, read_query};
use super::response::QuoteResponder;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::Credentials;
use crate::platform::http::access::caller::Caller;
use crate::platform::http::call::{BodyLimits, IDEMPOTENCY_KEY};
use crate::platform::http::list::QueryParams;
use crate::platform::http::middleware::{accepts_json, add_common_headers};
use crate::platform::http::request_ids::{TraceIds, given_trace_id};
use crate::platform::http::route_metrics::RouteMetrics;
use crate::platform::http::short_circuit::FastPath;
use crate::platform::http::{access, json};
use crate::publication::book_id::BOOK_ID_PARAM;

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

/// The fast path of one worker.
pub struct QuoteFastPath {
    book: LiveBook,
    calendar: Calendar,
    credentials: Credentials,
    body_limits: BodyLimits,
    responder: Data<QuoteResponder>,
    route_metrics: RouteMetrics,
    trace_ids: TraceIds,
}

impl QuoteFastPath {
    /// Creates a fast path that answers from `book`.
    #[must_use]
    pub fn new(
        book: LiveBook,
        calendar: Calendar,
        credentials: Credentials,
        body_limits: BodyLimits,
        responder: Data<QuoteResponder>,
    ) -> Self {
        Self {
            book,
            calendar,
            credentials,
            body_limits,
            responder,
            route_metrics: RouteMetrics::new(PATH.to_owned()),
            trace_ids: TraceIds::default(),
        }
    }

    /// Returns the caller of a request that the fast path may answer. Callers that are restricted
    /// to an account take the usual path, which checks the account.
    fn eligible_caller(&self, request: &Request) -> Option<Caller> {
        let headers = request.headers();
        let is_eligible = request.path() == PATH
            && !request.head().upgrade()
            && !headers.keys().any(|name| EXCLUDED_HEADERS.contains(name))
            && accepts_json(headers)
            && self.book.is_loaded()
            // The fast path does not log, so it is disabled at debug level.
            && !tracing::enabled!(tracing::Level::DEBUG);
        if !is_eligible {
            return None;
        }
        let caller = self.credentials.admit(
            SCOPE,
            access::Request {
                method: request.method(),
                version: request.version(),
                authority: request.uri().authority(),
                headers,
            },
        )?;
        caller.restriction().is_none().then_some(caller)
    }

    /// Responds to a request. Returns `None` if the request has to take the usual path: it names a
    /// version other than the current one, or it is refused.
    fn respond(
        &self,
        request: &Request,
        params: &QueryParams<'_>,
        question: &QuoteRequest<'_>,
        started: Instant,
    ) -> Option<Response<BoxBody>> {
        let snapshot = self.book.snapshot();
        let is_reached = |minimum: &str| {
            minimum.parse().is_ok_and(|minimum| (0..=snapshot.version()).contains(&minimum))
        };
        let is_current = |history: &str| {
            Id::parse(history).is_ok_and(|history| history.get() == snapshot.book_id())
        };
        if params.get(VERSION).is_some()
            || !params.get(MIN_VERSION).is_none_or(is_reached)
            || !params.get(BOOK_ID_PARAM).is_none_or(is_current)
        {
            return None;
        }
        let answer = self.responder.respond(&snapshot, question).ok()?;
        let body = BoxBody::new(Bytes::from(answer.body));
        let mut response = Response::with_body(StatusCode::OK, body);
        let method = &request.head().method;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in answer.headers {
            headers.insert(name, value);
        }
        if *method == Method::GET {
            let etag = self.responder.etag(&snapshot, question.date);
            headers.insert(header::ETAG, etag);
        }
        let trace_id = match given_trace_id(request.headers()) {
            Some(given) => HeaderValue::from_str(given.text()).ok()?,
            None => self.trace_ids.take()?,
        };
        add_common_headers(headers, trace_id);
        self.route_metrics.count(method, StatusCode::OK, started.elapsed());
        Some(response)
    }
}

impl FastPath for QuoteFastPath {
    fn answer(&self, request: &Request) -> Option<Response<BoxBody>> {
        let started = Instant::now();
        let head = request.head();
        if head.method != Method::GET || head.headers.contains_key(header::CONTENT_LENGTH) {
            return None;
        }
        let caller = self.eligible_caller(request)?;
        let params = QueryParams::parse(request.uri().query()?, &GET_PARAMETERS).ok()?;
        let mut question = read_query(&params, || self.calendar.today(), true).ok()?;
        show_all_lines(&mut question, &caller);
        self.respond(request, &params, &question, started)
    }

    fn wants_body(&self, request: &Request) -> bool {
        let head = request.head();
        head.method == Method::POST
            && head
                .headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|media| media == "application/json")
            && self.eligible_caller(request).is_some_and(|caller| {
                // The body is read only for a caller that is admitted, who is counted once.
                request.extensions_mut().insert(caller);
                true
            })
    }

    fn answer_with_body(&self, request: &Request, body: &[u8]) -> Option<Response<BoxBody>> {
        let started = Instant::now();
        if body.len() > self.body_limits.max_bytes {
            return None;
        }
        let caller = request.extensions().get::<Caller>().cloned()?;
        let query = request.uri().query().unwrap_or_default();
        let params = QueryParams::parse(query, &CREATE_PARAMETERS).ok()?;
        let mut errors = Vec::new();
        let explain = params.boolean("explain", &mut errors).unwrap_or_default();
        if !errors.is_empty() {
            return None;
        }
        let mut question = json::object::<QuoteBody<'_>>(body)?
            .into_request(|| self.calendar.today(), explain)
            .ok()?;
        show_all_lines(&mut question, &caller);
        self.respond(request, &params, &question, started)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use actix_http::test::TestRequest;
    use price_book::snapshot::Snapshot;

    use super::*;
    use crate::live_book::SnapshotFile;
    use crate::platform::http::access::keys::KeyRing;

    /// A fast path with a loaded book and a limit of 100 bytes.
    async fn quotes(bootstrap_key: Option<&str>) -> QuoteFastPath {
        let calendar = Calendar::system();
        let book = LiveBook::new(calendar.clone());
        let known_at = calendar.now().timestamp_millis();
        book.restore(SnapshotFile {
            fingerprint: None,
            known_at,
            snapshot: Arc::new(Snapshot::empty()),
        })
        .await;
        QuoteFastPath::new(
            book.clone(),
            calendar.clone(),
            Credentials::new(bootstrap_key, KeyRing::default(), None, calendar),
            BodyLimits::new(100),
            Data::new(QuoteResponder::new(book)),
        )
    }

    fn post(authorization: Option<&str>) -> Request {
        let mut request = TestRequest::with_uri(PATH);
        request.method(Method::POST);
        request
            .insert_header((header::HOST, "localhost"))
            .insert_header((header::CONTENT_TYPE, "application/json"));
        if let Some(authorization) = authorization {
            request.insert_header((header::AUTHORIZATION, authorization));
        }
        request.finish()
    }

    #[actix_web::test]
    async fn body_over_the_limit_falls_through() {
        let (quotes, request) = (quotes(None).await, post(None));
        assert!(quotes.wants_body(&request));
        let body = |length: usize| {
            format!("{:<length$}", r#"{"lines":[{"itemNumber":"DESK"}]}"#).into_bytes()
        };
        assert!(quotes.answer_with_body(&request, &body(100)).is_some());
        assert!(quotes.answer_with_body(&request, &body(101)).is_none());
    }

    #[actix_web::test]
    async fn body_of_a_caller_without_credentials_is_not_read() {
        let quotes = quotes(Some("key")).await;
        assert!(!quotes.wants_body(&post(None)));
        assert!(!quotes.wants_body(&post(Some("Bearer x"))));
        assert!(quotes.wants_body(&post(Some("Bearer key"))));
    }
}
