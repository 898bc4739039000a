//! Problem documents (RFC 9457), the form of every failure. A problem names all its errors
//! together.
//!
//! Modules raise [`Problem`]s and [`FieldError`]s by their codes. Only this file maps a code to its
//! status and writes the body. `docs/errors.md` is generated from the two tables of codes below.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};

use values::code_table;

/// The largest number of errors in one problem.
pub const MAX_ERRORS: usize = 1_000;

code_table! {
    /// The code of a whole problem.
    ProblemCode,
    /// Returns the HTTP status and the fixed title of the code.
    status_and_title: (u16, &'static str) {
        MalformedRequest "MALFORMED_REQUEST": (400, "The request cannot be read"),
            "The body is not JSON, or the request line, a header or the encoding cannot be read.";
        InvalidRequest "INVALID_REQUEST": (400, "The request has invalid parts"),
            "Fields or parameters are unknown, missing, of the wrong type or form; `errors` names \
             each.";
        InvalidFilter "INVALID_FILTER": (400, "The filter or order cannot be used"),
            "`filter` or `orderby` is wrong; the error's `params` point at the place.";
        InvalidCursor "INVALID_CURSOR": (400, "The link cannot be used"),
            "A `nextLink` was changed, or belongs to another list.";
        Unauthorized "UNAUTHORIZED": (401, "Credentials are missing or wrong"),
            "The service has credentials, and the request carries no valid bearer token.";
        Forbidden "FORBIDDEN": (403, "The caller may not do this"),
            "The caller lacks a scope, which `scope` names, or asks for the prices of another \
             account than the one that its key is restricted to.";
        HostNotAllowed "HOST_NOT_ALLOWED": (403, "The host is not allowed"),
            "The service has no API key, and the request is for another host than this machine.";
        OriginNotAllowed "ORIGIN_NOT_ALLOWED": (403, "The origin is not allowed"),
            "The service has no API key, and a web page of another origin asks for a change.";
        SamePerson "SAME_PERSON": (403, "The approval needs a second person"),
            "The caller has requested the approval, or has changed the campaign since its last \
             publication; somebody else has to approve it.";
        NotFound "NOT_FOUND": (404, "Nothing is here"),
            "No resource has this path, id or key.";
        MethodNotAllowed "METHOD_NOT_ALLOWED": (405, "The method is not allowed here"),
            "The path exists, the method does not; `Allow` lists those that do.";
        NotAcceptable "NOT_ACCEPTABLE": (406, "No acceptable representation"),
            "The service answers JSON, which the `Accept` header excludes.";
        RequestTimeout "REQUEST_TIMEOUT": (408, "The request did not arrive in time"),
            "The client sent the request too slowly.";
        Conflict "CONFLICT": (409, "The change conflicts with what is there"),
            "A key is taken, or a constraint of the data forbids the change; `errors` says which.";
        InUse "IN_USE": (409, "The resource is in use"),
            "Something refers to the resource; `errors` lists what.";
        DuplicateLine "DUPLICATE_LINE": (409, "A line like this exists"),
            "Another line is alike in source, item, variant, unit, currency and minimum quantity, \
             and its dates overlap.";
        AmountsExist "AMOUNTS_EXIST": (409, "The local currency cannot change while amounts exist"),
            "Amounts without a currency code are in the local currency, and another code would \
             change what they mean; `errors` lists them. Delete them before the change, or load \
             the converted amounts into an empty database with the other local currency.";
        PlanChanged "PLAN_CHANGED": (409, "The plan has changed"),
            "The activation's `planHash` is not that of the plan as it would be now.";
        CampaignActive "CAMPAIGN_ACTIVE": (409, "The campaign is active"),
            "The campaign's prices are in force; deactivate it first.";
        NoCriteriaAction "NO_CRITERIA_ACTION": (409, "There is nothing to go back to"),
            "The segment has no criteria action that could be undone.";
        EntryNotCanceled "ENTRY_NOT_CANCELED": (409, "The entry is not canceled"),
            "Only canceled entries, logged segments and interactions can be deleted; cancel it \
             first.";
        IdempotencyInProgress "IDEMPOTENCY_IN_PROGRESS":
            (409, "The first request is still running"),
            "A request with the same `Idempotency-Key` has not finished yet; try again.";
        IdempotencyResponseErased "IDEMPOTENCY_RESPONSE_ERASED":
            (409, "The stored response was erased"),
            "The first request with the same `Idempotency-Key` was executed, and its response was \
             erased together with the personal data in it. The request is not executed again; read \
             the resource to see its state.";
        OtherHistory "OTHER_HISTORY": (409, "The price book has another history"),
            "`bookId` names a history that ended, as after a restore. Its versions mean nothing in \
             the current one, which the problem names: start over from there.";
        PreconditionFailed "PRECONDITION_FAILED": (412, "The resource has changed"),
            "`If-Match` is not the current ETag; `ETag` carries the current one.";
        PayloadTooLarge "PAYLOAD_TOO_LARGE": (413, "The body is too large"),
            "The body is over the limit.";
        UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE": (415, "The body is not JSON"),
            "A body has to be `application/json` (or `application/merge-patch+json` on PATCH), \
             unencoded.";
        ValidationFailed "VALIDATION_FAILED": (422, "The content breaks a rule"),
            "The request is well formed, but what it says cannot be; `errors` names each rule.";
        ActivationRefused "ACTIVATION_REFUSED": (422, "The campaign cannot be published as it is"),
            "The targeting rules do not hold, or warnings are not acknowledged; `findings` lists \
             all.";
        ApprovalRequired "APPROVAL_REQUIRED": (422, "The publication needs an approval"),
            "The settings require that a second person approves what is published; request it at \
             `approval-requests`, with the same `planHash`.";
        IdempotencyKeyReused "IDEMPOTENCY_KEY_REUSED":
            (422, "The idempotency key belongs to another request"),
            "The same `Idempotency-Key` was used for a request with another method, path or body.";
        PreconditionRequired "PRECONDITION_REQUIRED": (428, "If-Match is missing"),
            "The change needs `If-Match` with the ETag of what is to be changed (or `*`).";
        TooManyRequests "TOO_MANY_REQUESTS": (429, "Too many requests"),
            "The key is beyond its limit of requests per second; `Retry-After` says when to try again.";
        Internal "INTERNAL": (500, "The service failed"),
            "A defect; the log has the cause under the `traceId`.";
        Unavailable "UNAVAILABLE": (503, "The service cannot do this now"),
            "The database or a needed part is out of reach; `Retry-After` says when to try again.";
        QueryTimeout "QUERY_TIMEOUT": (503, "The request took too long"),
            "A statement in the database ran into its time limit and nothing was changed: 5 s in a \
             list with `filter`, `orderby` or `count`, else 60 s. Narrow the filter, order by \
             another field, leave out `count`, or send fewer rows; `Retry-After` says when to try \
             again at the earliest.";
        TooManyStreams "TOO_MANY_STREAMS": (503, "Too many streams are open"),
            "The service sends a bounded number of streams at a time; `Retry-After` says when to \
             try again. Pages are not limited.";
        TooManyWaiting "TOO_MANY_WAITING": (503, "Too many requests wait for events"),
            "The service lets a bounded number of requests wait for events; `Retry-After` says \
             when to try again. Requests without `wait` are not limited.";
        VersionNotReached "VERSION_NOT_REACHED": (503, "The price book is not that far yet"),
            "`minPublicationVersion` was not reached within a second; `Retry-After` says when to \
             try again.";
    }
}

