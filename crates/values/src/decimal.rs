//! Decimals with a fixed number of places, stored as whole numbers. They are the numbers of the
//! API, of the pricing rules and of the database.
//!
//! Each type checks its bounds once, when a value is read. The arithmetic of the pricing rules
//! relies on these bounds. In JSON all of them are strings without exponent and trailing zeros
//! (`docs/api-conventions.md` section 3), so each value has one form. JSON numbers are refused,
//! because most parsers convert them to binary floating point.

use std::fmt;
use std::ops::ControlFlow;

use deserr::{
    DeserializeError, ErrorKind, IntoValue, MergeWithError, Value, ValueKind, ValuePointerRef,
};
#[cfg(feature = "postgres")]
use diesel::sql_types::Numeric;
use rust_decimal::Decimal;

use super::wire::{Invalid, InvalidKind};

/// The maximum number of digits before the point.
const MAX_INTEGER_DIGITS: usize = 15;

/// Declares a decimal with its number of places, and its bounds in units of the last place.
macro_rules! decimal {
    (
        $(#[$doc:meta])* $name:ident($raw:ty), places $places:literal,
        $min:literal ..= $max:literal, $bounds:literal, $pattern:literal, $example:literal
    ) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
        #[cfg_attr(
            feature = "postgres",
            derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
            diesel(sql_type = Numeric)
        )]
        $(#[$doc])*
        #[schema(value_type = String, pattern = $pattern, max_length = 27, example = $example)]
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

            /// Parses the form of the API: `-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?`, with at most
            /// [`Self::PLACES`] digits after the point.
            ///
            /// # Errors
            /// If the text has another form or the number is outside the bounds.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let (number, is_negative) = match text.strip_prefix('-') {
                    Some(number) => (number, true),
                    None => (text, false),
                };
                let units = parse_units(number, $places).ok_or_else(|| invalid_form($places))?;
                Self::from_units(units)
                    .filter(|_| !is_negative || units == 0)
                    .ok_or_else(|| Invalid::new(InvalidKind::Range, $bounds))
            }

            fn refuse_kind<V: IntoValue, E: DeserializeError + MergeWithError<Invalid>>(
                actual: Value<V>,
                location: ValuePointerRef,
            ) -> ControlFlow<E, E> {
                refuse_kind(actual, location)
            }
        }

        impl TryFrom<Decimal> for $name {
            type Error = Invalid;

            fn try_from(value: Decimal) -> Result<Self, Invalid> {
                units_of(value, $places)
                    .and_then(Self::from_units)
                    .ok_or_else(|| Invalid::new(InvalidKind::Range, $bounds))
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Plain::new::<$places>(self.units()).fmt(f)
            }
        }

        string_serde!($name);
        sql_column!(
            $name,
            Numeric,
            Decimal,
            |value: &$name| Decimal::from(*value),
            |stored: Decimal| $name::try_from(stored).map_err(Into::into)
        );
    };
}

decimal! {
    /// An amount of money or a threshold that cannot be negative, in major units, up to 5 decimals.
    Amount(u128), places 5, 0 ..= 99_999_999_999_999_999_999, "has to be 0 or more",
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$", "128.5"
}

decimal! {
    /// A quantity above zero, up to 5 decimals.
    Quantity(u128), places 5, 1 ..= 99_999_999_999_999_999_999, "has to be above 0",
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$", "12"
}

decimal! {
    /// A percentage from 0 to 100, up to 5 decimals.
    Percent(u32), places 5, 0 ..= 10_000_000, "has to lie between 0 and 100",
    "^(0|[1-9][0-9]?|100)(\\.[0-9]{1,5})?$", "12.5"
}

decimal! {
    /// A rounding step above zero, up to 5 decimals.
    Precision(u128), places 5, 1 ..= 99_999_999_999_999_999_999, "has to be above 0",
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$", "0.01"
}

decimal! {
    /// An exchange rate above zero, up to 10 decimals: foreign units for one local unit.
    // The resource has the name ExchangeRate in the OpenAPI document.
    #[schema(as = Rate)]
    ExchangeRate(u128), places 10, 1 ..= 9_999_999_999_999_999_999_999_999, "has to be above 0",
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,10})?$", "1.0865"
}

impl Amount {
    /// The amount 0.
    pub const ZERO: Self = Self(0);
}

