//! The planned changes of an activation: accounts, lines, sample prices and conflicting campaigns.
//!
//! Prices are quotes from the same resolver, on the book as it is and on the book as it would be.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::NaiveDate;
use price_book::facts::{CampaignFact, Change, Fact, FactKind, ItemFact};
use price_book::quote::answer::{AnswerSource, PricedLine, QuoteLine};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::snapshot::Snapshot;
use pricing::line::Source;
use roaring::RoaringBitmap;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use values::{Amount, Percent, Quantity, SignedQuantity};

use super::book_view::BookView;
use super::draft::Draft;
use super::findings::{Finding, FindingCode};
use super::golden;
use super::rules::day_of_comparison;
use crate::golden_quotes::GoldenQuoteView;
use crate::publication::audience::AudienceDifference;
use crate::publication::difference::Difference;

/// Maximum number of lines that are priced for the comparison.
const MAX_COMPARED: usize = 1_000;
/// Maximum number of price changes in the sample.
const MAX_SHOWN: usize = 20;
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
    /// The prices of one account of the audience before and after the activation. Null if the
    /// campaign has no starting date, or no account is targeted.
    pub effective_prices: Option<EffectivePrices>,
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

/// The prices of one account before and after an activation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePrices {
    /// The contact number of the account.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The date of the prices: the campaign's first day, or today if later, but not after its end.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// Number of lines that were priced, each at its own minimum quantity; at most 1,000.
    #[schema(value_type = i32, minimum = 0, maximum = 1000, example = 40)]
    pub compared: usize,
    /// Number of these lines whose price would change.
    #[schema(value_type = i32, minimum = 0, maximum = 1000, example = 38)]
    pub changed: usize,
    /// The account's average saving on the list prices, in percent with up to two decimals.
    /// Negative if the account pays more. Lines without a list price do not count; null if there
    /// are no others.
    #[schema(
        value_type = Option<String>,
        max_length = 30,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$",
        example = "12.5"
    )]
    pub average_discount_percent: Option<Decimal>,
    /// The average margin before the activation: the net price without tax less the item's unit
    /// cost, in percent of the net price. It has up to two decimals, and is negative for a loss.
    /// Only lines whose item has a unit cost and that fix no foreign currency count; null if there
    /// are none.
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
    /// The first of the prices that would change.
    #[schema(max_items = 20)]
    pub sample: Vec<PriceComparison>,
}

/// A price before and after an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceComparison {
    /// The number of the item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The code of the variant.
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
}

/// A published campaign that overlaps with this one in items, accounts and days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The number of the other campaign.
    #[schema(max_length = 50, example = "CP0002")]
    pub campaign_number: String,
    /// Number of items that both campaigns offer.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 3)]
    pub items: usize,
    /// The number of one of these items.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// Number of accounts in both audiences.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub accounts: u64,
    /// The contact number of one of these accounts.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The campaign that would provide this account's price for this item on the first day that
    /// both cover; null if neither does.
    #[schema(max_length = 50, example = "CP0001")]
    pub winner: Option<String>,
}

impl Conflict {
    /// Returns the warning about the conflict.
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

/// The book as it would be after an activation.
pub(super) struct Hypothesis {
    pub snapshot: Snapshot,
    day: NaiveDate,
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

