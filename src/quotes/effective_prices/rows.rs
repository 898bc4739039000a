//! The rows of one item: where its price differs, and where it does not.
//!
//! The rows of an item answer any question about it: of those with the variant and unit of measure,
//! or else of those with the unit and without variant, the last whose minimum quantity is not above
//! the quantity has the price.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

use crate::pricing::exact::{Amount, Percent, Positive, Shown};
use crate::pricing::line::{Code, Conditions, ContactIndex};
use crate::publication::snapshot::{FoundItem, Snapshot};
use crate::quotes::answer::{
    AnswerSource, LineProblem, LineProblemCode, LineUsed, PricedLine, QuoteLine, UnpricedLine,
};
use crate::quotes::quote::quote;
use crate::quotes::request::{QuoteRequest, RequestLine};

/// A row of a price list: what one unit of an item costs, or why nobody can say.
// The large variant is the usual one; a box for it would be an allocation per row.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EffectivePrice)]
pub enum EffectivePrice<'a> {
    /// The price.
    Priced(PricedRow<'a>),
    /// Why there is no price.
    Unpriced(UnpricedRow<'a>),
}

/// For whom and for what a row holds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectivePriceOf)]
pub struct RowOf<'a> {
    /// The contact number of the account; null in the list for everybody.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<&'a str>,
    /// The item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: &'a str,
    /// The variant; null: any that has no row of its own in this unit of measure.
    #[schema(max_length = 50, example = "OAK")]
    pub variant_code: Option<&'a str>,
    /// The unit of measure.
    #[schema(max_length = 50, example = "PCS")]
    pub unit_of_measure_code: &'a str,
    /// The quantity from which the row holds, in the unit of measure, up to the next row of the
    /// same variant and unit. 0: any.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "20")]
    pub minimum_quantity: Amount,
    /// The currency of all amounts; null while the company has no settings.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<&'a str>,
    /// Whether the prices include tax.
    pub prices_include_tax: bool,
}

/// A row with its price.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectivePricePriced)]
pub struct PricedRow<'a> {
    /// For whom and for what.
    #[serde(flatten)]
    pub of: RowOf<'a>,
    /// The price of one unit of measure before the line discount.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "57")]
    pub unit_price: Amount,
    /// The line discount; 0 when there is none or the price allows none.
    #[schema(value_type = String, max_length = 9, pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$", example = "4")]
    pub line_discount_percent: Percent,
    /// The price less the discount; exact, not rounded.
    #[schema(value_type = String, max_length = 28, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$", example = "54.72")]
    pub net_unit_price: Shown<12>,
    /// The list price in the currency, unit and tax of the row; null when the item has none.
    #[schema(value_type = Option<String>, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "61")]
    pub list_price: Option<Amount>,
    /// Who grants the price; `LIST_PRICE` when no line won.
    pub source: AnswerSource<'a>,
    /// The line that the price comes from; null with the list price.
    pub price_line: Option<LineUsed<'a>>,
    /// The line that the discount comes from; null without discount.
    pub discount_line: Option<LineUsed<'a>>,
    /// Whether price or discount come from the campaign that was asked for; absent unless one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub won_by_campaign: Option<bool>,
    /// The first date after that of the list on which something that the row stands for can differ;
    /// null when no such date is known.
    #[schema(example = "2031-06-01")]
    pub valid_until: Option<NaiveDate>,
}

/// A row without price.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectivePriceUnpriced)]
pub struct UnpricedRow<'a> {
    /// For whom and for what.
    #[serde(flatten)]
    pub of: RowOf<'a>,
    /// Why.
    pub problem: LineProblem,
}

/// Price and discount less the discount, in units of 10^-12: exact.
pub fn net_unit_price(unit_price: Amount, discount: Percent) -> Shown<12> {
    Shown(unit_price.units().saturating_mul(discount.rest().into()))
}

