//! What every operation of a kind has, and no room has to say: the problems it can answer with, its
//! headers, its conditions, its credentials.

use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::{Map, Value, json};

use crate::platform::http::call::{IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY_LENGTH};
use crate::platform::http::etag::MAX_CONDITION_LENGTH;
use crate::platform::http::middleware::TRACE_ID;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::unit_of_work::{PUBLICATION_VERSION, REPLAYED};

/// A trace id for examples.
const TRACE: &str = "0190b5c27d5e70008000000000000001";
/// Questions about prices: asked by POST only because they can be long, so there is no effect to
/// repeat. What they name may be unknown.
const QUESTIONS: &[&str] = &[
    "/v1/price-quotes",
    "/v1/effective-prices",
    "/v1/lowest-prices",
    "/v1/price-changes",
    "/v1/publications/compare",
    "/v1/campaigns/{campaign}/grants",
];

/// Every operation of a document: path, method, content.
pub fn of(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Adds to each operation what its kind has, and to the document what they refer to.
pub fn finish(document: &mut Value) {
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "The service's API key. A service without one listens on its own machine only and takes any request.",
    }});
    components["headers"] = headers();
    components["parameters"] = parameters();
    components["responses"] = problem_responses();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            Kind { path, method }.finish(operation);
        }
    }
}

/// What decides what an operation has.
#[derive(Clone, Copy)]
struct Kind<'a> {
    path: &'a str,
    method: &'a str,
}

impl Kind<'_> {
    fn is_business(self) -> bool {
        self.path.starts_with("/v1/")
    }

    /// Whether it has an effect, which an idempotency key makes safe to repeat.
    fn is_effect(self) -> bool {
        self.is_business() && self.method != "get" && !QUESTIONS.contains(&self.path)
    }

    /// Whether it changes something that is there.
    fn is_change(self) -> bool {
        self.is_business() && matches!(self.method, "put" | "patch" | "delete")
    }

    fn finish(self, operation: &mut Value) {
        let has = |operation: &Value, status: &str| operation["responses"].get(status).is_some();
        let (has_body, conditional, creates) =
            (operation.get("requestBody").is_some(), has(operation, "304"), has(operation, "201"));
        if !self.is_business() {
            operation["security"] = json!([]);
        }
        let mut parameters = Vec::new();
        if self.is_change() {
            parameters.push("If-Match");
        }
        if conditional || (self.method == "put" && creates) {
            parameters.push("If-None-Match");
        }
        if self.is_effect() {
            parameters.push("Idempotency-Key");
        }
        let references = parameters
            .iter()
            .map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
        match operation.get_mut("parameters").and_then(Value::as_array_mut) {
            Some(existing) => existing.extend(references),
            None if !parameters.is_empty() => operation["parameters"] = references.collect(),
            None => {}
        }
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let mut names = vec!["Trace-Id"];
            let one = matches!(status.as_str(), "200" | "201" | "304");
            if one
                && (conditional
                    || matches!(self.method, "put" | "patch")
                    || id.starts_with("create_"))
            {
                names.push("ETag");
            }
            if status == "201" && self.method == "post" {
                names.push("Location");
            }
            if self.is_effect() {
                names.extend(["Publication-Version", "Idempotency-Replayed"]);
            }
            for name in names {
                if response["headers"].get(name).is_none() {
                    response["headers"][name] =
                        json!({"$ref": format!("#/components/headers/{name}")});
                }
            }
        }
        for status in self.problems(has_body) {
            if !has(operation, status.as_str()) {
                operation["responses"][status.as_str()] =
                    json!({"$ref": format!("#/components/responses/{}", response_name(status))});
            }
        }
    }

    fn problems(self, has_body: bool) -> Vec<StatusCode> {
        let mut statuses = vec![StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR];
        if self.is_business() || self.path == "/readyz" {
            statuses.push(StatusCode::SERVICE_UNAVAILABLE);
        }
        if self.is_business() {
            statuses.extend([StatusCode::UNAUTHORIZED, StatusCode::NOT_ACCEPTABLE]);
        }
        if self.path.contains('{') {
            statuses.push(StatusCode::NOT_FOUND);
        }
        if has_body {
            statuses.extend([
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::PAYLOAD_TOO_LARGE,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                StatusCode::UNPROCESSABLE_ENTITY,
            ]);
        }
        if QUESTIONS.contains(&self.path) {
            statuses.push(StatusCode::UNPROCESSABLE_ENTITY);
        }
        if self.is_effect() {
            statuses.extend([StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY]);
        }
        if self.is_change() {
            statuses.extend([StatusCode::PRECONDITION_FAILED, StatusCode::PRECONDITION_REQUIRED]);
        }
        statuses
    }
}

