//! Requests and responses of handlers: an [`ApiRequest`] with its body and conditions, and an
//! [`ApiResponse`].

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder, web};
use deserr::Deserr;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::access::caller::Caller;
use super::etag::{self, Condition};
use super::json::{self, BodyErrors};
use super::list::QueryParams;
use super::problem::{FieldCode, FieldError, Problem, ProblemCode};
use super::request_ids::{OperationId, TraceId};
use crate::platform::background::background;

/// Size in bytes up to which a body is parsed on the thread that answers requests. Parsing takes
/// about 10 ns per byte, so this bounds the delay of other connections.
const MAX_INLINE_BYTES: usize = 65_536;
/// Maximum number of larger bodies that are parsed at a time.
static PARSERS: Semaphore = Semaphore::const_new(2);
/// The end of the paths whose bodies may be large.
const BATCH_PATH: &str = "/batch";
/// The path whose bodies are files.
pub const IMPORTS_PATH: &str = "/v1/imports";
/// Maximum length of an idempotency key in bytes.
pub const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;
/// Header that makes a repeated request safe.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The limits of request bodies.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Maximum size of the body of a batch in bytes.
    pub max_batch_bytes: usize,
    /// Maximum size of the body of an import in bytes.
    pub max_import_bytes: usize,
    /// Maximum size of any other body in bytes.
    pub max_bytes: usize,
    /// The time in which a body has to arrive, extended by its bytes at the minimum rate.
    pub timeout: Duration,
    /// The longest time with all extensions.
    pub max_timeout: Duration,
    /// The rate in bytes per second that extends the timeout.
    pub min_rate: u32,
}

impl BodyLimits {
    /// Maximum size in bytes of a body that is no batch: more than a quote of 1,000 lines needs.
    const MAX_BYTES: usize = 524_288;
    /// Maximum size in bytes of a file to import. It is read piece by piece.
    const MAX_IMPORT_BYTES: usize = 268_435_456;

    /// Returns the limits with this maximum size for batches, from the configuration.
    #[must_use]
    pub fn new(max_batch_bytes: usize) -> Self {
        Self {
            max_batch_bytes,
            max_import_bytes: Self::MAX_IMPORT_BYTES,
            max_bytes: max_batch_bytes.min(Self::MAX_BYTES),
            timeout: Duration::from_secs(10),
            max_timeout: Duration::from_secs(120),
            min_rate: 1_000,
        }
    }

    /// Checks the declared length of a request's body.
    ///
    /// # Errors
    /// 413 when it is over the limit of the path.
    pub fn check_declared(&self, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        match declared_length(headers) {
            Some(length) if length > self.of(path) => Err(self.too_large(path)),
            _ => Ok(()),
        }
    }

    /// Returns the maximum size of a body for a path. Another spelling of a path, or a key that
    /// ends like it, gets the wrong limit, which is a limit too.
    fn of(&self, path: &str) -> usize {
        if path.ends_with(BATCH_PATH) {
            self.max_batch_bytes
        } else if path == IMPORTS_PATH {
            self.max_import_bytes
        } else {
            self.max_bytes
        }
    }

    /// Creates the problem of a file over the limit: 413.
    #[must_use]
    pub fn import_too_large(&self) -> Problem {
        self.too_large(IMPORTS_PATH)
    }

    fn too_large(&self, path: &str) -> Problem {
        let detail = format!("this body has at most {} bytes", self.of(path));
        Problem::new(ProblemCode::PayloadTooLarge, detail)
    }

    /// Returns the time in which a body has to arrive of which so many bytes have.
    fn timeout_of(&self, received: usize) -> Duration {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let extension = Duration::from_secs(received.into()) / self.min_rate.max(1);
        self.timeout.saturating_add(extension).min(self.max_timeout)
    }
}

/// Returns the length of the body that the headers declare, if they declare one.
fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A request whose body has been read.
#[derive(Debug)]
pub struct ApiRequest {
    /// The method.
    pub method: Method,
    /// The path as sent, without query.
    pub path: String,
    /// The caller.
    pub caller: Caller,
    /// The operation.
    pub operation_id: OperationId,
    /// The trace id.
    pub trace_id: TraceId,
    /// The key under which the response is stored.
    pub idempotency_key: Option<String>,
    /// `If-Match`.
    pub if_match: Option<Condition>,
    /// `If-None-Match`.
    pub if_none_match: Option<Condition>,
    query: String,
    content_type: Option<String>,
    body: web::Bytes,
}

