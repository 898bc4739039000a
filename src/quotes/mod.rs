//! One question, one answer, from the snapshot alone.
//!
//! *Invariant:* no quote waits: no database, no lock, no network. Only questions about other
//! versions than the present one read the database: replays, and lowest prices.

pub mod answer;
mod borrowed;
pub mod effective_prices;
mod explain;
pub mod fast_path;
pub mod http;
pub mod lowest_prices;
pub mod quote;
pub mod request;
mod write;

#[cfg(test)]
mod tests;
