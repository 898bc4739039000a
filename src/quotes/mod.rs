//! One question, one answer, from the snapshot alone.
//!
//! *Invariant:* nothing here waits: no database, no lock, no network.

pub mod answer;
pub mod effective_prices;
mod explain;
pub mod http;
pub mod quote;
pub mod request;

#[cfg(test)]
mod tests;
