//! The price impact of a publication: what accounts pay in the book as it is, and in the book as it
//! would be.
//!
//! ```text
//! affected.rs   the lines, campaigns and items whose change can affect a price
//! classes.rs    accounts that pay the same for an item form a class, and are priced once
//! points.rs     the variants, units, currencies and quantity breaks at which an item has a price
//! compare.rs    prices every class at every point in both books
//! net.rs        exact comparisons of net prices, list prices and costs
//! ```
//!
//! Everything is pure and exact. Prices are quotes of the one resolver. The cost is the number of
//! classes × points × days, and has a bound ([`compare::MAX_COMPARISONS`]).

pub mod affected;
pub mod classes;
pub mod compare;
pub mod net;
pub mod points;

#[cfg(test)]
pub(crate) mod tests;
