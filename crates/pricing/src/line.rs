//! Price lines and discount lines in the form of the price book snapshot: codes are interned as
//! dense numbers, decimals are whole numbers.

use std::num::NonZeroU32;

use chrono::NaiveDate;
use uuid::Uuid;
use values::enums::SourceType;
use values::{Amount, Percent, Quantity};

/// The interned number of a code (variant, unit of measure, currency, group) in one snapshot. A
/// blank code is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub NonZeroU32);

/// The interned number of a contact in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContactIndex(pub u32);

/// The interned number of a campaign in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CampaignIndex(pub u32);

/// Returns the rank of a source in ties (`docs/pricing-rules.md` section 4.5). The lower rank wins,
/// so a campaign is credited last.
#[must_use]
pub const fn tie_rank(source: SourceType) -> u8 {
    match source {
        SourceType::Contact => 0,
        SourceType::CustomerPriceGroup | SourceType::CustomerDiscountGroup => 1,
        SourceType::AllCustomers => 2,
        SourceType::Campaign => 3,
    }
}

/// Returns the quantity from which a line counts, in units of 0.00001 of the requested unit of
/// measure (`docs/pricing-rules.md` section 2.7). For a line without unit it is the minimum
/// quantity divided by the quantity per unit, rounded up. Rounding to the five places of a quantity
/// changes nothing, because no quantity is in between. The product is below 10^20 × 10^5, which
/// fits.
#[must_use]
pub fn threshold(unit: Option<Code>, minimum: Amount, quantity_per_unit: Quantity) -> u128 {
    let minimum = minimum.units();
    if unit.is_some() || quantity_per_unit == Quantity::ONE || minimum == 0 {
        return minimum;
    }
    minimum.saturating_mul(Quantity::ONE.units()).div_ceil(quantity_per_unit.units())
}

/// The grantor of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A campaign, for its audience.
    Campaign(CampaignIndex),
    /// A contact, for the account that it belongs to in the version that answers.
    Contact(ContactIndex),
    /// A customer price group.
    PriceGroup(Code),
    /// A customer discount group.
    DiscountGroup(Code),
    /// All customers.
    AllCustomers,
}

impl Source {
    /// Returns the kind of the source.
    #[must_use]
    pub const fn kind(self) -> SourceType {
        match self {
            Self::Campaign(_) => SourceType::Campaign,
            Self::Contact(_) => SourceType::Contact,
            Self::PriceGroup(_) => SourceType::CustomerPriceGroup,
            Self::DiscountGroup(_) => SourceType::CustomerDiscountGroup,
            Self::AllCustomers => SourceType::AllCustomers,
        }
    }
}

/// A period with its first and last day, both inclusive. `None` leaves an end open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Period {
    /// The first day.
    pub starting: Option<NaiveDate>,
    /// The last day.
    pub ending: Option<NaiveDate>,
}

impl Period {
    /// Returns whether the period contains the date.
    #[must_use]
    pub fn contains(self, date: NaiveDate) -> bool {
        self.starting.is_none_or(|first| first <= date)
            && self.ending.is_none_or(|last| last >= date)
    }

    /// Returns the first date after `date` on which [`contains`](Self::contains) changes its
    /// result.
    #[must_use]
    pub fn next_change(self, date: NaiveDate) -> Option<NaiveDate> {
        match self.starting.filter(|first| *first > date) {
            // An empty period (its last day before its first) never begins. Reporting a change for
            // it is harmless: the answer is only resolved again too early.
            Some(first) => Some(first),
            None => self.ending.filter(|last| *last >= date).and_then(|last| last.succ_opt()),
        }
    }
}

/// The source of a line and the conditions under which it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// The minimum quantity, in the line's unit of measure, or in base units if that is blank.
    pub minimum_quantity: Amount,
    /// The grantor of the line.
    pub source: Source,
    /// The variant, if the line is limited to one.
    pub variant: Option<Code>,
    /// The unit of measure, if the line is limited to one.
    pub unit: Option<Code>,
    /// The currency, if the line is limited to one.
    pub currency: Option<Code>,
    /// The line's own dates. For a campaign line this is open: the campaign's period applies.
    pub period: Period,
}

/// A unit price for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceLine {
    /// The line's id.
    pub id: Uuid,
    /// The version of the price book that brought the line.
    pub version: i64,
    /// The source and conditions of the line.
    pub conditions: Conditions,
    /// The price of one unit of measure of the line (base unit if blank), in the line's currency
    /// (local if blank).
    pub unit_price: Amount,
    /// The line's own tax rate. If it is `None`, the item's rate applies.
    pub tax: Option<Percent>,
    /// If set, a line discount can be granted on this price.
    pub allow_line_discount: bool,
    /// If set, `unit_price` includes tax.
    pub includes_tax: bool,
}

/// A line discount for an item, an item discount group or all items. The list of
/// [`Lines`](super::resolve::Lines) that contains it determines which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscountLine {
    /// The line's id.
    pub id: Uuid,
    /// The version of the price book that brought the line.
    pub version: i64,
    /// The source and conditions of the line.
    pub conditions: Conditions,
    /// The discount in percent.
    pub percent: Percent,
}

/// The properties that price lines and discount lines have in common.
pub trait Line {
    /// The kind of group that can grant such a line.
    const GROUP: SourceType;
    /// Returns the line's id.
    fn id(&self) -> Uuid;
    /// Returns the line's source and conditions.
    fn conditions(&self) -> &Conditions;
}

impl Line for PriceLine {
    const GROUP: SourceType = SourceType::CustomerPriceGroup;

    fn id(&self) -> Uuid {
        self.id
    }

    fn conditions(&self) -> &Conditions {
        &self.conditions
    }
}

impl Line for DiscountLine {
    const GROUP: SourceType = SourceType::CustomerDiscountGroup;

    fn id(&self) -> Uuid {
        self.id
    }

    fn conditions(&self) -> &Conditions {
        &self.conditions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn period_includes_both_ends() {
        let period = Period { starting: Some(day("2031-05-10")), ending: Some(day("2031-05-20")) };
        let table = [
            ("2031-05-09", false),
            ("2031-05-10", true),
            ("2031-05-20", true),
            ("2031-05-21", false),
        ];
        for (date, inside) in table {
            assert_eq!(period.contains(day(date)), inside, "{date}");
        }
        assert_eq!(period.next_change(day("2031-05-09")), Some(day("2031-05-10")));
        assert_eq!(period.next_change(day("2031-05-10")), Some(day("2031-05-21")));
        assert_eq!(period.next_change(day("2031-05-20")), Some(day("2031-05-21")));
        assert_eq!(period.next_change(day("2031-05-21")), None);
        assert_eq!(Period::default().next_change(day("2031-05-21")), None);
    }
}
