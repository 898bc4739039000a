//! Price lines and discount lines as the price book holds them: names are dense numbers here,
//! decimals whole numbers.

use std::num::NonZeroU32;

use chrono::NaiveDate;
use uuid::Uuid;

use super::exact::{Amount, Percent};
use crate::values::enums::SourceType;

/// The number of a code (variant, unit of measure, currency, group) in one snapshot; blank is
/// `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub NonZeroU32);

/// The number of a contact in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContactIndex(pub u32);

/// The number of a campaign in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CampaignIndex(pub u32);

/// The place of a source in the order that decides ties (section 4.5): the smaller wins, so a
/// campaign gets the credit last.
#[must_use]
pub const fn tie_rank(source: SourceType) -> u8 {
    match source {
        SourceType::Contact => 0,
        SourceType::CustomerPriceGroup | SourceType::CustomerDiscountGroup => 1,
        SourceType::AllCustomers => 2,
        SourceType::Campaign => 3,
    }
}

/// Who grants a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The campaign, for its audience.
    Campaign(CampaignIndex),
    /// The contact, for the account it belongs to at the time of the question.
    Contact(ContactIndex),
    /// The price group.
    PriceGroup(Code),
    /// The discount group.
    DiscountGroup(Code),
    /// Everybody.
    AllCustomers,
}

impl Source {
    /// The kind of the source.
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

/// First and last day, both inclusive; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Period {
    /// The first day.
    pub starting: Option<NaiveDate>,
    /// The last day.
    pub ending: Option<NaiveDate>,
}

impl Period {
    /// Whether the date lies within.
    #[must_use]
    pub fn contains(self, date: NaiveDate) -> bool {
        self.starting.is_none_or(|first| first <= date)
            && self.ending.is_none_or(|last| last >= date)
    }

    /// The first date after `date` on which [`contains`](Self::contains) answers otherwise than the
    /// day before.
    #[must_use]
    pub fn next_change(self, date: NaiveDate) -> Option<NaiveDate> {
        match self.starting.filter(|first| *first > date) {
            // Also when the period is empty (a last day before the first): then nothing begins, but
            // saying so is harmless.
            Some(first) => Some(first),
            None => self.ending.filter(|last| *last >= date).and_then(|last| last.succ_opt()),
        }
    }
}

/// Under which conditions a line is granted, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// In units of the line's unit of measure; of the base unit where that is blank.
    pub minimum_quantity: Amount,
    /// Who grants the line.
    pub source: Source,
    /// Only this variant.
    pub variant: Option<Code>,
    /// Only this unit of measure.
    pub unit: Option<Code>,
    /// Only this currency.
    pub currency: Option<Code>,
    /// The line's own dates; those of a campaign line are the campaign's, and this is open.
    pub period: Period,
}

/// A unit price for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceLine {
    /// The line's id.
    pub id: Uuid,
    /// The version of the price book that brought the line.
    pub version: i64,
    /// Granted by whom, and when.
    pub conditions: Conditions,
    /// Per unit of the line's unit of measure (base unit where blank), in the line's currency
    /// (local where blank).
    pub unit_price: Amount,
    /// The line's own tax rate; `None`: the item's.
    pub tax: Option<Percent>,
    /// Whether a line discount may come on top.
    pub allow_line_discount: bool,
    /// Whether `unit_price` includes tax.
    pub includes_tax: bool,
}

/// A line discount for an item, an item discount group or all items: which of them, the place it
/// lies at says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscountLine {
    /// The line's id.
    pub id: Uuid,
    /// The version of the price book that brought the line.
    pub version: i64,
    /// Granted by whom, and when.
    pub conditions: Conditions,
    /// The discount.
    pub percent: Percent,
}

/// What price lines and discount lines have in common.
pub trait Line {
    /// The kind of group that can grant such a line.
    const GROUP: SourceType;
    /// The line's id.
    fn id(&self) -> Uuid;
    /// Granted by whom, and when.
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
    fn both_ends_belong_to_the_period() {
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
