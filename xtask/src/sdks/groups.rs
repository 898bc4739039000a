//! The operations, named and grouped by resource.
//!
//! The group of an operation is the collection that its path begins with, and its name is the verb
//! with the part of the noun that the group does not say: `create_campaign_price` below
//! `/v1/campaigns/{campaign}/prices` is `campaign_prices.create`.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::Value;

use super::api::{Field, description};
use super::types::{self, Type, target};

/// The operations of a resource.
#[derive(Serialize)]
pub struct Group {
    /// The name in snake case and plural: `campaign_prices`.
    pub name: String,
    /// The operations.
    pub methods: Vec<Method>,
    /// The types of `get` and `update`, if the group has both.
    pub modify: Option<Modify>,
}

/// A resource that can be read and changed.
#[derive(Serialize)]
pub struct Modify {
    /// The parameters of the path.
    pub path_parameters: Vec<String>,
    /// The type that is read.
    pub resource: Type,
    /// The type of the change.
    pub patch: Type,
    /// The operation id of the change.
    pub options: String,
}

/// An operation.
#[derive(Serialize)]
pub struct Method {
    /// The name in snake case.
    pub name: String,
    /// The operation id.
    pub id: String,
    /// The meaning.
    pub description: String,
    /// The HTTP method in upper case.
    pub verb: String,
    /// The path, split at its parameters: literal, parameter, literal, …
    pub path: Vec<Part>,
    /// The names of the path parameters.
    pub path_parameters: Vec<String>,
    /// The parameters of the query.
    pub query: Vec<Field>,
    /// The type of the body.
    pub body: Option<Body>,
    /// The response.
    pub answer: Answer,
    /// True if the operation requires a current ETag.
    pub requires_if_match: bool,
    /// True if the operation accepts `If-Match`.
    pub if_match: bool,
    /// True if the operation accepts `If-None-Match`.
    pub if_none_match: bool,
    /// True if the operation accepts an idempotency key.
    pub idempotent: bool,
    /// True if a repetition has no effect of its own.
    pub safe: bool,
    /// True if the operation accepts the version of the session.
    pub session: bool,
    /// The type of a line, if the operation can answer with a stream.
    pub stream: Option<Type>,
}

/// A part of a path.
#[derive(Serialize)]
pub struct Part {
    /// The text, or the name of the parameter.
    pub text: String,
    /// True if this is a parameter.
    pub is_parameter: bool,
}

/// The body of a request.
#[derive(Serialize)]
pub struct Body {
    /// The type.
    pub r#type: Type,
    /// True if the request must have one.
    pub required: bool,
}

/// The successful response.
#[derive(Serialize)]
pub struct Answer {
    /// `none`, `json`, `page`, `text` or `stream`.
    pub kind: &'static str,
    /// The type of the content.
    pub r#type: Option<Type>,
    /// The type of an item of a page.
    pub item: Option<Type>,
    /// True if the response can also be empty.
    pub optional: bool,
}

/// Reads the operations of a document.
///
/// # Errors
/// If an operation has a form that the SDKs do not support, or two have the same name.
pub fn read(document: &Value) -> anyhow::Result<Vec<Group>> {
    // Files are sent with the command line or with an HTTP client of the language.
    let takes_file = |operation: &Value| {
        let content = operation["requestBody"]["content"].as_object();
        content.is_some_and(|content| !content.contains_key("application/json"))
    };
    let operations: Vec<_> = crate::openapi::operations_of(document)
        .filter(|(_, _, operation)| !takes_file(operation))
        .collect();
    let collections: BTreeMap<&str, &str> = operations
        .iter()
        .filter_map(|(path, method, operation)| {
            let noun = operation["operationId"].as_str()?.strip_prefix("list_")?;
            (*method == "get").then_some((*path, noun))
        })
        .collect();
    let paths: Vec<&str> = operations.iter().map(|(path, ..)| *path).collect();
    let mut groups: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for (path, verb, operation) in &operations {
        let id = operation["operationId"].as_str().context("no operationId")?;
        let place = Place::of(path, &collections, &paths);
        let name = place.method_name(id);
        let method = method(document, path, verb, operation, name)
            .with_context(|| format!("operation {id}"))?;
        let methods = groups.entry(place.group).or_default();
        ensure!(
            methods.iter().all(|other| other.name != method.name),
            "two operations are named {}; one is {id}",
            method.name
        );
        methods.push(method);
    }
    Ok(groups
        .into_iter()
        .map(|(name, methods)| Group { name, modify: modify(&methods), methods })
        .collect())
}

/// The group of an operation, and the singular of its name.
struct Place {
    group: String,
    singular: String,
}

