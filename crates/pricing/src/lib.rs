//! The pricing rules: pure functions with exact arithmetic that determine an effective price.
//!
//! Reading order: [`mod@line`] (lines, sources and conditions),
//! [`policy`], [`verdict`], [`convert`] (`docs/pricing-rules.md` section 3), [`contest`] (section
//! 4), [`resolve`] (all of them together).
//!
//! *Invariants:* no I/O, no clock, no floating point. The result does not depend on the order in
//! which lines are given. The contest that chooses a line also writes the verdicts, so an
//! explanation cannot deviate from the choice.
// Tests may fail by panicking; the library may not.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::float_arithmetic
    )
)]

pub mod contest;
pub mod convert;
pub mod line;
pub mod policy;
pub mod resolve;
pub mod verdict;
