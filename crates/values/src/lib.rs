//! Small shared types: business keys, decimals, dates, texts, and the enums of the domain. They are
//! parsed, not validated: a value of such a type is valid. No I/O.
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

#[macro_use]
pub mod wire;

pub mod codes;
pub mod date;
pub mod decimal;
pub mod email;
pub mod enums;
pub mod id;
pub mod key;
pub mod key_set;
pub mod name;
pub mod text;
pub mod time_of_day;

pub use date::Date;
pub use decimal::{
    Amount, ExchangeRate, Percent, Precision, Quantity, Shown, Signed, SignedQuantity,
};
pub use email::Email;
pub use id::Id;
pub use key::{CurrencyCode, Key, Reference};
pub use key_set::KeySet;
pub use name::Name;
pub use text::Text;
pub use time_of_day::TimeOfDay;
