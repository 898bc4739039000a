//! Shared infrastructure of the tests.

pub mod app;
pub mod clock;
pub mod contract;
pub mod data_hash;
pub mod database;
pub mod history;
pub mod make;
pub mod receiver;
pub mod wait;
