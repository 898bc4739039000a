//! Exact comparisons of net prices.
//!
//! A net has units of 10^-12: a price of five decimals less a percentage of five decimals. Ratios
//! are compared by multiplication, so nothing is rounded but the percentages that are shown.

use ethnum::{I256, U256};
use rust_decimal::Decimal;
use uuid::Uuid;

use price_book::quote::answer::{AnswerSource, PricedLine};
use pricing::resolve::net_unit_price;
use values::{Amount, ExchangeRate, Percent, Quantity};

/// One hundred percent in units of [`Percent`].
const WHOLE: u32 = 10_000_000;
/// One in units of [`Quantity`].
const ONE: u32 = 100_000;
/// One in units of [`ExchangeRate`].
const ONE_RATE: u64 = 10_000_000_000;
/// The decimal places of a percentage in the sum of an average.
const PERCENT_PLACES: u32 = 8;
/// One hundred percent in units of a percentage of [`PERCENT_PLACES`].
const HUNDRED: u64 = 10_000_000_000;
/// The width of a bucket of the distribution of changes, in percent.
pub const BUCKET_PERCENT: i64 = 5;

/// A price with the lines that provide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetPrice<'a> {
    /// The price of one unit before the discount.
    pub unit_price: Amount,
    /// The discount in percent.
    pub percent: Percent,
    /// The list price in the same terms.
    pub list_price: Option<Amount>,
    /// The line that provides the price. `None` for the list price.
    pub price_line: Option<Provider<'a>>,
    /// The line that provides the discount.
    pub discount_line: Option<Provider<'a>>,
}

/// A line that provides a price or a discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider<'a> {
    /// The id of the line.
    pub id: Uuid,
    /// The source of the line.
    pub source: AnswerSource<'a>,
}

impl<'a> Provider<'a> {
    /// Returns the number of the campaign, if that is the source.
    #[must_use]
    pub const fn campaign(&self) -> Option<&'a str> {
        match self.source {
            AnswerSource::Campaign { campaign_number } => Some(campaign_number),
            _ => None,
        }
    }
}

impl<'a> NetPrice<'a> {
    /// Returns the price of a quoted line.
    #[must_use]
    pub fn of(line: &PricedLine<'a>) -> Self {
        Self {
            unit_price: line.unit_price,
            percent: line.line_discount_percent,
            list_price: line.list_price,
            price_line: line.price_line.map(|line| Provider { id: line.id, source: line.source }),
            discount_line: line
                .discount_line
                .map(|line| Provider { id: line.id, source: line.source }),
        }
    }

    /// Returns the price less the discount, in units of 10^-12.
    #[must_use]
    pub fn net(&self) -> u128 {
        net_unit_price(self.unit_price, self.percent).0
    }

    /// Returns the list price in units of 10^-12, if there is one.
    fn list(&self) -> Option<u128> {
        Some(self.list_price?.units().saturating_mul(WHOLE.into()))
    }

    /// Returns the campaigns that provide the price or the discount, each once.
    pub fn campaigns(&self) -> impl Iterator<Item = &'a str> {
        let of_price = self.price_line.as_ref().and_then(Provider::campaign);
        let of_discount = self.discount_line.as_ref().and_then(Provider::campaign);
        of_price.into_iter().chain(of_discount.filter(|campaign| of_price != Some(campaign)))
    }

    /// Returns the sources of price and discount, if they are different lines' sources.
    #[must_use]
    pub fn stacked(&self) -> Option<(AnswerSource<'a>, AnswerSource<'a>)> {
        let (price, discount) = (self.price_line?.source, self.discount_line?.source);
        (price != discount).then_some((price, discount))
    }

    /// Returns whether the net is more than `percent` below the list price.
    #[must_use]
    pub fn is_discounted_beyond(&self, percent: Percent) -> bool {
        // Both sides have units of 10^-12 × 10^-7 and at most 34 digits.
        let Some(list) = self.list_price else { return false };
        let limit = list.units().saturating_mul(percent.rest().into());
        self.net() < limit
    }

    /// Returns whether the net is further below its list price than the other one is below its own.
    /// An absent list price is no limit.
    #[must_use]
    pub fn is_discounted_more_than(&self, other: &Self) -> bool {
        match (self.list(), other.list()) {
            (Some(list), Some(other_list)) => {
                let own = U256::from(self.net()).saturating_mul(U256::from(other_list));
                own < U256::from(other.net()).saturating_mul(U256::from(list))
            }
            (list, _) => list.is_some(),
        }
    }

    /// Returns the reduction from the list price in percent, in units of 10^-8. Negative if the net
    /// is higher. `None` without a list price, or if it is zero.
    #[must_use]
    pub fn saving(&self) -> Option<i128> {
        ratio(signed(self.list()?)?, signed(self.net())?, signed(self.list()?)?)
    }
}

/// Returns (minuend − subtrahend) ÷ divisor in percent, in units of 10^-8, rounded half away
/// from zero. `None` if the divisor is zero.
fn ratio(minuend: I256, subtrahend: I256, divisor: I256) -> Option<i128> {
    let numerator = minuend.checked_sub(subtrahend)?.checked_mul(I256::from(HUNDRED))?;
    let half = divisor.checked_div(I256::from(2_u8))?;
    let half = if numerator < 0 { half.checked_neg()? } else { half };
    i128::try_from(numerator.checked_add(half)?.checked_div(divisor)?).ok()
}

