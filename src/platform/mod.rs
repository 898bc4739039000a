//! What carries the rooms and knows none of them: configuration, the database, HTTP.

pub mod db;
pub mod embedded_postgres;
pub mod http;