impl ApiRequest {
    /// Decodes the body to a typed value.
    ///
    /// # Errors
    /// 415 when the body is not JSON; 400 or 422 with all errors.
    pub async fn json<T>(&self) -> Result<T, Problem>
    where
        T: Deserr<BodyErrors> + Send + 'static,
    {
        self.read(|value| json::decode(value).map_err(Problem::from_errors)).await
    }

    /// Decodes a valid body to a typed value in one pass, for large and frequent bodies. Returns
    /// `None` if anything is wrong; [`ApiRequest::json`] then finds the errors.
    ///
    /// # Errors
    /// 415 when the content type is not JSON.
    pub fn json_if_valid<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>, Problem> {
        self.check_content_type()?;
        Ok(json::object(&self.body))
    }

    /// Parses the body to a JSON value, and reads it. A large body is parsed and read on a
    /// background thread: one of 4 MB would delay the other connections of this thread for some
    /// tenths of a second.
    ///
    /// # Errors
    /// 415 when the content type is not JSON, 400 when the body cannot be parsed; the errors of
    /// `read`.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(Value) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.check_content_type()?;
        if self.body.len() <= MAX_INLINE_BYTES {
            return json::parse(&self.body).and_then(read);
        }
        let _permit = PARSERS.acquire().await.map_err(Problem::internal)?;
        let body = self.body.clone();
        background(move || json::parse(&body).and_then(read)).await
    }

    /// Parses the body to a merge patch.
    ///
    /// # Errors
    /// 415 when the content type is not JSON, 400 when the body cannot be parsed or is no object.
    pub async fn merge_patch(&self) -> Result<Value, Problem> {
        let changes = self.read(Ok).await?;
        if changes.is_object() {
            return Ok(changes);
        }
        let error = FieldError::new("", FieldCode::InvalidType, "a merge patch is an object");
        Err(Problem::with_errors(ProblemCode::InvalidRequest, vec![error]))
    }

    /// Decodes the body to a typed value, or returns the default of the type if there is no body.
    ///
    /// # Errors
    /// As [`ApiRequest::json`].
    pub async fn json_or_default<T>(&self) -> Result<T, Problem>
    where
        T: Deserr<BodyErrors> + Default + Send + 'static,
    {
        if self.body.is_empty() { Ok(T::default()) } else { self.json().await }
    }

    /// Parses the query, which may contain only the `known` parameters.
    ///
    /// # Errors
    /// 400 with every unknown, repeated or unreadable parameter.
    pub fn query(&self, known: &[&'static str]) -> Result<QueryParams<'_>, Problem> {
        QueryParams::parse(&self.query, known)
            .map_err(|errors| Problem::with_errors(ProblemCode::InvalidRequest, errors))
    }

    /// Checks that the request has neither a body nor query parameters.
    ///
    /// # Errors
    /// 400 with an error for each.
    pub fn expect_empty(&self) -> Result<(), Problem> {
        self.query(&[])?;
        self.expect_no_body()
    }

    /// Checks that the request has no body.
    ///
    /// # Errors
    /// 400 when it has one.
    pub fn expect_no_body(&self) -> Result<(), Problem> {
        if self.body.is_empty() {
            return Ok(());
        }
        let error = FieldError::new("", FieldCode::NotAllowed, "this request takes no body");
        Err(Problem::with_errors(ProblemCode::InvalidRequest, vec![error]))
    }

    /// Returns the hash of method, path, query and body. Requests with the same hash are the same
    /// for idempotency.
    #[must_use]
    pub fn request_hash(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for part in [
            self.method.as_str().as_bytes(),
            self.path.as_bytes(),
            self.query.as_bytes(),
            &self.body,
        ] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().to_vec()
    }

    fn check_content_type(&self) -> Result<(), Problem> {
        let essence =
            self.content_type.as_deref().unwrap_or("").split(';').next().unwrap_or("").trim();
        let allowed = essence.eq_ignore_ascii_case("application/json")
            || (self.method == Method::PATCH
                && essence.eq_ignore_ascii_case("application/merge-patch+json"));
        if allowed {
            Ok(())
        } else {
            Err(Problem::new(
                ProblemCode::UnsupportedMediaType,
                format!("the body is {:?}, not application/json", essence.to_lowercase()),
            ))
        }
    }
}

impl ApiRequest {
    /// Creates the request whose body the handler has read itself. `digest` stands for the body in
    /// the hash of the request.
    ///
    /// # Errors
    /// 400 when a header cannot be read.
    pub fn of_streamed(request: &HttpRequest, digest: Vec<u8>) -> Result<Self, Problem> {
        Self::with_body(request, idempotency_key(request)?, digest.into())
    }

    fn with_body(
        request: &HttpRequest,
        idempotency_key: Option<String>,
        body: web::Bytes,
    ) -> Result<Self, Problem> {
        let caller = extension(request)?;
        let (operation_id, trace_id) = (extension(request)?, extension(request)?);
        let headers = request.headers();
        Ok(Self {
            method: request.method().clone(),
            path: request.path().to_owned(),
            caller,
            operation_id,
            trace_id,
            idempotency_key,
            if_match: Condition::read(headers, header::IF_MATCH)?,
            if_none_match: Condition::read(headers, header::IF_NONE_MATCH)?,
            query: request.query_string().to_owned(),
            content_type: headers
                .get(header::CONTENT_TYPE)
                .and_then(|v| v.to_str().ok())
                .map(str::to_owned),
            body,
        })
    }
}

impl FromRequest for ApiRequest {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        async move {
            let idempotency_key = idempotency_key(&request)?;
            if request
                .headers()
                .get(header::CONTENT_ENCODING)
                .is_some_and(|coding| coding != "identity")
            {
                return Err(Problem::new(
                    ProblemCode::UnsupportedMediaType,
                    "a body has to be sent without an encoding",
                ));
            }
            let body = read_body(&request, payload).await?;
            Self::with_body(&request, idempotency_key, body)
        }
        .boxed_local()
    }
}

