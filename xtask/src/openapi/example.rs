//! Examples of whole bodies: those of one company, and for the rest composed from the examples of
//! their fields.

use serde_json::{Map, Value, json};

use super::schemas::{is_null, referred};

/// The deepest nesting in an example. Real schemas are flatter; the limit ends recursive ones.
const MAX_DEPTH: usize = 50;

/// One company, as requests would create it: the example of each resource by its name, and of other
/// bodies by the id of the operation. tests/api/examples.rs sends them all.
const COMPANY: &str = include_str!("examples.json");

/// Fields of a line that the campaign in the path determines.
const OF_CAMPAIGN: [&str; 3] = ["source", "startingDate", "endingDate"];

/// Adds an example to every body that has none.
///
/// # Errors
/// If the examples of the company are not JSON.
pub fn add_to_bodies(document: &mut Value) -> serde_json::Result<()> {
    let company: Map<String, Value> = serde_json::from_str(COMPANY)?;
    let Value::Object(schemas) = document["components"]["schemas"].take() else { return Ok(()) };
    let examples = Examples { schemas: &schemas, company: &company };
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let own = operation["operationId"].as_str().and_then(|id| company.get(id)).cloned();
            for media in operation.get_mut("requestBody").into_iter().flat_map(media_of) {
                if let Some(example) = &own {
                    media["example"] = example.clone();
                }
                examples.add(media);
                if path.starts_with("/v1/campaigns/{campaign}/") {
                    remove_campaign_fields(&mut media["example"]);
                }
                if method == "patch" {
                    shorten(&mut media["example"]);
                }
            }
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
            for media in
                responses.into_iter().flatten().flat_map(|(_, response)| media_of(response))
            {
                examples.add(media);
            }
        }
    }
    document["components"]["schemas"] = Value::Object(schemas);
    Ok(())
}

/// Removes from lines what the campaign in the path determines.
fn remove_campaign_fields(example: &mut Value) {
    if let Some(rows) = example.get_mut("rows").and_then(Value::as_array_mut) {
        rows.iter_mut().for_each(remove_campaign_fields);
    } else if let Some(fields) = example.as_object_mut().filter(|line| line.contains_key("source"))
    {
        fields.retain(|name, _| !OF_CAMPAIGN.contains(&name.as_str()));
    }
}

/// Returns the media types of a body.
fn media_of(body: &mut Value) -> impl Iterator<Item = &mut Value> {
    body.get_mut("content")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .map(|(_, media)| media)
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

/// The sources of examples.
struct Examples<'a> {
    schemas: &'a Map<String, Value>,
    company: &'a Map<String, Value>,
}

impl Examples<'_> {
    /// Adds an example to a body that has none.
    fn add(&self, media: &mut Value) {
        if media.get("example").is_none() && media.get("examples").is_none() {
            media["example"] = self.of(&media["schema"], 0);
        }
    }

    /// Returns an example of a schema.
    fn of(&self, schema: &Value, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        let inside = |schema: &Value| self.of(schema, depth.saturating_add(1));
        if let Some(example) = schema["examples"].get(0) {
            return example.clone();
        }
        if let Some(name) = referred(schema)
            && let Some(target) = self.schemas.get(name)
        {
            return self.of_resource(name, || inside(target));
        }
        if let Some(value) = schema["enum"].get(0) {
            return value.clone();
        }
        if let Some(alternatives) =
            schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
        {
            return alternatives
                .iter()
                .find(|alternative| !is_null(alternative))
                .map_or(Value::Null, inside);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let fields = parts.iter().map(inside).filter_map(|part| part.as_object().cloned());
            return Value::Object(fields.flatten().collect());
        }
        let kind =
            schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Value::as_str));
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

    /// Returns the example of a named schema. A request is that of the company. A response has all
    /// fields, with the values of the company where it has them.
    fn of_resource(&self, name: &str, composed: impl FnOnce() -> Value) -> Value {
        let resource = ["Write", "Create", "Patch", "BatchRow"]
            .into_iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        if let Some(example) = resource.and_then(|resource| self.company.get(resource)) {
            return example.clone();
        }
        let mut example = composed();
        let known = self.company.get(name).and_then(Value::as_object);
        if name.ends_with("Request") {
            return known.map_or(example, |known| Value::Object(known.clone()));
        }
        for (field, value) in example.as_object_mut().into_iter().flatten() {
            if let Some(known) = known.and_then(|known| known.get(field)) {
                *value = known.clone();
            }
        }
        example
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
            "KnownWrite": object("other", reference("Key")),
            "Known": {"properties": {"id": {"type": "integer"}, "code": reference("Key")}},
        });
        let schemas = schemas.as_object().unwrap();
        let company = json!({"Known": {"code": "A"}});
        let company = company.as_object().unwrap();
        let examples = Examples { schemas, company };
        let group = reference("Group");
        for (schema, example) in [
            (group.clone(), json!({"codes": ["CP0001"]})),
            (json!({"oneOf": [{"type": "null"}, group.clone()]}), json!({"codes": ["CP0001"]})),
            (
                json!({"allOf": [group, object("etag", json!({"examples": ["x"]}))]}),
                json!({"codes": ["CP0001"], "etag": "x"}),
            ),
            (json!({"type": ["string", "null"], "format": "date"}), json!("2031-05-15")),
            (reference("KnownWrite"), json!({"code": "A"})),
            (reference("Known"), json!({"id": 1, "code": "A"})),
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (json!({"type": "string", "enum": ["A", "B"]}), json!("A")),
        ] {
            assert_eq!(examples.of(&schema, 0), example, "{schema}");
        }
        assert!(examples.of(&reference("Loop"), 0).is_object());
    }

    #[test]
    fn line_of_a_campaign_has_neither_source_nor_dates() {
        let line = json!({
            "source": {"type": "ALL_CUSTOMERS"}, "startingDate": "2031-05-15", "unitPrice": "1"
        });
        let mut batch = json!({"rows": [line]});
        remove_campaign_fields(&mut batch);
        assert_eq!(batch, json!({"rows": [{"unitPrice": "1"}]}));
        let mut copy = json!({"startingDate": "2031-05-15"});
        remove_campaign_fields(&mut copy);
        assert_eq!(copy, json!({"startingDate": "2031-05-15"}));
    }

    #[test]
    fn example_of_a_patch_changes_one_field() {
        let mut patch = json!({"number": "A", "description": "B", "type": "C"});
        shorten(&mut patch);
        assert_eq!(patch, json!({"description": "B"}));
    }
}
