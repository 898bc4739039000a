//! Mounting of plain resources: adds their operations to the route table. Their documentation is
//! generated from [`Names`](super::Names).

use std::borrow::Cow;
use std::marker::PhantomData;

use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::batch::{self, MAX_BATCH_ROWS, Mode};
use super::definition::{Resource, Scope};
use super::handlers::{self, VALIDATE_ONLY};
use crate::platform::http::operations::{
    add_tables, boolean_parameter, json_body, json_response, list_description, list_operation,
    page_of, patch_body, path_parameter,
};
use crate::platform::http::problem::ProblemError;
use crate::platform::http::routes::Routes;

/// Adds the operations of a resource to the route table.
pub fn mount<R: Resource>(routes: &mut Routes) {
    let docs = ResourceDocs::<R>::new();
    let (write, collection) = (R::NAMES.area.write(), R::NAMES.path);
    mount_reads::<R>(routes);
    if needs_key::<R>() {
        routes.schema::<CreateOf<R>>();
    }
    routes.operation(write, HttpMethod::Post, collection, docs.create(), handlers::create::<R>);
    mount_batch::<R>(routes, docs.batch());
    let one = path_of_one::<R>();
    routes.operation(write, HttpMethod::Put, &one, docs.put(), handlers::put::<R>);
    mount_patch::<R>(routes);
    mount_delete::<R>(routes);
}

/// Returns whether a new resource has to contain its key.
const fn needs_key<R: Resource>() -> bool {
    R::NAMES.key_field.is_some() && !R::NUMBERED
}

/// Returns the name of the schema for `POST`, whose path does not contain the key.
fn create_name<R: Resource>() -> Cow<'static, str> {
    if needs_key::<R>() { CreateOf::<R>::name() } else { R::Write::name() }
}

/// Adds the operations of a resource that clients read, change and delete, but do not create.
pub fn mount_without_create<R: Resource>(routes: &mut Routes) {
    mount_reads::<R>(routes);
    mount_patch::<R>(routes);
    mount_delete::<R>(routes);
}

/// Adds the operations of a resource that clients read and delete, but do not change. Its module
/// adds the creation.
pub fn mount_without_change<R: Resource>(routes: &mut Routes) {
    mount_reads::<R>(routes);
    mount_delete::<R>(routes);
}

/// Adds the operations of a resource that is written once and never changes.
pub fn mount_append_only<R: Resource>(routes: &mut Routes) {
    let docs = ResourceDocs::<R>::new();
    let (write, collection) = (R::NAMES.area.write(), R::NAMES.path);
    let description = format!(
        "Writes up to {MAX_BATCH_ROWS} rows. A row that was written before is answered 200 if it is \
         the same, and refused with 409 if not. Atomic unless `atomic` is false: then each row has \
         its own receipt (207)."
    );
    mount_reads::<R>(routes);
    routes.schema::<R::Write>();
    routes.operation(write, HttpMethod::Post, collection, docs.append(), handlers::append::<R>);
    mount_batch::<R>(routes, docs.batch_described(&description));
}

/// Returns the path of one resource.
fn path_of_one<R: Resource>() -> String {
    format!("{}/{{{}}}", R::NAMES.path, R::NAMES.singular)
}

fn mount_reads<R: Resource>(routes: &mut Routes) {
    let docs = ResourceDocs::<R>::new();
    let (read, collection) = (R::NAMES.area.read(), R::NAMES.path);
    routes.schema::<R::View>();
    routes.schema::<PageOf<R>>();
    routes.operation(read, HttpMethod::Get, collection, docs.list(), handlers::list::<R>);
    routes.operation(read, HttpMethod::Get, &path_of_one::<R>(), docs.get(), handlers::get::<R>);
}

fn mount_patch<R: Resource>(routes: &mut Routes) {
    let (docs, write, one) = (ResourceDocs::<R>::new(), R::NAMES.area.write(), path_of_one::<R>());
    routes.schema::<R::Write>();
    routes.operation(write, HttpMethod::Patch, &one, docs.patch(), handlers::patch::<R>);
}

fn mount_delete<R: Resource>(routes: &mut Routes) {
    let (docs, write, one) = (ResourceDocs::<R>::new(), R::NAMES.area.write(), path_of_one::<R>());
    routes.schema::<Validated>();
    routes.operation(write, HttpMethod::Delete, &one, docs.delete(), handlers::delete::<R>);
}

fn mount_batch<R: Resource>(routes: &mut Routes, documentation: Operation) {
    let path = format!("{}/batch", R::NAMES.path);
    routes.schema::<BatchOf<R>>();
    routes.schema::<BatchReceipts>();
    let write = R::NAMES.area.write();
    routes.operation(write, HttpMethod::Post, &path, documentation, batch::batch::<R>);
}

/// The documentation of a resource's operations.
struct ResourceDocs<R> {
    resource: PhantomData<R>,
    plural: String,
}

