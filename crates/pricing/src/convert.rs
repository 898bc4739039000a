//! Conversion of a price into the terms of a question, and the amounts of a quote line
//! (`docs/pricing-rules.md` sections 3 and 5).
//!
//! A conversion is one fraction, rounded once. These are the bounds of its factors, in the whole
//! numbers of [`exact`](values::decimal):
//!
//! | factor | above the line | below the line |
//! | --- | --- | --- |
//! | price | < 10^20 | |
//! | tax | ≤ 2 × 10^7 | ≤ 2 × 10^7 |
//! | quantity per unit | < 10^20 | 10^5 |
//! | exchange rate | < 10^25 | 10^10 |
//! | rounding step (price and step have the same places) | | < 10^20 |
//! | together | < 2 × 10^72 | < 2 × 10^42 |
//!
//! Twice the numerator and one denominator are far below 2^256 ≈ 1.15 × 10^77, so 256 bits never
//! overflow. Nearly all questions fit 128 bits. So each is computed in 128 bits first, in checked
//! steps, and in 256 bits only if these do not suffice (see [`Number`]).

use std::convert::Infallible;

use ethnum::U256;
use values::{Amount, ExchangeRate, Percent, Precision, Quantity};

/// 100 % in the units of [`Percent`].
pub const WHOLE: u32 = 10_000_000;

/// The number 1 in the units of [`Quantity`].
const ONE: u128 = 100_000;

/// The number 1 in the units of [`ExchangeRate`].
const ONE_RATE: u128 = 10_000_000_000;

/// A whole number in which prices and nets are computed and compared. Prices are in units of 10^-5,
/// nets in units of 10^-12.
pub trait Number: Copy + Ord + From<u128> {
    /// The error for a price that the number cannot hold, or [`Infallible`] if it holds every
    /// price.
    type TooLarge;
    /// True if every price that the number holds can be part of an answer.
    const IS_ANSWERABLE: bool;

    /// Returns the product of `up` divided by the product of `down`, as a multiple of `step`.
    /// Halves are rounded away from zero; no factor is negative.
    ///
    /// # Errors
    /// If the number cannot hold the result or an intermediate product.
    fn rounded(up: [u128; 4], down: [u128; 3], step: u128) -> Result<Self, Self::TooLarge>;

    /// Returns the price less a discount, without rounding. `rest` is the remainder of 100 % in
    /// units of 0.00001 %.
    #[must_use]
    fn less(self, rest: u32) -> Self;

    /// Returns the number in 128 bits, if it fits.
    fn to_u128(self) -> Option<u128>;
}

/// Error: the price has more than 15 digits before the point, or its computation needs more than
/// 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond128Bits;

/// Prices that an answer can contain: they are below 10^20, so their nets are below 10^27.
impl Number for u128 {
    type TooLarge = Beyond128Bits;
    const IS_ANSWERABLE: bool = true;

    fn rounded(up: [u128; 4], down: [u128; 3], step: u128) -> Result<Self, Beyond128Bits> {
        rounded_narrow(up, down, step)
            .filter(|price| *price <= Amount::MAX.units())
            .ok_or(Beyond128Bits)
    }

    fn less(self, rest: u32) -> Self {
        // Multiplying 64-bit numbers is much faster, and nearly all prices fit 64 bits.
        match u64::try_from(self) {
            Ok(price) => Self::from(price) * Self::from(rest),
            Err(_) => self.saturating_mul(rest.into()),
        }
    }

    fn to_u128(self) -> Option<u128> {
        Some(self)
    }
}

/// All prices. One with more than 15 digits cannot be answered, but can still be compared. It is
/// below 10^52 (at most 2 × 10^72 over at least 10^22, times its step), so its net fits 256 bits.
impl Number for U256 {
    type TooLarge = Infallible;
    const IS_ANSWERABLE: bool = false;

    fn rounded(up: [u128; 4], down: [u128; 3], step: u128) -> Result<Self, Infallible> {
        Ok(rounded_wide(up, down, step))
    }

