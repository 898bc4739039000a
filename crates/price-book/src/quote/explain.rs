//! The observer that records the resolver's verdicts and converts them into the trace of an answer.

use pricing::line::{DiscountLine, PriceLine};
use pricing::resolve::Observer;
use pricing::verdict::Verdict;
use values::{Amount, Shown};

use super::answer::{DiscountTrace, NamedCampaign, OtherLines, PriceTrace, Trace, line_reference};
use super::request::Visibility;
use crate::snapshot::Snapshot;

/// The verdicts for one line of the request. The buffers are reused for the next line.
pub(super) struct Explanation<'a> {
    snapshot: &'a Snapshot,
    campaign: Option<NamedCampaign<'a>>,
    visibility: Visibility,
    /// True if the chosen price allows the discount. `None` until the resolver has run.
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
    /// Creates an empty explanation. The verdict on the campaign that the request names is the same
    /// for all lines of the request.
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

    /// Clears the verdicts of the previous line.
    pub fn begin(&mut self) {
        self.discount_allowed = None;
        self.prices.clear();
        self.discounts.clear();
        self.others.clear();
    }

    /// Sorts the lines by id, because their order in the snapshot depends on its history.
    pub fn end(&mut self) {
        self.prices.sort_unstable_by_key(|seen| seen.line.id.as_u128());
        self.discounts.sort_unstable_by_key(|(line, _)| line.id.as_u128());
        self.others.sort_unstable_by_key(|other| other.verdict);
    }

    /// Returns the verdict on the campaign that the request names.
    pub const fn campaign(&self) -> Option<&NamedCampaign<'a>> {
        self.campaign.as_ref()
    }

    /// Returns whether the chosen price allows the discount, or `None` if no lines were examined.
    pub const fn discount_allowed(&self) -> Option<bool> {
        self.discount_allowed
    }

    /// Returns the verdict on each price line.
    pub fn prices(&self) -> impl Iterator<Item = PriceTrace<'a>> {
        self.prices.iter().map(|SeenPrice { line, verdict, price_and_net }| PriceTrace {
            line: line_reference(self.snapshot, line.id, line.conditions.source, line.version),
            verdict: *verdict,
            minimum_quantity: line.conditions.minimum_quantity,
            unit_price: price_and_net.map(|(price, _)| price),
            net_unit_price: price_and_net.map(|(_, net)| Shown(net)),
        })
    }

    /// Returns the verdict on each discount line.
    pub fn discounts(&self) -> impl Iterator<Item = DiscountTrace<'a>> {
        self.discounts.iter().map(|(line, verdict)| DiscountTrace {
            line: line_reference(self.snapshot, line.id, line.conditions.source, line.version),
            verdict: *verdict,
            minimum_quantity: line.conditions.minimum_quantity,
            line_discount_percent: line.percent,
        })
    }

    /// Returns the counts of the lines that are not listed.
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

    /// Returns the whole trace, if lines were examined.
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
    const IS_ACTIVE: bool = true;

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