/// The rows of an item, in this order: without variant before the variants, these by code; the base
/// unit before the others; by minimum quantity. A blocked item has none. The request says
/// everything but the lines, which are made here; `account` is whose prices it asks for.
pub fn write_rows(
    snapshot: &Snapshot,
    request: &QuoteRequest<'_>,
    account: Option<ContactIndex>,
    (item_number, found): (&str, FoundItem<'_>),
    campaign: Option<&str>,
    mut write: impl FnMut(&EffectivePrice<'_>),
) {
    if found.item.blocked {
        return;
    }
    let conditions: Vec<&Conditions> = snapshot.conditions_for(found.lines, account).collect();
    let parts = parts(snapshot, found, &conditions);
    let lines = parts.iter().flat_map(|part| part.questions(item_number)).collect();
    let request = QuoteRequest { lines, ..request.clone() };
    // Who asks was looked up before.
    let Ok(quote) = quote(snapshot, &request) else { return };

    let mut answers = quote.lines.iter();
    let mut blocks: Vec<(&Part<'_>, Vec<Step<'_>>)> = Vec::with_capacity(parts.len());
    for part in &parts {
        let mut steps = Vec::new();
        for (quantity, line) in part.quantities.iter().zip(&mut answers) {
            add_step(&mut steps, *quantity, line);
        }
        blocks.push((part, steps));
    }
    merge_variants(&mut blocks);
    for (part, steps) in &blocks {
        for step in steps {
            let of = RowOf {
                account_number: quote.account_number,
                item_number,
                variant_code: part.variant,
                unit_of_measure_code: part.unit,
                minimum_quantity: step.minimum_quantity,
                currency_code: quote.currency_code,
                prices_include_tax: quote.prices_include_tax,
            };
            write(&step.row(of, campaign));
        }
    }
}

/// A variant in a unit of measure, and the quantities at which its price may change.
struct Part<'a> {
    variant: Option<&'a str>,
    unit: &'a str,
    quantities: Vec<Amount>,
}

impl Part<'_> {
    fn questions<'r>(&'r self, item_number: &'r str) -> impl Iterator<Item = RequestLine<'r>> {
        self.quantities.iter().map(move |quantity| RequestLine {
            item_number: item_number.into(),
            variant_code: self.variant.map(Into::into),
            unit_of_measure_code: Some(self.unit.into()),
            // Nobody buys nothing; what holds from 0 on holds for the least quantity there is.
            quantity: Positive::from_units(quantity.units()).unwrap_or(Positive::MIN),
            tax_percent: None,
        })
    }
}

/// The variants and units of an item. A variant that no line names costs what the item costs
/// without variant.
fn parts<'a>(
    snapshot: &'a Snapshot,
    found: FoundItem<'_>,
    conditions: &[&Conditions],
) -> Vec<Part<'a>> {
    let named: BTreeSet<(&str, Code)> = conditions
        .iter()
        .filter_map(|conditions| {
            conditions.variant.filter(|variant| found.item.has_variant(*variant))
        })
        .map(|variant| (snapshot.code_text(variant), variant))
        .collect();
    let variants = std::iter::once(None).chain(named.into_iter().map(Some));
    let in_units = |variant: Option<(&'a str, Code)>| {
        found.item.units_of_measure().map(move |(unit, quantity_per_unit)| {
            let fits = |conditions: &&&Conditions| {
                let variant = variant.map(|(_, code)| code);
                (conditions.variant.is_none() || conditions.variant == variant)
                    && conditions.unit.is_none_or(|named| named == unit)
            };
            let breaks = conditions
                .iter()
                .filter(fits)
                .filter_map(|conditions| threshold(conditions, quantity_per_unit));
            let quantities: BTreeSet<Amount> =
                std::iter::once(Amount::ZERO).chain(breaks).collect();
            Part {
                variant: variant.map(|(text, _)| text),
                unit: snapshot.code_text(unit),
                quantities: quantities.into_iter().collect(),
            }
        })
    };
    variants.flat_map(in_units).collect()
}

/// From which quantity of a unit on a line can hold: for a line per base unit its minimum quantity
/// over the quantity per unit, rounded up to the five places that a quantity has. Nothing if no
/// quantity is that large.
fn threshold(conditions: &Conditions, quantity_per_unit: Positive) -> Option<Amount> {
    let minimum = conditions.minimum_quantity;
    if conditions.unit.is_some() || quantity_per_unit == Positive::ONE {
        return Some(minimum);
    }
    let units =
        minimum.units().saturating_mul(Positive::ONE.units()).div_ceil(quantity_per_unit.units());
    Amount::from_units(units)
}