code_table! {
    /// The code of one error, inside a problem's `errors`.
    FieldCode {
        UnknownField "UNKNOWN_FIELD"
            "No such field; `params.nearest` is the nearest known name.";
        UnknownParameter "UNKNOWN_PARAMETER"
            "No such query parameter; `params.nearest` is the nearest known name.";
        DuplicateField "DUPLICATE_FIELD"
            "The same key stands twice in one JSON object, or a parameter twice in the query.";
        Required "REQUIRED"
            "The field or parameter must be given.";
        Missing "MISSING"
            "The field is needed because of what else the request gives, or does not give.";
        InvalidType "INVALID_TYPE"
            "The value has the wrong JSON type.";
        InvalidDecimal "INVALID_DECIMAL"
            "Not a decimal of the allowed form, or a JSON number where a string is expected.";
        InvalidDate "INVALID_DATE"
            "Not a calendar date of the form 2031-05-15 between 0001-01-01 and 9999-12-31.";
        InvalidTime "INVALID_TIME"
            "Not a time of day of the form 14:30.";
        InvalidKey "INVALID_KEY"
            "Not a business key: 1 to 50 characters, none of them a control, format or unassigned \
             character, no two spaces in a row, not `.` or `..`, not shaped like a UUID. A currency \
             code has three letters.";
        InvalidValue "INVALID_VALUE"
            "The value is not one of those allowed.";
        InvalidCharacter "INVALID_CHARACTER"
            "The text holds a NUL or another control character, or a name holds an invisible \
             character or one that changes the direction of writing.";
        TooLong "TOO_LONG"
            "The text or list is longer than allowed.";
        TooShort "TOO_SHORT"
            "The text or list is shorter than allowed.";
        OutOfRange "OUT_OF_RANGE"
            "The number lies outside its bounds.";
        Syntax "SYNTAX"
            "The text cannot be parsed at the place given in `params`.";
        NotFilterable "NOT_FILTERABLE"
            "The field cannot be filtered or ordered by.";
        TooComplex "TOO_COMPLEX"
            "The filter has more terms or is nested deeper than allowed.";
        ReferenceNotFound "REFERENCE_NOT_FOUND"
            "The key names nothing that exists.";
        AlreadyExists "ALREADY_EXISTS"
            "The key is taken.";
        EndBeforeStart "END_BEFORE_START"
            "The ending date lies before the starting date.";
        DatesOfCampaign "DATES_OF_CAMPAIGN"
            "A line of a campaign takes the campaign's dates and refuses its own.";
        NotAllowed "NOT_ALLOWED"
            "The field cannot be given together with another one, or not here.";
        CustomerNeedsAccount "CUSTOMER_NEEDS_ACCOUNT"
            "A person who belongs to a company cannot be a customer: prices are granted to the company.";
        CompanyLink "COMPANY_LINK"
            "Only a person belongs to a company, and only to a contact of type COMPANY.";
        SalespersonBlocked "SALESPERSON_BLOCKED"
            "The salesperson is blocked and can be given nothing new.";
        OutsideCampaign "OUTSIDE_CAMPAIGN"
            "The date lies outside the campaign's dates; `params` has them.";
        AmountsExist "AMOUNTS_EXIST"
            "Amounts are in the local currency, so it cannot change; `params` says what and how many.";
        Immutable "IMMUTABLE"
            "The field cannot be changed once the resource exists.";
        InUse "IN_USE"
            "Something refers to what would be removed.";
        NoLines "NO_LINES"
            "The segment has no lines; there is nothing to log.";
        NoDescription "NO_DESCRIPTION"
            "The interaction template has no description, which its interactions would take.";
        NoSalesperson "NO_SALESPERSON"
            "Neither the segment nor its campaign nor the contacts that `params` counts and names \
             have a salesperson.";
        NoTemplate "NO_TEMPLATE"
            "The segment names no interaction template.";
        PrivacyBlocked "PRIVACY_BLOCKED"
            "The contacts that `params` counts and names object to being marketed to.";
        Duplicate "DUPLICATE"
            "The same key stands twice in the list.";
        Incomplete "INCOMPLETE"
            "The list has to name each of its values once, and leaves some out.";
        CannotCountUp "CANNOT_COUNT_UP"
            "No number follows: the number has no digits, or would grow too long.";
    }
}

