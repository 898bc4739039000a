//! Exact schemas: they permit nothing that the service refuses.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::answers;

pub const SCHEMAS: &str = "#/components/schemas/";
const NO_CONTROL_CHARACTERS: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";

/// Makes the schemas of a document exact.
pub fn finish(document: &mut Value) {
    visit(document, &mut |schema| {
        list_examples(schema);
        lift_description(schema);
        add_limits(schema);
        drop_uuid_lengths(schema);
    });
    optional_bodies(document);
    derive_patches(document);
    derive_batch_rows(document);
    answers::finish(document);
    close_requests(document);
    visit(document, &mut |schema| {
        defaults_in_words(schema);
        open_objects(schema);
    });
}

/// Calls `change` on every object that can be a schema, children first.
///
/// Names below `properties` are fields, not keywords; examples and fixed values are data.
pub fn visit(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| visit(value, change)),
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                match name.as_str() {
                    "example" | "examples" | "default" | "enum" | "const" => {}
                    "properties" | "schemas" => {
                        value
                            .as_object_mut()
                            .into_iter()
                            .flatten()
                            .for_each(|(_, schema)| visit(schema, change));
                    }
                    _ => visit(value, change),
                }
            }
            change(object);
        }
        _ => {}
    }
}

/// Converts `example`, which OpenAPI 3.1 deprecates in schemas, to `examples`.
fn list_examples(schema: &mut Map<String, Value>) {
    let is_schema =
        ["type", "oneOf", "anyOf", "allOf"].iter().any(|keyword| schema.contains_key(*keyword));
    if is_schema && let Some(example) = schema.remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
}

/// Moves the description of an optional field from its alternative to the field.
fn lift_description(schema: &mut Map<String, Value>) {
    if schema.contains_key("description") {
        return;
    }
    let alternatives = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    let lifted = alternatives.filter(|of| is_optional(of)).and_then(|of| {
        of.iter_mut()
            .filter_map(Value::as_object_mut)
            .find_map(|alternative| alternative.remove("description"))
    });
    if let Some(description) = lifted {
        schema.insert("description".to_owned(), description);
    }
}

/// Adds the limits that a format implies.
fn add_limits(schema: &mut Map<String, Value>) {
    let limits: &[(&str, Value)] = match schema.get("format").and_then(Value::as_str) {
        Some("date") => &[("minLength", json!(10)), ("maxLength", json!(10))],
        Some("date-time") => &[("maxLength", json!(35))],
        Some("int32") => &[("minimum", json!(i32::MIN)), ("maximum", json!(i32::MAX))],
        Some("int64") => &[("minimum", json!(i64::MIN)), ("maximum", json!(i64::MAX))],
        _ => &[],
    };
    for (keyword, limit) in limits {
        schema.entry(*keyword).or_insert_with(|| limit.clone());
    }
}

/// Removes the lengths of ids, which their format implies. Generators apply them to their types for
/// ids, which are no texts.
fn drop_uuid_lengths(schema: &mut Map<String, Value>) {
    if schema.get("format").is_some_and(|format| format == "uuid") {
        schema.remove("minLength");
        schema.remove("maxLength");
    }
}

/// States a default beside a reference in words. Generators do not support a default there.
fn defaults_in_words(schema: &mut Map<String, Value>) {
    if schema.get("$ref").is_some_and(Value::is_string)
        && let Some(default) = schema.remove("default")
    {
        let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let text = format!("{text}{}Default: `{default}`.", if text.is_empty() { "" } else { " " });
        schema.insert("description".to_owned(), text.into());
    }
}

/// States that objects without named fields may have any.
fn open_objects(schema: &mut Map<String, Value>) {
    let is_object = schema
        .get("type")
        .is_some_and(|kind| kind == "object" || *kind == json!(["object", "null"]));
    if is_object && !schema.contains_key("properties") {
        schema.entry("additionalProperties").or_insert(Value::Bool(true));
    }
}

/// Returns true if the alternatives are a schema and null.
fn is_optional(alternatives: &[Value]) -> bool {
    alternatives.len() == 2 && alternatives.iter().any(is_null)
}

