//! Middleware of every request: trace id, access control, problem documents, log line and metrics.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use tracing::Instrument;

use super::access::{self, Access, Credentials};
use super::problem::{Problem, ProblemCode};
use super::request_ids::{TraceId, trace_id};
use super::route_metrics;

/// Header with the trace id of a response.
pub const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");
/// The path of the documentation pages.
const DOCS_PATH: &str = "/docs";
/// The content security policy of the documentation pages: scripts and styles of this service, and
/// requests to it. Swagger UI sets styles in its elements and draws images from `data:` URLs.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Wraps every request: assigns a trace id, converts failures to problem documents, counts and logs
/// the request.
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
    let mut response =
        with_problem_document(response.map_into_boxed_body(), &path, trace_id.text());
    let header = HeaderValue::from_str(trace_id.text()).map_err(actix_web::Error::from)?;
    add_common_headers(response.headers_mut(), header);
    if path.starts_with(DOCS_PATH) {
        let policy = HeaderValue::from_static(DOCS_POLICY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let status = response.status();
    let took = started.elapsed();
    route_metrics::count(response.request(), status, took);
    let (status, took_us) = (status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let trace_id = trace_id.text();
    let peer = response.request().peer_addr().map(tracing::field::display);
    let is_quiet = response.request().app_data::<RequestLog>() == Some(&RequestLog::Quiet);
    if is_quiet && status < 400 {
        tracing::debug!(trace_id, %method, path, status, took_us, peer, "request answered");
    } else {
        tracing::info!(trace_id, %method, path, status, took_us, peer, "request answered");
    }
    Ok(response)
}

/// The level at which a route's requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestLog {
    /// One line at level info.
    #[default]
    Normal,
    /// One line at level debug, for frequent requests such as quotes, and for probes and scrapes.
    /// Refusals are logged at level info all the same.
    Quiet,
}

/// Wraps the handler of a matched route: authorizes the caller, and logs under the trace id.
/// `has_tables` is true if the operation also answers with tables.
///
/// # Errors
/// Never: a refusal is a response.
pub async fn guard(
    access: Access,
    log: RequestLog,
    has_tables: bool,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match authorize(access, has_tables, &request).await {
        Ok(()) => {
            let trace_id = request.extensions().get::<TraceId>().copied();
            let trace_id = trace_id.as_ref().map_or("", TraceId::text);
            let span = match log {
                RequestLog::Normal => tracing::info_span!("request", trace_id),
                RequestLog::Quiet => tracing::debug_span!("request", trace_id),
            };
            next.call(request).instrument(span).await.map(ServiceResponse::map_into_boxed_body)
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// Adds the headers that every response has (`docs/api-conventions.md` section 11).
pub fn add_common_headers(headers: &mut HeaderMap, trace_id: HeaderValue) {
    headers.insert(TRACE_ID, trace_id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        // Caches have to revalidate each time, which the ETag makes cheap.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
}

/// Adds the caller to a request, and checks that the caller may use the operation.
async fn authorize(
    access: Access,
    has_tables: bool,
    request: &ServiceRequest,
) -> Result<(), Problem> {
    let Some(credentials) = request.app_data::<web::Data<Credentials>>() else {
        return Err(Problem::internal("the app was built without credentials"));
    };
    let caller = credentials
        .caller_of(
            access,
            access::Request {
                method: request.method(),
                version: request.version(),
                authority: request.uri().authority(),
                headers: request.headers(),
            },
        )
        .await?;
    let checked = access.check(&caller);
    // The audit log names the callers of refused requests too.
    request.extensions_mut().insert(caller);
    checked?;
    // Operations with public access have representations of their own.
    let headers = request.headers();
    if access == Access::Public
        || accepts_json(headers)
        || (has_tables && accepts(headers, &TABLE_TYPES))
    {
        Ok(())
    } else if has_tables {
        let detail = format!("the answer is application/json or {}", TABLE_TYPES.join(" or "));
        Err(Problem::new(ProblemCode::NotAcceptable, detail))
    } else {
        Err(Problem::new(ProblemCode::NotAcceptable, "the answer is application/json"))
    }
}

/// The media types of tables.
pub const TABLE_TYPES: [&str; 2] =
    ["text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"];

/// Returns whether `Accept` allows JSON. A range with q=0 excludes it.
#[must_use]
pub fn accepts_json(headers: &HeaderMap) -> bool {
    accepts(headers, &["*/*", "application/*", "application/json", "application/x-ndjson"])
}

/// Returns whether `Accept` allows one of the media ranges.
fn accepts(headers: &HeaderMap, ranges: &[&str]) -> bool {
    let mut has_ranges = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or("*/*").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                part.strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty())
            });
            has_ranges |= !media.is_empty();
            let is_known = ranges.iter().any(|known| known.eq_ignore_ascii_case(media));
            if is_known && !refused {
                return true;
            }
        }
    }
    !has_ranges
}

/// Converts a failure, those of the framework included, to a problem document with path and trace
/// id.
fn with_problem_document(
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

/// Returns 405 with the methods that the path has.
#[must_use]
pub fn method_not_allowed(allowed: &[Method]) -> actix_web::HttpResponse {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let mut response = actix_web::HttpResponse::MethodNotAllowed();
    response.insert_header((header::ALLOW, names.join(", "))).finish()
}
