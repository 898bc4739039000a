//! One question, one answer, from the snapshot alone.
//!
//! *Invariant:* nothing here waits: no database, no lock, no network.

pub mod answer;
pub mod request;