/// Returns true if a schema permits null only.
pub fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

/// Returns the name of the schema that a reference points to.
pub fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix(SCHEMAS)
}

pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("{SCHEMAS}{name}")})
}

/// Marks optional bodies as not required. The macros describe them as nullable, which they are not.
fn optional_bodies(document: &mut Value) {
    for_each_operation(document, |operation| {
        let Some(body) = operation.get_mut("requestBody") else { return };
        let mut optional = false;
        for (_, media) in
            body.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten()
        {
            let alternatives = list_of(&mut media["schema"], "oneOf").filter(|of| is_optional(of));
            if let Some(only) = alternatives
                .and_then(|of| of.iter().find(|alternative| !is_null(alternative)).cloned())
            {
                media["schema"] = only;
                optional = true;
            }
        }
        if optional {
            body["required"] = false.into();
        }
    });
}

fn for_each_operation(document: &mut Value, mut change: impl FnMut(&mut Value)) {
    for item in document["paths"].as_object_mut().into_iter().flatten().map(|(_, item)| item) {
        item.as_object_mut().into_iter().flatten().for_each(|(_, operation)| change(operation));
    }
}

/// Replaces the schema of each PATCH by that of its merge patch, derived from the whole resource.
fn derive_patches(document: &mut Value) {
    let Value::Object(mut schemas) = document["components"]["schemas"].take() else { return };
    for item in document["paths"].as_object_mut().into_iter().flatten().map(|(_, item)| item) {
        let Some(patch) = item.get_mut("patch") else { continue };
        let content = patch.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
        for (_, media) in content.into_iter().flatten() {
            if let Some(whole) = referred(&media["schema"]).map(str::to_owned) {
                media["schema"] = reference(&patch_of(&whole, &mut schemas));
            }
        }
    }
    document["components"]["schemas"] = Value::Object(schemas);
}

