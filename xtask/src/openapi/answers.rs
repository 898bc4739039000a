//! The schemas of responses: tolerant of later versions, and easy to generate clients from.
//!
//! A later version may add fields and values to responses, so their objects are open and the enums
//! that occur only there permit other texts. Requests are closed, since the service refuses what it
//! does not know; an object that occurs in both therefore has two schemas.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::schemas::{SCHEMAS, collect_references, is_null, reference, referred, visit};

/// The field that tells the objects of a union apart.
const OUTCOME: &str = "outcome";
/// Maximum length of a text that may be a value of a later version.
const MAX_ENUM_LENGTH: usize = 100;
/// The fields that are absent instead of null, by schema. `*` stands for pages of any kind.
const ABSENT_IF_NULL: &[(&str, &[&str])] = &[
    ("*", &["nextLink", "count"]),
    (
        "ActivationResult",
        &[
            "version",
            "kind",
            "author",
            "publishedAt",
            "added",
            "changed",
            "removed",
            "contentHash",
            "plan",
        ],
    ),
    ("ActivationPlan", &["limit"]),
    ("BatchReceipt", &["code", "detail", "errors", "id", "key"]),
    ("DiscountLine", &["source"]),
    ("EffectivePricePriced", &["wonByCampaign"]),
    ("LowestPrice", &["problem"]),
    ("PriceLine", &["source"]),
    ("PriceQuoteSource", &["campaignNumber", "code", "contactNumber"]),
    ("PricedLine", &["trace"]),
    ("ProblemError", &["params"]),
    ("UnpricedLine", &["trace"]),
];

/// Finishes the schemas that responses refer to.
pub fn finish(document: &mut Value) {
    add_findings(document);
    name_page_items(document);
    tag_outcomes(document);
    tag_events(document);
    split_shared(document);
    let requests = reachable(document, Side::Request);
    for name in reachable(document, Side::Response).difference(&requests) {
        let schema = &mut document["components"]["schemas"][name];
        require_nullables(name, schema);
        open_enum(schema);
        // A later version may add fields.
        if let Some(schema) = schema.as_object_mut()
            && schema.get("additionalProperties") == Some(&Value::Bool(false))
        {
            schema.remove("additionalProperties");
        }
    }
}

/// Adds the findings of a refused activation to the problem. The type of the problem is in a layer
/// that does not know findings.
fn add_findings(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    if schemas.get("Finding").is_some()
        && let Some(fields) = schemas["Problem"]["properties"].as_object_mut()
    {
        let findings = json!({
            "type": "array",
            "maxItems": 1000,
            "items": reference("Finding"),
            "description": "The findings that refuse an activation; only with `ACTIVATION_REFUSED`.",
        });
        fields.insert("findings".to_owned(), findings);
    }
}

/// Makes the items of pages plain resources, which carry their entity tag there. An item composed
/// of a resource and a tag would be a type of its own in generated clients.
fn name_page_items(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let mut tagged = Vec::new();
    for schema in schemas.values_mut() {
        let Some(items) = schema.pointer_mut("/properties/value/items") else { continue };
        let Some(parts) = items["allOf"].as_array() else { continue };
        let tag = parts.iter().find_map(|part| part.pointer("/properties/etag")).cloned();
        if let (Some(name), Some(tag)) = (parts.iter().find_map(referred), tag) {
            tagged.push((name.to_owned(), tag));
            *items = reference(name);
        }
    }
    for (name, mut tag) in tagged {
        tag["description"] =
            "The entity tag, for `If-Match`. Only in lists; elsewhere it is the header `ETag`."
                .into();
        let Some(schema) = schemas.get_mut(&name) else { continue };
        // A composed resource has its own fields in its last part.
        let composed = schema.get("allOf").is_some();
        let own = if composed {
            schema["allOf"].as_array_mut().and_then(|parts| parts.last_mut())
        } else {
            Some(schema)
        };
        if let Some(own) = own {
            own["properties"]["etag"] = tag;
        }
    }
}

