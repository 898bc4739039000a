//! The document is complete and consistent.

use std::collections::BTreeSet;

use kampanje::app::routes;
use kampanje::platform::http::routes::Routes;
use serde_json::{Map, Value};

use super::version_3_0::version_3_0;

/// The document of the service.
fn document() -> Value {
    super::document(&routes()).unwrap()
}

/// Every operation: a name for messages, and its content.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// The target of a reference, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference}")),
        None => value,
    }
}

/// Calls `see` on every field of every schema, with its path.
fn each_property(value: &Value, place: &str, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(at, value)| each_property(value, &format!("{place}/{at}"), see));
        }
        Value::Object(object) => {
            for (name, value) in
                object.iter().filter(|(name, _)| !name.starts_with("example") && *name != "default")
            {
                let place = format!("{place}/{name}");
                if name == "properties" {
                    for (field, schema) in value.as_object().unwrap() {
                        see(&format!("{place}/{field}"), schema);
                    }
                }
                each_property(value, &place, see);
            }
        }
        _ => {}
    }
}

#[test]
fn every_served_route_is_documented() {
    let document = document();
    let documented: BTreeSet<String> =
        operations(&document).into_iter().map(|(name, _)| name).collect();
    let served: BTreeSet<String> = routes()
        .served()
        .iter()
        .map(|(method, path)| format!("{} {path}", method.to_lowercase()))
        .collect();
    assert_eq!(documented, served);
    assert!(served.contains("get /v1/campaign-statuses") && served.contains("get /livez"));
}

#[test]
fn every_operation_is_described() {
    let document = document();
    let tags: Vec<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        for part in ["operationId", "summary", "description"] {
            assert!(is_text(&operation[part]), "{name} has no {part}");
        }
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{name}: duplicate operationId"
        );
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        assert!(tags.contains(&tag), "{name}: unknown tag {tag:?}; add it to TAGS");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = resolved(&document, parameter);
            assert!(is_text(&parameter["description"]), "{name}: {parameter}");
            assert!(parameter["schema"].is_object(), "{name}: {parameter}");
        }
        let body = operation["requestBody"].as_object();
        assert!(body.is_none_or(|body| is_text(&body["description"])), "{name}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            assert!(is_text(&response["description"]), "{name} {status}");
            for (header, content) in response["headers"].as_object().into_iter().flatten() {
                assert!(
                    is_text(&resolved(&document, content)["description"]),
                    "{name} {status} {header}"
                );
            }
        }
        let contents =
            operation["responses"].as_object().unwrap().values().chain([&operation["requestBody"]]);
        for (media, content) in
            contents.flat_map(|body| body["content"].as_object().into_iter().flatten())
        {
            assert!(
                !content["example"].is_null() || content["examples"].is_object(),
                "{name} {media} has no example"
            );
        }
    }
}

#[test]
fn every_field_is_described() {
    let document = document();
    let mut missing = Vec::new();
    each_property(&document, "", &mut |place, schema| {
        if !is_text(&schema["description"]) {
            missing.push(place.to_owned());
        }
    });
    assert_eq!(missing, Vec::<String>::new());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(is_text(&schema["description"]), "{name}");
    }
}

