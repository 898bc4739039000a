//! What happens around every request: a trace id, access control, the one form of failure, a log
//! line and the counters.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, web};
use tracing::Instrument;
use uuid::Uuid;

use super::access::{self, Access, Credentials};
use super::call::Caller;
use super::problem::{Problem, ProblemCode};
use super::route_metrics;

/// Carries the caller's own trace id.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Carries the trace id of every answer.
pub const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

/// Wraps every request: gives it a trace id, turns every failure into a problem document, counts it
/// and logs it.
///
/// # Errors
/// Never: every failure becomes a response.
pub async fn request_context(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let trace_id = trace_id(request.headers());
    let method = request.method().clone();
    let path = request.path().to_owned();
    request.extensions_mut().insert(trace_id);
    let response = next.call(request).await?;
    let mut response = in_our_form(response.map_into_boxed_body(), &path, trace_id.text());
    let header = HeaderValue::from_str(trace_id.text()).map_err(actix_web::Error::from)?;
    add_common_headers(response.headers_mut(), header);
    let status = response.status();
    let took = started.elapsed();
    route_metrics::count(response.request(), status, took);
    let (status, took_us) = (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let trace_id = trace_id.text();
    if response.request().app_data::<RequestLog>() == Some(&RequestLog::Quiet) {
        tracing::debug!(trace_id, %method, path, status, took_us, "request answered");
    } else {
        tracing::info!(trace_id, %method, path, status, took_us, "request answered");
    }
    Ok(response)
}

/// The level at which a route's requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestLog {
    /// One line at level info.
    #[default]
    Normal,
    /// One line at level debug: quotes come by the thousand a second, and probes and scrapes say
    /// little.
    Quiet,
}

/// Wraps the handler of a matched route: admits or refuses the caller, and logs what happens inside
/// under the trace id.
///
/// # Errors
/// Never: a refusal is a response.
pub async fn guard(
    access: Access,
    log: RequestLog,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match admitted(access, &request) {
        Ok(caller) => {
            let trace_id = request.extensions().get::<TraceId>().copied();
            let trace_id = trace_id.as_ref().map_or("", TraceId::text);
            let span = match log {
                RequestLog::Normal => tracing::info_span!("request", trace_id),
                RequestLog::Quiet => tracing::debug_span!("request", trace_id),
            };
            request.extensions_mut().insert(caller);
            next.call(request).instrument(span).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// What leads from an answer to the log: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// The digits.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The caller's own trace id (W3C Trace Context).
#[must_use]
pub fn given_trace_id(headers: &HeaderMap) -> Option<TraceId> {
    headers
        .get(TRACEPARENT)
        .and_then(|value| value.as_bytes().split(|byte| *byte == b'-').nth(1))
        .and_then(|id| <[u8; 32]>::try_from(id).ok())
        .filter(|id| id.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)))
        .map(TraceId)
}

/// The caller's own trace id, or a new one.
fn trace_id(headers: &HeaderMap) -> TraceId {
    given_trace_id(headers).unwrap_or_else(|| {
        let mut id = [0; 32];
        Uuid::new_v4().simple().encode_lower(&mut id);
        TraceId(id)
    })
}

/// New trace ids as headers, many of which share an allocation.
#[derive(Debug, Default)]
pub struct TraceIds(Bytes);

impl TraceIds {
    /// How many are made at once.
    const AT_ONCE: usize = 64;

    /// The next one.
    pub fn take(&mut self) -> Option<HeaderValue> {
        if self.0.is_empty() {
            let mut ids = vec![0; 32 * Self::AT_ONCE];
            for id in ids.chunks_exact_mut(32) {
                Uuid::new_v4().simple().encode_lower(id);
            }
            self.0 = ids.into();
        }
        HeaderValue::from_maybe_shared(self.0.split_to(32)).ok()
    }
}

/// Adds what every answer has.
pub fn add_common_headers(headers: &mut HeaderMap, trace_id: HeaderValue) {
    headers.insert(TRACE_ID, trace_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        // Private and to be asked for again: an ETag makes that cheap.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
}

/// Returns the caller, unless the request is refused before it reaches its handler.
fn admitted(access: Access, request: &ServiceRequest) -> Result<Caller, Problem> {
    let Some(credentials) = request.app_data::<web::Data<Credentials>>() else {
        return Err(Problem::internal("the app was built without credentials"));
    };
    let caller = credentials.authorize(
        access,
        access::Request {
            method: request.method(),
            version: request.version(),
            authority: request.uri().authority(),
            headers: request.headers(),
        },
    )?;
    // Metrics, probes and the documentation have representations of their own.
    if access == Access::Public || accepts_json(request.headers()) {
        Ok(caller)
    } else {
        Err(Problem::new(ProblemCode::NotAcceptable, "the answer is application/json"))
    }
}

/// Whether `Accept` lets JSON through; a range with q=0 does not.
#[must_use]
pub fn accepts_json(headers: &HeaderMap) -> bool {
    let mut asked = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or("*/*").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                part.strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty())
            });
            asked |= !media.is_empty();
            let json = ["*/*", "application/*", "application/json", "application/x-ndjson"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(media));
            if json && !refused {
                return true;
            }
        }
    }
    !asked
}

/// Every failure as a problem document with its path and trace id, the framework's own included.
fn in_our_form(
    response: ServiceResponse<BoxBody>,
    path: &str,
    trace_id: &str,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = match response.response().error().and_then(|error| error.as_error::<Problem>()) {
        Some(problem) => problem.clone(),
        None if response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|v| v == "application/problem+json") =>
        {
            return response;
        }
        None => framework_problem(&response),
    };
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, problem.response(path, trace_id))
}

fn framework_problem(response: &ServiceResponse<BoxBody>) -> Problem {
    let request = response.request();
    let detail = response.response().error().map(ToString::to_string);
    let problem =
        |code, text: &str| Problem::new(code, detail.clone().unwrap_or_else(|| text.to_owned()));
    match response.status() {
        StatusCode::NOT_FOUND => {
            Problem::new(ProblemCode::NotFound, format!("nothing is at {}", request.path()))
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let refused = Problem::new(
                ProblemCode::MethodNotAllowed,
                format!("{} is not allowed here", request.method()),
            );
            match response.headers().get(header::ALLOW) {
                Some(allow) => refused.header(header::ALLOW, allow.clone()),
                None => refused,
            }
        }
        StatusCode::REQUEST_TIMEOUT => {
            problem(ProblemCode::RequestTimeout, "the request did not arrive in time")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            problem(ProblemCode::PayloadTooLarge, "the body is too large")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            problem(ProblemCode::UnsupportedMediaType, "the body is not JSON")
        }
        status if status.is_client_error() => {
            problem(ProblemCode::MalformedRequest, "the request cannot be read")
        }
        _ => Problem::internal(detail.unwrap_or_else(|| "a response without a reason".to_owned())),
    }
}

/// 405 with the methods that the path has.
#[must_use]
pub fn method_not_allowed(allowed: &[Method]) -> actix_web::HttpResponse {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let mut response = actix_web::HttpResponse::MethodNotAllowed();
    response.insert_header((header::ALLOW, names.join(", "))).finish()
}
