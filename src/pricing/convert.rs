//! Conversion of a price into what the question asks for, and the amounts of a quote line (pricing rules, sections 3 and 5).
//!
//! A conversion is one fraction, rounded once. How large it can get, in the whole numbers of [`exact`](super::exact):
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
//! Twice the numerator and one denominator still lie far below 2^256 ≈ 1.15 × 10^77, so 256 bits never overflow. Nearly all
//! conversions fit 128 bits; these are tried first, with checked steps.

use ethnum::U256;

use super::exact::{Amount, Percent, Positive, Rate};

/// 100 % in the units of [`Percent`].
pub const WHOLE: u128 = 10_000_000;

/// Units of a [`Positive`] in one.
const ONE: u128 = 100_000;

/// Units of a [`Rate`] in one.
const ONE_RATE: u128 = 10_000_000_000;

/// An exact price in units of 0.00001 that may have more than 15 digits: too large to be answered, but still to be compared.
pub type WidePrice = U256;

/// What the question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Whether the answer includes tax.
    pub includes_tax: bool,
    /// The tax rate of the sale.
    pub tax: Percent,
    /// Base units in one unit of the question.
    pub quantity_per_unit: Positive,
    /// The exchange rate, when the question is in a foreign currency.
    pub rate: Option<Rate>,
    /// The step of unit prices in the question's currency.
    pub unit_amount_step: Positive,
    /// The step of amounts in the question's currency.
    pub amount_step: Positive,
}

/// What a price is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Whether the price includes tax.
    pub includes_tax: bool,
    /// The tax rate it includes.
    pub tax: Percent,
    /// Whether it is per base unit (otherwise it is for the unit of the question).
    pub per_base_unit: bool,
    /// Whether it is in local currency (otherwise it is in the currency of the question).
    pub in_local_currency: bool,
}

impl Target {
    /// The price in the tax, unit and currency of the question, rounded once.
    #[must_use]
    pub fn convert(&self, price: Amount, given: Given) -> WidePrice {
        let (tax_up, tax_down) = self.tax_factor(given);
        let (unit_up, unit_down) = match self.quantity_per_unit {
            Positive::ONE => (1, 1),
            quantity if given.per_base_unit => (quantity.units(), ONE),
            _ => (1, 1),
        };
        let (rate_up, rate_down) = match self.rate {
            Some(rate) if given.in_local_currency => (rate.units(), ONE_RATE),
            _ => (1, 1),
        };
        rounded(
            [price.units(), tax_up, unit_up, rate_up],
            [tax_down, unit_down, rate_down],
            self.unit_amount_step.units(),
        )
    }

    /// The factor between the price with its tax and with that of the question.
    fn tax_factor(&self, given: Given) -> (u128, u128) {
        let with = |tax: Percent| WHOLE.saturating_add(tax.units());
        match (given.includes_tax, self.includes_tax) {
            (false, false) => (1, 1),
            (true, false) => (WHOLE, with(given.tax)),
            (false, true) => (with(self.tax), WHOLE),
            (true, true) if given.tax == self.tax => (1, 1),
            (true, true) => (with(self.tax), with(given.tax)),
        }
    }

    /// Quantity × unit price in the currency's amount step; `None` above 15 digits.
    #[must_use]
    pub fn gross(&self, quantity: Positive, unit_price: Amount) -> Option<Amount> {
        narrow(rounded([quantity.units(), unit_price.units(), 1, 1], [ONE, 1, 1], self.amount_step.units()))
    }

    /// The discount on a gross amount in the currency's amount step. Never above the gross amount, which is itself a multiple
    /// of the step.
    #[must_use]
    pub fn discount_amount(&self, gross: Amount, percent: Percent) -> Option<Amount> {
        narrow(rounded([gross.units(), percent.units(), 1, 1], [WHOLE, 1, 1], self.amount_step.units()))
    }
}

/// The price as an amount, unless it has more than 15 digits before the point.
#[must_use]
pub fn narrow(price: WidePrice) -> Option<Amount> {
    u128::try_from(price).ok().and_then(Amount::from_units)
}

/// The product of `up` over the product of `down`, as a multiple of `step`, half away from zero (nothing is negative here).
fn rounded(up: [u128; 4], down: [u128; 3], step: u128) -> WidePrice {
    let narrow_product = |factors: &[u128]| {
        factors.iter().try_fold(1_u128, |product, factor| match (product, *factor) {
            (product, 1) => Some(product),
            (1, factor) => Some(factor),
            (product, factor) => product.checked_mul(factor),
        })
    };
    let fast = || {
        let numerator = narrow_product(&up)?;
        let denominator = narrow_product(&down)?.checked_mul(step)?;
        quotient(numerator, denominator)?.checked_mul(step)
    };
    match fast() {
        Some(result) => U256::from(result),
        None => rounded_wide(up, down, step),
    }
}

