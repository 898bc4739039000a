//! What an activation would change, before it does: accounts, lines, prices for a sample, and the
//! campaigns it meets.
//!
//! Prices are quotes: the same resolver, asked on the book as it is and on the book as it would be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::NaiveDate;
use roaring::RoaringBitmap;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::book_view::BookView;
use super::draft::Draft;
use super::findings::{Finding, FindingCode};
use super::golden;
use super::rules::day_of_comparison;
use crate::golden_quotes::GoldenQuoteView;
use crate::pricing::exact::{Amount, Percent, Positive};
use crate::pricing::line::Source;
use crate::publication::audience::AudienceDifference;
use crate::publication::difference::Difference;
use crate::publication::facts::{CampaignFact, Change, Fact, FactKind, ItemFact};
use crate::publication::snapshot::Snapshot;
use crate::quotes::answer::{AnswerSource, PricedLine, QuoteLine};
use crate::quotes::quote::quote;
use crate::quotes::request::{Asker, QuoteRequest, RequestLine};

/// At most so many lines are priced for the comparison.
const MAX_COMPARED: usize = 1_000;
/// At most so many of them are shown.
const MAX_SHOWN: usize = 20;
/// At most so many accounts are named.
const MAX_ACCOUNTS: usize = 10;

/// What an activation would change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActivationPlan)]
pub struct Plan {
    /// The audience.
    pub accounts: PlannedAccounts,
    /// The lines.
    pub lines: PlannedLines,
    /// What one account of the audience pays before and after; null while the campaign has no
    /// starting date or nobody is targeted.
    pub effective_prices: Option<EffectivePrices>,
    /// The published campaigns that offer the same items to the same accounts in the same days.
    #[schema(max_items = 1000)]
    pub conflicts: Vec<Conflict>,
}

/// How the audience would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedAccounts {
    /// How many accounts it would hold.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub total: u64,
    /// How many of them it does not hold now.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub gained: u64,
    /// How many it holds now would leave.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lost: u64,
    /// Some of the accounts by contact number; those gained, if there are any.
    #[schema(value_type = Vec<crate::values::Key>, max_items = 10, example = json!(["CT000042"]))]
    pub sample: Vec<String>,
}

/// How the published lines would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLines {
    /// Lines that would come.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 40)]
    pub added: i64,
    /// Lines that would change.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub changed: i64,
    /// Lines that would go.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub removed: i64,
}

/// What one account pays before and after.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePrices {
    /// The account, by contact number.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The day the prices are for: the campaign's first, or today if that is later.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// How many lines were priced, each at its own minimum quantity; at most 1,000.
    #[schema(value_type = i32, minimum = 0, maximum = 1000, example = 40)]
    pub compared: usize,
    /// How many of them would cost something else.
    #[schema(value_type = i32, minimum = 0, maximum = 1000, example = 38)]
    pub changed: usize,
    /// What the account saves on the list prices on average, in percent of each, over the lines
    /// that have a list price; to two decimals, below zero where it pays more. Null without such
    /// lines.
    #[schema(value_type = Option<String>, max_length = 30, pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$", example = "12.5")]
    pub average_discount_percent: Option<Decimal>,
    /// What is left of the net price once the item's unit cost is paid, before, on average over the
    /// lines whose item has a unit cost and that fix no foreign currency; in percent of the net
    /// price without tax, to two decimals, below zero where it costs more. Null without such lines.
    #[schema(value_type = Option<String>, max_length = 30, pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$", example = "41.2")]
    pub average_margin_percent_before: Option<Decimal>,
    /// The same after.
    #[schema(value_type = Option<String>, max_length = 30, pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$", example = "33.75")]
    pub average_margin_percent_after: Option<Decimal>,
    /// Some of those that would change.
    #[schema(max_items = 20)]
    pub sample: Vec<PriceComparison>,
}

/// A price before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceComparison {
    /// The item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The variant.
    #[schema(max_length = 50, example = "RED")]
    pub variant_code: Option<String>,
    /// The unit of measure; null: the base unit.
    #[schema(max_length = 50, example = "PCS")]
    pub unit_of_measure_code: Option<String>,
    /// The currency; null: the account's.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<String>,
    /// The quantity.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "1")]
    pub quantity: Positive,
    /// Before; null: no price.
    pub before: Option<PlannedPrice>,
    /// After; null: no price.
    pub after: Option<PlannedPrice>,
}

/// A price and its discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPrice {
    /// The unit price.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "57")]
    pub unit_price: Amount,
    /// The line discount.
    #[schema(value_type = String, max_length = 9, pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$", example = "4")]
    pub line_discount_percent: Percent,
}