impl FieldCode {
    /// Returns whether the error is one of form (400) rather than a broken rule about well-formed
    /// content (422).
    #[must_use]
    pub const fn is_form(self) -> bool {
        matches!(
            self,
            Self::UnknownField
                | Self::UnknownParameter
                | Self::DuplicateField
                | Self::Required
                | Self::InvalidType
                | Self::InvalidDecimal
                | Self::InvalidDate
                | Self::InvalidTime
                | Self::InvalidKey
                | Self::InvalidValue
                | Self::InvalidCharacter
                | Self::TooLong
                | Self::TooShort
                | Self::Syntax
                | Self::NotFilterable
                | Self::TooComplex
        )
    }
}

/// Maximum number of characters of `detail` and of `instance` in a problem document.
const MAX_DETAIL_LENGTH: usize = 4_000;
const MAX_INSTANCE_LENGTH: usize = 4_096;

/// Returns the first characters of a text.
fn cut(text: &str, max_length: usize) -> &str {
    let end = text.char_indices().nth(max_length).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

/// An error with its place in the request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldError {
    /// A JSON pointer into the body (`/lines/3/quantity`), or `?name` for a query parameter.
    pub pointer: String,
    /// The kind of error.
    pub code: FieldCode,
    /// The error in a sentence.
    pub detail: String,
    /// Numbers and names that help to correct the error.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

impl FieldError {
    /// Creates an error at a place, without parameters.
    pub fn new(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into(), params: Map::new() }
    }

    /// Returns the error with one more parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// Returns the error with its pointer below `prefix` (`/lines/3`). The pointer of a query
    /// parameter stays unchanged.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        if !self.pointer.starts_with('?') {
            self.pointer.insert_str(0, prefix);
        }
        self
    }
}

