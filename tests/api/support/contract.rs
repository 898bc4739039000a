//! Checks every response of the suite against the OpenAPI document.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::app::Reply;

const SCHEMAS: &str = "#/components/schemas/";

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../openapi/openapi.json")).unwrap());

/// The compiled schemas by their JSON.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Asserts that the document permits a response to a request. Paths that the document does not have
/// are answered with problems.
pub fn check(method: &Method, path: &str, reply: &Reply) {
    let media = reply.header("content-type").split(';').next().unwrap_or_default();
    let problem = media == "application/problem+json";
    let place = format!("{method} {path}: {}", reply.status);
    if *method == Method::HEAD || reply.text.is_empty() {
        return;
    }
    // A key can look like the last segment of another path, whose methods apply then.
    let is_operation = reply.status != reqwest::StatusCode::METHOD_NOT_ALLOWED;
    let Some(operation) = operation(method, path).filter(|_| is_operation) else {
        if problem {
            validate(&place, &json!({"$ref": format!("{SCHEMAS}Problem")}), &reply.text);
        }
        return;
    };
    let mut response = &operation["responses"][reply.status.as_str()];
    if let Some(reference) = response["$ref"].as_str() {
        response = DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let content = &response["content"][media]["schema"];
    assert!(!content.is_null(), "{place}: {media} is not documented: {}", reply.text);
    match media {
        "application/x-ndjson" => {
            reply.text.lines().for_each(|line| validate(&place, content, line));
        }
        _ if media.ends_with("json") => validate(&place, content, &reply.text),
        _ => {}
    }
}

/// Returns the operation of a path. A literal segment wins over a parameter.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let segments: Vec<&str> = path.split('/').collect();
    let paths = DOCUMENT["paths"].as_object()?;
    paths
        .iter()
        .filter_map(|(template, item)| {
            let operation = item.get(method.as_str().to_lowercase())?;
            let mut parameters = 0;
            let template: Vec<&str> = template.split('/').collect();
            let fits = template.len() == segments.len()
                && template.iter().zip(&segments).all(|(expected, segment)| {
                    let parameter = expected.starts_with('{');
                    parameters += usize::from(parameter);
                    parameter || expected == segment
                });
            fits.then_some((parameters, operation))
        })
        .min_by_key(|(parameters, _)| *parameters)
        .map(|(_, operation)| operation)
}

fn validate(place: &str, schema: &Value, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| {
        panic!("{place}: {error}: {text}");
    });
    let errors: Vec<String> = validator(schema)
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{place} is not as documented: {errors:#?}\n{text}");
}

fn validator(schema: &Value) -> Arc<Validator> {
    let key = schema.to_string();
    let known = |validators: &HashMap<String, Arc<Validator>>| validators.get(&key).cloned();
    if let Some(found) = known(&VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner)) {
        return found;
    }
    // Outside the lock: some schemas take long. With the schemas that it refers to only, since the
    // whole document takes longer to compile.
    let mut names = BTreeSet::new();
    collect(schema, &mut names);
    let schemas: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.clone(), DOCUMENT["components"]["schemas"][&name].clone()))
        .collect();
    let mut root = schema.clone();
    root["components"] = json!({"schemas": schemas});
    let validator = Arc::new(jsonschema::validator_for(&root).unwrap());
    VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner).insert(key, validator.clone());
    validator
}

/// Collects the names of the schemas that a value refers to, directly or not.
fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, names)),
        Value::Object(object) => {
            let name = value["$ref"].as_str().and_then(|path| path.strip_prefix(SCHEMAS));
            if let Some(name) = name
                && names.insert(name.to_owned())
            {
                collect(&DOCUMENT["components"]["schemas"][name], names);
            }
            object.values().for_each(|value| collect(value, names));
        }
        _ => {}
    }
}

#[test]
fn undocumented_responses_are_found() {
    let reply = |status: u16, media: &'static str, text: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("content-type", media.parse().unwrap());
        let status = reqwest::StatusCode::from_u16(status).unwrap();
        Reply { status, headers, text: text.to_owned() }
    };
    let is_permitted = |path: &str, reply: Reply| {
        std::panic::catch_unwind(|| check(&Method::GET, path, &reply)).is_ok()
    };
    let me = r#"{"kind": "LOCAL"}"#;
    assert!(!is_permitted("/v1/me", reply(200, "application/json", me)), "fields are missing");
    assert!(!is_permitted("/v1/me", reply(200, "text/plain", me)), "another media type");
    assert!(!is_permitted("/v1/me", reply(418, "application/json", me)), "another status");
    let problem = "application/problem+json";
    assert!(!is_permitted("/v1/nothing", reply(404, problem, "{}")));
    assert!(is_permitted("/livez", reply(200, "application/json", r#"{"status": "OK"}"#)));
}
