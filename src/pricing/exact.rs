//! The number types of the pricing rules: decimals with a fixed number of places, stored as whole
//! numbers.
//!
//! Each type checks its bounds once, when a value is read. The arithmetic relies on these bounds
//! (see the table of [`convert`](super::convert)). In JSON all of them are strings without exponent
//! and trailing zeros (`docs/api-conventions.md` section 3), so each value has one form.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// The reason for which a decimal cannot be one of the types of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfBounds {
    /// The text is not a plain decimal.
    #[error("not a decimal")]
    NotADecimal,
    /// The text has more decimal places than the type.
    #[error("more than {0} decimal places")]
    TooManyPlaces(u32),
    /// The value is below the smallest or above the largest one.
    #[error("out of bounds")]
    OutOfRange,
}

/// Declares a decimal with fixed places and two bounds, both in units of the last place.
macro_rules! decimal {
    (
        $(#[$doc:meta])* $name:ident($raw:ty), places $places:literal,
        $min:literal ..= $max:literal
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($raw);

        impl $name {
            /// The number of decimal places.
            pub const PLACES: u32 = $places;
            /// The smallest value.
            pub const MIN: Self = Self($min);
            /// The largest value.
            pub const MAX: Self = Self($max);

            /// Returns the value of a number of units of the last place, if it is within the
            /// bounds.
            #[must_use]
            pub fn from_units(units: u128) -> Option<Self> {
                let raw = <$raw>::try_from(units).ok()?;
                (Self::MIN.0..=Self::MAX.0).contains(&raw).then_some(Self(raw))
            }

            /// Returns the value in units of the last place.
            #[must_use]
            pub fn units(self) -> u128 {
                u128::from(self.0)
            }

            /// Parses a decimal in the form of the API (`docs/api-conventions.md` section 3), if it
            /// is within the bounds. For any other text the types of [`values`](crate::values)
            /// report the error.
            #[must_use]
            pub fn from_wire(text: &str) -> Option<Self> {
                wire_units(text, $places).and_then(Self::from_units)
            }
        }

        impl TryFrom<Decimal> for $name {
            type Error = OutOfBounds;

            fn try_from(value: Decimal) -> Result<Self, OutOfBounds> {
                let units = units_of(value, $places)?;
                Self::from_units(units).ok_or(OutOfBounds::OutOfRange)
            }
        }

        impl From<$name> for Decimal {
            /// Converts exactly: the largest value of all types has 25 digits, and a `Decimal`
            /// holds 28.
            fn from(value: $name) -> Self {
                i128::try_from(value.units())
                    .ok()
                    .and_then(|units| Self::try_from_i128_with_scale(units, $places).ok())
                    .unwrap_or_default()
                    .normalize()
            }
        }

        impl FromStr for $name {
            type Err = OutOfBounds;

            fn from_str(text: &str) -> Result<Self, OutOfBounds> {
                let units = parse_units(text, $places)?;
                Self::from_units(units).ok_or(OutOfBounds::OutOfRange)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Plain::new::<$places>(self.units()).fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(Plain::new::<$places>(self.units()).text())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "a decimal string with at most {} places", $places)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

decimal! {
    /// A price, an amount or a minimum quantity: 15 digits before the point, 5 after it, never
    /// negative.
    Amount(u128), places 5, 0 ..= 99_999_999_999_999_999_999
}

decimal! {
    /// A decimal above zero: an ordered quantity, a quantity per unit of measure, a rounding step.
    Positive(u128), places 5, 1 ..= 99_999_999_999_999_999_999
}

decimal! {
    /// A tax rate or a line discount in percent, from 0 to 100.
    Percent(u32), places 5, 0 ..= 10_000_000
}

decimal! {
    /// An exchange rate, in foreign units for one local unit: 15 digits before the point, 10 after
    /// it, above zero.
    Rate(u128), places 10, 1 ..= 9_999_999_999_999_999_999_999_999
}

impl Positive {
    /// The number 1.
    pub const ONE: Self = Self(100_000);
    /// The rounding step of unit prices of a currency that names none: 0.00001.
    pub const DEFAULT_UNIT_AMOUNT_STEP: Self = Self(1);
    /// The rounding step of amounts of a currency that names none: 0.01.
    pub const DEFAULT_AMOUNT_STEP: Self = Self(1_000);
}

impl Amount {
    /// The amount 0.
    pub const ZERO: Self = Self(0);
}

impl Percent {
    /// The percentage 0.
    pub const ZERO: Self = Self(0);

    /// Returns the remainder of a price after this discount, in units of 0.00001 %. 100 % is
    /// 10,000,000.
    #[must_use]
    pub fn rest(self) -> u32 {
        Self::MAX.0.saturating_sub(self.0)
    }
}

/// Converts wire types and columns into exact types. The wire type or the column's constraint has
/// checked the same bounds.
macro_rules! from_values {
    ($($wire:ident => $exact:ident),+) => {
        $(impl From<crate::values::$wire> for $exact {
            #[allow(
                clippy::expect_used,
                reason = "both sides have the same bounds, and a panic is better than a wrong price"
            )]
            fn from(value: crate::values::$wire) -> Self {
                Self::try_from(value.get())
                    .expect("values and columns have the bounds of the exact types")
            }
        })+
    };
}

from_values!(
    Amount => Amount,
    Quantity => Positive,
    Precision => Positive,
    Percent => Percent,
    ExchangeRate => Rate
);

/// An exact decimal for output only: a total, or a net with all its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Shown<const PLACES: u32>(pub u128);

impl<const PLACES: u32> fmt::Display for Shown<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain::new::<PLACES>(self.0).fmt(f)
    }
}

