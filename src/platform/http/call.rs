//! Requests and responses of handlers: an [`ApiRequest`] with its body and conditions, and an
//! [`ApiResponse`].

use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, Responder, web};
use deserr::Deserr;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::access::caller::Caller;
use super::etag::{self, Condition};
use super::json::{self, BodyErrors};
use super::list::QueryParams;
use super::problem::{FieldCode, FieldError, Problem, ProblemCode};
use super::request_ids::{OperationId, TraceId};

/// Timeout for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum length of an idempotency key in bytes.
pub const MAX_IDEMPOTENCY_KEY_LENGTH: usize = 255;
/// Header that makes a repeated request safe.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Maximum size of a request body in bytes, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

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
    pub fn json<T: Deserr<BodyErrors>>(&self) -> Result<T, Problem> {
        json::decode(self.value()?).map_err(Problem::from_errors)
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

    /// Parses the body to a JSON value: a merge patch, or rows to be decoded one by one.
    ///
    /// # Errors
    /// 415 when the content type is not JSON, 400 when the body cannot be parsed.
    pub fn value(&self) -> Result<Value, Problem> {
        self.check_content_type()?;
        json::parse(&self.body)
    }

    /// Parses the body to a merge patch.
    ///
    /// # Errors
    /// As [`ApiRequest::value`]; 400 when the body is no object.
    pub fn merge_patch(&self) -> Result<Value, Problem> {
        let changes = self.value()?;
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
    pub fn json_or_default<T: Deserr<BodyErrors> + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
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
            let caller = extension(&request)?;
            let (operation_id, trace_id) = (extension(&request)?, extension(&request)?);
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

/// Reads the body up to the limit. A declared length over the limit is refused before any byte is
/// read. Memory grows with the received bytes, not with the declared length.
async fn read_body(request: &HttpRequest, mut payload: Payload) -> Result<web::Bytes, Problem> {
    let limit = request.app_data::<web::Data<BodyLimit>>().map_or(usize::MAX, |limit| limit.0);
    let too_large =
        || Problem::new(ProblemCode::PayloadTooLarge, format!("a body has at most {limit} bytes"));
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let announces_body = declared.is_some_and(|length| length > 0)
        || request.headers().contains_key(header::TRANSFER_ENCODING);
    if announces_body && matches!(*request.method(), Method::GET | Method::HEAD) {
        let detail = format!("{} takes no body", request.method());
        return Err(Problem::with_errors(
            ProblemCode::InvalidRequest,
            vec![FieldError::new("", FieldCode::NotAllowed, detail)],
        ));
    }
    let read = async {
        let mut body = web::BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                Problem::new(
                    ProblemCode::MalformedRequest,
                    format!("the body cannot be read: {error}"),
                )
            })?;
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| {
        Err(Problem::new(ProblemCode::RequestTimeout, "the body did not arrive in time"))
    })
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
