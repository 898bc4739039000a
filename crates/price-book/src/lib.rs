//! The price book in memory, and quotes from it. It needs no database and no network, so a till or
//! a shop can use it as a library (`examples/till.rs`).
//!
//! ```text
//! facts.rs     the facts of the book, and the changes between versions
//! snapshot.rs  one version of the book; apply.rs advances it, export.rs iterates over it
//! feed.rs      a copy that follows the changes that the service publishes
//! listing.rs   iterates over items and accounts of a snapshot in order
//! lookup.rs    finds lines, campaigns and accounts of a snapshot
//! customer_terms.rs  the accounts with the same terms
//! quote/       from a request to its answer, and to the answer's JSON
//! ```
// Tests may fail by panicking; the library may not.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

mod apply;
mod cow_vec;
pub mod customer_terms;
mod export;
pub mod facts;
pub mod feed;
mod interner;
pub mod listing;
pub mod lookup;
pub mod quote;
pub mod snapshot;

pub use export::ContentHash;
