//! The rows of one item, one for each quantity at which its price changes.
//!
//! The rows of an item determine its price for every variant, unit of measure and quantity. Take
//! the rows with the variant and unit, or if there are none those with the unit and without
//! variant. The last of them whose minimum quantity is not above the quantity has the price.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use pricing::line::{Code, Conditions, ContactIndex, threshold};
use serde::Serialize;
use utoipa::ToSchema;
use values::{Amount, Percent, Quantity, Shown};

use super::answer::{
    AnswerSource, LineProblem, LineProblemCode, LineReference, PricedLine, QuoteLine, UnpricedLine,
};
use super::quote;
use super::request::{QuoteRequest, RequestLine};
use crate::snapshot::{FoundItem, Snapshot};

/// A row of a price list: the price of one unit of an item, or the problem for which there is none.
// The large variant is the usual one; a box for it would be an allocation per row.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = EffectivePrice)]
pub enum EffectivePrice<'a> {
    /// The row has a price.
    Priced(PricedRow<'a>),
    /// The row has no price.
    Unpriced(UnpricedRow<'a>),
}

/// The account, item and quantity that a row is for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectivePriceOf)]
pub struct RowOf<'a> {
    /// The contact number of the account. Null in the list for all customers.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<&'a str>,
    /// The item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: &'a str,
    /// The variant. Null means no variant, and each variant that has no row of its own in
    /// this unit of measure.
    #[schema(max_length = 50, example = "OAK")]
    pub variant_code: Option<&'a str>,
    /// The unit of measure.
    #[schema(max_length = 50, example = "PCS")]
    pub unit_of_measure_code: &'a str,
    /// The quantity in the unit of measure from which the row applies, up to the next row of the
    /// same variant and unit. The value 0 means any quantity.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "20"
    )]
    pub minimum_quantity: Amount,
    /// The currency of all amounts. Null while the company has no settings.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<&'a str>,
    /// True if the prices include tax.
    pub prices_include_tax: bool,
}

/// A row with its price.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectivePricePriced)]
pub struct PricedRow<'a> {
    /// The account, item and quantity that the row is for.
    #[serde(flatten)]
    pub of: RowOf<'a>,
    /// The price of one unit of measure before the line discount.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Amount,
    /// The line discount in percent. 0 if there is none or the price allows none.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
    /// The price less the discount. Exact, not rounded.
    #[schema(
        value_type = String,
        max_length = 28,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$",
        example = "54.72"
    )]
    pub net_unit_price: Shown<12>,
    /// The list price in the currency, unit and tax of the row. Null if the item has none.
    #[schema(
        value_type = Option<String>,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "61"
    )]
    pub list_price: Option<Amount>,
    /// The grantor of the price. `LIST_PRICE` if no line won.
    pub source: AnswerSource<'a>,
    /// The line that provides the price. Null if the list price applies.
    pub price_line: Option<LineReference<'a>>,
    /// The line that provides the discount. Null if there is none.
    pub discount_line: Option<LineReference<'a>>,
    /// True if the price or the discount comes from the campaign of the list. Absent in other
    /// lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = true)]
    pub won_by_campaign: Option<bool>,
    /// The first date after that of the list on which the row can change. Null if no such date is
    /// known.
    #[schema(example = "2031-06-01")]
    pub valid_until: Option<NaiveDate>,
}

/// A row without price.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EffectivePriceUnpriced)]
pub struct UnpricedRow<'a> {
    /// The account, item and quantity that the row is for.
    #[serde(flatten)]
    pub of: RowOf<'a>,
    /// The reason for which there is no price.
    pub problem: LineProblem,
}

