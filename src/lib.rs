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

pub mod app;
pub mod campaign_statuses;
pub mod campaigns;
pub mod lines;
pub mod pricing;
pub mod publication;
pub mod quotes;
pub mod settings;

pub mod platform;
pub mod values;