impl Default for Amount {
    fn default() -> Self {
        Self::ZERO
    }
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

impl Default for Percent {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Quantity {
    /// The quantity 1.
    pub const ONE: Self = Self(100_000);
}

impl Default for Quantity {
    fn default() -> Self {
        Self::ONE
    }
}

impl Precision {
    /// The default rounding step of unit prices: 0.00001.
    pub const UNIT_AMOUNT: Self = Self(1);
    /// The default rounding step of amounts: 0.01.
    pub const AMOUNT: Self = Self(1_000);
}

/// An exact decimal for output only: a total, or a net with all its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Shown<const PLACES: u32>(pub u128);

impl<const PLACES: u32> fmt::Display for Shown<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Plain::new::<PLACES>(self.0).fmt(f)
    }
}

impl<const PLACES: u32> serde::Serialize for Shown<PLACES> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A signed decimal for output only: an amount or a sum of credit lines is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Signed<const PLACES: u32>(pub i128);

impl<const PLACES: u32> From<Signed<PLACES>> for Decimal {
    /// Converts exactly. A sum of a document has at most 23 digits, and a `Decimal` holds 28.
    fn from(Signed(units): Signed<PLACES>) -> Self {
        Self::try_from_i128_with_scale(units, PLACES).unwrap_or_default().normalize()
    }
}

impl<const PLACES: u32> fmt::Display for Signed<PLACES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        Plain::new::<PLACES>(self.0.unsigned_abs()).fmt(f)
    }
}

impl<const PLACES: u32> serde::Serialize for Signed<PLACES> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A quantity other than zero, up to 5 decimals. A negative one is that of a credit line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, utoipa::ToSchema)]
#[schema(
    value_type = String,
    pattern = "^-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$",
    max_length = 28,
    example = "12"
)]
pub struct SignedQuantity(i128);

impl SignedQuantity {
    /// The quantity 1.
    pub const ONE: Self = Self(100_000);

    /// Parses the form of the API, as [`Quantity::parse`] with an optional sign.
    ///
    /// # Errors
    /// If the text has another form or the number is zero.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (number, is_negative) = match text.strip_prefix('-') {
            Some(number) => (number, true),
            None => (text, false),
        };
        // A second sign is part of the number's text, and no decimal.
        let units =
            parse_units(number, Quantity::PLACES).ok_or_else(|| invalid_form(Quantity::PLACES))?;
        match i128::try_from(units) {
            Ok(units @ 1..) => Ok(Self(if is_negative { -units } else { units })),
            _ => Err(Invalid::new(InvalidKind::Range, "must not be 0")),
        }
    }

    /// Returns the quantity without its sign.
    #[must_use]
    pub fn magnitude(self) -> Quantity {
        Quantity(self.0.unsigned_abs())
    }

    /// Returns whether the quantity is negative.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    fn refuse_kind<V: IntoValue, E: DeserializeError + MergeWithError<Invalid>>(
        actual: Value<V>,
        location: ValuePointerRef,
    ) -> ControlFlow<E, E> {
        refuse_kind(actual, location)
    }
}

impl Default for SignedQuantity {
    fn default() -> Self {
        Self::ONE
    }
}

impl From<Quantity> for SignedQuantity {
    fn from(quantity: Quantity) -> Self {
        // The largest quantity has 20 digits.
        Self(i128::try_from(quantity.0).unwrap_or(i128::MAX))
    }
}

impl fmt::Display for SignedQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Signed::<5>(self.0).fmt(f)
    }
}

string_serde!(SignedQuantity);

fn invalid_form(places: u32) -> Invalid {
    Invalid::new(
        InvalidKind::Decimal,
        format!(
            "a decimal has at most {MAX_INTEGER_DIGITS} digits before and {places} after the \
             point, such as \"12.50\""
        ),
    )
}

/// Refuses a value that is not a string. The error for a JSON number explains the form.
fn refuse_kind<V: IntoValue, E: DeserializeError + MergeWithError<Invalid>>(
    actual: Value<V>,
    location: ValuePointerRef,
) -> ControlFlow<E, E> {
    match actual {
        Value::Integer(_) | Value::NegativeInteger(_) | Value::Float(_) => E::merge(
            None,
            Invalid::new(
                InvalidKind::Decimal,
                "a decimal is a JSON string such as \"12.50\", not a JSON number",
            ),
            location,
        ),
        actual => E::error(
            None,
            ErrorKind::IncorrectValueKind { actual, accepted: &[ValueKind::String] },
            location,
        ),
    }
}

/// Parses `(0|[1-9][0-9]{0,14})(\.[0-9]{1,places})?` in units of the last place.
fn parse_units(text: &str, places: u32) -> Option<u128> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    if whole.len() > MAX_INTEGER_DIGITS || (whole.starts_with('0') && whole != "0") {
        return None;
    }
    let units = parse_digits(whole)?;
    let Some(fraction) = fraction else {
        return units.checked_mul(10_u128.checked_pow(places)?);
    };
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    units
        .checked_mul(10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?
        .checked_add(parse_digits(fraction)?)?
        .checked_mul(10_u128.checked_pow(missing)?)
}

