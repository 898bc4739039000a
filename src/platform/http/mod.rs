//! What every room's HTTP side shares: problems, bodies, lists, ETags, effects.

pub mod json;
pub mod list;
pub mod problem;
