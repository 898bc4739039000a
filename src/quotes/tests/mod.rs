//! The pricing rules, tried through the front door: facts in, quotes out.

mod cases;
mod world;