/// Parses one to 19 digits.
fn parse_digits(text: &str) -> Option<u128> {
    if text.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number.into())
}

/// Returns a decimal in units of the last of `places` places, unless it is negative or has more
/// places.
fn units_of(value: Decimal, places: u32) -> Option<u128> {
    let value = value.normalize();
    let missing = places.checked_sub(value.scale())?;
    u128::try_from(value.mantissa()).ok()?.checked_mul(10_u128.checked_pow(missing)?)
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

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Passes the text of a number to `push`, byte by byte from front to back. `units` is in units of
/// the last place. The caller writes the bytes to their final place. Copying bytes that were just
/// written would stall the processor.
pub fn write_plain<const PLACES: u32>(units: u128, push: &mut impl FnMut(u8)) {
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
pub fn push_whole(whole: u64, push: &mut impl FnMut(u8)) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn form_is_strict() {
        for right in ["0", "1", "999999999999999.99999", "0.00001", "100000000000000"] {
            assert_eq!(Amount::parse(right).unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            ".",
            "1.2.3",
            "1e3",
            "1_000",
            " 1",
            "1000000000000000",
            "0.123456",
            "0.1000000",
            "0.00000000000000000001",
            "NaN",
            "1,5",
            "--1",
            "١",
        ] {
            assert_eq!(Amount::parse(wrong).unwrap_err().kind, InvalidKind::Decimal, "{wrong:?}");
        }
        assert_eq!(ExchangeRate::parse("0.0123456789").unwrap().to_string(), "0.0123456789");
        assert!(ExchangeRate::parse("0.01234567891").is_err());
    }

    #[test]
    fn bounds_are_checked() {
        let kind = |error: Invalid| error.kind;
        assert_eq!(Amount::parse("-0.00001").map_err(kind), Err(InvalidKind::Range));
        assert_eq!(Amount::parse("-0"), Ok(Amount::ZERO));
        assert!(Percent::parse("100.00").is_ok());
        assert_eq!(Percent::parse("100.01").map_err(kind), Err(InvalidKind::Range));
        assert_eq!(Quantity::parse("0").map_err(kind), Err(InvalidKind::Range));
        assert_eq!(Quantity::parse("-0").map_err(kind), Err(InvalidKind::Range));
        assert!(Quantity::parse("0.00001").is_ok());
        assert_eq!(Amount::try_from(Decimal::new(-1, 0)).map_err(kind), Err(InvalidKind::Range));
        assert_eq!(Amount::try_from(Decimal::new(1, 6)).map_err(kind), Err(InvalidKind::Range));
    }

    #[test]
    fn signed_quantity_is_not_zero() {
        for (text, is_negative) in [("12.50", false), ("-3", true)] {
            let quantity = SignedQuantity::parse(text).unwrap();
            assert_eq!(quantity.is_negative(), is_negative);
            assert_eq!(SignedQuantity::parse(&quantity.to_string()), Ok(quantity));
        }
        for (wrong, kind) in [
            ("0", InvalidKind::Range),
            ("-0", InvalidKind::Range),
            ("--1", InvalidKind::Decimal),
            ("+1", InvalidKind::Decimal),
            ("-", InvalidKind::Decimal),
        ] {
            assert_eq!(SignedQuantity::parse(wrong).unwrap_err().kind, kind, "{wrong}");
        }
        assert_eq!(Signed::<5>(-4_560_000).to_string(), "-45.6");
        assert_eq!(Signed::<5>(0).to_string(), "0");
    }

    #[test]
    fn text_is_canonical() {
        let table =
            [("0", "0"), ("0.10", "0.1"), ("84.00", "84"), ("0.00001", "0.00001"), ("100", "100")];
        for (given, written) in table {
            assert_eq!(Amount::parse(given).unwrap().to_string(), written);
        }
        assert_eq!(Amount::MAX.to_string(), "999999999999999.99999");
        assert_eq!(ExchangeRate::MAX.to_string(), "999999999999999.9999999999");
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

        #[test]
        fn text_and_decimal_round_trip(
            units in 0_u64..=999_999_999_999_999, fraction in 0_u32..100_000,
        ) {
            let text = format!("{units}.{fraction:05}");
            let amount = Amount::parse(&text).unwrap();
            let decimal = Decimal::from_str_exact(&text).unwrap();
            prop_assert_eq!(amount, Amount::parse(&amount.to_string()).unwrap());
            prop_assert_eq!(Decimal::from(amount), decimal);
            prop_assert_eq!(Amount::try_from(decimal), Ok(amount));
        }
    }
}
