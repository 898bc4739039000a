//! The one door to the database.

pub mod migrations;
pub mod pool;
pub mod schema;
pub mod secrets;
#[cfg(test)]
mod testing;
mod tls;
