//! The HTTP side: the real router over a real PostgreSQL, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod activation;
mod activities;
mod audience;
mod bad_input;
mod book;
mod campaign_copies;
mod campaign_statuses;
mod campaigns;
mod contacts;
mod criteria;
mod currencies;
mod database_failures;
mod decimals;
mod every_operation;
mod exchange_rates;
mod health;
mod interaction_templates;
mod interactions;
mod items;
mod lines;
mod logging;
mod openapi;
mod opportunities;
mod price_quotes;
mod pricing_cases;
mod process;
mod readme;
mod salespeople;
mod segment_lines;
mod segments;
mod settings;
mod support;
mod tasks;
mod teams;
mod time_zones;
