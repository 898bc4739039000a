//! Looks on while the resolver chooses, and keeps what it saw until it is told in the words of the
//! answer.

use super::answer::{DiscountTrace, NamedCampaign, OtherLines, PriceTrace, Trace};
use super::quote::used;
use super::request::Visibility;
use crate::pricing::exact::{Amount, Shown};
use crate::pricing::line::{DiscountLine, PriceLine};
use crate::pricing::resolve::Observer;
use crate::pricing::verdict::Verdict;
use crate::publication::snapshot::Snapshot;

/// What has been seen of one question; used again for the next.
pub(super) struct Explanation<'a> {
    snapshot: &'a Snapshot,
    campaign: Option<NamedCampaign<'a>>,
    visibility: Visibility,
    /// Whether the price that was taken allows the discount; nothing until the resolver has been at
    /// work.
    discount_allowed: Option<bool>,
    prices: Vec<SeenPrice<'a>>,
    discounts: Vec<(&'a DiscountLine, Verdict)>,
    others: Vec<OtherLines>,
}

struct SeenPrice<'a> {
    line: &'a PriceLine,
    verdict: Verdict,
    price_and_net: Option<(Amount, u128)>,
}

impl<'a> Explanation<'a> {
    /// Nothing yet. What became of the campaign that the request names holds for each of its
    /// questions.
    pub const fn new(
        snapshot: &'a Snapshot,
        campaign: Option<NamedCampaign<'a>>,
        visibility: Visibility,
    ) -> Self {
        Self {
            snapshot,
            campaign,
            visibility,
            discount_allowed: None,
            prices: Vec::new(),
            discounts: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Forgets the question before.
    pub fn begin(&mut self) {
        self.discount_allowed = None;
        self.prices.clear();
        self.discounts.clear();
        self.others.clear();
    }

    /// Puts the lines in the order of their ids, because the one in which they lie in the snapshot
    /// depends on its history.
    pub fn end(&mut self) {
        self.prices.sort_unstable_by_key(|seen| seen.line.id.as_u128());
        self.discounts.sort_unstable_by_key(|(line, _)| line.id.as_u128());
        self.others.sort_unstable_by_key(|other| other.verdict);
    }

    /// What became of the campaign that the request names.
    pub const fn campaign(&self) -> Option<&NamedCampaign<'a>> {
        self.campaign.as_ref()
    }

    /// Whether the price that was taken allows the discount; nothing if no lines were looked at.
    pub const fn discount_allowed(&self) -> Option<bool> {
        self.discount_allowed
    }

    /// What became of each price line.
    pub fn prices(&self) -> impl Iterator<Item = PriceTrace<'a>> {
        self.prices.iter().map(|SeenPrice { line, verdict, price_and_net }| PriceTrace {
            line: used(self.snapshot, line.id, line.conditions.source, line.version),
            verdict: *verdict,
            minimum_quantity: line.conditions.minimum_quantity,
            unit_price: price_and_net.map(|(price, _)| price),
            net_unit_price: price_and_net.map(|(_, net)| Shown(net)),
        })
    }

    /// What became of each discount line.
    pub fn discounts(&self) -> impl Iterator<Item = DiscountTrace<'a>> {
        self.discounts.iter().map(|(line, verdict)| DiscountTrace {
            line: used(self.snapshot, line.id, line.conditions.source, line.version),
            verdict: *verdict,
            minimum_quantity: line.conditions.minimum_quantity,
            line_discount_percent: line.percent,
        })
    }

    /// The lines that are only counted.
    pub fn others(&self) -> &[OtherLines] {
        &self.others
    }

    /// Returns whether a line with this verdict is listed; counts it if it is not.
    fn lists(&mut self, verdict: Verdict) -> bool {
        if self.visibility == Visibility::All || verdict.is_granted() {
            return true;
        }
        match self.others.iter_mut().find(|other| other.verdict == verdict) {
            Some(other) => other.count = other.count.saturating_add(1),
            None => self.others.push(OtherLines { verdict, count: 1 }),
        }
        false
    }

    /// All of it, if lines were looked at.
    pub fn trace(&self) -> Option<Trace<'a>> {
        Some(Trace {
            campaign: self.campaign,
            line_discount_allowed: self.discount_allowed?,
            prices: self.prices().collect(),
            discounts: self.discounts().collect(),
            other_lines: self.others.clone(),
        })
    }
}

impl<'a> Observer<'a> for Explanation<'a> {
    const LISTENS: bool = true;

    fn price(
        &mut self,
        line: &'a PriceLine,
        verdict: Verdict,
        price_and_net: Option<(Amount, u128)>,
    ) {
        if self.lists(verdict) {
            self.prices.push(SeenPrice { line, verdict, price_and_net });
        }
    }

    fn discount(&mut self, line: &'a DiscountLine, verdict: Verdict) {
        if self.lists(verdict) {
            self.discounts.push((line, verdict));
        }
    }

    fn discount_allowed(&mut self, allowed: bool) {
        self.discount_allowed = Some(allowed);
    }
}
