//! Price quotes: answers requests for prices from the price book snapshot alone.
//!
//! *Invariant:* no quote waits for a database, a lock or the network. Only requests about earlier
//! versions read the database: replays and lowest prices.

pub mod effective_prices;
pub mod fast_path;
pub mod http;
pub mod lowest_prices;
pub mod price_timeline;
pub mod request;
pub mod response;

#[cfg(test)]
mod tests;
