//! The HTTP side: the real router over a real PostgreSQL, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::as_conversions)]

mod campaign_statuses;
mod health;
mod openapi;
mod process;
mod support;
