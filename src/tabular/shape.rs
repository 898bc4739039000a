//! The fields of a resource and their types, from the schema of its API document.

use std::collections::HashMap;

use serde_json::Value;
use utoipa::ToSchema;

const SCHEMAS: &str = "#/components/schemas/";
/// Maximum depth of nested schemas; none of a resource is deeper.
const MAX_DEPTH: usize = 12;

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A text, a key, or a value of an enumeration.
    Text,
    /// A decimal, which JSON carries as a string.
    Decimal,
    /// A day.
    Date,
    /// A whole number.
    Integer,
    /// A boolean.
    Boolean,
    /// A list.
    List(Box<Field>),
    /// An object with its fields.
    Object(Vec<(String, Field)>),
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The type.
    pub kind: Kind,
    /// True if the field can be null.
    pub is_nullable: bool,
    /// True if the field can be the empty text.
    pub takes_empty_text: bool,
}

impl Field {
    /// Returns the field of a control column of a batch.
    #[must_use]
    pub const fn control(kind: Kind) -> Self {
        Self { kind, is_nullable: false, takes_empty_text: false }
    }

    /// Returns the field of a type.
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        let mut named = Vec::new();
        T::schemas(&mut named);
        let named: HashMap<String, Value> = named
            .into_iter()
            .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
            .collect();
        let schema = serde_json::to_value(T::schema()).unwrap_or_default();
        Self::of_schema(&schema, &named, MAX_DEPTH)
    }

    fn of_schema(schema: &Value, named: &HashMap<String, Value>, depth: usize) -> Self {
        let text = Self { kind: Kind::Text, is_nullable: false, takes_empty_text: false };
        let Some(depth) = depth.checked_sub(1) else { return text };
        let reference = schema.get("$ref").and_then(Value::as_str);
        if let Some(name) = reference.and_then(|path| path.strip_prefix(SCHEMAS)) {
            return named.get(name).map_or(text, |schema| Self::of_schema(schema, named, depth));
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return Self::merged(parts.iter().map(|part| Self::of_schema(part, named, depth)));
        }
        let alternatives = schema.get("oneOf").or_else(|| schema.get("anyOf"));
        if let Some(alternatives) = alternatives.and_then(Value::as_array) {
            return Self::of_alternatives(alternatives, named, depth);
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(kind)) => vec![kind],
            _ => Vec::new(),
        };
        let is_nullable = types.contains(&"null");
        let kind = match types.into_iter().find(|kind| *kind != "null") {
            Some("integer") => Kind::Integer,
            Some("boolean") => Kind::Boolean,
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                Kind::List(Box::new(Self::of_schema(items, named, depth)))
            }
            Some("object") => {
                let fields = schema.get("properties").and_then(Value::as_object);
                let fields = fields.into_iter().flatten();
                let field = |(name, schema): (&String, &Value)| {
                    (name.clone(), Self::of_schema(schema, named, depth))
                };
                Kind::Object(fields.map(field).collect())
            }
            _ => kind_of_text(schema),
        };
        let is_text = kind == Kind::Text && schema.get("enum").is_none();
        let min_length = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
        let takes_empty_text = is_text && min_length == 0 && schema.get("format").is_none();
        Self { kind, is_nullable, takes_empty_text }
    }

    /// Returns the field of one of several schemas. That of one of several objects has the fields
    /// of all. Which of them are given decides on the object, so none of them is null.
    fn of_alternatives(
        alternatives: &[Value],
        named: &HashMap<String, Value>,
        depth: usize,
    ) -> Self {
        let is_null = |schema: &&Value| schema.get("type").is_some_and(|kind| kind == "null");
        let has_null = alternatives.iter().any(|schema| is_null(&schema));
        let schemas = alternatives.iter().filter(|schema| !is_null(schema));
        let fields: Vec<Self> =
            schemas.map(|schema| Self::of_schema(schema, named, depth)).collect();
        let is_union = fields.len() > 1;
        let mut field = Self::merged(fields);
        if let Kind::Object(fields) = &mut field.kind
            && is_union
        {
            for (_, field) in fields {
                (field.is_nullable, field.takes_empty_text) = (false, false);
            }
        }
        Self { is_nullable: field.is_nullable || has_null, ..field }
    }

    /// Returns the field that has the fields of several objects. Of other kinds the first counts.
    fn merged(fields: impl IntoIterator<Item = Self>) -> Self {
        let text = Self { kind: Kind::Text, is_nullable: false, takes_empty_text: false };
        let merged = fields.into_iter().reduce(|mut all, field| {
            if let (Kind::Object(all), Kind::Object(fields)) = (&mut all.kind, field.kind) {
                for (name, field) in fields {
                    if all.iter().all(|(known, _)| *known != name) {
                        all.push((name, field));
                    }
                }
            }
            all
        });
        merged.unwrap_or(text)
    }

    /// Returns the fields of an object; none of another kind.
    #[must_use]
    pub fn fields(&self) -> &[(String, Self)] {
        match &self.kind {
            Kind::Object(fields) => fields,
            _ => &[],
        }
    }
}

/// Returns the kind of a string: decimals are the strings whose pattern has a fraction.
fn kind_of_text(schema: &Value) -> Kind {
    let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("format") == "date" {
        Kind::Date
    } else if text("pattern").contains(r"(\.[0-9]") {
        Kind::Decimal
    } else {
        Kind::Text
    }
}
