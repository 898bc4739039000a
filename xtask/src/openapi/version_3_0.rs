//! The document for tools that only support OpenAPI 3.0, converted from the other one.

use serde_json::{Map, Value, json};

use super::schemas::{drop_unused, is_null, referred, visit};

/// Converts a document to OpenAPI 3.0.3.
#[must_use]
pub fn version_3_0(mut document: Value) -> Value {
    document["openapi"] = "3.0.3".into();
    if let Some(info) = document["info"].as_object_mut() {
        info.remove("summary");
        if let Some(license) = info.get_mut("license").and_then(Value::as_object_mut) {
            license.remove("identifier");
            license.insert("url".to_owned(), "https://spdx.org/licenses/MIT.html".into());
        }
    }
    // Generators for 3.0 make two methods of an operation with two types of bodies.
    for (_, item) in document["paths"].as_object_mut().into_iter().flatten() {
        let content = item.pointer_mut("/patch/requestBody/content").and_then(Value::as_object_mut);
        if let Some(content) = content.filter(|content| content.contains_key("application/json")) {
            content.retain(|media, _| media == "application/json");
        }
    }
    let schemas = document["components"]["schemas"].clone();
    visit(&mut document, &mut |schema| {
        nullable_alternative(schema, &schemas);
        one_example(schema);
        nullable_type(schema);
        exclusive_bounds(schema);
        wrapped_reference(schema);
    });
    drop_unused(&mut document);
    document
}

/// Converts `examples: [x]` to `example: x`. The examples of a body are a map, which is valid.
fn one_example(schema: &mut Map<String, Value>) {
    if schema.get("examples").is_some_and(Value::is_array)
        && let Some(Value::Array(examples)) = schema.remove("examples")
        && let Some(first) = examples.into_iter().next()
    {
        schema.insert("example".to_owned(), first);
    }
}

/// Converts `type: [T, null]` to `type: T, nullable: true`.
fn nullable_type(schema: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = schema.get("type") else { return };
    let null = types.contains(&"null".into());
    let rest: Vec<Value> = types.iter().filter(|kind| **kind != "null").cloned().collect();
    match rest.as_slice() {
        [only] => drop(schema.insert("type".to_owned(), only.clone())),
        several => {
            let alternatives: Vec<Value> =
                several.iter().map(|kind| json!({"type": kind})).collect();
            schema.remove("type");
            schema.insert("anyOf".to_owned(), alternatives.into());
        }
    }
    if null {
        schema.insert("nullable".to_owned(), true.into());
    }
}

/// Converts an alternative of null to `nullable`. Only references to objects remain references,
/// because `nullable` must be next to the type.
fn nullable_alternative(schema: &mut Map<String, Value>, schemas: &Value) {
    for keyword in ["oneOf", "anyOf"] {
        let Some(Value::Array(alternatives)) = schema.get_mut(keyword) else { continue };
        let before = alternatives.len();
        alternatives.retain(|alternative| !is_null(alternative));
        if alternatives.len() == before {
            continue;
        }
        schema.insert("nullable".to_owned(), true.into());
        if let Some(Value::Array(rest)) = schema.get(keyword).cloned()
            && let [only] = rest.as_slice()
        {
            schema.remove(keyword);
            let target = referred(only)
                .and_then(|name| schemas[name].as_object())
                .or_else(|| only.as_object());
            let target = target.cloned().unwrap_or_default();
            let is_open_enum = target.contains_key("anyOf");
            if is_open_enum {
                schema.insert("type".to_owned(), "string".into());
            }
            let is_object = target.contains_key("properties") || !target.contains_key("type");
            if is_object && !is_open_enum {
                schema.insert("type".to_owned(), "object".into());
                schema.insert("allOf".to_owned(), rest.into());
            } else {
                for (name, value) in target {
                    schema.entry(name).or_insert(value);
                }
            }
        }
    }
}

/// Converts exclusive bounds to a bound and a flag, and `const` to `enum`.
fn exclusive_bounds(schema: &mut Map<String, Value>) {
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if schema.get(exclusive).is_some_and(Value::is_number)
            && let Some(value) = schema.insert(exclusive.to_owned(), true.into())
        {
            schema.insert(bound.to_owned(), value);
        }
    }
    if let Some(value) = schema.remove("const") {
        schema.insert("enum".to_owned(), json!([value]));
    }
}

/// Moves a reference with siblings, which tools ignore, into an `allOf`.
fn wrapped_reference(schema: &mut Map<String, Value>) {
    if schema.len() > 1
        && schema.get("$ref").is_some_and(Value::is_string)
        && let Some(reference) = schema.remove("$ref")
    {
        schema.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_converted() {
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        for (new, old) in [
            (json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
            (json!({"type": "integer", "examples": [3]}), json!({"type": "integer", "example": 3})),
            (
                json!({"oneOf": [reference("Object"), {"type": "null"}], "description": "d"}),
                json!({
                    "type": "object",
                    "allOf": [reference("Object")],
                    "nullable": true,
                    "description": "d",
                }),
            ),
            (
                json!({"oneOf": [reference("Text"), {"type": "null"}], "description": "d"}),
                json!({
                    "type": "string",
                    "maxLength": 5,
                    "example": "a",
                    "nullable": true,
                    "description": "d",
                }),
            ),
            (
                json!({"oneOf": [reference("Open"), {"type": "null"}], "description": "d"}),
                json!({
                    "type": "string",
                    "anyOf": [{"type": "string", "enum": ["A"]}, {"type": "string"}],
                    "nullable": true,
                    "description": "d",
                }),
            ),
            (
                json!({"$ref": "#/x", "description": "d"}),
                json!({"allOf": [{"$ref": "#/x"}], "description": "d"}),
            ),
            (json!({"$ref": "#/x"}), json!({"$ref": "#/x"})),
            (
                json!({"type": "integer", "exclusiveMinimum": 0}),
                json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true}),
            ),
            (json!({"const": "A"}), json!({"enum": ["A"]})),
            (
                json!({"type": ["string", "integer", "null"]}),
                json!({"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": true}),
            ),
            // Fields with the names of keywords.
            (
                json!({"properties": {
                    "type": {"type": ["string", "null"]},
                    "const": {"type": "x"},
                }}),
                json!({"properties": {
                    "type": {"type": "string", "nullable": true},
                    "const": {"type": "x"},
                }}),
            ),
            (json!({"examples": {"a": {"value": 1}}}), json!({"examples": {"a": {"value": 1}}})),
        ] {
            let object = json!({"type": "object", "properties": {"a": {"type": "string"}}});
            let text =
                json!({"type": "string", "maxLength": 5, "examples": ["a"], "description": "t"});
            let open = json!({"anyOf": [{"type": "string", "enum": ["A"]}, {"type": "string"}]});
            let schemas = json!({"Object": object, "Text": text, "Open": open});
            let document = json!({"x": new, "components": {"schemas": schemas}});
            assert_eq!(version_3_0(document)["x"], old);
        }
    }
}
