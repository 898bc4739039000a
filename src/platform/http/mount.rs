//! Mounts a plain resource: its seven operations with their documentation, made from its
//! [`Names`](super::resource::Names).

use std::borrow::Cow;
use std::marker::PhantomData;

use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::batch::{self, BATCH_ROWS};
use super::list::ListSpec;
use super::resource::{self, Resource, Scope};
use super::routes::Routes;

/// Adds the operations of a resource to the route table.
pub fn mount<R: Resource>(routes: &mut Routes) {
    let documented = Documented::<R>::new();
    let collection = R::NAMES.path;
    let one = format!("{collection}/{{{}}}", R::NAMES.singular);
    routes.schema::<R::Write>();
    routes.schema::<R::View>();
    routes.schema::<PageOf<R>>();
    routes.schema::<BatchOf<R>>();
    if needs_key::<R>() {
        routes.schema::<CreateOf<R>>();
    }
    routes.schema::<BatchReceipts>();
    routes.operation(HttpMethod::Get, collection, documented.list(), resource::list::<R>);
    routes.operation(HttpMethod::Post, collection, documented.create(), resource::create::<R>);
    routes.operation(
        HttpMethod::Post,
        &format!("{collection}/batch"),
        documented.batch(),
        batch::batch::<R>,
    );
    routes.operation(HttpMethod::Get, &one, documented.get(), resource::get::<R>);
    routes.operation(HttpMethod::Put, &one, documented.put(), resource::put::<R>);
    routes.operation(HttpMethod::Patch, &one, documented.patch(), resource::patch::<R>);
    routes.operation(HttpMethod::Delete, &one, documented.delete(), resource::delete::<R>);
}

/// Whether a new one has to say its key.
const fn needs_key<R: Resource>() -> bool {
    R::NAMES.key_field.is_some() && !R::NUMBERED
}

/// The schema of a new one, where the path does not say its key.
fn create_name<R: Resource>() -> Cow<'static, str> {
    if needs_key::<R>() { CreateOf::<R>::name() } else { R::Write::name() }
}

/// Adds the operations of a resource that clients do not make, but see, change and delete.
pub fn mount_without_create<R: Resource>(routes: &mut Routes) {
    let documented = Documented::<R>::new();
    let collection = R::NAMES.path;
    let one = format!("{collection}/{{{}}}", R::NAMES.singular);
    routes.schema::<R::Write>();
    routes.schema::<R::View>();
    routes.schema::<PageOf<R>>();
    routes.operation(HttpMethod::Get, collection, documented.list(), resource::list::<R>);
    routes.operation(HttpMethod::Get, &one, documented.get(), resource::get::<R>);
    routes.operation(HttpMethod::Patch, &one, documented.patch(), resource::patch::<R>);
    routes.operation(HttpMethod::Delete, &one, documented.delete(), resource::delete::<R>);
}

/// Adds the operations of a resource that stays as it came: it is written once, and seen.
pub fn mount_append_only<R: Resource>(routes: &mut Routes) {
    let documented = Documented::<R>::new();
    let collection = R::NAMES.path;
    let one = format!("{collection}/{{{}}}", R::NAMES.singular);
    let batching = format!(
        "Writes up to {BATCH_ROWS} rows. A row that was written before is answered 200 if it is the same, and refused with 409 if \
         not. Atomic unless `atomic` is false: then each row has its own receipt (207)."
    );
    routes.schema::<R::Write>();
    routes.schema::<R::View>();
    routes.schema::<PageOf<R>>();
    routes.schema::<BatchOf<R>>();
    routes.schema::<BatchReceipts>();
    routes.operation(HttpMethod::Get, collection, documented.list(), resource::list::<R>);
    routes.operation(
        HttpMethod::Post,
        collection,
        documented.post_once(),
        resource::post_once::<R>,
    );
    let batch = documented.batch_described(&batching);
    routes.operation(HttpMethod::Post, &format!("{collection}/batch"), batch, batch::batch::<R>);
    routes.operation(HttpMethod::Get, &one, documented.get(), resource::get::<R>);
}

