//! The published campaigns that offer the same items to the same accounts on the same days, and
//! what these accounts would pay.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use price_book::facts::SourceFact;
use price_book::quote::answer::AnswerSource;
use price_book::snapshot::Snapshot;
use pricing::line::{CampaignIndex, Line, Source};
use pricing::resolve::{Book, CampaignTerms, Lines};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;
use values::text_enum;

use super::draft::Draft;
use super::effective_prices::{PlannedPrice, StackedExample, source};
use super::findings::{Finding, FindingCode};
use super::plan::Hypothesis;
use crate::price_impact::affected::Affected;
use crate::price_impact::compare::{Comparer, Comparison, Days, Next};
use crate::price_impact::net::{NetPrice, Provider};

text_enum! {
    /// The result of an overlap of two campaigns.
    OverlapOutcome {
        /// The campaign in `winner` provides what the account gets.
        Winner = "WINNER",
        /// The price comes from one source and the discount from another: the account gets both.
        Stacked = "STACKED",
        /// Neither campaign provides the price or the discount.
        Neither = "NEITHER",
    }
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
    /// The day of the example: the first on which both campaigns run, or on which their prices and
    /// discounts are combined.
    #[schema(example = "2031-05-20")]
    pub date: NaiveDate,
    /// The result for this account and this item on this day. It is `STACKED` if the two campaigns
    /// are combined for any account and item.
    #[schema(example = "STACKED")]
    pub outcome: OverlapOutcome,
    /// The campaign that would provide the account's price or discount; null unless `outcome` is
    /// `WINNER`.
    #[schema(max_length = 50, example = "CP0001")]
    pub winner: Option<String>,
    /// The price that the account would pay; null if it has none.
    pub price: Option<OverlapPrice>,
}

/// The price of an account that two campaigns reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverlapPrice {
    /// The price and the discount.
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
    /// The source of the price; null for the list price.
    #[schema(value_type = Option<AnswerSource<'static>>)]
    pub price_source: Option<SourceFact>,
    /// The source of the discount; null if there is none.
    #[schema(value_type = Option<AnswerSource<'static>>)]
    pub discount_source: Option<SourceFact>,
}

impl Conflict {
    /// Returns the warning about the conflict.
    pub(super) fn finding(&self) -> Finding {
        let Self { campaign_number, items, accounts, account_number, item_number, .. } = self;
        let offers = format!(
            "campaign {campaign_number} offers {items} of the items to {accounts} of the \
             accounts too"
        );
        let (code, result) = match (self.outcome, &self.price) {
            (OverlapOutcome::Stacked, Some(price)) => {
                let margin = price
                    .margin_percent
                    .map_or_else(String::new, |margin| format!(", a margin of {margin} %"));
                let result = format!(
                    "price and discount are combined: {account_number} would pay {} for \
                     {item_number} ({} less {} %){margin}",
                    price.price.net_unit_price,
                    price.price.unit_price,
                    price.price.line_discount_percent
                );
                (FindingCode::Stacked, result)
            }
            _ => {
                let winner = self.winner.as_deref().unwrap_or("neither");
                (FindingCode::Overlap, format!("{winner} wins for {item_number}"))
            }
        };
        let mut finding = Finding::new(code, "/campaign", format!("{offers}; {result}"));
        if let serde_json::Value::Object(params) = json!(self) {
            finding.params = params;
        }
        finding
    }
}

/// A published campaign that shares items and days with the planned one.
struct Rival {
    first_day: NaiveDate,
    items: usize,
    first_item: String,
    /// The items for which one of the two campaigns has a price and the other a discount.
    stackable: Vec<String>,
}

/// An account's price that combines the planned campaign with another.
struct Combination {
    saving: i128,
    date: NaiveDate,
    example: StackedExample,
    price: OverlapPrice,
}

