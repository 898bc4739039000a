//! Tests of the price impact: random worlds and the property that the comparison is complete.

mod completeness;
mod table;
pub(crate) mod world;
