//! The OpenAPI document: what the route table says of itself, and what holds for all operations
//! alike.
//!
//! ```text
//! operations.rs  what every operation of a kind has: problems, headers, conditions, credentials
//! schemas.rs     the schemas, made exact: closed requests, merge patches, one way to write examples
//! example.rs     an example of a whole body, from the examples of its fields
//! version_3_0.rs the same document for tools that know OpenAPI 3.0 only
//! files.rs       the files in the tree that are printed from the code
//! ```

#![allow(
    clippy::indexing_slicing,
    reason = "indexing a JSON object makes what is missing; all values are ours, and they are made before anything is served"
)]

mod example;
mod files;
mod operations;
mod schemas;
mod version_3_0;

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};

pub use files::{files, write_files};
pub use version_3_0::version_3_0;

use crate::platform::http::call::ApiRequest;
use crate::platform::http::problem::{Problem, ProblemDocument, ProblemError};
use crate::platform::http::routes::Routes;

/// The sections of the documentation, in their order; an operation's tag is one of them.
const TAGS: &[(&str, &str)] = &[
    ("Campaigns", "Campaigns, their statuses and what is offered in them."),
    ("Activation", "From a draft to prices that count: validate, plan, publish, withdraw."),
    ("Tasks and opportunities", "What has to be done for a campaign, and what may come of it."),
    ("Results", "What came of campaigns: posted sales, statistics."),
    ("Segments", "Whom a campaign addresses."),
    (
        "Interactions",
        "What was done with contacts: interactions, logged segments, the entries of campaigns.",
    ),
    ("Contacts", "Companies and persons; a company may be a customer."),
    ("Prices and discounts", "Price lines and discount lines of campaigns and of everybody else."),
    ("Price quotes", "What an item costs an account, and why."),
    ("Events", "What happened, in order, for other systems to hear of."),
    ("Reference data", "What the ERP knows first: settings, currencies, items, salespeople."),
    ("Service", "Whether the service is well, and what it offers."),
];

const DESCRIPTION: &str = "Campaign pricing as a service: plan a campaign, pick its audience, register its prices and line discounts, \
activate it, and from that moment every order line of a targeted customer gets them.\n\n\
**Decimals** are JSON strings, exact to the last digit; a JSON number is refused. **Dates** are calendar dates of the company's \
time zone, both ends included. **Names**: a resource with a business key is named by its id or its key. \
**Lists** come in pages; `nextLink` leads on. **Changes** of what is there need `If-Match` with its `ETag`, and any change may be \
repeated safely under an `Idempotency-Key`. **Failures** are problem documents (RFC 9457) that name everything that is wrong at once. \
An unknown field or parameter is refused.";

/// Adds the operation that serves the document.
pub fn mount(routes: &mut Routes) {
    routes.schema::<ProblemDocument>();
    routes.schema::<ProblemError>();
    routes.add(__path_openapi, openapi).public().quiet();
}

/// The document as it is served.
pub struct Document(web::Bytes);

impl Document {
    /// The document of a route table.
    #[must_use]
    pub fn of(routes: &Routes) -> Self {
        Self(document(routes).to_string().into())
    }
}

/// This document
///
/// The same that was printed into the source tree as `openapi/openapi.json`.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "Service",
    responses((status = 200, description = "The OpenAPI 3.1 document.", content_type = "application/json", body = Object,
        example = json!({"openapi": "3.1.0"})))
)]
async fn openapi(call: ApiRequest, document: web::Data<Document>) -> Result<HttpResponse, Problem> {
    call.expect_nothing()?;
    Ok(HttpResponse::Ok().content_type("application/json").body(document.0.clone()))
}

/// The document of a route table, OpenAPI 3.1.
#[must_use]
pub fn document(routes: &Routes) -> Value {
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("Kampanje")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    // Writing a document of ours as JSON cannot fail; if it did, the tests would show an empty one.
    let mut document = serde_json::to_value(routes.document(info)).unwrap_or_default();
    document["info"]["summary"] = "Campaign pricing as a service.".into();
    document["servers"] = json!([{
        "url": "/",
        "description": "This service, in whichever environment it runs: local, staging or production.",
        "x-internal": false,
    }]);
    document["security"] = json!([{"apiKey": []}]);
    schemas::finish(&mut document);
    operations::finish(&mut document);
    example::add_to_bodies(&mut document);
    schemas::drop_unused(&mut document);
    document["tags"] = used_tags(&document);
    document
}

/// The sections that have an operation.
fn used_tags(document: &Value) -> Value {
    let used = |name: &str| {
        operations::of(document).any(|(_, _, operation)| {
            operation["tags"].as_array().is_some_and(|tags| tags.contains(&name.into()))
        })
    };
    TAGS.iter()
        .filter(|(name, _)| used(name))
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect()
}