/// Returns the published campaigns that overlap with the planned one.
pub(super) fn conflicts(hypothesis: &Hypothesis, draft: &Draft) -> Vec<Conflict> {
    let book = &hypothesis.snapshot;
    let own = draft.campaign.number.as_str();
    let mut rivals = rivals(book, draft);
    rivals.retain(|number, _| {
        book.audience(number).is_some_and(|it| !it.is_disjoint(&draft.targeting.accounts))
    });
    let mut combinations = combinations(book, draft, &rivals);
    let conflicts = rivals.into_iter().filter_map(|(campaign_number, rival)| {
        let shared = book.audience(&campaign_number)? & &draft.targeting.accounts;
        let conflict = Conflict {
            items: rival.items,
            item_number: rival.first_item.clone(),
            accounts: shared.len(),
            account_number: book.number_of_ordinal(shared.min()?)?.to_owned(),
            date: rival.first_day,
            outcome: OverlapOutcome::Neither,
            winner: None,
            price: None,
            campaign_number,
        };
        if let Some(found) = combinations.remove(&conflict.campaign_number) {
            return Some(Conflict {
                item_number: found.example.item_number,
                account_number: found.example.account_number,
                date: found.date,
                outcome: OverlapOutcome::Stacked,
                price: Some(found.price),
                ..conflict
            });
        }
        Some(with_winner(book, own, shared.min()?, conflict))
    });
    conflicts.collect()
}

/// Completes a conflict with the price of its account for its item.
fn with_winner(book: &Snapshot, own: &str, account: u32, mut conflict: Conflict) -> Conflict {
    let affected = of_item(book, &conflict.item_number);
    let number = conflict.item_number.clone();
    let Some(number) = book.item_number(&number) else { return conflict };
    let rival = conflict.campaign_number.clone();
    Comparer::new(book, book, &affected).compare_account(
        number,
        account,
        conflict.date,
        &mut |comparison| {
            let Some(price) = &comparison.after else { return Next::Continue };
            let of_price = price.price_line.as_ref().and_then(Provider::campaign);
            let of_discount = price.discount_line.as_ref().and_then(Provider::campaign);
            let winner = [of_price, of_discount]
                .into_iter()
                .flatten()
                .find(|campaign| *campaign == own || *campaign == rival);
            conflict.outcome = match winner {
                None => OverlapOutcome::Neither,
                Some(_) if price.stacked().is_some() => OverlapOutcome::Stacked,
                Some(_) => OverlapOutcome::Winner,
            };
            conflict.winner =
                winner.filter(|_| conflict.outcome == OverlapOutcome::Winner).map(str::to_owned);
            conflict.price = overlap_price(comparison);
            Next::NextItem
        },
    );
    conflict
}

/// Returns a book's lines for an item as affected ones.
fn of_item(book: &Snapshot, number: &str) -> Affected {
    let mut affected = Affected::default();
    if let Some(found) = book.find_item(number) {
        for id in ids(found.lines) {
            affected.add_line(book, book, id);
        }
    }
    affected
}

fn ids(lines: Lines<'_>) -> impl Iterator<Item = Uuid> {
    let discounts =
        lines.item_discounts.iter().chain(lines.group_discounts).chain(lines.all_item_discounts);
    lines.prices.iter().map(Line::id).chain(discounts.map(Line::id))
}

fn overlap_price(comparison: &Comparison<'_>) -> Option<OverlapPrice> {
    let price: &NetPrice<'_> = comparison.after.as_ref()?;
    let example = StackedExample::of(comparison)?;
    let of = |line: Option<Provider<'_>>| line.and_then(|line| source(line.source));
    Some(OverlapPrice {
        price: example.price,
        margin_percent: example.margin_percent,
        price_source: of(price.price_line),
        discount_source: of(price.discount_line),
    })
}

/// The kinds of lines that a campaign has for an item.
#[derive(Clone, Copy, Default)]
struct Kinds {
    price: bool,
    discount: bool,
}