    fn less(self, rest: u32) -> Self {
        self.saturating_mul(Self::from(rest))
    }

    fn to_u128(self) -> Option<u128> {
        u128::try_from(self).ok()
    }
}

/// The terms that a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// If set, the answer includes tax.
    pub includes_tax: bool,
    /// The tax rate of the sale.
    pub tax: Percent,
    /// The number of base units in one unit of the question.
    pub quantity_per_unit: Quantity,
    /// The exchange rate, if the question is in a foreign currency.
    pub rate: Option<ExchangeRate>,
    /// The rounding step of unit prices in the question's currency.
    pub unit_amount_step: Precision,
    /// The rounding step of amounts in the question's currency.
    pub amount_step: Precision,
}

/// The terms that a price is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// If set, the price includes tax.
    pub includes_tax: bool,
    /// The tax rate that the price includes.
    pub tax: Percent,
    /// If set, the price is for one base unit, otherwise for the unit of the question.
    pub per_base_unit: bool,
    /// If set, the price is in local currency, otherwise in the currency of the question.
    pub in_local_currency: bool,
}

impl Target {
    /// Returns the price in the tax, unit and currency of the question, rounded once.
    ///
    /// # Errors
    /// If the number cannot hold the price.
    #[inline]
    pub fn convert<N: Number>(&self, price: Amount, given: Given) -> Result<N, N::TooLarge> {
        if self.needs_no_conversion(given) {
            Ok(price.units().into())
        } else {
            self.fraction(price, given)
        }
    }

    fn fraction<N: Number>(&self, price: Amount, given: Given) -> Result<N, N::TooLarge> {
        let (tax_up, tax_down) = self.tax_factor(given);
        let (unit_up, unit_down) = match self.quantity_per_unit {
            Quantity::ONE => (1, 1),
            quantity if given.per_base_unit => (quantity.units(), ONE),
            _ => (1, 1),
        };
        let (rate_up, rate_down) = match self.rate {
            Some(rate) if given.in_local_currency => (rate.units(), ONE_RATE),
            _ => (1, 1),
        };
        N::rounded(
            [price.units(), tax_up, unit_up, rate_up],
            [tax_down, unit_down, rate_down],
            self.unit_amount_step.units(),
        )
    }

    /// Returns the converted price, unless it has more than 15 digits before the point.
    #[must_use]
    pub fn convert_to_amount(&self, price: Amount, given: Given) -> Option<Amount> {
        match self.convert::<u128>(price, given) {
            Ok(price) => to_amount(price),
            Err(Beyond128Bits) => {
                let Ok(price) = self.convert::<U256>(price, given);
                to_amount(price)
            }
        }
    }

    /// Returns whether a price in these terms needs no conversion. Most prices need none.
    fn needs_no_conversion(&self, given: Given) -> bool {
        self.includes_tax == given.includes_tax
            && (!given.includes_tax || self.tax == given.tax)
            && self.quantity_per_unit == Quantity::ONE
            && self.rate.is_none()
            && self.unit_amount_step == Precision::MIN
    }

    /// Returns the factor of `docs/pricing-rules.md` section 3.1 as numerator and denominator.
    fn tax_factor(&self, given: Given) -> (u128, u128) {
        let whole = u128::from(WHOLE);
        let with = |tax: Percent| whole.saturating_add(tax.units());
        match (given.includes_tax, self.includes_tax) {
            (false, false) => (1, 1),
            (true, false) => (whole, with(given.tax)),
            (false, true) => (with(self.tax), whole),
            (true, true) if given.tax == self.tax => (1, 1),
            (true, true) => (with(self.tax), with(given.tax)),
        }
    }

    /// Returns quantity × unit price, rounded to the currency's amount step. Returns `None` above
    /// 15 digits.
    #[must_use]
    pub fn gross(&self, quantity: Quantity, unit_price: Amount) -> Option<Amount> {
        self.amount([quantity.units(), unit_price.units(), 1, 1], ONE)
    }

