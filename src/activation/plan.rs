//! The planned changes of an activation: accounts, lines, prices and overlapping campaigns.
//!
//! Prices are quotes from the same resolver, on the book as it is and on the book as it would be.

use std::collections::HashSet;

use chrono::NaiveDate;
use price_book::facts::{CampaignFact, Change, Fact, FactKind};
use price_book::snapshot::Snapshot;
use roaring::RoaringBitmap;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::text_enum;

use super::book_view::BookView;
use super::draft::Draft;
use super::effective_prices::{EffectivePrices, PriceStatistics};
use super::findings::Finding;
use super::golden;
use super::guardrails::{self, GuardrailCheck, GuardrailSet};
use super::overlaps::Conflict;
use super::rules::day_of_comparison;
use crate::golden_quotes::GoldenQuoteView;
use crate::price_impact::affected::Affected;
use crate::price_impact::classes::MAX_CLASSES;
use crate::price_impact::compare::{Bound, Comparer, Days, MAX_COMPARISONS, Next, TooLarge};
use crate::publication::audience::AudienceDifference;
use crate::publication::difference::Difference;

/// Maximum number of accounts in the sample.
const MAX_ACCOUNTS: usize = 10;

/// The changes that an activation would make.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActivationPlan)]
pub struct Plan {
    /// The changes of the audience.
    pub accounts: PlannedAccounts,
    /// The changes of the lines.
    pub lines: PlannedLines,
    /// The prices of the whole audience before and after the activation, including accounts that
    /// leave it. Null if the campaign has no starting date, if no account is targeted, or if
    /// `limit` is present.
    pub effective_prices: Option<EffectivePrices>,
    /// The bound that the computation of the prices would exceed. Present only if it would; the
    /// prices are not computed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<PlanLimit>,
    /// The published campaigns that offer the same items to the same accounts on the same days.
    #[schema(max_items = 1000)]
    pub conflicts: Vec<Conflict>,
}

/// The changes of a campaign's audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedAccounts {
    /// Number of accounts in the audience after the activation.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub total: u64,
    /// Number of accounts that the activation would add.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub gained: u64,
    /// Number of accounts that the activation would remove.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lost: u64,
    /// The first accounts by contact number: those added, or those of the audience if none is.
    #[schema(value_type = Vec<values::Key>, max_items = 10, example = json!(["CT000042"]))]
    pub sample: Vec<String>,
}

/// The changes of a campaign's published lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLines {
    /// Number of lines that the activation would add.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 40)]
    pub added: i64,
    /// Number of lines that the activation would change.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub changed: i64,
    /// Number of lines that the activation would remove.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub removed: i64,
}

text_enum! {
    /// A bound of the computation of a plan's prices.
    PlanBound {
        /// The number of comparisons: the sum over all items of classes × prices × days.
        Comparisons = "COMPARISONS",
        /// The number of classes of accounts of one item.
        Classes = "CLASSES",
    }
}

/// The bound that the computation of a plan's prices would exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanLimit {
    /// The kind of the bound.
    #[schema(example = "COMPARISONS")]
    pub bound: PlanBound,
    /// The largest permitted number.
    #[schema(
        value_type = i64,
        minimum = 1,
        maximum = 9_007_199_254_740_991_i64,
        example = 4_000_000
    )]
    pub maximum: u64,
    /// The reason in words, and what can be done.
    #[schema(max_length = 4000, example = "the plan needs more than 4000000 comparisons")]
    pub detail: String,
}

impl PlanLimit {
    /// Describes an exceeded bound.
    pub(super) fn of(TooLarge { bound, .. }: TooLarge) -> Self {
        let (bound, maximum, what) = match bound {
            Bound::Comparisons => (PlanBound::Comparisons, MAX_COMPARISONS, "comparisons"),
            Bound::Classes => {
                let maximum = u64::try_from(MAX_CLASSES).unwrap_or(u64::MAX);
                (PlanBound::Classes, maximum, "classes of accounts")
            }
        };
        let detail = format!(
            "the prices need more than {maximum} {what}; divide the campaign, or look at single \
             accounts under planned-prices"
        );
        Self { bound, maximum, detail }
    }
}

/// The book as it would be after an activation.
pub(super) struct Hypothesis {
    pub snapshot: Snapshot,
    /// The day of the plan.
    pub day: NaiveDate,
}