impl<const PLACES: u32> Serialize for Shown<PLACES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Plain::new::<PLACES>(self.0).text())
    }
}

/// The text of a number, on the stack: amounts are written too often to allocate for each.
struct Plain {
    bytes: [u8; Self::CAPACITY],
    length: usize,
}

impl Plain {
    /// Room for the 39 digits of a `u128`, leading zeros of small fractions, and a point.
    const CAPACITY: usize = 48;

    /// Formats a number in units of the last of its places.
    fn new<const PLACES: u32>(units: u128) -> Self {
        let mut plain = Self { bytes: [0; Self::CAPACITY], length: 0 };
        write_plain::<PLACES>(units, &mut |byte| {
            if let Some(place) = plain.bytes.get_mut(plain.length) {
                *place = byte;
                plain.length += 1;
            }
        });
        plain
    }

    fn text(&self) -> &str {
        self.bytes
            .get(..self.length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

/// Passes the text of a number to `push`, byte by byte from front to back. `units` is in units of
/// the last place. The caller writes the bytes to their final place. Copying bytes that were just
/// written would stall the processor.
pub(crate) fn write_plain<const PLACES: u32>(units: u128, push: &mut impl FnMut(u8)) {
    let one = const { 10_u64.pow(PLACES) };
    // Division of 128-bit numbers is slow, and all but huge amounts fit 64 bits.
    let mut fraction = match u64::try_from(units) {
        Ok(units) => {
            push_whole(units / one, push);
            units % one
        }
        Err(_) => {
            let one = u128::from(one);
            push_long(units / one, push);
            u64::try_from(units % one).unwrap_or_default()
        }
    };
    if fraction != 0 {
        push(b'.');
    }
    // The remainder is zero as soon as only zeros would follow.
    while fraction != 0 {
        fraction *= 10;
        push_digit(fraction / one, push);
        fraction %= one;
    }
}

/// Passes the digits of a whole number to `push`, two in each step.
pub(crate) fn push_whole(whole: u64, push: &mut impl FnMut(u8)) {
    if whole >= 10 {
        if whole >= 100 {
            push_whole(whole / 100, push);
        }
        push_digit(whole / 10 % 10, push);
    }
    push_digit(whole % 10, push);
}

fn push_long(whole: u128, push: &mut impl FnMut(u8)) {
    match u64::try_from(whole) {
        Ok(whole) => push_whole(whole, push),
        Err(_) => {
            push_long(whole / 10, push);
            push_digit(u64::try_from(whole % 10).unwrap_or_default(), push);
        }
    }
}

fn push_digit(digit: u64, push: &mut impl FnMut(u8)) {
    push(b'0' + u8::try_from(digit).unwrap_or_default());
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Returns a decimal in units of the last of `places` places.
fn units_of(value: Decimal, places: u32) -> Result<u128, OutOfBounds> {
    let value = value.normalize();
    let missing = places.checked_sub(value.scale()).ok_or(OutOfBounds::TooManyPlaces(places))?;
    let units = u128::try_from(value.mantissa()).map_err(|_| OutOfBounds::OutOfRange)?;
    10_u128
        .checked_pow(missing)
        .and_then(|factor| units.checked_mul(factor))
        .ok_or(OutOfBounds::OutOfRange)
}

/// Parses `(0|[1-9][0-9]{0,14})(\.[0-9]{1,places})?` in units of the last place.
fn wire_units(text: &str, places: u32) -> Option<u128> {
    let mut units = 0_u64;
    // The digits before the point, and those after it once there is one.
    let (mut whole, mut fraction) = (0_u32, None);
    for byte in text.bytes() {
        match (byte, &mut fraction) {
            (b'0'..=b'9', None) if whole == 0 || units != 0 => whole += 1,
            (b'0'..=b'9', Some(count)) => *count += 1,
            (b'.', None) if whole > 0 => {
                fraction = Some(0);
                continue;
            }
            _ => return None,
        }
        // The digit counts refuse texts of more than 19 digits. Only the largest numbers need more
        // than 64 bits.
        units = units.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    let missing = places.checked_sub(fraction.unwrap_or(0))?;
    if whole == 0 || whole > 15 || fraction == Some(0) {
        return None;
    }
    u128::from(units).checked_mul(10_u128.checked_pow(missing)?)
}

/// Parses a decimal in units of the last of `places` places. Trailing zeros do not count as places.
fn parse_units(text: &str, places: u32) -> Result<u128, OutOfBounds> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() {
        return Err(OutOfBounds::NotADecimal);
    }
    let fraction_trimmed = fraction.trim_end_matches('0');
    let digits = whole.bytes().chain(fraction_trimmed.bytes());
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(if text.starts_with('-') {
            OutOfBounds::OutOfRange
        } else {
            OutOfBounds::NotADecimal
        });
    }
    let missing = u32::try_from(fraction_trimmed.len())
        .ok()
        .and_then(|used| places.checked_sub(used))
        .ok_or(OutOfBounds::TooManyPlaces(places))?;
    digits
        .chain(std::iter::repeat_n(b'0', usize::try_from(missing).unwrap_or_default()))
        .try_fold(0_u128, |units, byte| {
            units.checked_mul(10)?.checked_add(u128::from(byte.wrapping_sub(b'0')))
        })
        .ok_or(OutOfBounds::OutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_canonical() {
        let table =
            [("0", "0"), ("0.10", "0.1"), ("84.00", "84"), ("0.00001", "0.00001"), ("100", "100")];
        for (given, written) in table {
            assert_eq!(given.parse::<Amount>().unwrap().to_string(), written);
        }
        assert_eq!(Amount::MAX.to_string(), "999999999999999.99999");
        assert_eq!(Rate::MAX.to_string(), "999999999999999.9999999999");
        for (units, written) in [
            (0, "0"),
            (10, "0.00000000001"),
            (100_000_000_000, "0.1"),
            (42_500_000_000_000, "42.5"),
            (1_000_000_000_000, "1"),
            (1_010_000_000_010, "1.01000000001"),
            (u128::from(u64::MAX) + 1, "18446744.073709551616"),
        ] {
            assert_eq!(Shown::<12>(units).to_string(), written);
        }
        assert_eq!(Shown::<12>(1).to_string(), "0.000000000001");
        assert_eq!(Shown::<12>(u128::MAX).to_string(), "340282366920938463463374607.431768211455");
    }

    proptest! {
        #[test]
        fn digits_match_the_standard_library(
            units in (any::<u128>(), 0_u32..128).prop_map(|(number, shift)| number >> shift),
        ) {
            let parts = |one: u128, places: usize| {
                let text = format!("{}.{:0places$}", units / one, units % one);
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            };
            prop_assert_eq!(Shown::<5>(units).to_string(), parts(100_000, 5));
            prop_assert_eq!(Shown::<10>(units).to_string(), parts(10_000_000_000, 10));
            prop_assert_eq!(Shown::<12>(units).to_string(), parts(1_000_000_000_000, 12));
        }
    }

    #[test]
    fn out_of_bounds_is_refused() {
        assert_eq!("1000000000000000".parse::<Amount>(), Err(OutOfBounds::OutOfRange));
        assert_eq!("0.000001".parse::<Amount>(), Err(OutOfBounds::TooManyPlaces(5)));
        assert_eq!("-1".parse::<Amount>(), Err(OutOfBounds::OutOfRange));
        assert_eq!("0".parse::<Positive>(), Err(OutOfBounds::OutOfRange));
        assert_eq!("100.00001".parse::<Percent>(), Err(OutOfBounds::OutOfRange));
        for text in ["", ".", "1.", ".5", "1e3", "1,5", "+1", " 1"] {
            assert_eq!(text.parse::<Amount>(), Err(OutOfBounds::NotADecimal), "{text:?}");
        }
        assert_eq!(Amount::try_from(Decimal::new(-1, 0)), Err(OutOfBounds::OutOfRange));
        assert_eq!(Amount::try_from(Decimal::new(1, 6)), Err(OutOfBounds::TooManyPlaces(5)));
    }

    #[test]
    fn decimal_round_trip() {
        for text in ["0", "1.5", "999999999999999.99999", "0.00001"] {
            let decimal: Decimal = text.parse().unwrap();
            let amount = Amount::try_from(decimal).unwrap();
            assert_eq!(Decimal::from(amount), decimal);
            assert_eq!(amount, text.parse().unwrap());
        }
    }
}