#[test]
fn every_reference_has_a_target() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| check(document, value)),
            Value::Object(object) => {
                resolved(document, value);
                object.values().for_each(|value| check(document, value));
            }
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn operations_have_the_parts_of_their_kind() {
    let document = document();
    let statuses = |operation: &Value| -> Vec<String> {
        operation["responses"].as_object().unwrap().keys().cloned().collect()
    };
    let parameters = |operation: &Value| -> Vec<String> {
        let all = operation["parameters"].as_array().cloned().unwrap_or_default();
        all.iter()
            .map(|parameter| resolved(&document, parameter)["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let one = &document["paths"]["/v1/campaign-statuses/{campaign_status}"];
    let many = &document["paths"]["/v1/campaign-statuses"];
    assert_eq!(
        statuses(&one["get"]),
        ["200", "304", "400", "401", "403", "404", "406", "429", "500", "503"]
    );
    assert_eq!(parameters(&one["get"]), ["campaign_status", "If-None-Match"]);
    assert_eq!(
        statuses(&one["patch"]),
        [
            "200", "400", "401", "403", "404", "406", "408", "409", "412", "413", "415", "422",
            "428", "429", "500", "503"
        ]
    );
    assert_eq!(
        parameters(&one["patch"]),
        ["campaign_status", "validateOnly", "If-Match", "Idempotency-Key"]
    );
    assert_eq!(
        parameters(&one["put"]),
        ["campaign_status", "validateOnly", "If-Match", "If-None-Match", "Idempotency-Key"]
    );
    assert_eq!(parameters(&many["post"]), ["validateOnly", "Idempotency-Key"]);
    let headers = |response: &Value| -> Vec<String> {
        response["headers"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        headers(&many["post"]["responses"]["201"]),
        ["Book-Id", "ETag", "Idempotency-Replayed", "Location", "Publication-Version", "Trace-Id"]
    );
    assert_eq!(headers(&one["get"]["responses"]["200"]), ["ETag", "Trace-Id"]);
    assert_eq!(headers(&many["get"]["responses"]["200"]), ["Trace-Id"]);
    assert_eq!(document["paths"]["/livez"]["get"]["security"], Value::Array(vec![]));
    assert!(many["get"].get("security").is_none(), "inherits that of the document");
}

#[test]
fn patch_is_derived_from_the_resource() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let (whole, patch) = (&schemas["CampaignStatusWrite"], &schemas["CampaignStatusPatch"]);
    assert_eq!(whole["required"], serde_json::json!(["sequence"]));
    assert!(patch.get("required").is_none());
    for (field, nullable) in
        [("sequence", false), ("isFinal", true), ("description", true), ("code", true)]
    {
        let schema = &patch["properties"][field];
        let null_alternative = schema["oneOf"]
            .as_array()
            .is_some_and(|of| of.contains(&serde_json::json!({"type": "null"})));
        let null_type =
            schema["type"].as_array().is_some_and(|types| types.contains(&"null".into()));
        assert_eq!(null_alternative || null_type, nullable, "{field}: {schema}");
        assert!(schema.get("default").is_none(), "{field}: absent means unchanged");
    }
    for schema in [whole, patch, &schemas["CampaignStatusBatch"]] {
        assert_eq!(schema["additionalProperties"], false, "{schema}");
    }
    assert!(
        schemas["CampaignStatus"].get("additionalProperties").is_none(),
        "responses may gain fields"
    );
}

#[test]
fn document_for_old_tools_uses_no_newer_keywords() {
    fn check(value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(check),
            Value::Object(object) => {
                check_schema(object);
                object
                    .iter()
                    .filter(|(name, _)| !name.starts_with("example"))
                    .for_each(|(_, value)| check(value));
            }
            _ => {}
        }
    }
    fn check_schema(object: &Map<String, Value>) {
        let null = |value: &Value| value["type"] == "null";
        assert!(!object.get("type").is_some_and(Value::is_array), "{object:?}");
        assert!(
            !object.values().any(|value| value.as_array().is_some_and(|of| of.iter().any(null))),
            "{object:?}"
        );
        assert!(!object.get("examples").is_some_and(Value::is_array), "{object:?}");
        assert!(!object.get("exclusiveMinimum").is_some_and(Value::is_number), "{object:?}");
        assert!(
            !object.get("$ref").is_some_and(Value::is_string) || object.len() == 1,
            "{object:?}"
        );
    }
    let document = version_3_0(document());
    assert_eq!(document["openapi"], "3.0.3");
    check(&document);
}

#[test]
fn two_types_with_one_name_are_refused() {
    #[derive(utoipa::ToSchema)]
    #[schema(as = Name)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct First {
        text: String,
    }
    #[derive(utoipa::ToSchema)]
    #[schema(as = Name)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Second {
        number: i32,
    }
    let mut routes = Routes::default();
    routes.schema::<First>();
    routes.schema::<First>();
    assert!(super::document(&routes).is_ok());
    routes.schema::<Second>();
    let refused = super::document(&routes).unwrap_err().to_string();
    assert!(refused.contains("the schema name Name"), "{refused}");
}

#[test]
fn every_type_of_events_has_a_schema() {
    let document = document();
    let event = &document["components"]["schemas"]["CloudEvent"];
    let mapping = event["discriminator"]["mapping"].as_object().unwrap();
    let documented: BTreeSet<&str> = mapping.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = kampanje::outbox::EventType::TEXTS.iter().copied().collect();
    assert_eq!(documented, known);
}

#[test]
fn only_requests_are_closed() {
    fn collect(document: &Value, value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| collect(document, value, names)),
            Value::Object(object) => {
                let name = value["$ref"].as_str().and_then(|path| path.rsplit('/').next());
                if let Some(name) = name
                    && names.insert(name.to_owned())
                {
                    collect(document, &document["components"]["schemas"][name], names);
                }
                object.values().for_each(|value| collect(document, value, names));
            }
            _ => {}
        }
    }
    let document = document();
    let mut answered = BTreeSet::new();
    for (_, operation) in operations(&document) {
        collect(&document, &operation["responses"], &mut answered);
    }
    for name in answered {
        let schema = &document["components"]["schemas"][&name];
        assert_ne!(schema["additionalProperties"], false, "{name}");
    }
}
