//! The document as the templates see it.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::groups::{self, Group};
use super::types::{self, Type, enum_values, target};

/// The models and operations of the document.
#[derive(Serialize)]
pub struct Api {
    /// The version of the service.
    pub version: String,
    /// The named sets of texts.
    pub enums: Vec<Enum>,
    /// The objects.
    pub objects: Vec<Object>,
    /// The unions of objects.
    pub unions: Vec<Union>,
    /// The operations by resource.
    pub groups: Vec<Group>,
}

/// A named set of texts.
#[derive(Serialize)]
pub struct Enum {
    /// The name.
    pub name: String,
    /// The meaning.
    pub description: String,
    /// The texts.
    pub values: Vec<String>,
}

/// An object with named fields.
#[derive(Serialize)]
pub struct Object {
    /// The name.
    pub name: String,
    /// The meaning.
    pub description: String,
    /// True if clients send it, false if only the service does.
    pub is_request: bool,
    /// The fields, in the order of the document.
    pub fields: Vec<Field>,
    /// The fields that the corresponding request accepts, if this is a resource.
    pub write: Option<Write>,
}

/// The request that replaces a resource.
#[derive(Serialize)]
pub struct Write {
    /// The name of the object.
    pub name: String,
    /// The fields that it shares with the resource.
    pub fields: Vec<WriteField>,
}

/// A field that is sent as it was received.
#[derive(Serialize)]
pub struct WriteField {
    /// The name of the field.
    pub name: String,
    /// The object to convert, for a field that is itself a resource with a request.
    pub convert: Option<String>,
    /// True if the answer always has the field.
    pub required: bool,
    /// True if the answer can have null.
    pub nullable: bool,
}

/// A field of an object, or a parameter of a query.
#[derive(Clone, Serialize)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The meaning.
    pub description: String,
    /// True if it is always there.
    pub required: bool,
    /// True if null is permitted.
    pub nullable: bool,
    /// The type.
    pub r#type: Type,
}

/// One of several objects.
#[derive(Serialize)]
pub struct Union {
    /// The name.
    pub name: String,
    /// The meaning.
    pub description: String,
    /// True if clients send it.
    pub is_request: bool,
    /// The field that tells the objects apart.
    pub discriminator: Option<String>,
    /// The objects.
    pub variants: Vec<Variant>,
}

/// An object of a union.
#[derive(Serialize)]
pub struct Variant {
    /// The name of the object.
    pub name: String,
    /// The value of the discriminator.
    pub value: Option<String>,
}

impl Api {
    /// Reads a document.
    ///
    /// # Errors
    /// If it has a form that the SDKs do not support.
    pub fn read(document: &Value) -> anyhow::Result<Self> {
        let requests = request_models(document);
        let mut api = Self {
            version: document["info"]["version"].as_str().unwrap_or_default().to_owned(),
            enums: Vec::new(),
            objects: Vec::new(),
            unions: Vec::new(),
            groups: groups::read(document)?,
        };
        let schemas = document["components"]["schemas"].as_object().context("no schemas")?;
        for (name, schema) in schemas {
            let (name, description) = (name.clone(), description(schema));
            let is_request = requests.contains(&name);
            if let Some(values) = enum_values(schema) {
                let values = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                api.enums.push(Enum { name, description, values });
            } else if let Some(alternatives) = schema["oneOf"].as_array() {
                let variants = variants(schema, alternatives);
                let discriminator =
                    schema["discriminator"]["propertyName"].as_str().map(str::to_owned);
                api.unions.push(Union { name, description, is_request, discriminator, variants });
            } else if !schema["properties"].is_null() || !schema["allOf"].is_null() {
                let context = format!("schema {name}");
                let mut fields = Vec::new();
                object_fields(document, schema, &mut fields).context(context)?;
                let write = None;
                api.objects.push(Object { name, description, is_request, fields, write });
            }
        }
        api.pair_resources();
        Ok(api)
    }

    /// Finds the request of each resource: `ContactWrite` of `Contact`.
    fn pair_resources(&mut self) {
        let names: BTreeSet<String> =
            self.objects.iter().map(|object| object.name.clone()).collect();
        let pair = |name: &str| {
            let write = format!("{name}Write");
            names.contains(&write).then_some(write)
        };
        let writes: Vec<Option<Write>> =
            self.objects
                .iter()
                .map(|object| {
                    let write = pair(&object.name)?;
                    let accepted = self.objects.iter().find(|other| other.name == write)?;
                    let shared = object.fields.iter().filter(|field| {
                        accepted.fields.iter().any(|other| other.name == field.name)
                    });
                    let fields = shared
                        .map(|field| WriteField {
                            name: field.name.clone(),
                            convert: match &field.r#type {
                                Type::Model { name } => pair(name).map(|_| name.clone()),
                                _ => None,
                            },
                            required: field.required,
                            nullable: field.nullable,
                        })
                        .collect();
                    Some(Write { name: write, fields })
                })
                .collect();
        for (object, write) in self.objects.iter_mut().zip(writes) {
            object.write = write;
        }
    }
}

/// Returns the description of a schema or parameter.
pub fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().to_owned()
}

fn variants(schema: &Value, alternatives: &[Value]) -> Vec<Variant> {
    let mapping = schema["discriminator"]["mapping"].as_object();
    let value = |name: &str| {
        let (value, _) = mapping?
            .iter()
            .find(|(_, to)| to.as_str().is_some_and(|to| to.rsplit('/').next() == Some(name)))?;
        Some(value.clone())
    };
    alternatives
        .iter()
        .filter_map(target)
        .map(|name| Variant { name: name.to_owned(), value: value(name) })
        .collect()
}

/// Adds the fields of an object and of those that it is composed of.
fn object_fields(document: &Value, schema: &Value, fields: &mut Vec<Field>) -> anyhow::Result<()> {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let part = match target(part) {
            Some(name) => types::schema(document, name)?,
            None => part,
        };
        object_fields(document, part, fields)?;
    }
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let read = types::read(document, field).with_context(|| format!("field {name}"))?;
        let field = Field {
            name: name.clone(),
            description: description(field),
            required: required.is_some_and(|required| required.contains(&name.as_str().into())),
            nullable: read.nullable,
            r#type: read.r#type,
        };
        fields.retain(|other| other.name != field.name);
        fields.push(field);
    }
    Ok(())
}

/// Returns the names of the schemas that requests can contain.
fn request_models(document: &Value) -> BTreeSet<String> {
    let mut open: Vec<&Value> = crate::openapi::operations_of(document)
        .map(|(_, _, operation)| &operation["requestBody"])
        .collect();
    let mut found = BTreeSet::new();
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(object) => {
                if let Some(name) = target(value)
                    && found.insert(name.to_owned())
                {
                    open.extend(types::schema(document, name).ok());
                }
                open.extend(object.values());
            }
            _ => {}
        }
    }
    found
}
