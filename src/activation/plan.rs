//! What an activation would change, before it does: accounts, lines, prices for a sample, and the campaigns it meets.
//!
//! Prices are quotes: the same resolver, asked on the book as it is and on the book as it would be.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use diesel_async::AsyncPgConnection;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::draft::Draft;
use super::findings::{Finding, FindingCode};
use super::rules::day_of_comparison;
use super::targeting::{self, SharedAudience};
use crate::platform::http::problem::Problem;
use crate::pricing::exact::{Amount, Percent, Positive};
use crate::pricing::line::Source;
use crate::publication::facts::{CampaignFact, Change, Fact};
use crate::publication::reader;
use crate::publication::snapshot::Snapshot;
use crate::publication::writer::Difference;
use crate::quotes::answer::{AnswerSource, PricedLine, QuoteLine};
use crate::quotes::quote::quote;
use crate::quotes::request::{Asker, QuoteRequest, RequestLine};

/// At most so many lines are priced for the comparison.
const MOST_COMPARED: usize = 1_000;
/// At most so many of them are shown.
const MOST_SHOWN: usize = 20;

/// What an activation would change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActivationPlan)]
pub struct Plan {
    /// The audience.
    pub accounts: PlannedAccounts,
    /// The lines.
    pub lines: PlannedLines,
    /// What one account of the audience pays before and after; null while the campaign has no starting date or nobody is
    /// targeted.
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
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub total: i64,
    /// How many of them it does not hold now.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub gained: i64,
    /// How many it holds now would leave.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lost: i64,
    /// Some of the accounts by contact number, those gained first.
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
    /// What the account saves on the list prices on average, in percent of each, over the lines that have a list price; to two
    /// decimals, below zero where it pays more. Null without such lines.
    #[schema(value_type = Option<String>, max_length = 30, pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$", example = "12.5")]
    pub average_discount_percent: Option<Decimal>,
    /// Some of those that would change.
    #[schema(max_items = 20)]
    pub sample: Vec<PriceChange>,
}

/// A price before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceChange {
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
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub accounts: i64,
    /// One of them, by contact number.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The campaign that this account's price for one of this item would come from, in the first day both hold; null: from
    /// neither.
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

/// The book as it would be, for the accounts of a sample.
pub(super) struct Hypothesis {
    snapshot: Snapshot,
    day: NaiveDate,
}

impl Hypothesis {
    /// The book with the campaign as the drafts say; none while the campaign has no starting date.
    pub(super) async fn new(
        conn: &mut AsyncPgConnection,
        book: &Snapshot,
        draft: &Draft,
    ) -> Result<Option<Self>, Problem> {
        let Some(starting_date) = draft.campaign.starting_date else { return Ok(None) };
        let Some(day) = day_of_comparison(draft) else { return Ok(None) };
        let number = draft.campaign.number.to_string();
        let version = book.version();
        let standing = reader::in_force(conn, &number).await?;
        let dates = CampaignFact { starting_date, ending_date: draft.campaign.ending_date };
        let prices = draft.prices.iter().map(|(key, line)| (key, Fact::PriceLine(line.clone())));
        let discounts = draft.discounts.iter().map(|(key, line)| (key, Fact::DiscountLine(line.clone())));
        let wished = prices.chain(discounts).chain([(&number, Fact::Campaign(dates))]).map(|(key, fact)| Change::Put {
            key: key.clone(),
            fact,
            version,
        });
        let snapshot = book.advanced(version, standing).advanced(version, wished);
        Ok(Some(Self { snapshot, day }))
    }

    fn with_accounts(&mut self, campaign: &str, accounts: Vec<String>) {
        let joined = Change::AudienceAdd { campaign: campaign.to_owned(), accounts };
        self.snapshot = self.snapshot.advanced(self.snapshot.version(), [joined]);
    }

    /// The published campaigns that this one meets.
    pub(super) async fn conflicts(
        &mut self,
        conn: &mut AsyncPgConnection,
        draft: &Draft,
    ) -> Result<Vec<Conflict>, Problem> {
        let own = draft.campaign.number.as_str();
        let rivals = self.rivals(draft);
        if rivals.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<&String> = rivals.keys().collect();
        let shared = targeting::shared(conn, own, &numbers).await?;
        self.with_accounts(own, shared.iter().map(|shared| shared.account.clone()).collect());
        let conflicts = shared.into_iter().filter_map(|SharedAudience { campaign_number, accounts, account }| {
            let rival = rivals.get(&campaign_number)?;
            let item = rival.items.iter().next()?;
            let asked = RequestLine {
                item_number: item.as_str().into(),
                variant_code: None,
                unit_of_measure_code: None,
                quantity: Positive::ONE,
                tax_percent: None,
            };
            let winner = priced(&self.snapshot, &account, rival.first_day, None, asked, |line| {
                [Some(line.source), line.discount_line.map(|line| line.source)].into_iter().flatten().find_map(
                    |source| match source {
                        AnswerSource::Campaign { campaign_number: winner }
                            if winner == own || winner == campaign_number =>
                        {
                            Some(winner.to_owned())
                        }
                        _ => None,
                    },
                )
            });
            Some(Conflict {
                items: rival.items.len(),
                item_number: item.clone(),
                accounts,
                account_number: account,
                winner: winner.flatten(),
                campaign_number,
            })
        });
        Ok(conflicts.collect())
    }