/// Returns what the middleware added to a request.
fn extension<T: Clone + 'static>(request: &HttpRequest) -> Result<T, Problem> {
    let missing = || format!("a request without {}", std::any::type_name::<T>());
    request.extensions().get::<T>().cloned().ok_or_else(|| Problem::internal(missing()))
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_IDEMPOTENCY_KEY_LENGTH).contains(&key.len()) && !key.contains('\t') => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(Problem::new(
            ProblemCode::MalformedRequest,
            format!(
                "Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} printable ASCII characters"
            ),
        )),
    }
}

/// Reads the body up to its limit. A declared length over the limit is refused before any byte is
/// read. Memory grows with the received bytes, not with the declared length.
async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<web::Bytes, Problem> {
    let limits = request.app_data::<web::Data<BodyLimits>>();
    let limits = limits.ok_or_else(|| Problem::internal("the app was built without limits"))?;
    let (path, headers) = (request.path(), request.headers());
    limits.check_declared(path, headers)?;
    let declared = declared_length(headers);
    let is_announced = declared.is_some_and(|length| length > 0)
        || headers.contains_key(header::TRANSFER_ENCODING);
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        if !is_announced {
            // A request to upgrade the protocol has a payload that ends with the connection.
            return Ok(web::Bytes::new());
        }
        let detail = format!("{} takes no body", request.method());
        return Err(Problem::with_errors(
            ProblemCode::InvalidRequest,
            vec![FieldError::new("", FieldCode::NotAllowed, detail)],
        ));
    }
    if !is_announced {
        return Ok(web::Bytes::new());
    }
    let started = Instant::now();
    let mut body = web::BytesMut::new();
    // The payload of a request to upgrade the protocol has no end of its own.
    while declared.is_none_or(|length| body.len() < length) {
        let deadline = started + limits.timeout_of(body.len());
        let chunk = timeout_at(deadline, payload.next()).await.map_err(|_| {
            Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time")
        })?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|error| {
            let detail = format!("the body cannot be read: {error}");
            Problem::new(ProblemCode::MalformedRequest, detail)
        })?;
        if body.len().saturating_add(chunk.len()) > limits.of(path) {
            return Err(limits.too_large(path));
        }
        body.extend_from_slice(&chunk);
    }
    if let Some(length) = declared {
        body.truncate(length);
    }
    Ok(body.freeze())
}

