//! Quotes: from a request to the prices of one version of the price book.
//!
//! [`request`] is what is asked, [`answer`] what is answered. [`quote`] returns the answer as
//! values, [`write_quote`] as JSON; both evaluate each line with the same function. An explanation
//! is recorded by an observer of the resolver, so it cannot deviate from the price.

pub mod answer;
mod evaluate;
mod explain;
pub mod price_list;
pub mod request;
mod write;

#[cfg(test)]
mod tests;

pub use evaluate::{campaign_obstacles, quote};
pub use write::write_quote;
