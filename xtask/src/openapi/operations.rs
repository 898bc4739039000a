//! Additions to all operations of a kind, which no room has to repeat: problems, headers,
//! conditions, security.

use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::{Map, Value, json};

use kampanje::idempotency::REPLAYED;
use kampanje::platform::http::call::{IDEMPOTENCY_KEY, IMPORTS_PATH, MAX_IDEMPOTENCY_KEY_LENGTH};
use kampanje::platform::http::etag::MAX_CONDITION_LENGTH;
use kampanje::platform::http::middleware::TRACE_ID;
use kampanje::platform::http::problem::{Problem, ProblemCode};
use kampanje::unit_of_work::{BOOK_ID, PUBLICATION_VERSION};

/// The trace id of examples.
const TRACE: &str = "0190b5c27d5e70008000000000000001";
/// Operations that answer with a secret.
const SECRETS: &[&str] = &[
    "/v1/api-keys",
    "/v1/webhook-subscriptions",
    "/v1/webhook-subscriptions/{webhook_subscription}/secret-rotations",
];
/// Queries about prices. POST only permits long ones and has no effect, so idempotency keys do not
/// apply. They are refused with 422 if they name something unknown.
const QUERIES: &[&str] = &[
    "/v1/price-quotes",
    "/v1/effective-prices",
    "/v1/lowest-prices",
    "/v1/price-timeline",
    "/v1/statistics",
    "/v1/price-changes",
    "/v1/publications/compare",
    "/v1/campaigns/{campaign}/grants",
];

/// Changes without a condition: the state of an import changes all the time.
const UNCONDITIONAL: &[&str] = &["/v1/imports/{import_id}"];

/// Queries that state the version of the price book which answers.
const PRICED: &[&str] =
    &["/v1/price-quotes", "/v1/effective-prices", "/v1/lowest-prices", "/v1/price-timeline"];

/// Returns every operation of a document: path, method, content.
pub fn of(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// Adds the shared parts to the operations, and their targets to the components.
pub fn finish(document: &mut Value) {
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"apiKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of `/v1/api-keys`, or the bootstrap key of the configuration. \
                        `x-required-scope` states the scope that an operation requires. A service \
                        without bootstrap key listens on loopback only, and programs there need \
                        no key.",
    }});
    components["headers"] = headers();
    components["parameters"] = parameters();
    components["responses"] = problem_responses();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            // The route table declares public operations by an empty list.
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            Kind { path, method, is_public }.finish(operation);
        }
    }
}

/// The properties of an operation that decide about its shared parts.
#[derive(Clone, Copy)]
struct Kind<'a> {
    path: &'a str,
    method: &'a str,
    is_public: bool,
}

impl Kind<'_> {
    /// Returns true if the operation has an effect, which an idempotency key makes safe to retry.
    fn is_effect(self) -> bool {
        !self.is_public && self.method != "get" && !QUERIES.contains(&self.path)
    }

    /// Returns true if the answer contains a secret, which is not stored for a repetition.
    fn answers_secret(self) -> bool {
        self.method == "post" && SECRETS.contains(&self.path)
    }

    /// Returns true if the operation changes an existing resource.
    fn is_change(self) -> bool {
        !self.is_public
            && matches!(self.method, "put" | "patch" | "delete")
            && !UNCONDITIONAL.contains(&self.path)
    }

    fn finish(self, operation: &mut Value) {
        let has = |operation: &Value, status: &str| operation["responses"].get(status).is_some();
        let (has_body, conditional, creates) =
            (operation.get("requestBody").is_some(), has(operation, "304"), has(operation, "201"));
        let mut parameters = Vec::new();
        if self.is_change() {
            parameters.push("If-Match");
        }
        if conditional || (self.method == "put" && creates) {
            parameters.push("If-None-Match");
        }
        if self.is_effect() && !self.answers_secret() {
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
                names.extend(["Publication-Version", "Book-Id", "Idempotency-Replayed"]);
            }
            if one && PRICED.contains(&self.path) {
                names.extend(["Publication-Version", "Book-Id"]);
                // Lowest prices do not state the age of the snapshot.
                if self.path != "/v1/lowest-prices" {
                    names.extend(["Snapshot-Age", "Snapshot-Stale"]);
                }
            }
            for name in names {
                if response["headers"].get(name).is_none() {
                    response["headers"][name] =
                        json!({"$ref": format!("#/components/headers/{name}")});
                }
            }
        }
        let names_history = operation["parameters"]
            .as_array()
            .is_some_and(|known| known.iter().any(|parameter| parameter["name"] == "bookId"));
        let mut statuses = self.problems(has_body);
        // Other versions of the price book, or of the plan, than the parameters are about.
        if names_history || self.path.ends_with("/planned-prices") {
            statuses.push(StatusCode::CONFLICT);
        }
        for status in statuses {
            if !has(operation, status.as_str()) {
                operation["responses"][status.as_str()] =
                    json!({"$ref": format!("#/components/responses/{}", response_name(status))});
            }
        }
    }

    fn problems(self, has_body: bool) -> Vec<StatusCode> {
        let mut statuses =
            vec![StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR];
        if !self.is_public || self.path == "/readyz" {
            statuses.push(StatusCode::SERVICE_UNAVAILABLE);
        }
        if !self.is_public {
            statuses.extend([
                StatusCode::UNAUTHORIZED,
                StatusCode::NOT_ACCEPTABLE,
                StatusCode::TOO_MANY_REQUESTS,
            ]);
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
        if QUERIES.contains(&self.path) {
            statuses.push(StatusCode::UNPROCESSABLE_ENTITY);
        }
        if self.is_effect() {
            statuses.extend([StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY]);
        }
        // A row can name a resource, and carry a condition.
        if self.path.ends_with("/batch") {
            statuses.extend([StatusCode::NOT_FOUND, StatusCode::PRECONDITION_FAILED]);
        }
        // The parameter names a collection.
        if self.path == IMPORTS_PATH {
            statuses.push(StatusCode::NOT_FOUND);
        }
        if self.is_change() {
            statuses.extend([StatusCode::PRECONDITION_FAILED, StatusCode::PRECONDITION_REQUIRED]);
        }
        statuses
    }
}