/// The quotient rounded to a whole number, half up.
fn quotient(numerator: u128, denominator: u128) -> Option<u128> {
    if denominator == 1 {
        return Some(numerator);
    }
    // Division by 128-bit numbers costs ten times that of 64-bit ones, and prices are seldom that large.
    if let (Ok(numerator), Ok(denominator)) = (u64::try_from(numerator), u64::try_from(denominator)) {
        let rest = numerator.checked_rem(denominator)?;
        let up = u64::from(rest >= denominator.saturating_sub(rest));
        return Some(u128::from(numerator.checked_div(denominator)?.checked_add(up)?));
    }
    let rest = numerator.checked_rem(denominator)?;
    let up = u128::from(rest >= denominator.saturating_sub(rest));
    numerator.checked_div(denominator)?.checked_add(up)
}

/// The same with 256 bits, which by the table above always suffice. Were it not so, saturation would end in
/// `AMOUNT_TOO_LARGE`, not in a wrong price.
fn rounded_wide(up: [u128; 4], down: [u128; 3], step: u128) -> WidePrice {
    let product = |factors: &[u128]| {
        factors.iter().fold(U256::ONE, |product, factor| product.saturating_mul(U256::from(*factor)))
    };
    let step = U256::from(step);
    let numerator = product(&up);
    let denominator = product(&down).saturating_mul(step);
    let (Some(whole), Some(rest)) = (numerator.checked_div(denominator), numerator.checked_rem(denominator)) else {
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
            quantity_per_unit: Positive::ONE,
            rate: None,
            unit_amount_step: Positive::DEFAULT_UNIT_AMOUNT_STEP,
            amount_step: Positive::DEFAULT_AMOUNT_STEP,
        }
    }

    const LOCAL: Given =
        Given { includes_tax: false, tax: Percent::ZERO, per_base_unit: true, in_local_currency: true };

    #[test]
    fn the_example_of_the_rules() {
        let target =
            Target { quantity_per_unit: "3.5".parse().unwrap(), rate: Some("0.17".parse().unwrap()), ..target() };
        let given = Given { includes_tax: true, tax: "19".parse().unwrap(), ..LOCAL };
        assert_eq!(narrow(target.convert("155.65133".parse().unwrap(), given)).unwrap().to_string(), "77.82567");
    }

    #[test]
    fn both_sides_of_a_half() {
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
            assert_eq!(narrow(target.convert(price.parse().unwrap(), LOCAL)).unwrap().to_string(), result, "{price}");
        }
    }

    #[test]
    fn the_bound_of_fifteen_digits() {
        let target = Target { quantity_per_unit: "10".parse().unwrap(), ..target() };
        let convert = |price: &str| narrow(target.convert(price.parse().unwrap(), LOCAL));
        assert_eq!(convert("99999999999999.99999").unwrap().to_string(), "999999999999999.9999");
        assert_eq!(convert("100000000000000"), None);
        let up = Target { unit_amount_step: "1".parse().unwrap(), ..target };
        assert_eq!(narrow(up.convert("99999999999999.95".parse().unwrap(), LOCAL)), None);
        assert_eq!(
            narrow(up.convert("99999999999999.94".parse().unwrap(), LOCAL)).unwrap().to_string(),
            "999999999999999"
        );
        assert_eq!(target.gross("10".parse().unwrap(), "100000000000000".parse().unwrap()), None);
        assert_eq!(target.gross(Positive::MAX, Amount::MAX), None);
        assert_eq!(
            target.gross(Positive::ONE, "999999999999999.99".parse().unwrap()),
            Some("999999999999999.99".parse().unwrap())
        );
        assert_eq!(target.gross(Positive::ONE, Amount::MAX), None);
    }

    #[test]
    fn the_largest_fraction_does_not_saturate() {
        let target = Target {
            includes_tax: true,
            tax: Percent::MAX,
            quantity_per_unit: Positive::MAX,
            rate: Some(Rate::MAX),
            ..target()
        };
        assert!(target.convert(Amount::MAX, LOCAL) < U256::MAX / 1000);
    }

    proptest! {
        #[test]
        fn narrow_and_wide_agree(price in 0u128..10u128.pow(20), tax in 1u128..10u128.pow(7), unit in 1u128..10u128.pow(9), step in 1u128..200_000) {
            let up = [price, WHOLE + tax, unit, 1];
            let down = [WHOLE, ONE, 1];
            prop_assert_eq!(rounded(up, down, step), rounded_wide(up, down, step));
        }
    }
}
