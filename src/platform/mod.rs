//! Infrastructure that all modules use and that knows none of them: clock, database, units of work,
//! outbox, HTTP.

pub mod background;
pub mod clock;
pub mod db;
pub mod http;
pub mod outbox;
pub mod unit_of_work;
