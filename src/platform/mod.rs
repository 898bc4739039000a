//! Infrastructure that all modules use and that knows none of them: clock, database, HTTP.

pub mod background;
pub mod clock;
pub mod db;
pub mod http;
pub mod tls;
