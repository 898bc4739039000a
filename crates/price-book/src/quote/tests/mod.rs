//! Tests of the pricing rules through the public functions: facts in, quotes out.

mod cases;
mod price_list;
mod properties;
mod reference;
mod rules;
mod world;