/// The name of the shared response of a status: `NotFound`.
fn response_name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().replace(' ', "")
}

/// A response for each status that problems have.
fn problem_responses() -> Value {
    let mut responses = Map::new();
    for code in ProblemCode::ALL {
        let status = Problem::new(*code, "").status();
        // A method that is not there is no operation.
        if status == StatusCode::METHOD_NOT_ALLOWED {
            continue;
        }
        let response = responses.entry(response_name(status)).or_insert_with(|| {
            let mut headers = json!({"Trace-Id": {"$ref": "#/components/headers/Trace-Id"}});
            let further = match status {
                StatusCode::UNAUTHORIZED => Some("WWW-Authenticate"),
                StatusCode::PRECONDITION_FAILED => Some("ETag"),
                StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => Some("Retry-After"),
                _ => None,
            };
            if let Some(name) = further {
                headers[name] = json!({"$ref": format!("#/components/headers/{name}")});
            }
            json!({
                "description": "",
                "headers": headers,
                "content": {"application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": Problem::new(*code, code.meaning()).document("/v1/campaigns/CP0001", TRACE),
                }},
            })
        });
        let line = format!("`{}`: {}", code.text(), code.meaning());
        let so_far = response["description"].as_str().unwrap_or_default();
        response["description"] =
            if so_far.is_empty() { line } else { format!("{so_far}\n\n{line}") }.into();
    }
    Value::Object(responses)
}

fn headers() -> Value {
    let version = json!({"type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX, "examples": [418]});
    let text = |longest: usize, pattern: &str, example: &str| json!({"type": "string", "maxLength": longest, "pattern": pattern, "examples": [example]});
    json!({
        canonical(&header::ETAG): {
            "description": "The strong tag of the representation; goes into `If-Match` and `If-None-Match`.",
            "schema": text(100, "^\"[^\"]*\"$", "\"mJ0nLcBq5v0yCcsVWDm6Tg\""),
        },
        canonical(&header::LOCATION): {
            "description": "The path of what was created.",
            "schema": text(4_096, "^/", "/v1/campaigns/CP0001"),
        },
        canonical(&PUBLICATION_VERSION): {
            "description": "The version of the price book; after a change, the one that holds it. Absent when the change does not count for prices.",
            "schema": version,
        },
        canonical(&REPLAYED): {
            "description": "`true` when the answer is the one that was stored under the idempotency key.",
            "schema": {"type": "string", "enum": ["true"], "examples": ["true"]},
        },
        canonical(&header::RETRY_AFTER): {
            "description": "After how many seconds it makes sense to try again.",
            "schema": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 3_600, "examples": [1]},
        },
        canonical(&TRACE_ID): {
            "description": "Leads to the request in the log; the caller's own if it sent `traceparent`.",
            "schema": text(32, "^[0-9a-f]{32}$", TRACE),
        },
        canonical(&header::WWW_AUTHENTICATE): {
            "description": "How to authenticate.",
            "schema": {"type": "string", "enum": ["Bearer"], "examples": ["Bearer"]},
        },
    })
}

fn parameters() -> Value {
    let parameter = |name: &str,
                     description: &str,
                     longest: usize,
                     pattern: &str,
                     example: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": false,
            "description": description,
            "schema": {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern},
            "example": example,
        })
    };
    let tags = "^(\\*|(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)$";
    json!({
        canonical(&header::IF_MATCH): parameter(
            "If-Match",
            "The `ETag` of what is to be changed, or `*` for whatever is there. Needed to change what is there (428 without), and has to be current (412).",
            MAX_CONDITION_LENGTH, tags, "\"mJ0nLcBq5v0yCcsVWDm6Tg\"",
        ),
        canonical(&header::IF_NONE_MATCH): parameter(
            "If-None-Match",
            "GET: the `ETag` that the caller has; 304 if it is current. PUT: `*` to create only.",
            MAX_CONDITION_LENGTH, tags, "\"mJ0nLcBq5v0yCcsVWDm6Tg\"",
        ),
        canonical(&IDEMPOTENCY_KEY): parameter(
            "Idempotency-Key",
            "Makes the request safe to repeat: the same key and request get the stored answer for 72 hours.",
            MAX_IDEMPOTENCY_KEY_LENGTH, "^[ -~]+$", "0190b5c2-7d5e-7000-8000-0000000000aa",
        ),
    })
}

/// A header's name as it is usually written: `If-None-Match`, `ETag`.
fn canonical(name: &header::HeaderName) -> String {
    match name.as_str() {
        "etag" => "ETag".to_owned(),
        "www-authenticate" => "WWW-Authenticate".to_owned(),
        name => {
            let upper = |word: &str| {
                word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default()
            };
            name.split('-').map(upper).collect::<Vec<_>>().join("-")
        }
    }
}
