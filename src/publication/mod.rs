//! The price book: what counts, as versions, and its copy in memory.

mod apply;
mod export;
pub mod facts;
mod names;
mod paged;
pub mod snapshot;