/// The documentation of a resource's operations.
struct Documented<R> {
    resource: PhantomData<R>,
    words: String,
}

impl<R: Resource> Documented<R> {
    fn new() -> Self {
        Self { resource: PhantomData, words: R::NAMES.plural.replace('_', " ") }
    }

    fn operation(&self, id: String, summary: String, description: &str) -> OperationBuilder {
        let operation = OperationBuilder::new()
            .operation_id(Some(id))
            .tag(R::NAMES.tag)
            .summary(Some(summary))
            .description(Some(description));
        R::Scope::PARAMETERS.iter().fold(operation, |operation, (name, description)| {
            operation.parameter(path_parameter(name, description))
        })
    }

    fn on_one(&self, verb: &str, summary: &str, description: &str) -> OperationBuilder {
        let named = match R::NAMES.key_field {
            Some(field) => format!("The id or the {field}."),
            None => "The id.".to_owned(),
        };
        let id = format!("{verb}_{}", R::NAMES.singular);
        self.operation(id, format!("{summary} {}", R::NAMES.one), description)
            .parameter(path_parameter(R::NAMES.singular, &named))
    }

    fn list(&self) -> Operation {
        let operation = self.operation(
            format!("list_{}", R::NAMES.plural),
            format!("List {}", self.words),
            &list_description(&R::LIST),
        );
        list_operation(operation, &R::LIST, &self.words, PageOf::<R>::name())
    }

    fn create(&self) -> Operation {
        self.operation(
            format!("create_{}", R::NAMES.singular),
            format!("Create {}", R::NAMES.one),
            "Answers with the resource, its `ETag` and its `Location`.",
        )
        .request_body(Some(json_body("What is to be created.", create_name::<R>())))
        .response("201", json_response("Created.", R::View::name()))
        .build()
    }

    fn post_once(&self) -> Operation {
        self.operation(
            format!("create_{}", R::NAMES.singular),
            format!("Create {}", R::NAMES.one),
            "It stays as it is. The same again is answered 200 with what stands; another content is refused with 409.",
        )
        .request_body(Some(json_body("What is to be created.", create_name::<R>())))
        .response("201", json_response("Created.", R::View::name()))
        .response("200", json_response("It stands already.", R::View::name()))
        .build()
    }

    fn batch(&self) -> Operation {
        let description = format!(
            "Upserts up to {BATCH_ROWS} rows by business key. Atomic unless `atomic` is false: then each row has its own receipt (207)."
        );
        self.batch_described(&description)
    }

    fn batch_described(&self, description: &str) -> Operation {
        self.operation(
            format!("batch_{}", R::NAMES.plural),
            format!("Write many {}", self.words),
            description,
        )
        .request_body(Some(json_body("The rows.", BatchOf::<R>::name())))
        .response("200", json_response("All rows are written.", BatchReceipts::name()))
        .response("207", json_response("Each row's own receipt.", BatchReceipts::name()))
        .build()
    }

    fn get(&self) -> Operation {
        self.on_one("get", "Get", "Answers 304 when `If-None-Match` names the current ETag.")
            .response("200", json_response("The resource.", R::View::name()))
            .response(
                "304",
                ResponseBuilder::new().description("The caller has the current representation."),
            )
            .build()
    }

    fn put(&self) -> Operation {
        let description = match R::NAMES.key_field {
            Some(_) => {
                "Creates it under its key, or replaces it whole; replacing needs `If-Match`."
            }
            None => "Replaces it whole.",
        };
        let operation = self
            .on_one("put", "Create or replace", description)
            .request_body(Some(json_body("The whole content.", R::Write::name())))
            .response("200", json_response("Replaced.", R::View::name()));
        match R::NAMES.key_field {
            Some(_) => {
                operation.response("201", json_response("Created.", R::View::name())).build()
            }
            None => operation.build(),
        }
    }