    /// Published campaigns with lines for the items that ours name, in days that ours has too.
    fn rivals(&self, draft: &Draft) -> BTreeMap<String, Rival> {
        use crate::pricing::resolve::Book;
        let mut rivals: BTreeMap<String, Rival> = BTreeMap::new();
        let Some(starting) = draft.campaign.starting_date else { return rivals };
        for number in draft.items.keys() {
            let Some(found) = self.snapshot.find_item(number) else { continue };
            let of_prices = found.lines.prices.iter().map(|line| line.conditions.source);
            let discounts =
                [found.lines.item_discounts, found.lines.group_discounts, found.lines.all_item_discounts].concat();
            let of_discounts = discounts.iter().map(|line| line.conditions.source);
            for source in of_prices.chain(of_discounts) {
                let Source::Campaign(campaign) = source else { continue };
                let rival = self.snapshot.campaign_number(campaign);
                let Some(period) = self.snapshot.campaign_period(campaign) else { continue };
                let first_day = period.starting.map_or(starting, |start| start.max(starting));
                let last_day = [period.ending, draft.campaign.ending_date].into_iter().flatten().min();
                if rival == draft.campaign.number.as_str() || last_day.is_some_and(|last| last < first_day) {
                    continue;
                }
                let rival =
                    rivals.entry(rival.to_owned()).or_insert_with(|| Rival { first_day, items: BTreeSet::new() });
                rival.items.insert(number.clone());
            }
        }
        rivals
    }

    /// The whole plan.
    pub(super) fn plan(
        mut self,
        book: &Snapshot,
        draft: &Draft,
        difference: &Difference,
        conflicts: Vec<Conflict>,
    ) -> Plan {
        let account = difference.some_accounts.first().cloned();
        if let Some(account) = &account {
            self.with_accounts(draft.campaign.number.as_str(), vec![account.clone()]);
        }
        let effective_prices = account.map(|account| self.effective_prices(book, draft, account));
        Plan { effective_prices, conflicts, ..counted(difference) }
    }

    fn effective_prices(&self, book: &Snapshot, draft: &Draft, account: String) -> EffectivePrices {
        let of_prices = draft.prices.iter().map(|(_, line)| {
            let item = Some(&line.item_number);
            (item, &line.variant_code, &line.unit_of_measure_code, &line.currency_code, line.minimum_quantity)
        });
        let of_discounts = draft.discounts.iter().map(|(_, line)| {
            let item = line.item_number.as_ref();
            (item, &line.variant_code, &line.unit_of_measure_code, &line.currency_code, line.minimum_quantity)
        });
        let mut compared: usize = 0;
        let mut changed: usize = 0;
        let mut sample = Vec::new();
        let mut savings = Vec::new();
        for (item, variant, unit, currency, minimum) in of_prices.chain(of_discounts) {
            let Some(item) = item else { continue };
            if compared == MOST_COMPARED {
                break;
            }
            compared = compared.saturating_add(1);
            let asked = RequestLine {
                item_number: item.as_str().into(),
                variant_code: variant.as_deref().map(Into::into),
                unit_of_measure_code: unit.as_deref().map(Into::into),
                quantity: Positive::from_units(minimum.units()).unwrap_or(Positive::ONE),
                tax_percent: None,
            };
            let ask = |book: &Snapshot| {
                priced(book, &account, self.day, currency.as_ref(), asked.clone(), |line| {
                    let price =
                        PlannedPrice { unit_price: line.unit_price, line_discount_percent: line.line_discount_percent };
                    (price, line.list_price)
                })
            };
            let before = ask(book).map(|(price, _)| price);
            let after = ask(&self.snapshot);
            savings.extend(after.and_then(|(price, list_price)| saved(price, list_price?)));
            let after = after.map(|(price, _)| price);
            if before == after {
                continue;
            }
            changed = changed.saturating_add(1);
            if sample.len() < MOST_SHOWN {
                sample.push(PriceChange {
                    item_number: item.clone(),
                    variant_code: variant.clone(),
                    unit_of_measure_code: unit.clone(),
                    currency_code: currency.clone(),
                    quantity: asked.quantity,
                    before,
                    after,
                });
            }
        }
        EffectivePrices {
            account_number: account,
            date: self.day,
            compared,
            changed,
            average_discount_percent: average(&savings),
            sample,
        }
    }
}

/// The plan without prices, as it is while there is no starting date.
pub(super) fn counted(difference: &Difference) -> Plan {
    Plan {
        accounts: PlannedAccounts {
            total: difference.accounts,
            gained: difference.accounts_gained,
            lost: difference.accounts_lost,
            sample: difference.some_accounts.clone(),
        },
        lines: PlannedLines {
            added: difference.lines_added,
            changed: difference.lines_changed,
            removed: difference.lines_removed,
        },
        effective_prices: None,
        conflicts: Vec::new(),
    }
}

/// What two campaigns have in common.
struct Rival {
    first_day: NaiveDate,
    items: BTreeSet<String>,
}

/// Asks a book for one price, and takes from the answer what is wanted; none when there is no price.
fn priced<T>(
    book: &Snapshot,
    account: &str,
    date: NaiveDate,
    currency: Option<&String>,
    line: RequestLine<'_>,
    take: impl FnOnce(&PricedLine<'_>) -> T,
) -> Option<T> {
    let request = QuoteRequest {
        asker: Asker::Contact(account.into()),
        date,
        currency_code: currency.map(Into::into),
        prices_include_tax: None,
        campaign_number: None,
        lines: vec![line],
        explain: false,
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

fn average(savings: &[Decimal]) -> Option<Decimal> {
    let sum = savings.iter().try_fold(Decimal::ZERO, |sum, saving| sum.checked_add(*saving))?;
    let average = sum.checked_div(Decimal::from(savings.len()))?;
    Some(average.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero).normalize())
}