/// Replaces the rows of each batch with modes by merge patches that also name their resource.
fn derive_batch_rows(document: &mut Value) {
    let Value::Object(mut schemas) = document["components"]["schemas"].take() else { return };
    let batches: Vec<String> = schemas
        .iter()
        .filter(|(_, schema)| schema.pointer("/properties/mode").is_some())
        .filter(|(_, schema)| schema.pointer("/properties/rows").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    for batch in batches {
        let items = &schemas[&batch]["properties"]["rows"]["items"];
        let Some(row) = referred(items) else { continue };
        let resource = row.trim_end_matches("Create").trim_end_matches("Write").to_owned();
        let patch = patch_of(&format!("{resource}Write"), &mut schemas);
        let mut schema = schemas[&patch].clone();
        schema["description"] = "A row for one resource: its fields, and what to do with it. The \
                                 fields of the business key, or `id`, name the resource."
            .into();
        schema["properties"]["id"] = json!({
            "type": ["string", "null"],
            "format": "uuid",
            "description": "The id of the resource, which has to exist.",
            "examples": ["0190b5c2-7d5e-7000-8000-000000000001"],
        });
        schema["properties"]["ifMatch"] = json!({
            "type": ["string", "null"],
            "maxLength": 1000,
            "description": "The ETag that the resource must have, or `*`. A row whose resource \
                            has another one is refused with 412.",
            "examples": ["*"],
        });
        schema["properties"]["delete"] = json!({
            "type": "boolean",
            "default": false,
            "description": "True to delete the resource.",
            "examples": [false],
        });
        let name = format!("{resource}BatchRow");
        schemas.insert(name.clone(), schema);
        schemas[&batch]["properties"]["rows"]["items"] = reference(&name);
    }
    document["components"]["schemas"] = Value::Object(schemas);
}

/// Derives the schema of a merge patch on an object, and returns its name.
fn patch_of(whole: &str, schemas: &mut Map<String, Value>) -> String {
    let name = format!("{}Patch", whole.strip_suffix("Write").unwrap_or(whole));
    if schemas.contains_key(&name) {
        return name;
    }
    let Some(mut schema) = schemas.get(whole).cloned() else { return name };
    // Registered before its fields, for recursive schemas.
    schemas.insert(name.clone(), Value::Null);
    let required =
        schema.as_object_mut().and_then(|schema| schema.remove("required")).unwrap_or_default();
    schema["description"] =
        "The fields to change. An absent field keeps its value; null removes it.".into();
    for (field, value) in schema["properties"].as_object_mut().into_iter().flatten() {
        // Absent means unchanged, so defaults do not apply.
        value.as_object_mut().map(|value| value.remove("default"));
        patch_inside(value, schemas);
        if !required.as_array().is_some_and(|required| required.contains(&field.as_str().into())) {
            *value = nullable(value.take());
        }
    }
    schemas.insert(name.clone(), schema);
    name
}

/// Derives the patch of a nested object, which is merged too. Lists are replaced as a whole.
fn patch_inside(field: &mut Value, schemas: &mut Map<String, Value>) {
    if let Some(alternatives) = list_of(field, "oneOf").filter(|of| is_optional(of)) {
        alternatives.iter_mut().for_each(|alternative| patch_inside(alternative, schemas));
        return;
    }
    if let Some(inner) = referred(field).map(str::to_owned)
        && schemas.get(&inner).is_some_and(|schema| schema.get("properties").is_some())
    {
        field["$ref"] = format!("{SCHEMAS}{}", patch_of(&inner, schemas)).into();
    }
}

/// Returns the schema with null permitted.
fn nullable(mut schema: Value) -> Value {
    if let Some(alternatives) = list_of(&mut schema, "oneOf") {
        if !alternatives.iter().any(is_null) {
            alternatives.push(json!({"type": "null"}));
        }
        return schema;
    }
    match schema.get("type").cloned() {
        Some(Value::String(one)) => schema["type"] = json!([one, "null"]),
        // Several types include null already.
        Some(_) => {}
        None => {
            let description =
                schema.as_object_mut().and_then(|schema| schema.remove("description"));
            schema = json!({"oneOf": [schema, {"type": "null"}]});
            if let Some(description) = description {
                schema["description"] = description;
            }
        }
    }
    schema
}

fn list_of<'a>(schema: &'a mut Value, keyword: &str) -> Option<&'a mut Vec<Value>> {
    schema.get_mut(keyword).and_then(Value::as_array_mut)
}

/// Forbids unknown fields and control characters in requests, as the service does.
fn close_requests(document: &mut Value) {
    for_each_operation(document, |operation| {
        operation
            .get_mut("parameters")
            .into_iter()
            .for_each(|parameters| visit(parameters, &mut forbid_control_characters));
        operation.get_mut("requestBody").into_iter().for_each(|body| visit(body, &mut close));
    });
    let mut open = BTreeSet::new();
    for (_, _, operation) in super::operations::of(document) {
        collect_references(&operation["requestBody"], &mut open);
    }
    let mut closed = BTreeSet::new();
    while let Some(name) = open.pop_first() {
        let schema = &mut document["components"]["schemas"][&name];
        visit(schema, &mut close);
        collect_references(schema, &mut open);
        closed.insert(name);
        open = &open - &closed;
    }
}

/// Closes a schema of a request.
fn close(schema: &mut Map<String, Value>) {
    if schema.contains_key("properties") && !schema.contains_key("additionalProperties") {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    forbid_control_characters(schema);
}

/// Excludes control characters other than line breaks and tabs from texts.
fn forbid_control_characters(schema: &mut Map<String, Value>) {
    let is_text = schema
        .get("type")
        .is_some_and(|kind| kind == "string" || *kind == json!(["string", "null"]));
    let is_free =
        !["pattern", "format", "enum", "const"].iter().any(|keyword| schema.contains_key(*keyword));
    if is_text && is_free {
        schema.insert("pattern".to_owned(), NO_CONTROL_CHARACTERS.into());
    }
}

/// Removes unreferenced schemas: those of resources that can only be patched, and those that the
/// conversion to OpenAPI 3.0 has inlined.
pub fn drop_unused(document: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        collect_references(document, &mut used);
        let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
        let before = schemas.len();
        schemas.retain(|name, _| used.contains(name));
        if schemas.len() == before {
            return;
        }
    }
}

