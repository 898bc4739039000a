//! The pricing rules, tried through the front door: facts in, quotes out.

mod cases;
mod price_list;
mod properties;
mod reading;
mod reference;
mod rules;
mod world;