/// Gives unions by `outcome` a discriminator, and their objects the field.
fn tag_outcomes(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let mut tags = Vec::new();
    for schema in schemas.values_mut() {
        let Some(alternatives) = schema["oneOf"].as_array() else { continue };
        let variants: Vec<(String, Value)> = alternatives.iter().filter_map(outcome_of).collect();
        if variants.is_empty() || variants.len() != alternatives.len() {
            continue;
        }
        let mapping: Map<String, Value> = variants
            .iter()
            .filter_map(|(name, field)| {
                let value = field["enum"][0].as_str()?;
                Some((value.to_owned(), format!("{SCHEMAS}{name}").into()))
            })
            .collect();
        schema["oneOf"] = variants.iter().map(|(name, _)| reference(name)).collect();
        schema["discriminator"] = json!({"propertyName": OUTCOME, "mapping": mapping});
        tags.extend(variants);
    }
    for (name, mut field) in tags {
        field["description"] = "Tells the alternatives apart.".into();
        let Some(schema) = schemas.get_mut(&name) else { continue };
        let own = if schema.get("allOf").is_some() {
            schema["allOf"].as_array_mut().and_then(|parts| parts.last_mut())
        } else {
            Some(schema)
        };
        if let Some(own) = own {
            own["properties"][OUTCOME] = field;
            match own["required"].as_array_mut() {
                Some(required) => required.push(OUTCOME.into()),
                None => own["required"] = json!([OUTCOME]),
            }
        }
    }
}

/// Returns the schema and the outcome of an alternative that is tagged by it.
fn outcome_of(alternative: &Value) -> Option<(String, Value)> {
    let parts = alternative["allOf"].as_array()?;
    let name = parts.iter().find_map(referred)?;
    let field = parts.iter().find_map(|part| part["properties"].get(OUTCOME))?;
    let value = field["enum"][0].as_str()?;
    let field = json!({"type": "string", "enum": [value], "examples": [value]});
    Some((name.to_owned(), field))
}

/// Makes the event a union by its type. The descriptions of the payloads name their types.
fn tag_events(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let (Some(event), Some(data)) = (schemas.get("CloudEvent"), schemas.get("EventData")) else {
        return;
    };
    let mut variants = Vec::new();
    for payload in data["oneOf"].as_array().into_iter().flatten() {
        let Some(payload_name) = referred(payload) else { continue };
        let text = payload["description"].as_str().unwrap_or_default();
        // Every second piece is in code quotes.
        for kind in text.split('`').skip(1).step_by(2) {
            let mut variant = event.clone();
            variant["description"] = format!("An event of the type `{kind}`.").into();
            variant["properties"]["type"] = json!({
                "type": "string",
                "enum": [kind],
                "examples": [kind],
                "description": "The type of the event.",
            });
            variant["properties"]["data"] = json!({
                "$ref": format!("{SCHEMAS}{payload_name}"),
                "description": "The payload.",
            });
            variants.push((event_name(kind), kind.to_owned(), variant));
        }
    }
    if variants.is_empty() {
        return;
    }
    let mapping: Map<String, Value> = variants
        .iter()
        .map(|(name, kind, _)| (kind.clone(), format!("{SCHEMAS}{name}").into()))
        .collect();
    let union = json!({
        "description": "An event in the form of CloudEvents 1.0; `type` determines `data`. Later \
                        versions may add types.",
        "oneOf": variants.iter().map(|(name, ..)| reference(name)).collect::<Value>(),
        "discriminator": {"propertyName": "type", "mapping": mapping},
    });
    schemas.insert("CloudEvent".to_owned(), union);
    schemas.remove("EventData");
    for (name, _, variant) in variants {
        schemas.insert(name, variant);
    }
}

/// Returns the name of the schema of a type of events: `CampaignStatusChangedEvent` for
/// `kampanje.campaign.status-changed`.
fn event_name(kind: &str) -> String {
    let words = kind.split(['.', '-']).skip(1).map(|word| {
        let mut characters = word.chars();
        let first = characters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(characters).collect::<String>()
    });
    words.collect::<String>() + "Event"
}

