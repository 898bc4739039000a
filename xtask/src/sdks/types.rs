//! The types of fields, parameters and bodies.

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

/// A type of the wire, without the question of null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Type {
    /// A text.
    Text,
    /// An exact number in a JSON string.
    Decimal,
    /// A calendar date.
    Date,
    /// A point in time.
    Timestamp,
    /// An integer.
    Integer,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Any,
    /// A JSON object with any members.
    Map,
    /// A list.
    List {
        /// The type of the items.
        of: Box<Type>,
    },
    /// A closed set of constants, written as JSON.
    Literal {
        /// The constants.
        values: Vec<String>,
    },
    /// One of a named set of texts.
    Enum {
        /// The name of the set.
        name: String,
    },
    /// A named object or union.
    Model {
        /// The name of the model.
        name: String,
    },
}

/// A type and whether null is permitted.
pub struct Nullable {
    /// The type.
    pub r#type: Type,
    /// True if null is permitted.
    pub nullable: bool,
}

/// Returns the schema that `name` refers to.
///
/// # Errors
/// If the document has no such schema.
pub fn schema<'a>(document: &'a Value, name: &str) -> anyhow::Result<&'a Value> {
    document["components"]["schemas"].get(name).with_context(|| format!("no schema {name}"))
}

/// Returns the name of the schema that `schema` refers to.
pub fn target(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
}

/// Returns true if the schema is one of the texts that may gain values.
fn is_open_enum(schema: &Value) -> bool {
    schema["anyOf"].as_array().is_some_and(|of| of.iter().any(|one| one["enum"].is_array()))
}

/// Returns the values of a schema of texts, whether open or closed.
pub fn enum_values(schema: &Value) -> Option<&Vec<Value>> {
    let open = || schema["anyOf"].as_array()?.iter().find_map(|one| one["enum"].as_array());
    schema["enum"].as_array().or_else(open)
}

/// Returns the type of a schema.
///
/// # Errors
/// If the schema has a form that the SDKs do not support.
pub fn read(document: &Value, field: &Value) -> anyhow::Result<Nullable> {
    let certain = |r#type| Ok(Nullable { r#type, nullable: false });
    if let Some(name) = target(field) {
        let named = schema(document, name)?;
        if enum_values(named).is_some() {
            return certain(Type::Enum { name: name.to_owned() });
        }
        let is_model = ["properties", "oneOf", "allOf"].iter().any(|word| !named[*word].is_null());
        return if is_model {
            certain(Type::Model { name: name.to_owned() })
        } else {
            read(document, named)
        };
    }
    if let Some(alternatives) = field["oneOf"].as_array().or_else(|| field["anyOf"].as_array()) {
        if is_open_enum(field) {
            return certain(Type::Text);
        }
        let rest: Vec<&Value> = alternatives.iter().filter(|one| one["type"] != "null").collect();
        let [only] = rest.as_slice() else { bail!("a union without a name: {field}") };
        let inner = read(document, only)?;
        let nullable = inner.nullable || rest.len() < alternatives.len();
        return Ok(Nullable { r#type: inner.r#type, nullable });
    }
    // A reference with further fields, such as an item of a list with its ETag.
    if let Some(name) = field["allOf"].get(0).and_then(target) {
        return certain(Type::Model { name: name.to_owned() });
    }
    let (name, nullable) = match &field["type"] {
        Value::String(name) => (name.as_str(), false),
        Value::Array(names) => {
            let rest: Vec<&str> =
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            let [only] = rest.as_slice() else { bail!("several types: {field}") };
            (*only, rest.len() < names.len())
        }
        _ => ("", false),
    };
    let r#type = match name {
        _ if field["enum"].is_array() || !field["const"].is_null() => {
            let values = field["enum"].as_array().cloned();
            let values = values.unwrap_or_else(|| vec![field["const"].clone()]);
            let values = values.iter().filter(|value| !value.is_null()).map(Value::to_string);
            Type::Literal { values: values.collect() }
        }
        "string" => text(field),
        "integer" => Type::Integer,
        "boolean" => Type::Boolean,
        "array" => Type::List { of: Box::new(read(document, &field["items"])?.r#type) },
        "object" if field["properties"].is_object() => bail!("an object without a name: {field}"),
        "object" => Type::Map,
        "" => Type::Any,
        _ => bail!("unknown type: {field}"),
    };
    Ok(Nullable { r#type, nullable })
}

fn text(field: &Value) -> Type {
    match field["format"].as_str() {
        Some("date") => Type::Date,
        Some("date-time") => Type::Timestamp,
        _ => {
            let pattern = field["pattern"].as_str().unwrap_or_default();
            let is_decimal = (pattern.starts_with("^(0|[1-9]") || pattern.starts_with("^-?(0|"))
                && pattern.contains(r"\.");
            if is_decimal { Type::Decimal } else { Type::Text }
        }
    }
}