/// Another campaign that meets this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The other campaign.
    #[schema(max_length = 50, example = "CP0002")]
    pub campaign_number: String,
    /// How many items both offer.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 3)]
    pub items: usize,
    /// One of them.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// How many accounts both are for.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub accounts: u64,
    /// One of them, by contact number.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The campaign that this account's price for one of this item would come from, in the first
    /// day both hold; null: from neither.
    #[schema(max_length = 50, example = "CP0001")]
    pub winner: Option<String>,
}

impl Conflict {
    /// The warning about it.
    pub(super) fn finding(&self) -> Finding {
        let detail = format!(
            "campaign {} offers {} of the items to {} of the accounts too; {} wins for {}",
            self.campaign_number,
            self.items,
            self.accounts,
            self.winner.as_deref().unwrap_or("neither"),
            self.item_number
        );
        let params = json!(self);
        let mut finding = Finding::new(FindingCode::Overlap, "/campaign", detail);
        if let serde_json::Value::Object(params) = params {
            finding.params = params;
        }
        finding
    }
}

/// The book as it would be.
pub(super) struct Hypothesis {
    pub snapshot: Snapshot,
    day: NaiveDate,
}

impl Hypothesis {
    /// The next version of the book, if it has the campaign as the drafts say: what differs of the
    /// whole draft takes effect; all of the draft, if the copy may lack some of what counts
    /// already. None while the campaign has no starting date.
    pub(super) fn new(copy: &BookView, draft: &Draft, difference: &Difference) -> Option<Self> {
        let BookView { book, is_current } = copy;
        let starting_date = draft.campaign.starting_date?;
        let day = day_of_comparison(draft)?;
        let number = draft.campaign.number.to_string();
        let version = book.version().saturating_add(1);
        let begun: HashSet<_> =
            difference.begin.iter().map(|entry| (entry.kind, entry.key.as_str())).collect();
        let dates = CampaignFact { starting_date, ending_date: draft.campaign.ending_date };
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

    /// The golden quotes that would be answered otherwise than expected.
    pub(super) fn golden_differences(
        &self,
        draft: &Draft,
        golden: &[GoldenQuoteView],
    ) -> Vec<Finding> {
        golden::differences(&self.snapshot, &draft.campaign.number, self.day, golden)
    }

    /// The published campaigns that this one meets.
    pub(super) fn conflicts(&self, draft: &Draft) -> Vec<Conflict> {
        let own = draft.campaign.number.as_str();
        let rivals = self.rivals(draft);
        let conflicts = rivals.into_iter().filter_map(|(campaign_number, rival)| {
            let shared = self.snapshot.audience(&campaign_number)? & &draft.targeting.accounts;
            let accounts = shared.len();
            let account = self.snapshot.number_of_ordinal(shared.min()?)?.to_owned();
            let item = rival.items.iter().next()?;
            let asked = RequestLine {
                item_number: item.as_str().into(),
                variant_code: None,
                unit_of_measure_code: None,
                quantity: Positive::ONE,
                tax_percent: None,
            };
            let winner = priced(
                &self.snapshot,
                &account,
                rival.first_day,
                Terms::default(),
                asked,
                |line| {
                    [Some(line.source), line.discount_line.map(|line| line.source)]
                        .into_iter()
                        .flatten()
                        .find_map(|source| match source {
                            AnswerSource::Campaign { campaign_number: winner }
                                if winner == own || winner == campaign_number =>
                            {
                                Some(winner.to_owned())
                            }
                            _ => None,
                        })
                },
            );
            Some(Conflict {
                items: rival.items.len(),
                item_number: item.clone(),
                accounts,
                account_number: account,
                winner: winner.flatten(),
                campaign_number,
            })
        });
        conflicts.collect()
    }

    /// Published campaigns with lines for the items that ours name, in days that ours has too.
    fn rivals(&self, draft: &Draft) -> BTreeMap<String, Rival> {
        use crate::pricing::resolve::Book;
        let mut rivals: BTreeMap<String, Rival> = BTreeMap::new();
        let Some(starting) = draft.campaign.starting_date else { return rivals };
        for number in draft.items.keys() {
            let Some(found) = self.snapshot.find_item(number) else { continue };
            let of_prices = found.lines.prices.iter().map(|line| line.conditions.source);
            let discounts = [
                found.lines.item_discounts,
                found.lines.group_discounts,
                found.lines.all_item_discounts,
            ]
            .concat();
            let of_discounts = discounts.iter().map(|line| line.conditions.source);
            for source in of_prices.chain(of_discounts) {
                let Source::Campaign(campaign) = source else { continue };
                let rival = self.snapshot.campaign_number(campaign);
                let Some(period) = self.snapshot.campaign_period(campaign) else { continue };
                let first_day = period.starting.map_or(starting, |start| start.max(starting));
                let last_day =
                    [period.ending, draft.campaign.ending_date].into_iter().flatten().min();
                if rival == draft.campaign.number.as_str()
                    || last_day.is_some_and(|last| last < first_day)
                {
                    continue;
                }
                let rival = rivals
                    .entry(rival.to_owned())
                    .or_insert_with(|| Rival { first_day, items: BTreeSet::new() });
                rival.items.insert(number.clone());
            }
        }
        rivals
    }

    /// The whole plan.
    pub(super) fn plan(
        &self,
        book: &Snapshot,
        draft: &Draft,
        difference: &Difference,
        conflicts: Vec<Conflict>,
    ) -> Plan {
        let counted = counted(book, draft, difference);
        let account = examples(draft, difference).min();
        let account =
            account.and_then(|account| book.number_of_ordinal(account)).map(str::to_owned);
        let effective_prices = account.map(|account| self.effective_prices(book, draft, account));
        Plan { effective_prices, conflicts, ..counted }
    }

    /// What an account pays for what is asked, before and after.
    pub(super) fn change(&self, book: &Snapshot, account: &str, asked: &Asked) -> PriceComparison {
        let [before, after] = [book, &self.snapshot]
            .map(|book| self.price(book, account, asked).map(|(price, _)| price));
        let RequestLine { item_number, variant_code, unit_of_measure_code, quantity, .. } =
            asked.line.clone();
        let currency_code = asked.currency.clone();
        PriceComparison {
            item_number: item_number.into_owned(),
            variant_code: variant_code.map(Cow::into_owned),
            unit_of_measure_code: unit_of_measure_code.map(Cow::into_owned),
            currency_code,
            quantity,
            before,
            after,
        }
    }

    /// The price in a book, and the list price beside it.
    fn price(
        &self,
        book: &Snapshot,
        account: &str,
        asked: &Asked,
    ) -> Option<(PlannedPrice, Option<Amount>)> {
        let terms = Terms { currency: asked.currency.as_ref(), prices_include_tax: None };
        priced(book, account, self.day, terms, asked.line.clone(), |line| {
            let price = PlannedPrice {
                unit_price: line.unit_price,
                line_discount_percent: line.line_discount_percent,
            };
            (price, line.list_price)
        })
    }

    fn effective_prices(&self, book: &Snapshot, draft: &Draft, account: String) -> EffectivePrices {
        let mut compared: usize = 0;
        let mut changed: usize = 0;
        let mut sample = Vec::new();
        let mut savings = Vec::new();
        let (mut margins_before, mut margins_after) = (Vec::new(), Vec::new());
        for asked in questions(draft).into_iter().take(MAX_COMPARED) {
            compared = compared.saturating_add(1);
            savings.extend(
                self.price(&self.snapshot, &account, &asked)
                    .and_then(|(price, list_price)| saved(price, list_price?)),
            );
            if asked.currency.as_ref().is_none_or(|code| *code == draft.local_currency)
                && let Some(cost) = draft
                    .items
                    .get(asked.line.item_number.as_ref())
                    .and_then(|item| cost_of(item, &asked.line))
            {
                let ask = |book: &Snapshot| {
                    let local = Terms {
                        currency: Some(&draft.local_currency),
                        prices_include_tax: Some(false),
                    };
                    priced(book, &account, self.day, local, asked.line.clone(), |line| {
                        margin(line, cost)
                    })
                    .flatten()
                };
                margins_before.extend(ask(book));
                margins_after.extend(ask(&self.snapshot));
            }
            let change = self.change(book, &account, &asked);
            if change.before == change.after {
                continue;
            }
            changed = changed.saturating_add(1);
            if sample.len() < MAX_SHOWN {
                sample.push(change);
            }
        }
        EffectivePrices {
            account_number: account,
            date: self.day,
            compared,
            changed,
            average_discount_percent: average(&savings),
            average_margin_percent_before: average(&margins_before),
            average_margin_percent_after: average(&margins_after),
            sample,
        }
    }
}

/// The accounts that examples are taken from: those gained, if there are any.
fn examples<'a>(draft: &'a Draft, difference: &'a Difference) -> &'a RoaringBitmap {
    let gained = &difference.audience.joined;
    if gained.is_empty() { &draft.targeting.accounts } else { gained }
}

/// The plan without prices, as it is while there is no starting date.
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
        conflicts: Vec::new(),
    }
}

