//! Access to PostgreSQL: sessions, schema, migrations and shared secrets.

pub mod migrations;
pub mod pool;
pub mod schema;
pub mod secrets;
#[cfg(test)]
mod testing;
mod tls;