/// Writes the rows of an item. They are ordered by variant code (none first), unit of measure (base
/// unit first) and minimum quantity. A blocked item has no rows. The request contains everything
/// except the lines, which this function builds. `account` is the account of the request.
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
    let variant_units = variant_units(snapshot, found, &conditions);
    let lines = variant_units.iter().flat_map(|each| each.questions(item_number)).collect();
    let request = QuoteRequest { lines, ..request.clone() };
    // The account of the request was resolved before, so it exists.
    let Ok(quote) = quote(snapshot, &request) else { return };

    let mut answers = quote.lines.iter();
    let mut blocks: Vec<(&VariantUnit<'_>, Vec<Step<'_>>)> =
        Vec::with_capacity(variant_units.len());
    for variant_unit in &variant_units {
        let mut steps = Vec::new();
        for (quantity, line) in variant_unit.quantities.iter().zip(&mut answers) {
            add_step(&mut steps, *quantity, line);
        }
        blocks.push((variant_unit, steps));
    }
    merge_variants(&mut blocks);
    for (variant_unit, steps) in &blocks {
        for step in steps {
            let of = RowOf {
                account_number: quote.account_number,
                item_number,
                variant_code: variant_unit.variant,
                unit_of_measure_code: variant_unit.unit,
                minimum_quantity: step.minimum_quantity,
                currency_code: quote.currency_code,
                prices_include_tax: quote.prices_include_tax,
            };
            write(&step.row(of, campaign));
        }
    }
}

/// A variant in a unit of measure, with the quantities at which its price may change.
struct VariantUnit<'a> {
    variant: Option<&'a str>,
    unit: &'a str,
    quantities: Vec<Amount>,
}

impl VariantUnit<'_> {
    fn questions<'r>(&'r self, item_number: &'r str) -> impl Iterator<Item = RequestLine<'r>> {
        self.quantities.iter().map(move |quantity| RequestLine {
            item_number: item_number.into(),
            variant_code: self.variant.map(Into::into),
            unit_of_measure_code: Some(self.unit.into()),
            // A quantity of 0 cannot be requested. The price from 0 on is that of the smallest
            // quantity.
            quantity: Quantity::from_units(quantity.units()).unwrap_or(Quantity::MIN).into(),
            tax_percent: None,
        })
    }
}

/// Returns the variants and units of an item. Variants that no line names are left out: they cost
/// the same as the item without variant.
fn variant_units<'a>(
    snapshot: &'a Snapshot,
    found: FoundItem<'_>,
    conditions: &[&Conditions],
) -> Vec<VariantUnit<'a>> {
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
            let breaks = conditions.iter().filter(fits).filter_map(|conditions| {
                let Conditions { unit, minimum_quantity, .. } = **conditions;
                Amount::from_units(threshold(unit, minimum_quantity, quantity_per_unit))
            });
            let quantities: BTreeSet<Amount> =
                std::iter::once(Amount::ZERO).chain(breaks).collect();
            VariantUnit {
                variant: variant.map(|(text, _)| text),
                unit: snapshot.code_text(unit),
                quantities: quantities.into_iter().collect(),
            }
        })
    };
    variants.flat_map(in_units).collect()
}

/// The answer from a quantity on.
struct Step<'q> {
    minimum_quantity: Amount,
    line: &'q QuoteLine<'q>,
    valid_until: Option<NaiveDate>,
}

impl<'q> Step<'q> {
    /// Returns the price, by which steps are distinguished.
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
    let is_of = |used: &Option<LineReference<'_>>, campaign: &str| {
        let source = used.as_ref().map(|line| line.source);
        matches!(
            source,
            Some(AnswerSource::Campaign { campaign_number }) if campaign_number == campaign
        )
    };
    PricedRow {
        of,
        unit_price: line.unit_price,
        line_discount_percent: line.line_discount_percent,
        net_unit_price: line.net_unit_price,
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

/// Adds the answer at the next quantity. If the price is unchanged, only `valid_until` of the last
/// step is updated. Quantities without any price have no step.
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

/// Removes variants that cost the same in a unit as the item without variant.
fn merge_variants(blocks: &mut [(&VariantUnit<'_>, Vec<Step<'_>>)]) {
    let price = |step: &Step<'_>| (step.minimum_quantity, step.price());
    for at in 0..blocks.len() {
        let (before, rest) = blocks.split_at_mut(at);
        let Some((variant, steps)) = rest.first_mut() else { continue };
        let without =
            before.iter_mut().find(|(each, _)| each.variant.is_none() && each.unit == variant.unit);
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
