//! Access to PostgreSQL: sessions, migrations and shared secrets.

pub mod migrations;
pub mod pool;
pub mod secrets;
#[cfg(test)]
mod testing;
mod tls;