    /// Returns the discount on a gross amount, rounded to the currency's amount step. It never
    /// exceeds the gross amount, which is a multiple of the same step.
    #[must_use]
    pub fn discount_amount(&self, gross: Amount, percent: Percent) -> Option<Amount> {
        if percent == Percent::ZERO {
            return Some(Amount::ZERO);
        }
        self.amount([gross.units(), percent.units(), 1, 1], WHOLE.into())
    }

    fn amount(&self, up: [u128; 4], down: u128) -> Option<Amount> {
        let (down, step) = ([down, 1, 1], self.amount_step.units());
        match rounded_narrow(up, down, step) {
            Some(amount) => to_amount(amount),
            None => to_amount(rounded_wide(up, down, step)),
        }
    }
}

/// Returns the price as an amount, unless it has more than 15 digits before the point.
#[must_use]
pub fn to_amount(price: impl Number) -> Option<Amount> {
    price.to_u128().and_then(Amount::from_units)
}

/// Computes [`Number::rounded`] in 128 bits. Returns `None` if these do not suffice.
fn rounded_narrow(up: [u128; 4], down: [u128; 3], step: u128) -> Option<u128> {
    let narrow_product = |factors: &[u128]| {
        factors.iter().try_fold(1_u128, |product, factor| match (product, *factor) {
            (product, 1) => Some(product),
            (1, factor) => Some(factor),
            (product, factor) => product.checked_mul(factor),
        })
    };
    let numerator = narrow_product(&up)?;
    let denominator = narrow_product(&down)?;
    if step == 1 {
        return quotient(numerator, denominator);
    }
    quotient(numerator, denominator.checked_mul(step)?)?.checked_mul(step)
}

/// Returns the quotient rounded to a whole number, halves up.
fn quotient(numerator: u128, denominator: u128) -> Option<u128> {
    if denominator == 1 {
        return Some(numerator);
    }
    // Division of 128-bit numbers costs ten times as much as of 64-bit ones, and prices are seldom
    // that large.
    if let (Ok(numerator), Ok(denominator)) = (u64::try_from(numerator), u64::try_from(denominator))
    {
        let rest = numerator.checked_rem(denominator)?;
        let up = u64::from(rest >= denominator.saturating_sub(rest));
        return Some(u128::from(numerator.checked_div(denominator)?.checked_add(up)?));
    }
    let rest = numerator.checked_rem(denominator)?;
    let up = u128::from(rest >= denominator.saturating_sub(rest));
    numerator.checked_div(denominator)?.checked_add(up)
}

