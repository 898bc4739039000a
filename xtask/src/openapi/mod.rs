//! The OpenAPI document, made from the service's route table.
//!
//! ```text
//! operations.rs  adds what all operations of a kind have: problems, headers, conditions, security
//! schemas.rs     makes the schemas exact: closed requests, merge patches, one form of examples
//! answers.rs     makes the schemas of responses tolerant of later versions, and simple
//! links.rs       links creations and lists to the operations that need their ids
//! example.rs     adds the examples of bodies: of one company, or composed from those of fields
//! version_3_0.rs converts the document for tools that only support OpenAPI 3.0
//! files.rs       the generated files
//! ```

#![allow(
    clippy::indexing_slicing,
    reason = "indexing a JSON object inserts a missing member, and the values are known"
)]

mod answers;
mod example;
mod files;
mod links;
mod operations;
mod schemas;
#[cfg(test)]
mod tests;
mod version_3_0;

use std::collections::HashMap;

use kampanje::platform::http::routes::Routes;
use serde_json::{Value, json};
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};

pub use files::{check_files, write_files};
pub use operations::of as operations_of;

/// The sections of the documentation in their order; each operation has one of them as its tag.
const TAGS: &[(&str, &str)] = &[
    ("Campaigns", "Campaigns, their statuses and their expected prices."),
    ("Activation", "Validate a campaign, plan its prices, publish and withdraw them."),
    ("Tasks and opportunities", "The work on a campaign, and the sales it may lead to."),
    ("Access", "The keys of programs, and the caller itself."),
    ("Results", "Posted sales, and the statistics of campaigns."),
    ("Segments", "The contacts that a campaign addresses."),
    ("Interactions", "Contacts made: interactions, logged segments, entries of campaigns."),
    ("Contacts", "Companies and persons; a company can be a customer."),
    ("Prices and discounts", "Price lines and discount lines, of campaigns and standing ones."),
    ("Price quotes", "The price of an item for an account, with an explanation."),
    ("Events", "Events in order, for other systems."),
    ("Webhooks", "Events sent to URLs, signed."),
    ("Reference data", "Master data from the ERP: settings, currencies, items, salespeople."),
    ("Imports", "Files with rows of any resource."),
    ("Search", "Campaigns, segments, items and contacts by the beginnings of numbers and words."),
    ("Service", "Health, metrics and documentation of the service."),
];

const DESCRIPTION: &str = "\
Campaign pricing as a service: plan a campaign, select its audience, enter its prices and line \
discounts, and activate it. From then on every order line of a targeted customer gets them.\n\n\
**Decimals** are exact and sent as JSON strings; a JSON number is refused. \
**Dates** are calendar dates in the company's time zone; a period includes both ends. \
**Names**: the path of a resource with a business key accepts its id or its key. \
**Lists** are paged; follow `nextLink`. \
**Changes** of an existing resource need `If-Match` with its `ETag`. Any change can be retried \
safely with an `Idempotency-Key`. \
**Failures** are problem documents (RFC 9457) that list every error. Unknown fields and parameters \
are refused.";

/// Returns the OpenAPI 3.1 document of a route table.
///
/// # Errors
/// If two different schemas have the same name.
fn document(routes: &Routes) -> anyhow::Result<Value> {
    refuse_ambiguous_names(routes)?;
    let license = LicenseBuilder::new()
        .name("MIT OR Apache-2.0")
        .identifier(Some("MIT OR Apache-2.0"))
        .build();
    let info = InfoBuilder::new()
        .title("Kampanje")
        .version(kampanje::VERSION)
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let mut document = serde_json::to_value(routes.document(info))?;
    document["info"]["summary"] = "Campaign pricing as a service.".into();
    document["servers"] = json!([{
        "url": "/",
        "description": "This service in its environment: local, staging or production.",
        "x-internal": false,
    }]);
    document["security"] = json!([{"apiKey": []}]);
    schemas::finish(&mut document);
    operations::finish(&mut document);
    example::add_to_bodies(&mut document)?;
    schemas::drop_unused(&mut document);
    links::add(&mut document);
    document["tags"] = used_tags(&document);
    Ok(document)
}

/// Two Rust types with the same schema name would silently share the schema of the last one.
fn refuse_ambiguous_names(routes: &Routes) -> anyhow::Result<()> {
    let mut known: HashMap<&str, Value> = HashMap::new();
    for (name, schema) in routes.schemas() {
        let schema = serde_json::to_value(schema)?;
        let first = known.entry(name).or_insert_with(|| schema.clone());
        anyhow::ensure!(
            *first == schema,
            "two different types have the schema name {name}; rename one by #[schema(as = …)]\n\
             {first:#}\n{schema:#}"
        );
    }
    Ok(())
}

/// Returns the sections that have operations.
fn used_tags(document: &Value) -> Value {
    let is_used = |name: &str| {
        operations::of(document).any(|(_, _, operation)| {
            operation["tags"].as_array().is_some_and(|tags| tags.contains(&name.into()))
        })
    };
    TAGS.iter()
        .filter(|(name, _)| is_used(name))
        .map(|(name, description)| json!({"name": name, "description": description}))
        .collect()
}
