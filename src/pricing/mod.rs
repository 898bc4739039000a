//! What an effective price is: the pure rules, exact arithmetic included.
//!
//! Reading order: [`exact`] (the number types), [`mod@line`] (what is offered, by whom, under which
//! conditions), [`policy`], [`verdict`], [`convert`] (section 3 of the pricing rules), [`contest`]
//! (section 4), [`resolve`] (all of them together).
//!
//! *Invariants:* no I/O, no clock, no floating point; the result does not depend on the order in
//! which lines are given; the explanation comes out of the code that chose, because the contest
//! itself writes the verdicts.

pub mod contest;
pub mod convert;
pub mod exact;
pub mod line;
pub mod policy;
pub mod resolve;
pub mod verdict;
