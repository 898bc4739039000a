//! The prices of a whole audience before and after an activation, as statistics.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use price_book::facts::SourceFact;
use price_book::quote::answer::AnswerSource;
use price_book::snapshot::Snapshot;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use values::{Amount, Percent, Quantity};

use crate::price_impact::compare::{Comparison, Size};
use crate::price_impact::net::{self, Average, BUCKET_PERCENT, NetPrice};

/// Maximum number of reductions that are listed.
const MAX_REDUCTIONS: usize = 100;
/// Maximum number of combinations of two sources that are listed.
const MAX_STACKED: usize = 100;
/// The lower end of the last bucket of changes, in percent; it has no upper end.
const LAST_BUCKET: i64 = 100;

/// The prices of all accounts of the audience before and after an activation. A price is that of
/// one account for one item, variant, unit of measure, currency and quantity break.
///
/// Covered are the items that the campaign's lines name, those of the item discount groups that
/// they name, and all items if a discount names neither.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePrices {
    /// The date of the prices: the campaign's first day, or today if later, but not after its end.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// Number of items whose prices were compared.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 40)]
    pub items: usize,
    /// The largest number of classes of one item. Accounts with the same groups, flags, currency,
    /// own lines and campaigns pay the same; they form a class and are priced once.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 6)]
    pub classes: usize,
    /// Number of prices that were compared: `lower` + `higher` + `equal` + `appeared` +
    /// `disappeared`.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 48000)]
    pub compared: u64,
    /// Number of prices whose net would be lower.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 45600)]
    pub lower: u64,
    /// Number of prices whose net would be higher.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub higher: u64,
    /// Number of prices whose net would be the same.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 2400)]
    pub equal: u64,
    /// Number of prices where there is none before.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub appeared: u64,
    /// Number of prices where there would be none after.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub disappeared: u64,
    /// The distribution of the changes of net prices, in steps of 5 percent. Equal prices do not
    /// count, and steps without a price are omitted.
    #[schema(max_items = 41)]
    pub histogram: Vec<PriceChangeStep>,
    /// The average saving on the list prices after the activation, in percent with up to two
    /// decimals. Negative if the accounts pay more. Prices without a list price do not count; null
    /// if there are no others.
    #[schema(
        value_type = Option<String>,
        max_length = 30,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$",
        example = "12.5"
    )]
    pub average_discount_percent: Option<Decimal>,
    /// The average margin before the activation: the net price in local currency without tax less
    /// the item's unit cost, in percent of the net price. It has up to two decimals, and is
    /// negative for a loss. Only items with a unit cost count; null if there are none.
    #[schema(
        value_type = Option<String>,
        max_length = 30,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$",
        example = "41.2"
    )]
    pub average_margin_percent_before: Option<Decimal>,
    /// The average margin after the activation, computed in the same way.
    #[schema(
        value_type = Option<String>,
        max_length = 30,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$",
        example = "33.75"
    )]
    pub average_margin_percent_after: Option<Decimal>,
    /// The largest reductions of a net price in percent, the largest first.
    #[schema(max_items = 100)]
    pub largest_reductions: Vec<PriceReduction>,
    /// The combinations of a price from one source with a discount from another that the accounts
    /// would pay and do not pay before, those with the most prices first.
    #[schema(max_items = 100)]
    pub stacked: Vec<StackedPrices>,
}

/// A step of the distribution of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceChangeStep {
    /// The smallest change of the step in percent.
    #[schema(minimum = -100, maximum = 100, example = -20)]
    pub from_percent: i64,
    /// The end of the step in percent, which belongs to the next one. Null for the last step, which
    /// has no end.
    #[schema(minimum = -95, maximum = 100, example = -15)]
    pub to_percent: Option<i64>,
    /// Number of prices that change by so much.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub prices: u64,
}

/// A reduced price, and the number of accounts that pay it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceReduction {
    /// Number of accounts with this change.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub accounts: u64,
    /// The contact number of one of these accounts.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The change in percent with up to two decimals; negative for a reduction.
    #[schema(
        value_type = String,
        max_length = 30,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$",
        example = "-20"
    )]
    pub change_percent: Decimal,
    /// The price before and after.
    #[serde(flatten)]
    pub price: PriceComparison,
}