    fn patch(&self) -> Operation {
        self.on_one(
            "update",
            "Change",
            "A JSON merge patch: a field that is absent stays, `null` takes its value away.",
        )
        .request_body(Some(patch_body("The fields to change.", R::Write::name())))
        .response("200", json_response("Changed.", R::View::name()))
        .build()
    }

    fn delete(&self) -> Operation {
        self.on_one("delete", "Delete", R::DELETION)
            .response("204", ResponseBuilder::new().description("Gone."))
            .build()
    }
}

/// What the documentation of each list says.
#[must_use]
pub fn list_description(spec: &ListSpec) -> String {
    format!(
        "Pages in keyset order; follow `nextLink` until there is none. `$top`, `$skip`, `$filter`, `$orderby` and `$count` are \
         accepted too. Default order: `{}`.",
        spec.default_order
    )
}

/// A list's operation: its parameters and its pages.
#[must_use]
pub fn list_operation(
    operation: OperationBuilder,
    spec: &ListSpec,
    words: &str,
    page: Cow<'static, str>,
) -> Operation {
    let names: Vec<&str> = spec.fields.iter().map(|field| field.name).collect();
    let scalar: Vec<&str> =
        spec.fields.iter().filter(|field| field.is_scalar()).map(|field| field.name).collect();
    operation
        .parameter(integer_parameter("top", "How many to a page.", 1.0, 1_000.0, 50))
        .parameter(integer_parameter(
            "skip",
            "How many to leave out at the front.",
            0.0,
            10_000.0,
            0,
        ))
        .parameter(text_parameter(
            "filter",
            &format!("Which of them, in OData's words, over: {}.", names.join(", ")),
            4_096,
        ))
        .parameter(text_parameter(
            "orderby",
            &format!("In which order: fields with `asc` or `desc`, of: {}.", scalar.join(", ")),
            512,
        ))
        .parameter(boolean_parameter("count", "Whether to count all that the filter leaves."))
        .parameter(text_parameter("cursor", "Where the page begins; comes with `nextLink`.", 4_096))
        .response("200", json_response(&format!("A page of {words}."), page))
        .build()
}

/// A parameter.
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

/// A parameter of the path that names a resource.
#[must_use]
pub fn path_parameter(name: &str, description: &str) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(50))
        .pattern(Some("^[A-Za-z0-9][A-Za-z0-9._-]*$"));
    parameter(ParameterIn::Path, Required::True, name, description, schema)
}

/// A parameter of the query that may be left out.
#[must_use]
pub fn query_parameter(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    parameter(ParameterIn::Query, Required::False, name, description, schema)
}

/// The schema of a whole number, up to the largest that a JSON number says exactly.
#[must_use]
pub fn whole_number(least: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(least))
        .maximum(Some(9_007_199_254_740_991_i64))
}

fn integer_parameter(
    name: &str,
    description: &str,
    least: f64,
    most: f64,
    default: i64,
) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(least))
        .maximum(Some(most))
        .default(Some(default.into()));
    query_parameter(name, description, schema)
}

/// A text parameter of the query.
#[must_use]
pub fn text_parameter(name: &str, description: &str, longest: usize) -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(longest));
    query_parameter(name, description, schema)
}

/// A boolean parameter of the query.
#[must_use]
pub fn boolean_parameter(name: &str, description: &str) -> Parameter {
    query_parameter(
        name,
        description,
        ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into())),
    )
}

/// A JSON body of a named schema.
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

/// A merge patch on a named schema, which is that of the whole; the document's own of the patch is
/// made from it.
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

/// A JSON response of a named schema.
#[must_use]
pub fn json_response(description: &str, schema: Cow<'static, str>) -> ResponseBuilder {
    ResponseBuilder::new().description(description).content(
        "application/json",
        ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build(),
    )
}