/// The two directions of a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Returns the names of the schemas that one direction can contain.
fn reachable(document: &Value, side: Side) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for (_, _, operation) in super::operations::of(document) {
        match side {
            Side::Request => {
                collect_references(&operation["requestBody"], &mut open);
                collect_references(&operation["parameters"], &mut open);
            }
            Side::Response => collect_references(&operation["responses"], &mut open),
        }
    }
    if side == Side::Response {
        collect_references(&document["components"]["responses"], &mut open);
        open.insert("Problem".to_owned());
    }
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop_first() {
        if let Some(schema) = document["components"]["schemas"].get(&name)
            && found.insert(name)
        {
            collect_references(schema, &mut open);
        }
    }
    found
}

/// Gives objects and unions of both directions two schemas. That of requests has the suffix
/// `Write`; a shared `…Write` is called `…Content` in responses.
fn split_shared(document: &mut Value) {
    let requests = reachable(document, Side::Request);
    let responses = reachable(document, Side::Response);
    let schemas = &document["components"]["schemas"];
    let has_fields = |name: &&String| {
        ["properties", "oneOf", "allOf"].iter().any(|word| !schemas[*name][*word].is_null())
    };
    let (mut in_requests, mut in_responses) = (BTreeMap::new(), BTreeMap::new());
    for name in requests.intersection(&responses).filter(has_fields) {
        match name.strip_suffix("Write") {
            Some(resource) => in_responses.insert(name.clone(), format!("{resource}Content")),
            None => in_requests.insert(name.clone(), format!("{name}Write")),
        };
    }
    let mut split = Map::new();
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        let mut add = |names: &BTreeMap<String, String>| {
            let mut schema = schema.clone();
            rename_references(&mut schema, names);
            split.insert(names.get(name).unwrap_or(name).clone(), schema);
        };
        if responses.contains(name) || !requests.contains(name) {
            add(&in_responses);
        }
        if requests.contains(name) {
            add(&in_requests);
        }
    }
    document["components"]["schemas"] = Value::Object(split);
    for (_, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            rename_references(&mut operation["responses"], &in_responses);
            if let Some(body) = operation.get_mut("requestBody") {
                rename_references(body, &in_requests);
            }
        }
    }
}