/// From a quantity on, the answer.
struct Step<'q> {
    minimum_quantity: Amount,
    line: &'q QuoteLine<'q>,
    valid_until: Option<NaiveDate>,
}

impl<'q> Step<'q> {
    /// What tells it from the step before.
    fn price(&self) -> Result<(Amount, Percent), LineProblemCode> {
        match self.line {
            QuoteLine::Priced(line) => Ok((line.unit_price, line.line_discount_percent)),
            QuoteLine::Unpriced(line) => Err(line.problem.code),
        }
    }

    fn expire(&mut self, date: Option<NaiveDate>) {
        self.valid_until = earlier(self.valid_until, date);
    }

    fn row(&self, of: RowOf<'q>, campaign: Option<&str>) -> EffectivePrice<'q> {
        match self.line {
            QuoteLine::Priced(line) => {
                EffectivePrice::Priced(priced(of, line, self.valid_until, campaign))
            }
            QuoteLine::Unpriced(UnpricedLine { problem, .. }) => {
                EffectivePrice::Unpriced(UnpricedRow { of, problem: problem.clone() })
            }
        }
    }
}

fn priced<'q>(
    of: RowOf<'q>,
    line: &PricedLine<'q>,
    valid_until: Option<NaiveDate>,
    campaign: Option<&str>,
) -> PricedRow<'q> {
    let is_of = |used: &Option<LineUsed<'_>>, campaign: &str| {
        let source = used.as_ref().map(|line| line.source);
        matches!(source, Some(AnswerSource::Campaign { campaign_number }) if campaign_number == campaign)
    };
    PricedRow {
        of,
        unit_price: line.unit_price,
        line_discount_percent: line.line_discount_percent,
        net_unit_price: net_unit_price(line.unit_price, line.line_discount_percent),
        list_price: line.list_price,
        source: line.source,
        price_line: line.price_line,
        discount_line: line.discount_line,
        won_by_campaign: campaign.map(|campaign| {
            is_of(&line.price_line, campaign) || is_of(&line.discount_line, campaign)
        }),
        valid_until,
    }
}

fn earlier(one: Option<NaiveDate>, other: Option<NaiveDate>) -> Option<NaiveDate> {
    one.into_iter().chain(other).min()
}

/// Adds the answer at the next quantity, unless the price stays the same: then only the day may
/// come nearer on which it changes. Quantities without any price have no step.
fn add_step<'q>(steps: &mut Vec<Step<'q>>, minimum_quantity: Amount, line: &'q QuoteLine<'q>) {
    let valid_until = match line {
        QuoteLine::Priced(line) => line.valid_until,
        QuoteLine::Unpriced(line) if line.problem.code == LineProblemCode::NoPrice => return,
        QuoteLine::Unpriced(_) => None,
    };
    let step = Step { minimum_quantity, line, valid_until };
    match steps.last_mut() {
        Some(last) if last.price() == step.price() => last.expire(valid_until),
        _ => steps.push(step),
    }
}

/// Leaves out a variant that costs in a unit what the item costs in it without variant.
fn merge_variants(blocks: &mut [(&Part<'_>, Vec<Step<'_>>)]) {
    let price = |step: &Step<'_>| (step.minimum_quantity, step.price());
    for at in 0..blocks.len() {
        let (before, rest) = blocks.split_at_mut(at);
        let Some((variant, steps)) = rest.first_mut() else { continue };
        let without =
            before.iter_mut().find(|(part, _)| part.variant.is_none() && part.unit == variant.unit);
        let Some((_, plain)) = without.filter(|_| variant.variant.is_some()) else { continue };
        if plain.iter().map(price).eq(steps.iter().map(price)) {
            plain
                .iter_mut()
                .zip(steps.iter())
                .for_each(|(plain, step)| plain.expire(step.valid_until));
            steps.clear();
        }
    }
}