/// Prices that combine a price from one source with a discount from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackedPrices {
    /// The source of the price.
    #[schema(value_type = AnswerSource<'static>)]
    pub price_source: SourceFact,
    /// The source of the discount.
    #[schema(value_type = AnswerSource<'static>)]
    pub discount_source: SourceFact,
    /// Number of prices with this combination.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub prices: u64,
    /// One of the accounts, with one of these prices: the one with the largest saving on the list
    /// price.
    #[serde(flatten)]
    pub example: StackedExample,
}

/// A price that combines two sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackedExample {
    /// The contact number of the account.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The number of the item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The quantity that was priced.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "1"
    )]
    pub quantity: Quantity,
    /// The price.
    #[serde(flatten)]
    pub price: PlannedPrice,
    /// The margin of the net price in percent with up to two decimals. Null if the item has no unit
    /// cost, or the net price is zero.
    #[schema(
        value_type = Option<String>,
        max_length = 30,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$",
        example = "-10.73"
    )]
    pub margin_percent: Option<Decimal>,
}

/// A price before and after an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceComparison {
    /// The number of the item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The code of the variant; null for the item without variant.
    #[schema(max_length = 50, example = "RED")]
    pub variant_code: Option<String>,
    /// The code of the unit of measure; null for the base unit.
    #[schema(max_length = 50, example = "PCS")]
    pub unit_of_measure_code: Option<String>,
    /// The code of the currency; null for the account's currency.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<String>,
    /// The quantity that was priced.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "1"
    )]
    pub quantity: Quantity,
    /// The price before; null if there is none.
    pub before: Option<PlannedPrice>,
    /// The price after; null if there is none.
    pub after: Option<PlannedPrice>,
}

/// A unit price and its line discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPrice {
    /// The price of one unit of measure before the line discount.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Amount,
    /// The line discount in percent.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
    /// The price of one unit of measure less the line discount, not rounded.
    #[schema(
        value_type = String,
        max_length = 28,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$",
        example = "54.72"
    )]
    pub net_unit_price: Decimal,
}

impl PlannedPrice {
    /// Returns the price as the plan shows it.
    pub(super) fn of(price: &NetPrice<'_>) -> Self {
        Self {
            unit_price: price.unit_price,
            line_discount_percent: price.percent,
            net_unit_price: net::shown_net(price.net()).unwrap_or_default(),
        }
    }
}

impl PriceComparison {
    /// Returns whether the net price changes.
    pub(super) fn is_change(&self) -> bool {
        let net = |price: Option<PlannedPrice>| price.map(|price| price.net_unit_price);
        net(self.before) != net(self.after)
    }

    /// Returns the comparison as the plan shows it. `book` is one of the compared books.
    pub(super) fn of(book: &Snapshot, comparison: &Comparison<'_>) -> Self {
        let text = |code| book.code_text(code).to_owned();
        let point = comparison.point;
        Self {
            item_number: comparison.item_number.to_owned(),
            variant_code: point.variant.map(text),
            unit_of_measure_code: point.unit.map(text),
            currency_code: point.currency.map(text),
            quantity: point.quantity,
            before: comparison.before.as_ref().map(PlannedPrice::of),
            after: comparison.after.as_ref().map(PlannedPrice::of),
        }
    }
}

impl StackedExample {
    /// Returns the price after an activation, if the class has one.
    pub(super) fn of(comparison: &Comparison<'_>) -> Option<Self> {
        let price = comparison.after.as_ref()?;
        let margin = comparison
            .item
            .unit_cost
            .and_then(|cost| net::shown_percent(comparison.terms.margin(price.net(), cost)?));
        Some(Self {
            account_number: comparison.class.account?.to_owned(),
            item_number: comparison.item_number.to_owned(),
            quantity: comparison.point.quantity,
            price: PlannedPrice::of(price),
            margin_percent: margin,
        })
    }
}

