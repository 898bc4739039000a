//! One question, one answer, from the snapshot alone.
//!
//! *Invariant:* nothing here waits: no database, no lock, no network.

pub mod answer;
pub mod at_once;
mod explain;
mod fast;
pub mod http;
pub mod quote;
pub mod request;
mod write;

#[cfg(test)]
mod tests;
