//! Examples of whole bodies, composed from the examples of their fields.

use serde_json::{Map, Value, json};

use super::schemas::{is_null, referred};

/// The deepest nesting in an example. Real schemas are flatter; the limit ends recursive ones.
const MAX_DEPTH: usize = 50;

/// Adds an example to every body that has none.
pub fn add_to_bodies(document: &mut Value) {
    let Value::Object(schemas) = document["components"]["schemas"].take() else { return };
    for item in document["paths"].as_object_mut().into_iter().flatten().map(|(_, item)| item) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            for media in operation.get_mut("requestBody").into_iter().flat_map(media_of) {
                add(media, &schemas);
                if method == "patch" {
                    shorten(&mut media["example"]);
                }
            }
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
            for media in
                responses.into_iter().flatten().flat_map(|(_, response)| media_of(response))
            {
                add(media, &schemas);
            }
        }
    }
    document["components"]["schemas"] = Value::Object(schemas);
}

/// Returns the media types of a body.
fn media_of(body: &mut Value) -> impl Iterator<Item = &mut Value> {
    body.get_mut("content")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .map(|(_, media)| media)
}

fn add(media: &mut Value, schemas: &Map<String, Value>) {
    if media.get("example").is_none() && media.get("examples").is_none() {
        media["example"] = of(&media["schema"], schemas, 0);
    }
}

/// Reduces the example of a patch to one field, the typical use of a patch.
fn shorten(patch: &mut Value) {
    let Value::Object(fields) = patch else { return };
    let field = fields
        .keys()
        .find(|name| *name == "description")
        .or_else(|| fields.keys().next_back())
        .cloned();
    fields.retain(|name, _| Some(name) == field.as_ref());
}

/// Returns an example of a schema.
fn of(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let inside = |schema: &Value| of(schema, schemas, depth.saturating_add(1));
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    if let Some(target) = referred(schema).and_then(|name| schemas.get(name)) {
        return inside(target);
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    if let Some(alternatives) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return alternatives
            .iter()
            .find(|alternative| !is_null(alternative))
            .map_or(Value::Null, inside);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let fields = parts.iter().map(inside).filter_map(|part| part.as_object().cloned());
        return Value::Object(fields.flatten().collect());
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Value::as_str));
    match kind {
        Some("array") => json!([inside(&schema["items"])]),
        Some("boolean") => schema.get("default").cloned().unwrap_or(true.into()),
        Some("integer" | "number") => {
            schema.get("default").or_else(|| schema.get("minimum")).cloned().unwrap_or(1.into())
        }
        Some("string") => match schema["format"].as_str() {
            Some("date") => "2031-05-15".into(),
            Some("date-time") => "2031-05-15T08:30:00Z".into(),
            Some("uuid") => "0190b5c2-7d5e-7000-8000-000000000001".into(),
            _ => "".into(),
        },
        _ => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(fields.map(|(name, field)| (name.clone(), inside(field))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_is_composed_from_the_examples_of_fields() {
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let object = |field: &str, schema: Value| json!({"properties": {field: schema}});
        let schemas = json!({
            "Key": {"type": "string", "examples": ["CP0001"]},
            "Group": object("codes", json!({"type": "array", "items": reference("Key")})),
            "Loop": object("again", reference("Loop")),
        });
        let schemas = schemas.as_object().unwrap();
        let group = reference("Group");
        for (schema, example) in [
            (group.clone(), json!({"codes": ["CP0001"]})),
            (json!({"oneOf": [{"type": "null"}, group.clone()]}), json!({"codes": ["CP0001"]})),
            (
                json!({"allOf": [group, object("etag", json!({"examples": ["x"]}))]}),
                json!({"codes": ["CP0001"], "etag": "x"}),
            ),
            (json!({"type": ["string", "null"], "format": "date"}), json!("2031-05-15")),
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (json!({"type": "string", "enum": ["A", "B"]}), json!("A")),
        ] {
            assert_eq!(of(&schema, schemas, 0), example, "{schema}");
        }
        assert!(of(&reference("Loop"), schemas, 0).is_object());
    }

    #[test]
    fn example_of_a_patch_changes_one_field() {
        let mut patch = json!({"number": "A", "description": "B", "type": "C"});
        shorten(&mut patch);
        assert_eq!(patch, json!({"description": "B"}));
    }
}