/// Returns a source as the API shows it, or `None` for the list price.
pub(super) fn source(source: AnswerSource<'_>) -> Option<SourceFact> {
    Some(match source {
        AnswerSource::Campaign { campaign_number } => {
            SourceFact::Campaign { campaign_number: campaign_number.to_owned() }
        }
        AnswerSource::Contact { contact_number } => {
            SourceFact::Contact { contact_number: contact_number.to_owned() }
        }
        AnswerSource::CustomerPriceGroup { code } => {
            SourceFact::CustomerPriceGroup { code: code.to_owned() }
        }
        AnswerSource::CustomerDiscountGroup { code } => {
            SourceFact::CustomerDiscountGroup { code: code.to_owned() }
        }
        AnswerSource::AllCustomers => SourceFact::AllCustomers,
        AnswerSource::ListPrice => return None,
    })
}

/// Prices that combine the same two sources, while they are counted.
struct StackedCount {
    prices: u64,
    /// The saving of the example, in units of 10^-8 percent.
    saving: i128,
    example: StackedExample,
}

/// Collects the statistics from the comparisons.
#[derive(Default)]
pub struct PriceStatistics {
    lower: u64,
    higher: u64,
    equal: u64,
    appeared: u64,
    disappeared: u64,
    /// The number of changes by step, in units of [`BUCKET_PERCENT`].
    steps: BTreeMap<i64, u64>,
    savings: Average,
    margins_before: Average,
    margins_after: Average,
    /// The largest reductions with their change, in units of 10^-8 percent; pruned as it grows.
    reductions: Vec<(i128, PriceReduction)>,
    /// The last of the largest reductions, once there are enough: its change and its item. What
    /// comes after it in their order is not among them.
    least_reduction: Option<(i128, String)>,
    stacked: HashMap<(SourceFact, SourceFact), StackedCount>,
}

impl PriceStatistics {
    /// Adds a comparison. Nobody in particular does not count.
    pub fn add(&mut self, book: &Snapshot, comparison: &Comparison<'_>) {
        let accounts = comparison.class.accounts;
        if accounts == 0 {
            return;
        }
        let Comparison { terms, item, before, after, .. } = comparison;
        let count = match (before, after) {
            (Some(before), Some(after)) => {
                let (old, new) = (before.net(), after.net());
                if old != new {
                    self.add_step(old, new, accounts);
                }
                match new.cmp(&old) {
                    std::cmp::Ordering::Less => {
                        self.add_reduction(book, comparison, old, new);
                        &mut self.lower
                    }
                    std::cmp::Ordering::Equal => &mut self.equal,
                    std::cmp::Ordering::Greater => &mut self.higher,
                }
            }
            (None, Some(_)) => &mut self.appeared,
            (Some(_), None) => &mut self.disappeared,
            (None, None) => return,
        };
        *count = count.saturating_add(accounts);
        if let Some(saving) = after.as_ref().and_then(NetPrice::saving) {
            self.savings.add(saving, accounts);
        }
        if let Some(cost) = item.unit_cost {
            let margin = |price: &Option<NetPrice<'_>>| terms.margin(price.as_ref()?.net(), cost);
            if let Some(margin) = margin(before) {
                self.margins_before.add(margin, accounts);
            }
            if let Some(margin) = margin(after) {
                self.margins_after.add(margin, accounts);
            }
        }
        self.add_stacked(comparison);
    }

    fn add_step(&mut self, before: u128, after: u128, accounts: u64) {
        let last = LAST_BUCKET / BUCKET_PERCENT;
        // A price that was zero rises by more than any percentage.
        let step = net::bucket(before, after)
            .map_or(last, |step| i64::try_from(step).unwrap_or(i64::MAX).min(last));
        let count = self.steps.entry(step).or_default();
        *count = count.saturating_add(accounts);
    }