    /// Returns the published campaigns that overlap with this one.
    pub(super) fn conflicts(&self, draft: &Draft) -> Vec<Conflict> {
        let own = draft.campaign.number.as_str();
        let rivals = self.rivals(draft);
        let conflicts = rivals.into_iter().filter_map(|(campaign_number, rival)| {
            let shared = self.snapshot.audience(&campaign_number)? & &draft.targeting.accounts;
            let accounts = shared.len();
            let account = self.snapshot.number_of_ordinal(shared.min()?)?.to_owned();
            let item = rival.items.iter().next()?;
            let query = RequestLine {
                item_number: item.as_str().into(),
                variant_code: None,
                unit_of_measure_code: None,
                quantity: SignedQuantity::ONE,
                tax_percent: None,
            };
            let winner = priced(
                &self.snapshot,
                &account,
                rival.first_day,
                Terms::default(),
                query,
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

    /// Returns the published campaigns that share items and days with this one.
    fn rivals(&self, draft: &Draft) -> BTreeMap<String, Rival> {
        use pricing::resolve::{Book, CampaignTerms};
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
                let Some(CampaignTerms { period, .. }) = self.snapshot.campaign(campaign) else {
                    continue;
                };
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

    /// Returns the whole plan.
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

    /// Returns the price of an account for a query, before and after the activation.
    pub(super) fn change(
        &self,
        book: &Snapshot,
        account: &str,
        query: &PriceQuery,
    ) -> PriceComparison {
        let [before, after] = [book, &self.snapshot]
            .map(|book| self.price(book, account, query).map(|(price, _)| price));
        let RequestLine { item_number, variant_code, unit_of_measure_code, quantity, .. } =
            query.line.clone();
        let currency_code = query.currency.clone();
        PriceComparison {
            item_number: item_number.into_owned(),
            variant_code: variant_code.map(Cow::into_owned),
            unit_of_measure_code: unit_of_measure_code.map(Cow::into_owned),
            currency_code,
            quantity: quantity.magnitude(),
            before,
            after,
        }
    }

    /// Returns the price in a book, and the list price.
    fn price(
        &self,
        book: &Snapshot,
        account: &str,
        query: &PriceQuery,
    ) -> Option<(PlannedPrice, Option<Amount>)> {
        let terms = Terms { currency: query.currency.as_ref(), prices_include_tax: None };
        priced(book, account, self.day, terms, query.line.clone(), |line| {
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
        for query in price_queries(draft).into_iter().take(MAX_COMPARED) {
            compared = compared.saturating_add(1);
            savings.extend(
                self.price(&self.snapshot, &account, &query)
                    .and_then(|(price, list_price)| saved(price, list_price?)),
            );
            if query.currency.as_ref().is_none_or(|code| *code == draft.local_currency)
                && let Some(cost) = draft
                    .items
                    .get(query.line.item_number.as_ref())
                    .and_then(|item| cost_of(item, &query.line))
            {
                let margin_in = |book: &Snapshot| {
                    let local = Terms {
                        currency: Some(&draft.local_currency),
                        prices_include_tax: Some(false),
                    };
                    priced(book, &account, self.day, local, query.line.clone(), |line| {
                        margin(line, cost)
                    })
                    .flatten()
                };
                margins_before.extend(margin_in(book));
                margins_after.extend(margin_in(&self.snapshot));
            }
            let change = self.change(book, &account, &query);
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
        conflicts: Vec::new(),
    }
}

/// A published campaign that shares items and days with this one.
struct Rival {
    first_day: NaiveDate,
    items: BTreeSet<String>,
}

/// A price that the plan compares.
#[derive(Debug, Clone)]
pub(super) struct PriceQuery {
    line: RequestLine<'static>,
    /// The currency code; `None` for the account's currency.
    currency: Option<String>,
}

/// Returns a query for each line of a draft that names an item, at the line's own conditions; price
/// lines come first.
pub(super) fn price_queries(draft: &Draft) -> Vec<PriceQuery> {
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
    let to_query = |(item, variant, unit, currency, minimum): (
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
            quantity: Quantity::from_units(minimum.units()).unwrap_or(Quantity::ONE).into(),
            tax_percent: None,
        };
        Some(PriceQuery { line, currency: currency.clone() })
    };
    of_prices.chain(of_discounts).filter_map(to_query).collect()
}

/// The currency and tax of a price; `None` for those of the account.
#[derive(Debug, Clone, Copy, Default)]
struct Terms<'a> {
    currency: Option<&'a String>,
    prices_include_tax: Option<bool>,
}

/// Prices one line in a book and maps the answer. Returns `None` if there is no price.
fn priced<T>(
    book: &Snapshot,
    account: &str,
    date: NaiveDate,
    terms: Terms<'_>,
    line: RequestLine<'_>,
    take: impl FnOnce(&PricedLine<'_>) -> T,
) -> Option<T> {
    let request = QuoteRequest {
        party: QuoteParty::Contact(account.into()),
        currency_code: terms.currency.map(Into::into),
        prices_include_tax: terms.prices_include_tax,
        lines: vec![line],
        ..QuoteRequest::on(date)
    };
    match quote(book, &request).ok()?.lines.first()? {
        QuoteLine::Priced(line) => Some(take(line)),
        QuoteLine::Unpriced(_) => None,
    }
}

/// Returns the saving of a price on the list price, in percent.
fn saved(price: PlannedPrice, list_price: Amount) -> Option<Decimal> {
    let list_price = Decimal::from(list_price);
    let percent = Decimal::from(price.line_discount_percent);
    let rest = Decimal::ONE_HUNDRED.checked_sub(percent)?.checked_div(Decimal::ONE_HUNDRED)?;
    let net = Decimal::from(price.unit_price).checked_mul(rest)?;
    list_price.checked_sub(net)?.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(list_price)
}

/// Returns the cost of one unit of an item in local currency.
fn cost_of(item: &ItemFact, line: &RequestLine) -> Option<Decimal> {
    let unit = line.unit_of_measure_code.as_ref();
    let named =
        unit.and_then(|unit| item.units_of_measure.iter().find(|known| known.code == *unit));
    let base_units = named.map_or(Decimal::ONE, |unit| Decimal::from(unit.quantity_per_unit));
    Decimal::from(item.unit_cost?).checked_mul(base_units)
}

/// Returns the margin of a net price over the cost, in percent of the net price.
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