/// Returns the published campaigns that share items and days with the planned one. An item counts
/// if both have a line that names it, its item discount group, or neither.
fn rivals(book: &Snapshot, draft: &Draft) -> BTreeMap<String, Rival> {
    let mut rivals: BTreeMap<String, Rival> = BTreeMap::new();
    let (Some(starting), Some(own)) =
        (draft.campaign.starting_date, book.find_campaign(draft.campaign.number.as_str()))
    else {
        return rivals;
    };
    let affected = own_lines(book, draft);
    for number in affected.items(book, book) {
        let Some(found) = book.find_item(number) else { continue };
        let kinds = kinds_by_campaign(found.lines);
        let Some(own_kinds) = kinds.get(&own).copied() else { continue };
        for (campaign, kinds) in kinds.into_iter().filter(|(campaign, _)| *campaign != own) {
            let Some(CampaignTerms { period, .. }) = book.campaign(campaign) else { continue };
            let first_day = period.starting.map_or(starting, |start| start.max(starting));
            let last_day = [period.ending, draft.campaign.ending_date].into_iter().flatten().min();
            if last_day.is_some_and(|last| last < first_day) {
                continue;
            }
            let name = book.campaign_number(campaign).to_owned();
            let rival = rivals.entry(name).or_insert_with(|| Rival {
                first_day,
                items: 0,
                first_item: number.to_owned(),
                stackable: Vec::new(),
            });
            rival.items = rival.items.saturating_add(1);
            if (own_kinds.price && kinds.discount) || (own_kinds.discount && kinds.price) {
                rival.stackable.push(number.to_owned());
            }
        }
    }
    rivals
}

/// Returns the planned campaign's lines.
fn own_lines(book: &Snapshot, draft: &Draft) -> Affected {
    let mut affected = Affected::default();
    let keys = draft.prices.iter().map(|(key, _)| key);
    for key in keys.chain(draft.discounts.iter().map(|(key, _)| key)) {
        if let Ok(id) = Uuid::try_parse(key) {
            affected.add_line(book, book, id);
        }
    }
    affected
}

fn kinds_by_campaign(lines: Lines<'_>) -> BTreeMap<CampaignIndex, Kinds> {
    let mut kinds: BTreeMap<CampaignIndex, Kinds> = BTreeMap::new();
    for line in lines.prices {
        if let Source::Campaign(campaign) = line.conditions.source {
            kinds.entry(campaign).or_default().price = true;
        }
    }
    let discounts =
        lines.item_discounts.iter().chain(lines.group_discounts).chain(lines.all_item_discounts);
    for line in discounts {
        if let Source::Campaign(campaign) = line.conditions.source {
            kinds.entry(campaign).or_default().discount = true;
        }
    }
    kinds
}

/// Returns, for each rival that is combined with the planned campaign, the combination with the
/// largest saving on the list price. If the bound of comparisons is exceeded, the combinations so
/// far count.
fn combinations(
    book: &Snapshot,
    draft: &Draft,
    rivals: &BTreeMap<String, Rival>,
) -> HashMap<String, Combination> {
    let mut found: HashMap<String, Combination> = HashMap::new();
    let own = draft.campaign.number.as_str();
    let Some(first_day) = rivals
        .values()
        .filter(|rival| !rival.stackable.is_empty())
        .map(|rival| rival.first_day)
        .min()
    else {
        return found;
    };
    let mut items: Vec<&str> =
        rivals.values().flat_map(|rival| rival.stackable.iter().map(String::as_str)).collect();
    items.sort_unstable();
    items.dedup();
    let affected = own_lines(book, draft);
    let mut comparer = Comparer::new(book, book, &affected);
    for number in items.into_iter().filter_map(|number| book.item_number(number)) {
        let compared = comparer.compare_item(number, Days::From(first_day), &mut |comparison| {
            if let Some(rival) = combined_with(own, comparison) {
                add_combination(&mut found, rival, comparison);
            }
            Next::Continue
        });
        if compared.is_err() {
            break;
        }
    }
    found.retain(|rival, _| rivals.contains_key(rival));
    found
}

/// Returns the campaign whose price or discount is combined with that of the planned campaign.
fn combined_with<'c>(own: &str, comparison: &Comparison<'c>) -> Option<&'c str> {
    let price = comparison.after.as_ref()?;
    let of_price = price.price_line?.campaign()?;
    let of_discount = price.discount_line?.campaign()?;
    match (of_price == own, of_discount == own) {
        (true, false) => Some(of_discount),
        (false, true) => Some(of_price),
        _ => None,
    }
}

fn add_combination(
    found: &mut HashMap<String, Combination>,
    rival: &str,
    comparison: &Comparison<'_>,
) {
    let saving = comparison.after.as_ref().and_then(NetPrice::saving).unwrap_or_default();
    if found.get(rival).is_some_and(|known| known.saving >= saving) {
        return;
    }
    let Some((example, price)) = StackedExample::of(comparison).zip(overlap_price(comparison))
    else {
        return;
    };
    found.insert(rival.to_owned(), Combination { saving, date: comparison.day, example, price });
}
