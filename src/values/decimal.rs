//! Decimals of the wire: JSON strings, exact and bounded. JSON numbers are refused, because most
//! parsers convert them to binary floating point.

use std::fmt;
use std::ops::ControlFlow;

use deserr::{
    DeserializeError, ErrorKind, IntoValue, MergeWithError, Value, ValueKind, ValuePointerRef,
};
use diesel::sql_types::Numeric;
use rust_decimal::Decimal;

use super::wire::{Invalid, InvalidKind, stored_as, travels_as_string};

/// The maximum number of integer digits.
pub const MAX_INTEGER_DIGITS: usize = 15;
/// The maximum number of decimals, except for exchange rates.
pub const MAX_DECIMALS: usize = 5;

/// Parses `-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,max_decimals})?` and nothing else
/// (`docs/api-conventions.md` section 3).
///
/// # Errors
/// If the text has another form.
fn parse_decimal(text: &str, max_decimals: usize) -> Result<Decimal, Invalid> {
    let form = || {
        Invalid::new(
            InvalidKind::Decimal,
            format!(
                "a decimal has at most {MAX_INTEGER_DIGITS} digits before and {max_decimals} after \
                     the point, such as \"12.50\""
            ),
        )
    };
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (integer, fraction) = match unsigned.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let integer_fits = digits(integer)
        && integer.len() <= MAX_INTEGER_DIGITS
        && (integer == "0" || !integer.starts_with('0'));
    let fraction_fits = fraction.is_none_or(|part| digits(part) && part.len() <= max_decimals);
    if !integer_fits || !fraction_fits {
        return Err(form());
    }
    Decimal::from_str_exact(text).map_err(|_| form())
}

/// Declares a decimal of the wire with its number of decimals and its bounds.
macro_rules! wire_decimal {
    (
        $(#[$doc:meta])* $name:ident, $decimals:expr, $bounds:literal, $holds:expr,
        $pattern:literal, $example:literal
    ) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow, utoipa::ToSchema)]
        $(#[$doc])*
        #[diesel(sql_type = Numeric)]
        #[schema(value_type = String, pattern = $pattern, max_length = 27, example = $example)]
        pub struct $name(Decimal);

        impl $name {
            /// Parses the text and checks the bounds.
            ///
            /// # Errors
            /// If the text has another form or the number is outside the bounds.
            pub fn parse(text: &str) -> Result<Self, Invalid> {
                let number = parse_decimal(text, $decimals)?;
                #[allow(clippy::redundant_closure_call)]
                if ($holds)(number) {
                    Ok(Self(number.normalize()))
                } else {
                    Err(Invalid::new(InvalidKind::Range, $bounds))
                }
            }

            /// Returns the number.
            #[must_use]
            pub const fn get(self) -> Decimal {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            fn refuse_kind<V: IntoValue, E: DeserializeError + MergeWithError<Invalid>>(
                actual: Value<V>,
                location: ValuePointerRef,
            ) -> ControlFlow<E, E> {
                refuse_kind(actual, location)
            }
        }

        travels_as_string!($name);
        // The column's scale is larger than the number's: 12.5 is read as 12.50000.
        stored_as!(
            $name,
            Numeric,
            Decimal,
            |value: &$name| value.0,
            |stored: Decimal| Ok($name(stored.normalize()))
        );
    };
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

wire_decimal!(
    /// An amount of money or a threshold that cannot be negative, in major units, up to 5 decimals.
    Amount, MAX_DECIMALS, "has to be 0 or more", |n: Decimal| !n.is_sign_negative() || n.is_zero(),
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$", "128.5"
);
wire_decimal!(
    /// A quantity above zero, up to 5 decimals.
    Quantity, MAX_DECIMALS, "has to be above 0", |n: Decimal| n > Decimal::ZERO,
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$", "12"
);
wire_decimal!(
    /// A percentage from 0 to 100, up to 5 decimals.
    Percent, MAX_DECIMALS, "has to lie between 0 and 100",
    |n: Decimal| n >= Decimal::ZERO && n <= Decimal::ONE_HUNDRED,
    "^(0|[1-9][0-9]?|100)(\\.[0-9]{1,5})?$", "12.5"
);
wire_decimal!(
    /// A rounding step above zero, up to 5 decimals.
    Precision, MAX_DECIMALS, "has to be above 0", |n: Decimal| n > Decimal::ZERO,
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,5})?$", "0.01"
);
wire_decimal!(
    /// An exchange rate above zero, up to 10 decimals: foreign units for one local unit.
    // The resource has the name ExchangeRate in the OpenAPI document.
    #[schema(as = Rate)]
    ExchangeRate, 10, "has to be above 0", |n: Decimal| n > Decimal::ZERO,
    "^(0|[1-9][0-9]{0,14})(\\.[0-9]{1,10})?$", "1.0865"
);

impl Amount {
    /// The amount 0.
    pub const ZERO: Self = Self(Decimal::ZERO);
}

impl Default for Amount {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Percent {
    /// The percentage 0.
    pub const ZERO: Self = Self(Decimal::ZERO);
}

impl Default for Percent {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Quantity {
    /// The quantity 1.
    pub const ONE: Self = Self(Decimal::ONE);
}

impl Default for Quantity {
    fn default() -> Self {
        Self::ONE
    }
}

impl Precision {
    /// The default rounding step of unit amounts: 0.00001.
    pub const UNIT_AMOUNT: Self = Self(Decimal::from_parts(1, 0, 0, false, 5));
    /// The default rounding step of amounts: 0.01.
    pub const AMOUNT: Self = Self(Decimal::from_parts(1, 0, 0, false, 2));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn form_is_strict() {
        for right in ["0", "1", "999999999999999.99999", "0.00001", "100000000000000"] {
            assert_eq!(Amount::parse(right).unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "+1",
            "01",
            "1.",
            ".5",
            "1e3",
            "1_000",
            " 1",
            "1000000000000000",
            "0.123456",
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
        assert_eq!(Amount::parse("-0.00001").unwrap_err().kind, InvalidKind::Range);
        assert!(Amount::parse("-0").is_ok());
        assert!(Percent::parse("100.00").is_ok());
        assert_eq!(Percent::parse("100.01").unwrap_err().kind, InvalidKind::Range);
        assert_eq!(Quantity::parse("0").unwrap_err().kind, InvalidKind::Range);
        assert!(Quantity::parse("0.00001").is_ok());
    }

    proptest! {
        #[test]
        fn text_round_trip(units in 0u64..999_999_999_999_999, decimals in 0u32..100_000) {
            let text = format!("{units}.{decimals:05}");
            let amount = Amount::parse(&text).unwrap();
            prop_assert_eq!(amount, Amount::parse(&amount.to_string()).unwrap());
            prop_assert_eq!(amount.get(), Decimal::from_str_exact(&text).unwrap());
        }
    }
}