/// Implements a schema that is named after a resource's view and made by a function on the
/// resource.
macro_rules! schema_of {
    ($name:ident, $suffix:literal, $schema:ident) => {
        struct $name<R>(PhantomData<R>);

        impl<R: Resource> PartialSchema for $name<R> {
            fn schema() -> RefOr<Schema> {
                $schema::<R>()
            }
        }

        impl<R: Resource> ToSchema for $name<R> {
            fn name() -> Cow<'static, str> {
                Cow::Owned(format!("{}{}", <R::View as ToSchema>::name(), $suffix))
            }
        }
    };
}

schema_of!(PageOf, "Page", page_schema);
schema_of!(BatchOf, "Batch", batch_schema);
schema_of!(CreateOf, "Create", create_schema);

fn page_schema<R: Resource>() -> RefOr<Schema> {
    page_of(R::View::name())
}

/// The schema of a page of named resources.
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
                .description(Some("Where the next page is; absent on the last. Opaque."))
                .examples(["/v1/items?top=2&cursor=eyJrIjpbIjE4OTYtUyJdfQ.c2lnbmF0dXJl"]),
        )
        .property(
            "count",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(Some(0.0))
                .maximum(Some(9_007_199_254_740_991.0))
                .description(Some("How many the filter leaves; only with `count=true`."))
                .examples([2]),
        )
        .into()
}

fn batch_schema<R: Resource>() -> RefOr<Schema> {
    ObjectBuilder::new()
        .description(Some("Rows to write, by business key."))
        .property(
            "atomic",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .default(Some(true.into()))
                .description(Some("Whether one bad row refuses them all."))
                .examples([true]),
        )
        .property(
            "rows",
            ArrayBuilder::new()
                .items(Ref::from_schema_name(create_name::<R>()))
                .min_items(Some(1))
                .max_items(Some(BATCH_ROWS))
                .description(Some("The rows.")),
        )
        .required("rows")
        .into()
}

/// The write, its key given.
fn create_schema<R: Resource>() -> RefOr<Schema> {
    let mut schema = R::Write::schema();
    if let (RefOr::T(Schema::Object(object)), Some(field)) = (&mut schema, R::NAMES.key_field) {
        object.required.push(field.to_owned());
        if let Some(key) = object.properties.get_mut(field) {
            let given = match key {
                RefOr::T(Schema::OneOf(optional)) => {
                    optional.items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned()
                }
                _ => None,
            };
            *key = given.unwrap_or_else(|| key.clone());
        }
    }
    schema
}

/// What became of the rows of a batch.
#[derive(ToSchema, serde::Serialize)]
#[schema(example = json!({"receipts": [
    {"row": 0, "status": 201, "id": "0190b5c2-7d5e-7000-8000-000000000001", "key": "1896-S"}
]}))]
#[serde(rename_all = "camelCase")]
pub struct BatchReceipts {
    /// One receipt for each row, in the order of the request.
    #[schema(max_items = 1000)]
    pub receipts: Vec<BatchReceipt>,
}

/// What became of one row.
#[derive(ToSchema, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchReceipt {
    /// The row's place in the request, from 0.
    #[schema(minimum = 0, maximum = 999, example = 0)]
    pub row: i32,
    /// 201 created, 200 replaced, or the status of what is wrong.
    #[schema(minimum = 200, maximum = 599, example = 201)]
    pub status: i32,
    /// The id of the resource, if the row was written.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Option<uuid::Uuid>,
    /// The business key, if the resource has one.
    #[schema(max_length = 50, example = "1896-S")]
    pub key: Option<String>,
    /// The code of what is wrong.
    #[schema(max_length = 50, example = "VALIDATION_FAILED")]
    pub code: Option<String>,
    /// What is wrong, in words.
    #[schema(max_length = 4000, example = "has to be 0 or more")]
    pub detail: Option<String>,
    /// Everything that is wrong with the row.
    #[schema(max_items = 1000)]
    pub errors: Option<Vec<super::problem::ProblemError>>,
}
