//! The company's settings: one row that decides what local currency, today and the next number are.

pub mod series;
