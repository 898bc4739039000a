//! The contest among the lines that fit a question in all but its quantity (`docs/pricing-rules.md`
//! sections 2.7 and 4).
//!
//! Prices and discounts use the same contest. It compares scores: the net of a price, or the
//! remainder after a discount. It also writes each line's verdict, which an explanation only has to
//! read. The resolver decides which prices and discounts meet.

use chrono::NaiveDate;
use values::Quantity;
use values::enums::SourceType;

use super::line::{CampaignIndex, Line, tie_rank};
use super::policy::{Policy, SourceSet};
use super::verdict::Verdict;

/// The set of currency and variant that a line fixes, which decides if one line is more specific
/// than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Specificity(u8);

impl Specificity {
    /// Builds the set from its two members.
    #[must_use]
    pub fn new(currency: bool, variant: bool) -> Self {
        Self(u8::from(currency) | (u8::from(variant) << 1))
    }

    /// Returns whether this is a proper subset of the other.
    const fn is_less_than(self, other: Self) -> bool {
        self.0 & other.0 == self.0 && self.0 != other.0
    }
}

/// The set of specificities that occur among the candidates.
#[derive(Default)]
struct Specificities(u8);

impl Specificities {
    const fn insert(&mut self, one: Specificity) {
        self.0 |= 1 << one.0;
    }

    /// Returns whether there are several specificities, so that one can exceed another.
    const fn are_mixed(&self) -> bool {
        self.0.count_ones() > 1
    }

    /// Returns whether one of them is strictly more specific.
    fn any_above(&self, one: Specificity) -> bool {
        (0..4_u8).any(|other| self.0 & (1 << other) != 0 && one.is_less_than(Specificity(other)))
    }
}

/// A line in the contest.
#[derive(Debug, Clone, Copy)]
pub struct Entry<N> {
    /// The index of the line in the list that it comes from.
    pub place: usize,
    /// The number that is compared first. The lower one wins.
    pub score: N,
    /// The converted price of a price line.
    pub unit_price: N,
    /// The quantity from which the line counts, in units of 0.00001 of the question's unit of
    /// measure.
    pub threshold: u128,
    /// The first day of the line, or of its campaign.
    pub starting: Option<NaiveDate>,
    /// The kind of source.
    pub source: SourceType,
    /// The campaign, if that is the source. Every other source occurs once among the lines that
    /// fit, because there is only one account.
    pub campaign: Option<CampaignIndex>,
    /// If set, the lines of the campaign combine only with each other (section 4.7).
    pub is_own: bool,
    /// The currency and variant that the line fixes.
    pub specificity: Specificity,
    /// If set, the line is a discount for all items.
    pub for_all_items: bool,
    /// If set, the price line allows a line discount.
    pub allows_discount: bool,
    /// The result of the latest contest for this line.
    pub verdict: Verdict,
}

impl<N: Ord> Entry<N> {
    /// Returns whether no rule has dropped the line so far.
    pub fn is_candidate(&self) -> bool {
        self.verdict == Verdict::Chosen
    }

    fn drop_if(&mut self, dropped: bool, verdict: Verdict) {
        if dropped && self.is_candidate() {
            self.verdict = verdict;
        }
    }

    fn has_source_of(&self, other: &Self) -> bool {
        self.source == other.source && self.campaign == other.campaign
    }

    /// Returns whether this line precedes the other in the order of section 4: by score, then by
    /// the tie rules of section 4.5. `at` returns the line at an index.
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

/// Applies the rules that concern a line alone or the set of all lines: minimum quantity, discounts
/// for all items, policy, specificity. Each entry gets the verdict of the rule that drops it, or
/// `Chosen`.
#[inline]
pub fn qualify<N: Copy + Ord>(entries: &mut [Entry<N>], quantity: Quantity, policy: &Policy) {
    let quantity = quantity.units();
    let mut for_all_items = false;
    for entry in &mut *entries {
        let enough = quantity >= entry.threshold;
        entry.verdict = if enough { Verdict::Chosen } else { Verdict::BelowMinimumQuantity };
        for_all_items |= enough && entry.for_all_items;
    }
    if for_all_items {
        drop_shadowed_discounts(entries);
    }
    if policy.restricts() {
        let mut present = SourceSet::default();
        entries
            .iter()
            .filter(|entry| entry.is_candidate())
            .for_each(|entry| present.insert(entry.source));
        let competing = policy.competing(present);
        for entry in &mut *entries {
            entry.drop_if(!competing.contains(entry.source), Verdict::Policy);
        }
    }
    let mut specificities = Specificities::default();
    entries
        .iter()
        .filter(|entry| entry.is_candidate())
        .for_each(|entry| specificities.insert(entry.specificity));
    if specificities.are_mixed() {
        for entry in &mut *entries {
            entry.drop_if(specificities.any_above(entry.specificity), Verdict::LessSpecific);
        }
    }
}

/// Returns the index of the best of the candidates that `permits` admits, if there is one. `at`
/// returns the line at an entry's `place`.
pub fn best<'a, N: Copy + Ord, L: Line + 'a>(
    entries: &[Entry<N>],
    at: impl Fn(usize) -> Option<&'a L>,
    permits: impl Fn(&Entry<N>) -> bool,
) -> Option<usize> {
    let mut best: Option<(usize, &Entry<N>)> = None;
    for (index, entry) in entries.iter().enumerate() {
        if entry.is_candidate()
            && permits(entry)
            && best.is_none_or(|(_, best)| entry.is_before(best, &at))
        {
            best = Some((index, entry));
        }
    }
    best.map(|(index, _)| index)
}

/// Gives the candidates that have lost their verdicts: `lost` returns that of an entry. Without
/// this they keep `Chosen`, so it is only called if somebody reads the verdicts.
pub fn judge<N: Ord>(
    entries: &mut [Entry<N>],
    winner: Option<usize>,
    lost: impl Fn(&Entry<N>) -> Verdict,
) {
    for (index, entry) in entries.iter_mut().enumerate() {
        if Some(index) != winner && entry.is_candidate() {
            entry.verdict = lost(entry);
        }
    }
}

/// Drops the discounts for all items whose source has a candidate for the item or its group
/// (`docs/pricing-rules.md` section 2.2).
fn drop_shadowed_discounts<N: Ord>(entries: &mut [Entry<N>]) {
    for place in 0..entries.len() {
        let hidden = entries.get(place).is_some_and(|all| {
            all.for_all_items
                && all.is_candidate()
                && entries.iter().any(|entry| {
                    !entry.for_all_items && entry.is_candidate() && entry.has_source_of(all)
                })
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