/// The response of a handler, complete, so that it can be stored and replayed byte for byte.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers except `Content-Type`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The JSON body; empty for 204 and 304.
    pub body: Vec<u8>,
}

impl ApiResponse {
    /// Creates a JSON response.
    ///
    /// # Errors
    /// When the value cannot be serialized, which is a defect.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Self, Problem> {
        Ok(Self {
            status,
            headers: Vec::new(),
            body: serde_json::to_vec(value).map_err(Problem::internal)?,
        })
    }

    /// Creates a response without body.
    #[must_use]
    pub const fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Creates the response with the representation of one resource and its ETag.
    ///
    /// # Errors
    /// As [`ApiResponse::json`].
    pub fn resource(status: StatusCode, view: &impl Serialize) -> Result<Self, Problem> {
        let answer = Self::json(status, view)?;
        let tag = etag::of(&answer.body);
        Ok(answer.header(header::ETAG, &tag))
    }

    /// Returns 304 in place of the response if `If-None-Match` contains its ETag.
    #[must_use]
    pub fn not_modified_if_known(self, if_none_match: Option<&Condition>) -> Self {
        let tag = self
            .headers
            .iter()
            .find(|(name, _)| name == header::ETAG)
            .and_then(|(_, v)| v.to_str().ok());
        if tag.zip(if_none_match).is_some_and(|(tag, condition)| condition.names(tag)) {
            return Self { status: StatusCode::NOT_MODIFIED, body: Vec::new(), ..self };
        }
        self
    }

    /// Returns the response with one more header. A value that is invalid in a header is omitted.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl Responder for ApiResponse {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for header in self.headers {
            response.insert_header(header);
        }
        if self.body.is_empty() {
            return response.finish();
        }
        response.insert_header((header::CONTENT_TYPE, "application/json")).body(self.body)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use actix_web::test::TestRequest;

    use super::*;
    use crate::platform::http::access::caller::CallerKind;
    use crate::platform::http::request_ids;

    async fn request(length: usize) -> ApiRequest {
        let mut body = b"{}".to_vec();
        body.resize(length, b' ');
        let (request, mut payload) = TestRequest::post()
            .uri("/v1/items/batch")
            .app_data(web::Data::new(BodyLimits::new(1 << 20)))
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .insert_header((header::CONTENT_LENGTH, length))
            .set_payload(body)
            .to_http_parts();
        let trace_id = request_ids::trace_id(request.headers());
        request.extensions_mut().insert(Caller::of_kind(CallerKind::Local, "local"));
        request.extensions_mut().insert(OperationId::new("batch_items"));
        request.extensions_mut().insert(trace_id);
        ApiRequest::from_request(&request, &mut payload).await.unwrap()
    }

    #[actix_web::test]
    async fn large_bodies_are_parsed_on_another_thread() {
        for (length, is_here) in [(MAX_INLINE_BYTES, true), (MAX_INLINE_BYTES + 1, false)] {
            let request = request(length).await;
            let reader = request.read(|_| Ok(thread::current().id())).await.unwrap();
            assert_eq!(reader == thread::current().id(), is_here, "{length}");
        }
    }

    #[test]
    fn timeout_grows_with_the_received_bytes() {
        let limits = BodyLimits::new(1 << 22);
        for (received, seconds) in [(0, 10), (1_000, 11), (50_000, 60), (1 << 22, 120)] {
            assert_eq!(limits.timeout_of(received).as_secs(), seconds, "{received}");
        }
    }

    #[test]
    fn only_batches_may_be_large() {
        let limits = BodyLimits::new(1 << 22);
        assert_eq!((limits.of("/v1/items/batch"), limits.of("/v1/items")), (1 << 22, 1 << 19));
        assert_eq!(BodyLimits::new(100).of("/v1/items"), 100);
    }
}