/// A failure as the client receives it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The kind of problem; determines status and title.
    pub code: ProblemCode,
    /// This occurrence in a sentence.
    pub detail: String,
    /// All errors, each with its place.
    pub errors: Vec<FieldError>,
    /// Further members of the body (`findings` of a refused activation).
    pub extensions: Map<String, Value>,
    /// Headers of the response (`Allow`, `Retry-After`, the current `ETag`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Creates a problem without field errors.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extensions: Map::new(),
            headers: Vec::new(),
        }
    }

    /// Creates a problem from errors, of which it keeps the first [`MAX_ERRORS`]. Its detail counts
    /// all.
    #[must_use]
    pub fn with_errors(code: ProblemCode, mut errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.detail.clone(),
            many if many.len() <= MAX_ERRORS => {
                format!("{} things are wrong; each is named in errors", many.len())
            }
            many => format!(
                "{} things are wrong; the first {MAX_ERRORS} are named in errors",
                many.len()
            ),
        };
        errors.truncate(MAX_ERRORS);
        Self { errors, ..Self::new(code, detail) }
    }

    /// Creates a problem from errors: 400 if one of them is of form, else 422 for broken rules.
    #[must_use]
    pub fn from_errors(errors: Vec<FieldError>) -> Self {
        let has_form_error = errors.iter().any(|error| error.code.is_form());
        Self::with_errors(
            if has_form_error {
                ProblemCode::InvalidRequest
            } else {
                ProblemCode::ValidationFailed
            },
            errors,
        )
    }

    /// Creates a problem of one broken rule: 422.
    pub fn rule(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self::with_errors(
            ProblemCode::ValidationFailed,
            vec![FieldError::new(pointer, code, detail)],
        )
    }

    /// Creates the problem of a resource that does not exist: 404.
    pub fn not_found(what: &str, key: &str) -> Self {
        Self::new(ProblemCode::NotFound, format!("there is no {what} {key}"))
    }

    /// Creates the problem of a defect: 500. Logs the cause; the client receives a fixed text.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(error = %cause, "request failed because of a defect");
        Self::new(
            ProblemCode::Internal,
            "the service failed; the trace id leads to the cause in its log",
        )
    }

    /// Creates the problem of a conflict with a concurrent change: 503. The same request may
    /// succeed a moment later.
    #[must_use]
    pub fn concurrent_change() -> Self {
        Self::new(ProblemCode::Unavailable, "another change was in the way; nothing was changed")
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Creates the problem of an unavailable dependency: 503. Logs the cause.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        tracing::warn!(error = %cause, "request refused: a dependency is unavailable");
        Self::new(ProblemCode::Unavailable, "the database is out of reach")
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Creates the problem of an exhausted session pool: 503. Logs the cause.
    pub fn overloaded(cause: impl fmt::Display) -> Self {
        tracing::warn!(error = %cause, "request refused: no database session is free");
        let detail =
            "too many requests of this kind are in progress; nothing was done, try again later";
        Self::new(ProblemCode::Unavailable, detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Creates the problem of a statement that exceeded its time limit and was rolled back: 503.
    #[must_use]
    pub fn query_timeout() -> Self {
        let detail = "the database needed too long, and nothing was changed; narrow the filter, \
            order by another field, leave out the count, or send fewer rows";
        Self::new(ProblemCode::QueryTimeout, detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("10"))
    }

    /// Returns the problem with one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status_and_title().0)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the problem document. `instance` is the path of the request; `trace_id` leads to the
    /// log.
    #[must_use]
    pub fn document(&self, instance: &str, trace_id: &str) -> Value {
        let (status, title) = self.code.status_and_title();
        let mut body = Map::new();
        body.insert("type".into(), format!("urn:kampanje:problem:{}", self.code.text()).into());
        body.insert("title".into(), title.into());
        body.insert("status".into(), status.into());
        body.insert("detail".into(), cut(&self.detail, MAX_DETAIL_LENGTH).into());
        body.insert("instance".into(), cut(instance, MAX_INSTANCE_LENGTH).into());
        body.insert("code".into(), self.code.text().into());
        body.insert("traceId".into(), trace_id.into());
        body.insert("errors".into(), serde_json::to_value(&self.errors).unwrap_or_default());
        body.extend(self.extensions.clone());
        Value::Object(body)
    }

    /// Returns the HTTP response.
    #[must_use]
    pub fn response(&self, instance: &str, trace_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .body(self.document(instance, trace_id).to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.text(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// Responds without path and trace id, since the request is not known here. The middleware of
    /// `platform::http` adds them.
    fn error_response(&self) -> HttpResponse {
        self.response("", "")
    }
}

/// A problem document (RFC 9457), the body of every failed request.
#[derive(utoipa::ToSchema, Serialize)]
#[schema(as = Problem)]
#[serde(rename_all = "camelCase")]
#[allow(
    dead_code,
    reason = "only its schema is used; the document is written by Problem::document"
)]
pub struct ProblemDocument {
    /// A URN that ends with the code.
    #[schema(max_length = 100, example = "urn:kampanje:problem:VALIDATION_FAILED")]
    r#type: String,
    /// The title of the code, the same for every problem with this code.
    #[schema(max_length = 100, example = "The content breaks a rule")]
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: i32,
    /// This occurrence in a sentence.
    #[schema(max_length = 4000, example = "the ending date lies before the starting date")]
    detail: String,
    /// The path of the request.
    #[schema(max_length = 4096, example = "/v1/campaigns/CP0001")]
    instance: String,
    /// The stable code of the problem; see docs/errors.md.
    #[schema(max_length = 50, example = "VALIDATION_FAILED")]
    code: String,
    /// The trace id, by which the request is found in the log.
    #[schema(max_length = 64, example = "0190b5c27d5e70008000000000000001")]
    trace_id: String,
    /// All errors, each with its place.
    #[schema(max_items = 1000)]
    errors: Vec<ProblemError>,
}

/// An error with its place in the request.
#[derive(utoipa::ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used; FieldError is what is written")]
pub struct ProblemError {
    /// A JSON pointer into the body, or `?name` for a query parameter.
    #[schema(max_length = 1000, example = "/endingDate")]
    pointer: String,
    /// The stable code of the error; see docs/errors.md.
    #[schema(max_length = 50, example = "END_BEFORE_START")]
    code: String,
    /// The error in a sentence.
    #[schema(max_length = 4000, example = "the ending date lies before the starting date")]
    detail: String,
    /// Numbers and names that help to correct the error.
    #[schema(
        value_type = Option<Object>,
        additional_properties,
        example = json!({"nearest": "endingDate"})
    )]
    params: Option<Map<String, Value>>,
}