/// Returns the name of the shared response of a status: `NotFound`.
fn response_name(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().replace(' ', "")
}

/// Returns a response for each status of problems.
fn problem_responses() -> Value {
    let mut responses = Map::new();
    for code in ProblemCode::ALL {
        let problem = Problem::new(*code, code.meaning());
        let status = problem.status();
        // No operation answers with it: it means that the operation does not exist.
        if status == StatusCode::METHOD_NOT_ALLOWED {
            continue;
        }
        let response = responses.entry(response_name(status)).or_insert_with(|| {
            let mut headers = json!({"Trace-Id": {"$ref": "#/components/headers/Trace-Id"}});
            let further = match status {
                StatusCode::UNAUTHORIZED => Some("WWW-Authenticate"),
                StatusCode::PRECONDITION_FAILED => Some("ETag"),
                StatusCode::CONFLICT
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE => Some("Retry-After"),
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
                    "example": problem.document("/v1/campaigns/CP0001", TRACE),
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
    let integer = |format: &str, maximum: i64, example: i64| {
        json!({
            "type": "integer",
            "format": format,
            "minimum": 1,
            "maximum": maximum,
            "examples": [example],
        })
    };
    let text = |max_length: usize, pattern: &str, example: &str| {
        json!({
            "type": "string",
            "maxLength": max_length,
            "pattern": pattern,
            "examples": [example],
        })
    };
    json!({
        canonical(&header::ETAG): {
            "description": "The strong entity tag of the representation, for `If-Match` and \
                            `If-None-Match`.",
            "schema": text(100, "^\"[^\"]*\"$", "\"mJ0nLcBq5v0yCcsVWDm6Tg\""),
        },
        canonical(&header::LOCATION): {
            "description": "The path of the created resource.",
            "schema": text(4_096, "^/", "/v1/campaigns/CP0001"),
        },
        canonical(&BOOK_ID): {
            "description": "The history that the version belongs to. Absent if the change does not \
                            affect prices.",
            "schema": {
                "type": "string",
                "format": "uuid",
                "examples": ["0190b5c2-7d5e-7000-8000-000000000001"],
            },
        },
        canonical(&PUBLICATION_VERSION): {
            "description": "The version of the price book; after a change, the version that \
                            contains it. Absent if the change does not affect prices.",
            "schema": integer("int64", i64::MAX, 418),
        },
        canonical(&REPLAYED): {
            "description": "`true` if this response was stored under the idempotency key.",
            "schema": {"type": "string", "enum": ["true"], "examples": ["true"]},
        },
        canonical(&header::RETRY_AFTER): {
            "description": "The number of seconds to wait before a retry.",
            "schema": integer("int32", 3_600, 1),
        },
        "Snapshot-Age": {
            "description": "The age in seconds of the price book in memory that answered.",
            "schema": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "maximum": i64::MAX,
                "examples": [0],
            },
        },
        "Snapshot-Stale": {
            "description": "`true` if the database may have a newer version that cannot be read.",
            "schema": {"type": "string", "enum": ["true", "false"], "examples": ["false"]},
        },
        canonical(&TRACE_ID): {
            "description": "Identifies the request in the log; taken from `traceparent` if the \
                            caller sent it.",
            "schema": text(32, "^[0-9a-f]{32}$", TRACE),
        },
        canonical(&header::WWW_AUTHENTICATE): {
            "description": "The authentication scheme.",
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
            "The current `ETag` of the resource, or `*` for any. Required to change an existing \
             resource (428 if absent); an outdated one is refused (412).",
            MAX_CONDITION_LENGTH, tags, "\"mJ0nLcBq5v0yCcsVWDm6Tg\"",
        ),
        canonical(&header::IF_NONE_MATCH): parameter(
            "If-None-Match",
            "GET: the `ETag` of the caller's copy; 304 if it is current. PUT: `*` to create only.",
            MAX_CONDITION_LENGTH, tags, "\"mJ0nLcBq5v0yCcsVWDm6Tg\"",
        ),
        canonical(&IDEMPOTENCY_KEY): parameter(
            "Idempotency-Key",
            "Makes the request safe to retry: the same key and request get the stored response \
             for 72 hours.",
            MAX_IDEMPOTENCY_KEY_LENGTH, "^[ -~]+$", "0190b5c2-7d5e-7000-8000-0000000000aa",
        ),
    })
}

/// Returns the conventional form of a header name: `If-None-Match`, `ETag`.
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
