//! Access to PostgreSQL: sessions, migrations and shared secrets.

mod liveness;
pub mod migrations;
pub mod named_locks;
pub mod notifications;
mod options;
pub mod pool;
pub mod secrets;
mod session;
#[cfg(test)]
mod testing;
mod tls;