pub fn collect_references(value: &Value, names: &mut BTreeSet<String>) {
    names.extend(referred(value).map(str::to_owned));
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, names)),
        Value::Object(object) => object.values().for_each(|value| collect_references(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let body =
            |name: &str| json!({"content": {"application/json": {"schema": reference(name)}}});
        json!({
            "paths": {"/x": {
                "patch": {"requestBody": body("ContactWrite")},
                "post": {"requestBody": body("ContactWrite")},
            }},
            "components": {"schemas": {
                "ContactWrite": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "customer": {
                            "description": "d",
                            "oneOf": [{"type": "null"}, reference("CustomerWrite")],
                        },
                        "rows": {"type": "array", "items": reference("Row"), "default": []},
                        "code": reference("Key"),
                    },
                },
                "CustomerWrite": {
                    "type": "object",
                    "required": ["number"],
                    "properties": {
                        "number": {"type": "string"},
                        "tax": {"type": "boolean", "default": true},
                    },
                },
                "Row": {
                    "type": "object",
                    "required": ["id"],
                    "properties": {"id": {"type": "integer", "format": "int32"}},
                },
                "Key": {"type": "string", "pattern": "^[A-Z]$"},
                "View": {"type": "object", "properties": {"name": {"type": "string"}}},
            }},
        })
    }

    #[test]
    fn schemas_referenced_only_by_removed_ones_are_removed() {
        let part = |name: &str| json!({"$ref": format!("{SCHEMAS}{name}")});
        let mut document = json!({"paths": {"/a": part("A")}, "components": {"schemas": {
            "A": {"items": part("B")}, "B": {},
            "C": {"items": part("D")}, "D": {"items": part("B")},
        }}});
        drop_unused(&mut document);
        assert_eq!(document["components"]["schemas"], json!({"A": {"items": part("B")}, "B": {}}));
    }

    #[test]
    fn nested_objects_of_a_patch_are_merged_and_lists_replaced() {
        let mut document = document();
        finish(&mut document);
        let schemas = &document["components"]["schemas"];
        let patch = &schemas["ContactPatch"];
        let body = &document["paths"]["/x"]["patch"]["requestBody"];
        assert_eq!(body["content"]["application/json"]["schema"], reference("ContactPatch"));
        assert!(
            patch.get("required").is_none() && schemas["CustomerPatch"].get("required").is_none()
        );
        let fields = &patch["properties"];
        assert_eq!(fields["name"]["type"], "string", "required fields are not nullable");
        assert_eq!(
            fields["customer"]["oneOf"],
            json!([{"type": "null"}, reference("CustomerPatch")])
        );
        assert_eq!(fields["rows"], json!({"type": ["array", "null"], "items": reference("Row")}));
        assert_eq!(fields["code"], json!({"oneOf": [reference("Key"), {"type": "null"}]}));
        assert_eq!(
            schemas["CustomerPatch"]["properties"]["tax"]["type"],
            json!(["boolean", "null"])
        );
    }

    #[test]
    fn requests_are_closed_at_every_depth_and_responses_open() {
        let mut document = document();
        finish(&mut document);
        let schemas = &document["components"]["schemas"];
        for name in ["ContactWrite", "ContactPatch", "CustomerWrite", "CustomerPatch", "Row"] {
            assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
        }
        assert!(schemas["View"].get("additionalProperties").is_none());
        assert_eq!(schemas["ContactWrite"]["properties"]["name"]["pattern"], NO_CONTROL_CHARACTERS);
        assert!(schemas["View"]["properties"]["name"].get("pattern").is_none());
        assert_eq!(schemas["Key"]["pattern"], "^[A-Z]$");
        assert_eq!(schemas["Row"]["properties"]["id"]["minimum"], i32::MIN);
    }
}
