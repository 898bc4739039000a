//! The price book: what counts, as versions, and its copy in memory.

pub mod facts;