    fn add_reduction(
        &mut self,
        book: &Snapshot,
        comparison: &Comparison<'_>,
        before: u128,
        after: u128,
    ) {
        let Some(change) = net::change_percent(before, after) else { return };
        let is_after = |(least, item): &(i128, String)| {
            (change, comparison.item_number) > (*least, item.as_str())
        };
        if self.least_reduction.as_ref().is_some_and(is_after) {
            return;
        }
        let (Some(account), Some(change_percent)) =
            (comparison.class.account, net::shown_percent(change))
        else {
            return;
        };
        let reduction = PriceReduction {
            accounts: comparison.class.accounts,
            account_number: account.to_owned(),
            change_percent,
            price: PriceComparison::of(book, comparison),
        };
        self.reductions.push((change, reduction));
        if self.reductions.len() >= MAX_REDUCTIONS.saturating_mul(4) {
            self.prune_reductions();
        }
    }

    /// Keeps the largest reductions. Equal ones are ordered by item and account.
    fn prune_reductions(&mut self) {
        self.reductions.sort_by(|(change, one), (other_change, other)| {
            change
                .cmp(other_change)
                .then_with(|| one.price.item_number.cmp(&other.price.item_number))
                .then_with(|| one.account_number.cmp(&other.account_number))
                .then_with(|| one.price.quantity.cmp(&other.price.quantity))
        });
        self.reductions.truncate(MAX_REDUCTIONS);
        if self.reductions.len() == MAX_REDUCTIONS {
            self.least_reduction = self
                .reductions
                .last()
                .map(|(change, reduction)| (*change, reduction.price.item_number.clone()));
        }
    }

    fn add_stacked(&mut self, comparison: &Comparison<'_>) {
        let Some(after) = &comparison.after else { return };
        let Some((price, discount)) = after.stacked() else { return };
        if comparison.before.is_some_and(|before| {
            before.net() == after.net() && before.stacked() == Some((price, discount))
        }) {
            return;
        }
        let Some(key) = source(price).zip(source(discount)) else { return };
        let saving = after.saving().unwrap_or_default();
        let accounts = comparison.class.accounts;
        match self.stacked.get_mut(&key) {
            Some(count) => {
                count.prices = count.prices.saturating_add(accounts);
                if saving > count.saving
                    && let Some(example) = StackedExample::of(comparison)
                {
                    (count.saving, count.example) = (saving, example);
                }
            }
            None => {
                if let Some(example) = StackedExample::of(comparison) {
                    self.stacked.insert(key, StackedCount { prices: accounts, saving, example });
                }
            }
        }
    }

    /// Returns the statistics of a finished comparison.
    #[must_use]
    pub fn finish(mut self, date: NaiveDate, size: Size) -> EffectivePrices {
        self.prune_reductions();
        let compared = [self.lower, self.higher, self.equal, self.appeared, self.disappeared]
            .into_iter()
            .fold(0_u64, u64::saturating_add);
        let mut stacked: Vec<StackedPrices> = self
            .stacked
            .into_iter()
            .map(|((price_source, discount_source), count)| StackedPrices {
                price_source,
                discount_source,
                prices: count.prices,
                example: count.example,
            })
            .collect();
        stacked.sort_by(|one, other| {
            other.prices.cmp(&one.prices).then_with(|| {
                let texts = |it: &StackedPrices| {
                    (format!("{:?}", it.price_source), format!("{:?}", it.discount_source))
                };
                texts(one).cmp(&texts(other))
            })
        });
        stacked.truncate(MAX_STACKED);
        EffectivePrices {
            date,
            items: size.items,
            classes: size.classes,
            compared,
            lower: self.lower,
            higher: self.higher,
            equal: self.equal,
            appeared: self.appeared,
            disappeared: self.disappeared,
            histogram: self
                .steps
                .into_iter()
                .map(|(step, prices)| change_step(step, prices))
                .collect(),
            average_discount_percent: self.savings.shown(),
            average_margin_percent_before: self.margins_before.shown(),
            average_margin_percent_after: self.margins_after.shown(),
            largest_reductions: self
                .reductions
                .into_iter()
                .map(|(_, reduction)| reduction)
                .collect(),
            stacked,
        }
    }
}

fn change_step(step: i64, prices: u64) -> PriceChangeStep {
    let from_percent = step.saturating_mul(BUCKET_PERCENT);
    let to_percent =
        (from_percent < LAST_BUCKET).then(|| from_percent.saturating_add(BUCKET_PERCENT));
    PriceChangeStep { from_percent, to_percent, prices }
}
