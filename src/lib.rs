//! Kampanje: campaign pricing as a service.
// Tests may fail by panicking; the service may not.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod activation;
pub mod activities;
pub mod api_keys;
pub mod app;
pub mod audit_entries;
pub mod campaign_statuses;
pub mod campaigns;
pub mod config;
pub mod contacts;
pub mod currencies;
pub mod demo;
pub mod desk;
pub mod events;
pub mod exchange_rates;
pub mod golden_quotes;
pub mod health;
pub mod imports;
pub mod index;
pub mod interaction_templates;
pub mod interactions;
pub mod items;
pub mod lines;
pub mod live_book;
pub mod openapi;
pub mod opportunities;
pub mod price_impact;
pub mod publication;
pub mod quotes;
pub mod sales;
pub mod salespeople;
pub mod search;
pub mod segments;
pub mod serve;
pub mod settings;
pub mod statistics;
pub mod tasks;
pub mod teams;
pub mod transfer;
pub mod webhooks;
pub mod welcome;

pub mod audit_log;
pub mod idempotency;
pub mod outbox;
pub mod platform;
pub mod references;
pub mod resource;
pub mod retention;
pub mod schema;
pub mod tabular;
pub mod unit_of_work;

/// The version of the service.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