impl<R: Resource> ResourceDocs<R> {
    fn new() -> Self {
        Self { resource: PhantomData, plural: R::NAMES.plural.replace('_', " ") }
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
            format!("List {}", self.plural),
            &list_description(&R::LIST),
        );
        let mut operation = list_operation(operation, &R::LIST, &self.plural, PageOf::<R>::name());
        add_tables(&mut operation);
        operation
    }

    fn create(&self) -> Operation {
        self.operation(
            format!("create_{}", R::NAMES.singular),
            format!("Create {}", R::NAMES.one),
            "Answers with the resource, its `ETag` and its `Location`.",
        )
        .parameter(validate_only_parameter())
        .request_body(Some(json_body("The resource to create.", create_name::<R>())))
        .response("201", json_response("Created.", R::View::name()))
        .response("200", json_response("Only validated.", R::View::name()))
        .build()
    }

    fn append(&self) -> Operation {
        self.operation(
            format!("create_{}", R::NAMES.singular),
            format!("Create {}", R::NAMES.one),
            "The resource never changes. The same content again is answered 200 with the stored \
             resource; other content is refused with 409.",
        )
        .request_body(Some(json_body("The resource to create.", create_name::<R>())))
        .response("201", json_response("Created.", R::View::name()))
        .response("200", json_response("The same resource exists already.", R::View::name()))
        .build()
    }

    fn batch(&self) -> Operation {
        let description = format!(
            "Writes up to {MAX_BATCH_ROWS} rows, each named by its business key or its `id`: creates \
             what does not exist, and changes what does. With mode `MERGE` (the default) absent \
             fields of an existing resource stay and `null` clears; with `REPLACE` absent fields \
             get their default. A row may carry `ifMatch`, and `delete: true` deletes it. Atomic \
             unless `atomic` is false: then each row has its own receipt (207)."
        );
        self.batch_described(&description)
    }

    fn batch_described(&self, description: &str) -> Operation {
        self.operation(
            format!("batch_{}", R::NAMES.plural),
            format!("Write many {}", self.plural),
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
                "Creates the resource under its key, or replaces it; replacing requires `If-Match`."
            }
            None => "Replaces the resource.",
        };
        let operation = self
            .on_one("put", "Create or replace", description)
            .parameter(validate_only_parameter())
            .request_body(Some(json_body("The complete content.", R::Write::name())))
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
            "A JSON merge patch: an absent field stays, `null` removes the value.",
        )
        .parameter(validate_only_parameter())
        .request_body(Some(patch_body("The fields to change.", R::Write::name())))
        .response("200", json_response("Changed.", R::View::name()))
        .build()
    }

    fn delete(&self) -> Operation {
        self.on_one("delete", "Delete", R::DELETION)
            .parameter(validate_only_parameter())
            .response("204", ResponseBuilder::new().description("Deleted."))
            .response("200", json_response("Only validated.", Validated::name()))
            .build()
    }
}

/// Builds the parameter that validates a change without making it.
#[must_use]
pub fn validate_only_parameter() -> Parameter {
    boolean_parameter(
        VALIDATE_ONLY,
        "True to change nothing: the answer is 200 with the representation that the change would \
         lead to, and with `warnings`, the findings of its publication.",
    )
}

/// Declares a schema whose name is the view's name with a suffix, built by a function on the
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

fn batch_schema<R: Resource>() -> RefOr<Schema> {
    let batch = ObjectBuilder::new().description(Some("Rows to write, by business key."));
    let batch = if R::IS_APPEND_ONLY {
        batch
    } else {
        batch.property(
            "mode",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(Mode::TEXTS.iter().copied()))
                .default(Some(Mode::Merge.text().into()))
                .description(Some(
                    "The treatment of fields that a row for an existing resource does not \
                     contain: `MERGE` keeps them, `REPLACE` sets them to their default.",
                ))
                .examples([Mode::Merge.text()]),
        )
    };
    batch
        .property(
            "atomic",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .default(Some(true.into()))
                .description(Some("True if one refused row refuses the whole batch."))
                .examples([true]),
        )
        .property(
            "validateOnly",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .default(Some(false.into()))
                .description(Some(
                    "True to change nothing: the answer has the receipts, and in `warnings` the \
                     findings of the publication.",
                ))
                .examples([false]),
        )
        .property(
            "rows",
            ArrayBuilder::new()
                .items(Ref::from_schema_name(create_name::<R>()))
                .min_items(Some(1))
                .max_items(Some(MAX_BATCH_ROWS))
                .description(Some("The rows.")),
        )
        .required("rows")
        .into()
}

/// Returns the schema of the write with its key required.
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

/// The result of a change that was only validated and has no representation.
struct Validated;

impl PartialSchema for Validated {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("The result of a change that was only validated."))
            .property(
                "warnings",
                ArrayBuilder::new()
                    .items(Ref::from_schema_name("Finding"))
                    .max_items(Some(1_000))
                    .description(Some("The findings of the publication that the change makes.")),
            )
            .required("warnings")
            .into()
    }
}

impl ToSchema for Validated {}

/// The results of a batch.
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

/// The result of one row.
#[derive(ToSchema, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchReceipt {
    /// The position of the row in the request, from 0.
    #[schema(minimum = 0, maximum = 999, example = 0)]
    pub row: i32,
    /// 201 for created, 200 for stored, 204 for deleted, or the status of the problem.
    #[schema(minimum = 200, maximum = 599, example = 201)]
    pub status: i32,
    /// The id of the resource, if the row was written.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Option<uuid::Uuid>,
    /// The business key, if the resource has one.
    #[schema(max_length = 50, example = "1896-S")]
    pub key: Option<String>,
    /// The code of the problem.
    #[schema(max_length = 50, example = "VALIDATION_FAILED")]
    pub code: Option<String>,
    /// The problem in a sentence.
    #[schema(max_length = 4000, example = "has to be 0 or more")]
    pub detail: Option<String>,
    /// All errors of the row.
    #[schema(max_items = 1000)]
    pub errors: Option<Vec<ProblemError>>,
}