impl Hypothesis {
    /// Creates the next version of the book, with the campaign as the drafts describe it. A current
    /// book takes only the difference. A stale book may lack published rows, so it takes the whole
    /// draft. Returns `None` if the campaign has no starting date.
    pub(super) fn new(copy: &BookView, draft: &Draft, difference: &Difference) -> Option<Self> {
        let BookView { book, is_current } = copy;
        let starting_date = draft.campaign.starting_date?;
        let day = day_of_comparison(draft)?;
        let number = draft.campaign.number.to_string();
        let version = book.version().saturating_add(1);
        let begun: HashSet<_> =
            difference.begin.iter().map(|entry| (entry.kind, entry.key.as_str())).collect();
        let dates = CampaignFact {
            starting_date,
            ending_date: draft.campaign.ending_date,
            combination: draft.campaign.combination,
        };
        let prices = draft.prices.iter().map(|(key, line)| (key, Fact::PriceLine(line.clone())));
        let discounts =
            draft.discounts.iter().map(|(key, line)| (key, Fact::DiscountLine(line.clone())));
        let desired = prices.chain(discounts).chain([(&number, Fact::Campaign(dates))]);
        let desired = desired
            .filter(|(key, fact)| !*is_current || begun.contains(&(fact.kind(), key.as_str())));
        let desired = desired.map(|(key, fact)| Change::Put { key: key.clone(), fact, version });
        let gone = difference
            .end
            .iter()
            .filter(|entry| !begun.contains(&(entry.kind, entry.key.as_str())));
        let gone = gone.map(|entry| Change::Remove { kind: entry.kind, key: entry.key.clone() });
        let AudienceDifference { joined, left } = if *is_current {
            difference.audience.clone()
        } else {
            let accounts = draft.targeting.accounts.clone();
            AudienceDifference {
                left: book.audience(&number).cloned().unwrap_or_default(),
                joined: accounts,
            }
        };
        let audience = [
            Change::AudienceRemove { campaign: number.clone(), accounts: left },
            Change::AudienceAdd { campaign: number.clone(), accounts: joined },
        ];
        Some(Self { snapshot: book.advanced(version, gone.chain(desired).chain(audience)), day })
    }

    /// Returns a finding for each golden quote whose answer would not be the expected one.
    pub(super) fn golden_differences(
        &self,
        draft: &Draft,
        golden: &[GoldenQuoteView],
    ) -> Vec<Finding> {
        golden::differences(&self.snapshot, &draft.campaign.number, self.day, golden)
    }

    /// Returns the lines whose publication can change a price: the campaign's own in both books,
    /// and those that it takes from other sources.
    pub(super) fn affected(
        &self,
        book: &Snapshot,
        draft: &Draft,
        difference: &Difference,
    ) -> Affected {
        let mut affected = Affected::default();
        let drafted = draft.prices.iter().map(|(key, _)| key);
        let drafted = drafted.chain(draft.discounts.iter().map(|(key, _)| key));
        let ended = difference.end.iter().map(|entry| &entry.key);
        for key in drafted.chain(ended) {
            if let Ok(id) = Uuid::try_parse(key) {
                affected.add_line(book, &self.snapshot, id);
            }
        }
        affected
    }

    /// Returns the plan without its conflicts, and passes the prices to the check of the
    /// guardrails. Without `with_statistics` only the guardrails are checked, and the plan has no
    /// prices.
    pub(super) fn evaluate_prices(
        &self,
        book: &Snapshot,
        draft: &Draft,
        difference: &Difference,
        check: &mut GuardrailCheck<'_>,
        with_statistics: bool,
    ) -> Plan {
        let plan = counted(book, draft, difference);
        if draft.targeting.accounts.is_empty() && difference.audience.left.is_empty() {
            return plan;
        }
        let days = if check.is_off() {
            Days::Only(self.day)
        } else {
            Days::FromAnd(draft.today, self.day)
        };
        let affected = self.affected(book, draft, difference);
        let mut statistics = PriceStatistics::default();
        let mut comparer = Comparer::new(book, &self.snapshot, &affected);
        for number in affected.items(book, &self.snapshot) {
            if !with_statistics && !check.concerns(&self.snapshot, number) {
                continue;
            }
            let compared = comparer.compare_item(number, days, &mut |comparison| {
                if with_statistics && comparison.day == self.day {
                    statistics.add(&self.snapshot, comparison);
                }
                check.add(&self.snapshot, comparison);
                Next::Continue
            });
            if let Err(too_large) = compared {
                check.interrupted(too_large);
                return Plan { limit: Some(PlanLimit::of(too_large)), ..plan };
            }
        }
        let effective_prices =
            with_statistics.then(|| statistics.finish(self.day, comparer.size()));
        Plan { effective_prices, ..plan }
    }

    /// Returns a finding for each line of the campaign that lowers nobody's price.
    pub(super) fn lines_without_gain(
        &self,
        draft: &Draft,
        guardrails: &GuardrailSet,
    ) -> Vec<Finding> {
        let prices = draft.prices.iter().map(|(key, _)| key);
        let lines = guardrails::line_ids(prices.chain(draft.discounts.iter().map(|(key, _)| key)));
        let days = Days::FromAnd(draft.today, self.day);
        let campaign = draft.campaign.number.as_str();
        guardrails::without_gain(&self.snapshot, campaign, lines, guardrails, days)
    }
}

/// Returns the accounts for samples: those gained if there are any, else the audience.
fn examples<'a>(draft: &'a Draft, difference: &'a Difference) -> &'a RoaringBitmap {
    let gained = &difference.audience.joined;
    if gained.is_empty() { &draft.targeting.accounts } else { gained }
}

/// Returns the plan without prices, the only one for a campaign without a starting date.
pub(super) fn counted(book: &Snapshot, draft: &Draft, difference: &Difference) -> Plan {
    let lines = difference.counts_of(|kind| kind != FactKind::Campaign);
    let sample =
        examples(draft, difference).iter().filter_map(|account| book.number_of_ordinal(account));
    Plan {
        accounts: PlannedAccounts {
            total: draft.targeting.accounts.len(),
            gained: difference.audience.joined.len(),
            lost: difference.audience.left.len(),
            sample: sample.take(MAX_ACCOUNTS).map(str::to_owned).collect(),
        },
        lines: PlannedLines { added: lines.added, changed: lines.changed, removed: lines.removed },
        effective_prices: None,
        limit: None,
        conflicts: Vec::new(),
    }
}