/// Replaces the names in references and in the mappings of discriminators.
fn rename_references(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix(SCHEMAS).and_then(|name| names.get(name)) {
                *text = format!("{SCHEMAS}{name}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename_references(value, names)),
        Value::Object(object) => {
            object.values_mut().for_each(|value| rename_references(value, names));
        }
        _ => {}
    }
}

/// Marks the fields that can be null as required, since the service writes null. Those that it
/// omits instead are not nullable.
fn require_nullables(name: &str, schema: &mut Value) {
    let absent = |field: &str| {
        ABSENT_IF_NULL
            .iter()
            .any(|(schema, fields)| (*schema == name || *schema == "*") && fields.contains(&field))
    };
    let mut require = |object: &mut Map<String, Value>| {
        let Some(Value::Object(fields)) = object.get_mut("properties") else { return };
        let mut always = Vec::new();
        for (field, schema) in fields.iter_mut() {
            if absent(field) {
                forbid_null(schema);
            } else if permits_null(schema) {
                always.push(Value::from(field.as_str()));
            }
        }
        if always.is_empty() {
            return;
        }
        if let Value::Array(required) =
            object.entry("required").or_insert_with(|| Value::Array(Vec::new()))
        {
            always.retain(|field| !required.contains(field));
            required.extend(always);
        }
    };
    visit(schema, &mut require);
}

fn permits_null(schema: &Value) -> bool {
    let in_types = schema["type"].as_array().is_some_and(|types| types.contains(&"null".into()));
    in_types || schema["oneOf"].as_array().is_some_and(|of| of.iter().any(is_null))
}

fn forbid_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let rest: Vec<Value> = types.iter().filter(|kind| **kind != "null").cloned().collect();
        if let [only] = rest.as_slice() {
            schema["type"] = only.clone();
        }
    }
    let rest = schema["oneOf"].as_array().map(|of| {
        of.iter().filter(|alternative| !is_null(alternative)).cloned().collect::<Vec<_>>()
    });
    if let (Some([Value::Object(only)]), Some(schema)) = (rest.as_deref(), schema.as_object_mut()) {
        schema.remove("oneOf");
        for (keyword, value) in only {
            schema.entry(keyword.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Permits other texts in an enum that occurs in responses only.
fn open_enum(schema: &mut Value) {
    if !schema["enum"].is_array() || schema["type"] != "string" {
        return;
    }
    let description = schema["description"].as_str().unwrap_or_default();
    *schema = json!({
        "description": format!("{description} Later versions may add values."),
        "anyOf": [
            {"type": "string", "enum": schema["enum"]},
            {"type": "string", "maxLength": MAX_ENUM_LENGTH},
        ],
        "examples": [schema["enum"][0]],
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(name: &str) -> Value {
        json!({"content": {"application/json": {"schema": reference(name)}}})
    }

    #[test]
    fn shared_objects_are_split_and_shared_texts_are_not() {
        let mut document = json!({
            "paths": {"/x": {"put": {
                "requestBody": body("ThingWrite"),
                "responses": {"200": body("Thing")},
            }}},
            "components": {"schemas": {
                "ThingWrite": {"properties": {"part": reference("Part"), "key": reference("Key")}},
                "Thing": {"properties": {"part": reference("Part"), "key": reference("Key")}},
                "Part": {"properties": {"kind": reference("Kind")}},
                "Kind": {"type": "string", "enum": ["A"]},
                "Key": {"type": "string"},
            }},
        });
        finish(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["ThingWrite"]["properties"]["part"], reference("PartWrite"));
        assert_eq!(schemas["Thing"]["properties"]["part"], reference("Part"));
        assert_eq!(schemas["ThingWrite"]["properties"]["key"], reference("Key"));
        assert_eq!(schemas["Kind"]["enum"], json!(["A"]), "requests contain it too");
    }

    #[test]
    fn enums_of_responses_are_open() {
        let mut document = json!({
            "paths": {"/x": {"get": {"responses": {"200": body("State")}}}},
            "components": {"schemas": {
                "State": {"type": "string", "enum": ["A", "B"], "description": "The state."},
            }},
        });
        finish(&mut document);
        let state = &document["components"]["schemas"]["State"];
        assert_eq!(state["anyOf"][0]["enum"], json!(["A", "B"]));
        assert_eq!(state["anyOf"][1], json!({"type": "string", "maxLength": 100}));
    }

    #[test]
    fn nullable_fields_are_always_there() {
        let mut schema = json!({"properties": {
            "a": {"type": ["string", "null"]},
            "b": {"oneOf": [reference("B"), {"type": "null"}], "description": "d"},
            "c": {"type": "string"},
            "nextLink": {"type": ["string", "null"]},
        }});
        require_nullables("Thing", &mut schema);
        assert_eq!(schema["required"], json!(["a", "b"]));
        assert_eq!(schema["properties"]["nextLink"], json!({"type": "string"}));
        let mut problem = json!({"properties": {
            "problem": {"oneOf": [{"type": "null"}, reference("P")], "description": "d"},
        }});
        require_nullables("LowestPrice", &mut problem);
        let expected = json!({"$ref": format!("{SCHEMAS}P"), "description": "d"});
        assert_eq!(problem["properties"]["problem"], expected);
    }

    #[test]
    fn unions_have_a_discriminator() {
        let variant = |name: &str, value: &str| {
            json!({"allOf": [reference(name), {
                "type": "object",
                "properties": {"outcome": {"type": "string", "enum": [value]}},
                "required": ["outcome"],
            }]})
        };
        let mut document = json!({"components": {"schemas": {
            "Line": {"oneOf": [variant("Good", "GOOD"), variant("Bad", "BAD")]},
            "Good": {"properties": {"a": {}}, "required": ["a"]},
            "Bad": {"allOf": [reference("Good"), {"properties": {"b": {}}}]},
        }}});
        tag_outcomes(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Line"]["oneOf"], json!([reference("Good"), reference("Bad")]));
        assert_eq!(schemas["Line"]["discriminator"]["mapping"]["BAD"], format!("{SCHEMAS}Bad"));
        assert_eq!(schemas["Good"]["required"], json!(["a", "outcome"]));
        assert_eq!(schemas["Bad"]["allOf"][1]["properties"]["outcome"]["enum"], json!(["BAD"]));
    }

    #[test]
    fn events_are_named_by_their_type() {
        assert_eq!(event_name("kampanje.campaign.status-changed"), "CampaignStatusChangedEvent");
    }
}