impl Place {
    fn of(path: &str, collections: &BTreeMap<&str, &str>, paths: &[&str]) -> Self {
        // The longest collection that the path is in.
        let collection = collections
            .iter()
            .filter(|(collection, _)| {
                path.strip_prefix(**collection)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|(collection, _)| collection.len());
        if let Some((collection, noun)) = collection {
            let parameter = paths.iter().find_map(|path| {
                path.strip_prefix(*collection)?.strip_prefix("/{")?.strip_suffix('}')
            });
            return Self {
                group: (*noun).to_owned(),
                singular: parameter.unwrap_or_else(|| singular(noun)).to_owned(),
            };
        }
        let first = path.strip_prefix("/v1/").map(|rest| rest.split('/').next().unwrap_or(rest));
        let group = first.map_or_else(|| "service".to_owned(), |name| name.replace('-', "_"));
        Self { singular: singular(&group).to_owned(), group }
    }

    /// Returns the name of the method for an operation id.
    fn method_name(&self, id: &str) -> String {
        let rest = |noun: &str| {
            let inner = format!("_{noun}_");
            id.strip_suffix(noun)
                .and_then(|verb| verb.strip_suffix('_'))
                .map(str::to_owned)
                .or_else(|| id.contains(&inner).then(|| id.replacen(&inner, "_", 1)))
        };
        let short = rest(&self.group)
            .into_iter()
            .chain(rest(&self.singular))
            .chain(rest(singular(&self.group)))
            .min_by_key(String::len);
        short.unwrap_or_else(|| id.to_owned())
    }
}

/// Returns the singular of a noun whose plural has an `s`.
fn singular(noun: &str) -> &str {
    noun.strip_suffix('s').unwrap_or(noun)
}

fn modify(methods: &[Method]) -> Option<Modify> {
    let get = methods.iter().find(|method| method.name == "get")?;
    let update = methods.iter().find(|method| method.name == "update")?;
    Some(Modify {
        path_parameters: get.path_parameters.clone(),
        resource: get.answer.r#type.clone()?,
        patch: update.body.as_ref()?.r#type.clone(),
        options: update.id.clone(),
    })
}

fn method(
    document: &Value,
    path: &str,
    verb: &str,
    operation: &Value,
    name: String,
) -> anyhow::Result<Method> {
    let mut query = Vec::new();
    let mut headers = Vec::new();
    let mut path_parameters = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let parameter = match target(parameter) {
            Some(name) => &document["components"]["parameters"][name],
            None => parameter,
        };
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        match parameter["in"].as_str() {
            Some("path") => path_parameters.push(name),
            Some("header") => headers.push(name),
            _ => query.push(Field {
                description: description(parameter),
                required: parameter["required"] == true,
                nullable: false,
                r#type: types::read(document, &parameter["schema"])?.r#type,
                name,
            }),
        }
    }
    let has = |name: &str| headers.iter().any(|header| header == name);
    let idempotent = has("Idempotency-Key");
    let public = operation["security"].as_array().is_some_and(Vec::is_empty);
    Ok(Method {
        id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
        description: description(operation),
        verb: verb.to_uppercase(),
        path: parts(path),
        body: body(document, operation)?,
        answer: answer(document, operation)?,
        stream: stream(document, operation)?,
        requires_if_match: has("If-Match")
            && !has("If-None-Match")
            && operation["responses"].get("428").is_some(),
        if_match: has("If-Match"),
        if_none_match: has("If-None-Match"),
        idempotent,
        // Whatever changes something accepts a key, except for the creation of a secret.
        safe: public || verb == "get" || operation["responses"].get("201").is_none(),
        session: query.iter().any(|field| field.name == "minPublicationVersion"),
        name,
        path_parameters,
        query,
    })
}

fn parts(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in path.split('{') {
        let (parameter, text) =
            piece.split_once('}').map_or((None, piece), |(name, text)| (Some(name), text));
        if let Some(name) = parameter {
            parts.push(Part { text: name.to_owned(), is_parameter: true });
        }
        if !text.is_empty() {
            parts.push(Part { text: text.to_owned(), is_parameter: false });
        }
    }
    parts
}

fn body(document: &Value, operation: &Value) -> anyhow::Result<Option<Body>> {
    let body = &operation["requestBody"];
    let schema = &body["content"]["application/json"]["schema"];
    if schema.is_null() {
        return Ok(None);
    }
    let required = body["required"] != false;
    Ok(Some(Body { r#type: types::read(document, schema)?.r#type, required }))
}

fn stream(document: &Value, operation: &Value) -> anyhow::Result<Option<Type>> {
    let schema = &operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"];
    if schema.is_null() {
        return Ok(None);
    }
    Ok(Some(types::read(document, schema)?.r#type))
}

fn answer(document: &Value, operation: &Value) -> anyhow::Result<Answer> {
    let responses = &operation["responses"];
    let content = |status: &str| {
        responses[status]["content"].as_object().and_then(|content| content.iter().next())
    };
    let optional = responses.get("204").is_some();
    let Some((media, content)) = content("201").or_else(|| content("200")) else {
        return Ok(Answer { kind: "none", r#type: None, item: None, optional: false });
    };
    match media.as_str() {
        "application/json" => {
            let schema = &content["schema"];
            let r#type = types::read(document, schema)?.r#type;
            let page = target(schema).map(|name| types::schema(document, name)).transpose()?;
            let item = page
                .map(|page| &page["properties"])
                .filter(|fields| !fields["nextLink"].is_null())
                .map(|fields| types::read(document, &fields["value"]["items"]))
                .transpose()?;
            Ok(Answer {
                kind: if item.is_some() { "page" } else { "json" },
                r#type: Some(r#type),
                item: item.map(|item| item.r#type),
                optional,
            })
        }
        "application/x-ndjson" => {
            Ok(Answer { kind: "stream", r#type: None, item: None, optional: false })
        }
        _ => Ok(Answer { kind: "text", r#type: Some(Type::Text), item: None, optional: false }),
    }
}
