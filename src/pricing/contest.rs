//! The contest between the lines that fit a question but for its quantity (pricing rules, section
//! 2.7 and section 4).
//!
//! Prices and discounts go through the same contest: what is compared is a score, the net of a
//! price or what a discount leaves. It writes each line's verdict as it goes; an explanation has
//! only to read them.

use chrono::NaiveDate;

use super::exact::Positive;
use super::line::{CampaignIndex, Line, tie_rank};
use super::policy::{Policy, SourceSet};
use super::verdict::Verdict;
use crate::values::enums::SourceType;

/// What a line fixes of currency and variant: the set that makes it more or less specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specificity(u8);

impl Specificity {
    /// The set of what is fixed.
    #[must_use]
    pub fn new(currency: bool, variant: bool) -> Self {
        Self(u8::from(currency) | (u8::from(variant) << 1))
    }

    /// Whether this is a proper subset of the other.
    const fn is_less_than(self, other: Self) -> bool {
        self.0 & other.0 == self.0 && self.0 != other.0
    }
}

/// The specificities that occur.
#[derive(Default)]
struct Specificities(u8);

impl Specificities {
    const fn insert(&mut self, one: Specificity) {
        self.0 |= 1 << one.0;
    }

    /// Whether there is more than one, so that one may be above another.
    const fn are_mixed(&self) -> bool {
        self.0.count_ones() > 1
    }

    /// Whether one of them is strictly more specific.
    fn any_above(&self, one: Specificity) -> bool {
        (0..4_u8).any(|other| self.0 & (1 << other) != 0 && one.is_less_than(Specificity(other)))
    }
}

/// A line in the contest.
#[derive(Debug, Clone, Copy)]
pub struct Entry<N> {
    /// The place of the line in the list it was found in.
    pub place: usize,
    /// What is compared first; the lower wins.
    pub score: N,
    /// The converted price of a price line.
    pub unit_price: N,
    /// The least quantity, in units of 0.00001 of the question's unit of measure.
    pub threshold: u128,
    /// The first day: the line's, or its campaign's.
    pub starting: Option<NaiveDate>,
    /// The kind of source.
    pub source: SourceType,
    /// The campaign, if that is the source. Any other source occurs once among the lines that fit:
    /// there is one account.
    pub campaign: Option<CampaignIndex>,
    /// What the line fixes of currency and variant.
    pub specificity: Specificity,
    /// Whether it is a discount for all items.
    pub for_all_items: bool,
    /// Whether a price line allows a discount.
    pub allows_discount: bool,
    /// What became of it in the latest contest.
    pub verdict: Verdict,
}

impl<N: Ord> Entry<N> {
    /// Whether no rule has dropped the line so far.
    fn is_in(&self) -> bool {
        self.verdict == Verdict::Chosen
    }

    fn drop_if(&mut self, dropped: bool, verdict: Verdict) {
        if dropped && self.is_in() {
            self.verdict = verdict;
        }
    }

    fn has_source_of(&self, other: &Self) -> bool {
        self.source == other.source && self.campaign == other.campaign
    }

    /// The order of section 4: by score, then as ties are decided (4.5), for which `at` finds a
    /// line by its place.
    fn is_before<'a, L: Line + 'a>(
        &self,
        other: &Self,
        at: impl Fn(usize) -> Option<&'a L>,
    ) -> bool {
        let by_tie = || {
            let of = |entry: &Self| {
                at(entry.place).map(|line| (line.conditions().minimum_quantity, line.id()))
            };
            let (own, others) = (of(self).unzip(), of(other).unzip());
            (tie_rank(self.source), self.starting, others.0, own.1)
                < (tie_rank(other.source), other.starting, own.0, others.1)
        };
        self.score < other.score || (self.score == other.score && by_tie())
    }
}

/// Decides among the lines at a quantity. The place of the winner among the entries, if there is
/// one.
///
/// `at` finds the line of an entry by its place. If the verdicts are `told`, each entry has its own
/// in the end: `beaten` is that of those whose score is worse. If nobody asks for them, losers of
/// the contest are left as if they had won.
pub fn decide<'a, N: Copy + Ord, L: Line + 'a>(
    entries: &mut [Entry<N>],
    at: impl Fn(usize) -> Option<&'a L>,
    quantity: Positive,
    policy: &Policy,
    beaten: Verdict,
    told: bool,
) -> Option<usize> {
    let quantity = quantity.units();
    let mut for_all_items = false;
    for entry in &mut *entries {
        let enough = quantity >= entry.threshold;
        entry.verdict = if enough { Verdict::Chosen } else { Verdict::BelowMinimumQuantity };
        for_all_items |= enough && entry.for_all_items;
    }
    if for_all_items {
        drop_hidden(entries);
    }
    if policy.restricts() {
        let mut present = SourceSet::default();
        entries.iter().filter(|entry| entry.is_in()).for_each(|entry| present.insert(entry.source));
        let competing = policy.competing(present);
        for entry in &mut *entries {
            entry.drop_if(!competing.contains(entry.source), Verdict::Policy);
        }
    }
    let mut specificities = Specificities::default();
    entries
        .iter()
        .filter(|entry| entry.is_in())
        .for_each(|entry| specificities.insert(entry.specificity));
    if specificities.are_mixed() {
        for entry in &mut *entries {
            entry.drop_if(specificities.any_above(entry.specificity), Verdict::LessSpecific);
        }
    }

    let mut best: Option<(usize, &Entry<N>)> = None;
    for (place, entry) in entries.iter().enumerate() {
        if entry.is_in() && best.is_none_or(|(_, best)| entry.is_before(best, &at)) {
            best = Some((place, entry));
        }
    }
    let (winner, score) = best.map(|(place, best)| (place, best.score))?;
    if told {
        for (place, entry) in entries.iter_mut().enumerate() {
            entry
                .drop_if(place != winner, if entry.score == score { Verdict::Tie } else { beaten });
        }
    }
    Some(winner)
}

/// Drops the discounts for all items whose source has a candidate for the item or its group
/// (section 2.2).
fn drop_hidden<N: Ord>(entries: &mut [Entry<N>]) {
    for place in 0..entries.len() {
        let hidden = entries.get(place).is_some_and(|all| {
            all.for_all_items
                && all.is_in()
                && entries
                    .iter()
                    .any(|entry| !entry.for_all_items && entry.is_in() && entry.has_source_of(all))
        });
        if let Some(entry) = entries.get_mut(place) {
            entry.drop_if(hidden, Verdict::ItemLineOfSameSource);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_specific_means_a_proper_subset() {
        let [none, currency, variant, both] =
            [(false, false), (true, false), (false, true), (true, true)]
                .map(|(c, v)| Specificity::new(c, v));
        for (less, more) in
            [(none, currency), (none, variant), (none, both), (currency, both), (variant, both)]
        {
            assert!(less.is_less_than(more) && !more.is_less_than(less));
        }
        for (one, other) in [(currency, variant), (both, both), (none, none)] {
            assert!(!one.is_less_than(other) && !other.is_less_than(one));
        }
    }
}
