//! Looks on while the resolver chooses, and keeps what it saw in the words of the answer.

use super::answer::{DiscountTrace, NamedCampaign, PriceTrace, Trace};
use super::quote::used;
use crate::pricing::exact::{Amount, Shown};
use crate::pricing::line::{DiscountLine, PriceLine};
use crate::pricing::resolve::{Lines, Observer};
use crate::pricing::verdict::Verdict;
use crate::publication::snapshot::Snapshot;

/// What has been seen so far.
pub(super) struct Explanation<'a> {
    snapshot: &'a Snapshot,
    discount_allowed: bool,
    prices: Vec<PriceTrace<'a>>,
    discounts: Vec<DiscountTrace<'a>>,
}

impl<'a> Explanation<'a> {
    /// Nothing yet; there is room for what becomes of these lines.
    pub(super) fn new(snapshot: &'a Snapshot, lines: Lines<'_>) -> Self {
        let discounts = [lines.item_discounts, lines.group_discounts, lines.all_item_discounts].map(<[_]>::len);
        Self {
            snapshot,
            discount_allowed: true,
            prices: Vec::with_capacity(lines.prices.len()),
            discounts: Vec::with_capacity(discounts.iter().sum()),
        }
    }

    /// The trace. By id, because the order in which lines lie in the snapshot depends on its history.
    pub(super) fn into_trace(mut self, campaign: Option<NamedCampaign<'a>>) -> Trace<'a> {
        self.prices.sort_unstable_by_key(|price| price.line.id);
        self.discounts.sort_unstable_by_key(|discount| discount.line.id);
        Trace { campaign, line_discount_allowed: self.discount_allowed, prices: self.prices, discounts: self.discounts }
    }
}

impl<'a> Observer<'a> for Explanation<'a> {
    const LISTENS: bool = true;

    fn price(&mut self, line: &'a PriceLine, verdict: Verdict, price_and_net: Option<(Amount, u128)>) {
        self.prices.push(PriceTrace {
            line: used(self.snapshot, line.id, line.conditions.source, line.version),
            verdict,
            minimum_quantity: line.conditions.minimum_quantity,
            unit_price: price_and_net.map(|(price, _)| price),
            net_unit_price: price_and_net.map(|(_, net)| Shown(net)),
        });
    }

    fn discount(&mut self, line: &'a DiscountLine, verdict: Verdict) {
        self.discounts.push(DiscountTrace {
            line: used(self.snapshot, line.id, line.conditions.source, line.version),
            verdict,
            minimum_quantity: line.conditions.minimum_quantity,
            line_discount_percent: line.percent,
        });
    }

    fn discount_allowed(&mut self, allowed: bool) {
        self.discount_allowed = allowed;
    }
}
