//! Builders of operations for the API document, for operations that are documented by hand.

use std::borrow::Cow;

use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};

use super::list::ListSpec;
use super::middleware::TABLE_TYPES;

/// Returns the description of a list for the API documentation.
#[must_use]
pub fn list_description(spec: &ListSpec) -> String {
    format!(
        "Returns a page; follow `nextLink` until it is absent. `$top`, `$skip`, `$filter`, \
         `$orderby` and `$count` are accepted too. Default order: `{}`.",
        spec.default_order
    )
}

/// Builds the operation of a list: its parameters and its pages.
#[must_use]
pub fn list_operation(
    operation: OperationBuilder,
    spec: &ListSpec,
    plural: &str,
    page: Cow<'static, str>,
) -> Operation {
    let names: Vec<String> = spec
        .fields
        .iter()
        .map(|field| match field.argument {
            Some(argument) => format!("{}({})", field.name, argument.name),
            None => field.name.to_owned(),
        })
        .collect();
    let scalar: Vec<&str> =
        spec.fields.iter().filter(|field| field.is_orderable()).map(|field| field.name).collect();
    operation
        .parameter(integer_parameter("top", "The page size.", 1, 1_000, 50))
        .parameter(integer_parameter(
            "skip",
            "The number of rows to omit at the start.",
            0,
            10_000,
            0,
        ))
        .parameter(text_parameter(
            "filter",
            &format!("A filter in the syntax of OData over the fields: {}.", names.join(", ")),
            4_096,
        ))
        .parameter(text_parameter(
            "orderby",
            &format!("The order: fields with `asc` or `desc`, of: {}.", scalar.join(", ")),
            512,
        ))
        .parameter(boolean_parameter("count", "True to count all rows that match the filter."))
        .parameter(text_parameter("cursor", "The start of the page; part of `nextLink`.", 4_096))
        .response("200", json_response(&format!("A page of {plural}."), page))
        .build()
}

/// Adds the tables to the response of a list that has them.
pub fn add_tables(operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    for media in TABLE_TYPES {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(2_147_483_647))
            .description(Some(
                "All rows that match the filter, in the order, with the fields that an import \
                 reads as columns. `top`, `skip`, `count` and `cursor` are refused.",
            ));
        let schema = if media == "text/csv" {
            schema.examples(["number,description\r\nDESK,Desk\r\n"])
        } else {
            schema
                .examples(["PK\u{3}\u{4}"])
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        response.content.insert(media.to_owned(), RefOr::T(content));
    }
}

/// Builds the schema of a page of named resources.
#[must_use]
pub fn page_of(name: Cow<'static, str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .description(Some("A page of a list."))
        .property(
            "value",
            ArrayBuilder::new()
                .items(
                    AllOfBuilder::new().item(Ref::from_schema_name(name)).item(
                        ObjectBuilder::new()
                            .property(
                                "etag",
                                ObjectBuilder::new()
                                    .schema_type(Type::String)
                                    .max_length(Some(100))
                                    .description(Some("The resource's `ETag`."))
                                    .examples(["\"mJ0nLcBq5v0yCcsVWDm6Tg\""]),
                            )
                            .required("etag"),
                    ),
                )
                .max_items(Some(1_000))
                .description(Some("The resources, each with its `etag`.")),
        )
        .required("value")
        .property(
            "nextLink",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .max_length(Some(16_384))
                .description(Some(
                    "The path and query of the next page; absent on the last one. Opaque.",
                ))
                .examples(["/v1/items?top=2&cursor=eyJrIjpbIjE4OTYtUyJdfQ.c2lnbmF0dXJl"]),
        )
        .property(
            "count",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(0.0))
                .maximum(Some(9_007_199_254_740_991.0))
                .description(Some(
                    "The number of rows that match the filter; only with `count=true`.",
                ))
                .examples([2]),
        )
        .into()
}

/// Builds a parameter.
#[must_use]
pub fn parameter(
    place: ParameterIn,
    required: Required,
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// Builds a path parameter that names a resource.
#[must_use]
pub fn path_parameter(name: &str, description: &str) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(50))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"));
    parameter(ParameterIn::Path, Required::True, name, description, schema)
}

/// Builds an optional query parameter.
#[must_use]
pub fn query_parameter(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    parameter(ParameterIn::Query, Required::False, name, description, schema)
}

/// Builds the schema of an id.
#[must_use]
pub fn uuid_schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .max_length(Some(36))
}

/// Builds a text parameter of the query.
#[must_use]
pub fn text_parameter(name: &str, description: &str, max_length: usize) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(max_length));
    query_parameter(name, description, schema)
}

/// Builds a boolean parameter of the query.
#[must_use]
pub fn boolean_parameter(name: &str, description: &str) -> Parameter {
    query_parameter(
        name,
        description,
        ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into())),
    )
}

fn integer_parameter(
    name: &str,
    description: &str,
    minimum: i64,
    maximum: i64,
    default: i64,
) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
        .default(Some(default.into()));
    query_parameter(name, description, schema)
}

/// Builds the schema of a whole number, up to the largest that a JSON number represents exactly.
#[must_use]
pub fn whole_number(minimum: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(minimum))
        .maximum(Some(9_007_199_254_740_991_i64))
}

/// Builds a JSON request body with a named schema.
#[must_use]
pub fn json_body(description: &str, schema: Cow<'static, str>) -> RequestBody {
    RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(Required::True))
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build(),
        )
        .build()
}

/// Builds the request body of a merge patch on a named schema. xtask derives the schema of the
/// patch from it.
#[must_use]
pub fn patch_body(description: &str, schema: Cow<'static, str>) -> RequestBody {
    let content =
        || ContentBuilder::new().schema(Some(Ref::from_schema_name(schema.clone()))).build();
    RequestBodyBuilder::new()
        .description(Some(description))
        .required(Some(Required::True))
        .content("application/json", content())
        .content("application/merge-patch+json", content())
        .build()
}

/// Builds a JSON response with a named schema.
#[must_use]
pub fn json_response(description: &str, schema: Cow<'static, str>) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content(
        "application/json",
        ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build(),
    )
}