/// What two campaigns have in common.
struct Rival {
    first_day: NaiveDate,
    items: BTreeSet<String>,
}

/// A price that a plan compares.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    line: RequestLine<'static>,
    /// None: the account's.
    currency: Option<String>,
}

/// What the lines of a draft that name an item are for: each item at the line's own conditions,
/// prices first.
pub(super) fn questions(draft: &Draft) -> Vec<Asked> {
    let of_prices = draft.prices.iter().map(|(_, line)| {
        let item = Some(&line.item_number);
        (
            item,
            &line.variant_code,
            &line.unit_of_measure_code,
            &line.currency_code,
            line.minimum_quantity,
        )
    });
    let of_discounts = draft.discounts.iter().map(|(_, line)| {
        let item = line.item_number.as_ref();
        (
            item,
            &line.variant_code,
            &line.unit_of_measure_code,
            &line.currency_code,
            line.minimum_quantity,
        )
    });
    let asked = |(item, variant, unit, currency, minimum): (
        Option<&String>,
        &Option<String>,
        &Option<String>,
        &Option<String>,
        Amount,
    )| {
        let line = RequestLine {
            item_number: item?.clone().into(),
            variant_code: variant.clone().map(Into::into),
            unit_of_measure_code: unit.clone().map(Into::into),
            quantity: Positive::from_units(minimum.units()).unwrap_or(Positive::ONE),
            tax_percent: None,
        };
        Some(Asked { line, currency: currency.clone() })
    };
    of_prices.chain(of_discounts).filter_map(asked).collect()
}

