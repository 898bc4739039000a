//! The HTTP side: the real router over a real PostgreSQL, each test with a database of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod access;
mod activation;
mod activities;
mod api_keys;
mod approvals;
mod audience;
mod audit_entries;
mod bad_input;
mod batches;
mod book;
mod campaign_copies;
mod campaign_statuses;
mod campaigns;
mod combinations;
mod connections;
mod contacts;
mod criteria;
mod currencies;
mod database_failures;
mod decimals;
mod demo;
mod disclosure;
mod effective_prices;
mod erasures;
mod events;
mod every_operation;
mod examples;
mod exchange_rates;
mod explanations;
mod faults;
mod feed_copy;
mod framing;
mod full_book;
mod golden_quotes;
mod graceful_shutdown;
mod grants;
mod guardrails;
mod guards;
mod health;
mod history_identity;
mod index;
mod interaction_templates;
mod interactions;
mod items;
mod keys;
mod lines;
mod live_copy;
mod local_currency;
mod logging;
mod lowest_prices;
mod million_contacts;
mod oidc;
mod openapi;
mod opportunities;
mod pool_isolation;
mod price_quotes;
mod pricing_cases;
mod private_database;
mod process;
mod quote_inputs;
mod readme;
mod replays;
mod replicas;
mod request_log;
mod rollbacks;
mod rule_segments;
mod sales;
mod salespeople;
mod segment_lines;
mod segments;
mod settings;
mod state_after_publication;
mod statistics;
mod streams;
mod support;
mod tasks;
mod teams;
mod time_zones;
mod walkthrough;
