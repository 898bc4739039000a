//! What carries the rooms and knows none of them: the clock, the database, effects, the outbox,
//! HTTP.

pub mod background;
pub mod clock;
pub mod db;
pub mod http;
pub mod outbox;
pub mod unit_of_work;