/// Computes [`Number::rounded`] in 256 bits, which always suffice by the table of this module. If
/// they did not, saturation would lead to `AMOUNT_TOO_LARGE`, not to a wrong price.
fn rounded_wide(up: [u128; 4], down: [u128; 3], step: u128) -> U256 {
    let product = |factors: &[u128]| {
        factors
            .iter()
            .fold(U256::ONE, |product, factor| product.saturating_mul(U256::from(*factor)))
    };
    let step = U256::from(step);
    let numerator = product(&up);
    let denominator = product(&down).saturating_mul(step);
    let (Some(whole), Some(rest)) =
        (numerator.checked_div(denominator), numerator.checked_rem(denominator))
    else {
        return U256::MAX;
    };
    let up = if rest >= denominator.saturating_sub(rest) { U256::ONE } else { U256::ZERO };
    whole.saturating_add(up).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target() -> Target {
        Target {
            includes_tax: false,
            tax: Percent::ZERO,
            quantity_per_unit: Quantity::ONE,
            rate: None,
            unit_amount_step: Precision::UNIT_AMOUNT,
            amount_step: Precision::AMOUNT,
        }
    }

    const LOCAL: Given = Given {
        includes_tax: false,
        tax: Percent::ZERO,
        per_base_unit: true,
        in_local_currency: true,
    };

    #[test]
    fn example_of_pricing_rules_section_3() {
        let target = Target {
            quantity_per_unit: "3.5".parse().unwrap(),
            rate: Some("0.17".parse().unwrap()),
            ..target()
        };
        let given = Given { includes_tax: true, tax: "19".parse().unwrap(), ..LOCAL };
        assert_eq!(
            target.convert_to_amount("155.65133".parse().unwrap(), given).unwrap().to_string(),
            "77.82567"
        );
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let table = [
            ("0.01", "2.344", "2.34"),
            ("0.01", "2.345", "2.35"),
            ("0.05", "2.325", "2.35"),
            ("0.05", "2.32499", "2.3"),
            ("1", "0.5", "1"),
            ("1", "0.49999", "0"),
            ("3", "4.5", "6"),
            ("3", "4.49999", "3"),
        ];
        for (step, price, result) in table {
            let target = Target { unit_amount_step: step.parse().unwrap(), ..target() };
            assert_eq!(
                target.convert_to_amount(price.parse().unwrap(), LOCAL).unwrap().to_string(),
                result,
                "{price}"
            );
        }
    }

    #[test]
    fn more_than_fifteen_digits_are_too_large() {
        let target = Target { quantity_per_unit: "10".parse().unwrap(), ..target() };
        let convert = |price: &str| target.convert_to_amount(price.parse().unwrap(), LOCAL);
        assert_eq!(convert("99999999999999.99999").unwrap().to_string(), "999999999999999.9999");
        assert_eq!(convert("100000000000000"), None);
        let up = Target { unit_amount_step: "1".parse().unwrap(), ..target };
        assert_eq!(up.convert_to_amount("99999999999999.95".parse().unwrap(), LOCAL), None);
        assert_eq!(
            up.convert_to_amount("99999999999999.94".parse().unwrap(), LOCAL).unwrap().to_string(),
            "999999999999999"
        );
        assert_eq!(target.gross("10".parse().unwrap(), "100000000000000".parse().unwrap()), None);
        assert_eq!(target.gross(Quantity::MAX, Amount::MAX), None);
        assert_eq!(
            target.gross(Quantity::ONE, "999999999999999.99".parse().unwrap()),
            Some("999999999999999.99".parse().unwrap())
        );
        assert_eq!(target.gross(Quantity::ONE, Amount::MAX), None);
    }

    #[test]
    fn halves_in_256_bits() {
        let wide = 10_u128.pow(19);
        for (price, result) in [(24, 0), (25, 2 * wide), (74, 2 * wide), (75, 4 * wide)] {
            // The value is price / 50 steps.
            let up = [price * wide / 100, wide, wide, 1];
            let down = [wide, wide / 4, 1];
            assert_eq!(rounded_wide(up, down, 2 * wide), U256::from(result), "{price}");
        }
    }

    #[test]
    fn largest_fraction_does_not_saturate() {
        let target = Target {
            includes_tax: true,
            tax: Percent::MAX,
            quantity_per_unit: Quantity::MAX,
            rate: Some(ExchangeRate::MAX),
            ..target()
        };
        let Ok(price) = target.convert::<U256>(Amount::MAX, LOCAL);
        assert!(price < U256::MAX / 1000);
        assert_eq!(target.convert::<u128>(Amount::MAX, LOCAL), Err(Beyond128Bits));
    }

    proptest! {
        #[test]
        fn narrow_and_wide_agree(
            price in 0u128..10u128.pow(20),
            tax in 1u128..10u128.pow(7),
            unit in 1u128..10u128.pow(9),
            step in 1u128..200_000,
        ) {
            let whole = u128::from(WHOLE);
            let up = [price, whole + tax, unit, 1];
            let down = [whole, ONE, 1];
            let wide = rounded_wide(up, down, step);
            let narrow = rounded_narrow(up, down, step);
            prop_assert!(narrow.is_none_or(|narrow| U256::from(narrow) == wide));
            match <u128 as Number>::rounded(up, down, step) {
                Ok(narrow) => prop_assert_eq!(U256::from(narrow), wide),
                Err(Beyond128Bits) => prop_assert!(wide > U256::from(Amount::MAX.units())),
            }
        }
    }
}