fn signed(value: impl Into<U256>) -> Option<I256> {
    I256::try_from(value.into()).ok()
}

/// Returns the change from one net to another in percent, in units of 10^-8. `None` if the first is
/// zero.
#[must_use]
pub fn change_percent(before: u128, after: u128) -> Option<i128> {
    ratio(signed(after)?, signed(before)?, signed(before)?)
}

/// Returns the bucket of a change: its lower end in units of [`BUCKET_PERCENT`]. `None` if the
/// first net is zero.
#[must_use]
pub fn bucket(before: u128, after: u128) -> Option<i128> {
    let (before, after) = (i128::try_from(before).ok()?, i128::try_from(after).ok()?);
    let buckets = i128::from(100 / BUCKET_PERCENT);
    after.checked_sub(before)?.checked_mul(buckets)?.checked_div_euclid(before)
}

/// Returns a percentage as a decimal of up to two places.
#[must_use]
pub fn shown_percent(units: i128) -> Option<Decimal> {
    let percent = Decimal::try_from_i128_with_scale(units, PERCENT_PLACES).ok()?;
    let strategy = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
    Some(percent.round_dp_with_strategy(2, strategy).normalize())
}

/// Returns a net as a decimal, with as many of its twelve places as it needs.
#[must_use]
pub fn shown_net(units: u128) -> Option<Decimal> {
    let units = i128::try_from(units).ok()?;
    Some(Decimal::try_from_i128_with_scale(units, 12).ok()?.normalize())
}

/// The terms in which a price is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The tax rate that the price includes, if it includes tax.
    pub included_tax: Option<Percent>,
    /// The exchange rate, if the price is in a foreign currency.
    pub rate: Option<ExchangeRate>,
    /// The number of base units in one unit of the price.
    pub quantity_per_unit: Quantity,
}

impl Terms {
    /// Returns the net of one base unit in local currency and without tax, as numerator and
    /// denominator.
    fn local(&self, net: u128) -> (U256, U256) {
        let is_local = self.included_tax.is_none()
            && self.rate.is_none()
            && self.quantity_per_unit == Quantity::ONE;
        if is_local {
            return (net.into(), U256::ONE);
        }
        // At most 10^27 × 10^7 × 10^10 × 10^5.
        let numerator = U256::from(net)
            .saturating_mul(WHOLE.into())
            .saturating_mul(ONE_RATE.into())
            .saturating_mul(ONE.into());
        let with_tax = U256::from(WHOLE) + U256::from(self.included_tax.map_or(0, Percent::units));
        let rate = self.rate.map_or_else(|| u128::from(ONE_RATE), ExchangeRate::units);
        // At most 2 × 10^7 × 10^25 × 10^20.
        let denominator = with_tax
            .saturating_mul(rate.into())
            .saturating_mul(self.quantity_per_unit.units().into());
        (numerator, denominator)
    }

    /// Returns whether a net is lower than another one in other terms, both of one base unit in
    /// local currency and without tax.
    #[must_use]
    pub fn is_lower(&self, net: u128, other_terms: Self, other_net: u128) -> bool {
        if *self == other_terms {
            return net < other_net;
        }
        let (numerator, denominator) = self.local(net);
        let (other_numerator, other_denominator) = other_terms.local(other_net);
        // Only rates and units of more than twenty digits exceed 256 bits.
        let products =
            numerator.checked_mul(other_denominator).zip(other_numerator.checked_mul(denominator));
        products.map_or(net < other_net, |(one, other)| one < other)
    }

    /// Returns whether the margin of a net over the cost is below a percentage of the net. With 0
    /// it is whether the net is below the cost. A product that exceeds 256 bits is that of the
    /// cost.
    #[must_use]
    pub fn is_margin_below(&self, net: u128, cost: Amount, percent: Percent) -> bool {
        let (numerator, denominator) = self.local(net);
        let rest = numerator.saturating_mul(percent.rest().into());
        let cost = cost_units(cost).saturating_mul(WHOLE.into()).saturating_mul(denominator);
        rest < cost
    }

    /// Returns the margin of a net over the cost in percent of the net, in units of 10^-8. `None`
    /// if the net is zero, or the cost is too large to compare.
    #[must_use]
    pub fn margin(&self, net: u128, cost: Amount) -> Option<i128> {
        let (numerator, denominator) = self.local(net);
        let cost = cost_units(cost).checked_mul(denominator)?;
        ratio(signed(numerator)?, signed(cost)?, signed(numerator)?)
    }
}

/// Returns a cost in units of 10^-12.
fn cost_units(cost: Amount) -> U256 {
    U256::from(cost.units()).saturating_mul(WHOLE.into())
}

/// The average of percentages, exact but for the eighth place of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Average {
    sum: i128,
    count: u64,
}

impl Average {
    /// Adds a percentage in units of 10^-8, as often as `count`.
    pub fn add(&mut self, percent: i128, count: u64) {
        self.sum = self.sum.saturating_add(percent.saturating_mul(count.into()));
        self.count = self.count.saturating_add(count);
    }

    /// Returns the average with up to two decimals, or `None` if nothing was added.
    #[must_use]
    pub fn shown(&self) -> Option<Decimal> {
        let count = i128::from(self.count);
        let half = count.checked_div(2)?;
        let half = if self.sum < 0 { half.checked_neg()? } else { half };
        shown_percent(self.sum.checked_add(half)?.checked_div(count)?)
    }
}
