//! What the tests stand on.

pub mod app;
pub mod clock;
pub mod data_hash;
pub mod database;
pub mod history;