/// In what a price is asked for; none: as the account has it.
#[derive(Debug, Clone, Copy, Default)]
struct Terms<'a> {
    currency: Option<&'a String>,
    prices_include_tax: Option<bool>,
}

/// Asks a book for one price, and takes from the answer what is wanted; none when there is no
/// price.
fn priced<T>(
    book: &Snapshot,
    account: &str,
    date: NaiveDate,
    terms: Terms<'_>,
    line: RequestLine<'_>,
    take: impl FnOnce(&PricedLine<'_>) -> T,
) -> Option<T> {
    let request = QuoteRequest {
        asker: Asker::Contact(account.into()),
        date,
        currency_code: terms.currency.map(Into::into),
        prices_include_tax: terms.prices_include_tax,
        campaign_number: None,
        lines: vec![line],
        explain: None,
    };
    match quote(book, &request).ok()?.lines.first()? {
        QuoteLine::Priced(line) => Some(take(line)),
        QuoteLine::Unpriced(_) => None,
    }
}

/// What a price saves on the list price, in percent.
fn saved(price: PlannedPrice, list_price: Amount) -> Option<Decimal> {
    let list_price = Decimal::from(list_price);
    let percent = Decimal::from(price.line_discount_percent);
    let rest = Decimal::ONE_HUNDRED.checked_sub(percent)?.checked_div(Decimal::ONE_HUNDRED)?;
    let net = Decimal::from(price.unit_price).checked_mul(rest)?;
    list_price.checked_sub(net)?.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(list_price)
}

/// What one unit of an item costs, in local currency.
fn cost_of(item: &ItemFact, line: &RequestLine) -> Option<Decimal> {
    let unit = line.unit_of_measure_code.as_ref();
    let named =
        unit.and_then(|unit| item.units_of_measure.iter().find(|known| known.code == *unit));
    let base_units = named.map_or(Decimal::ONE, |unit| Decimal::from(unit.quantity_per_unit));
    Decimal::from(item.unit_cost?).checked_mul(base_units)
}

/// What is left of a net price after the cost, in percent of it.
fn margin(line: &PricedLine<'_>, cost: Decimal) -> Option<Decimal> {
    let rest = Decimal::ONE_HUNDRED.checked_sub(Decimal::from(line.line_discount_percent))?;
    let net =
        Decimal::from(line.unit_price).checked_mul(rest)?.checked_div(Decimal::ONE_HUNDRED)?;
    net.checked_sub(cost)?.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(net)
}

fn average(savings: &[Decimal]) -> Option<Decimal> {
    let sum = savings.iter().try_fold(Decimal::ZERO, |sum, saving| sum.checked_add(*saving))?;
    let average = sum.checked_div(Decimal::from(savings.len()))?;
    Some(
        average
            .round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
            .normalize(),
    )
}
