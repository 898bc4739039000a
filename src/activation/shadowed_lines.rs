//! Lines of a campaign that another of its lines dominates. The other is then a candidate whenever
//! the line is, no less specific and at least as good.
//!
//! Only what holds for every quote is reported. Lines that differ in variant, currency or tax are
//! not compared.

use std::collections::HashMap;

use ethnum::U256;
use price_book::facts::{DiscountLineFact, ItemFact, PriceLineFact};
use values::Quantity;

use super::findings::{Finding, FindingCode};

/// The comparable parts of a line: its quantity, unit and price.
struct Rival<'a> {
    id: &'a str,
    /// The unit of measure; `None` if the line holds for every unit.
    unit: Option<&'a str>,
    /// Base units in one unit of the line; one if the line has no unit.
    base_units: Quantity,
    minimum: u128,
    /// The price, or what a discount leaves to pay; lower is better.
    price: u128,
    allows_discount: bool,
    is_price_per_unit: bool,
}

impl Rival<'_> {
    /// Returns whether this line is a candidate and at least as good whenever the other is one.
    fn dominates(&self, other: &Self) -> bool {
        let covers_unit = self.unit.is_none() || self.unit == other.unit;
        let covers_discount = self.allows_discount || !other.allows_discount;
        covers_unit
            && covers_discount
            && self.minimum_in_base_units() <= other.minimum_in_base_units()
            && self.per_base_unit(other) <= other.per_base_unit(self)
    }

    /// Returns the minimum quantity in base units.
    fn minimum_in_base_units(&self) -> U256 {
        U256::from(self.minimum) * U256::from(self.base_units.units())
    }

    /// Returns the price scaled by the other line's base units, so that the two are comparable.
    fn per_base_unit(&self, other: &Self) -> U256 {
        let factor = if self.is_price_per_unit { other.base_units.units() } else { 1 };
        U256::from(self.price) * U256::from(factor)
    }
}

/// Returns the dominated price lines. `items` has the facts of the items that the lines name.
pub(super) fn shadowed_prices(
    lines: &[(String, PriceLineFact)],
    items: &HashMap<String, ItemFact>,
) -> Vec<Finding> {
    let mut groups: HashMap<_, Vec<Rival<'_>>> = HashMap::new();
    for (id, line) in lines {
        let key = (
            &line.item_number,
            &line.variant_code,
            &line.currency_code,
            line.price_includes_tax,
            line.tax_percent,
        );
        groups.entry(key).or_default().push(Rival {
            id,
            unit: line.unit_of_measure_code.as_deref(),
            base_units: base_units(
                items.get(&line.item_number),
                line.unit_of_measure_code.as_deref(),
            ),
            minimum: line.minimum_quantity.units(),
            price: line.unit_price.units(),
            allows_discount: line.allow_line_discount,
            is_price_per_unit: true,
        });
    }
    groups.into_values().flat_map(|group| shadowed(&group, "prices")).collect()
}

/// Returns the dominated discount lines.
pub(super) fn shadowed_discounts(
    lines: &[(String, DiscountLineFact)],
    items: &HashMap<String, ItemFact>,
) -> Vec<Finding> {
    let mut groups: HashMap<_, Vec<Rival<'_>>> = HashMap::new();
    for (id, line) in lines {
        let key = (
            &line.item_number,
            &line.item_discount_group_code,
            &line.variant_code,
            &line.currency_code,
        );
        let item = line.item_number.as_ref().and_then(|number| items.get(number));
        groups.entry(key).or_default().push(Rival {
            id,
            unit: line.unit_of_measure_code.as_deref(),
            base_units: base_units(item, line.unit_of_measure_code.as_deref()),
            minimum: line.minimum_quantity.units(),
            // A higher discount is better, so the rest to pay is compared.
            price: line.line_discount_percent.rest().into(),
            allows_discount: true,
            is_price_per_unit: false,
        });
    }
    groups.into_values().flat_map(|group| shadowed(&group, "discounts")).collect()
}

/// Returns the base units in a line's unit. Without an item they are unknown: then only lines of
/// the same unit are comparable, for which any factor is right.
fn base_units(item: Option<&ItemFact>, unit: Option<&str>) -> Quantity {
    let found = item
        .zip(unit)
        .and_then(|(item, unit)| item.units_of_measure.iter().find(|known| known.code == unit));
    found.map_or(Quantity::ONE, |unit| unit.quantity_per_unit)
}

fn shadowed(group: &[Rival<'_>], kind: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, line) in group.iter().enumerate() {
        let better = group.iter().enumerate().find(|(at, other)| {
            // Of two lines that dominate each other the first one is kept.
            *at != place && other.dominates(line) && (!line.dominates(other) || *at < place)
        });
        if let Some((_, better)) = better {
            let (code, reason) = if better.minimum_in_base_units() < line.minimum_in_base_units() {
                (
                    FindingCode::UnreachableBreak,
                    "holds from a lower quantity on and is at least as good",
                )
            } else {
                (
                    FindingCode::LineShadowed,
                    "holds under the same conditions and is at least as good",
                )
            };
            let detail = format!("line {} {reason}", better.id);
            findings.push(
                Finding::new(code, format!("/{kind}/{}", line.id), detail)
                    .param("lineId", better.id),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn items() -> HashMap<String, ItemFact> {
        let item = json!({"listPrice": "10", "taxPercent": "0", "baseUnitOfMeasureCode": "PCS",
            "unitsOfMeasure": [{"code": "PCS", "quantityPerUnit": "1"},
                {"code": "BOX", "quantityPerUnit": "12"}]});
        HashMap::from([("A".to_owned(), serde_json::from_value(item).unwrap())])
    }

    fn price(minimum: &str, unit: Option<&str>, price: &str, allows: bool) -> PriceLineFact {
        serde_json::from_value(json!({"source": {"type": "CAMPAIGN", "campaignNumber": "C"},
            "itemNumber": "A", "unitOfMeasureCode": unit, "minimumQuantity": minimum,
            "unitPrice": price, "allowLineDiscount": allows, "priceIncludesTax": false}))
        .unwrap()
    }

    /// Returns the positions of the dominated lines with the codes of their findings.
    fn found(lines: &[PriceLineFact]) -> Vec<(usize, &'static str)> {
        let named: Vec<_> =
            lines.iter().enumerate().map(|(at, line)| (at.to_string(), line.clone())).collect();
        let mut found: Vec<_> = shadowed_prices(&named, &items())
            .iter()
            .map(|finding| {
                (
                    finding.pointer.trim_start_matches("/prices/").parse().unwrap(),
                    finding.code.text(),
                )
            })
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn break_must_be_cheaper() {
        assert_eq!(found(&[price("0", None, "9", true), price("10", None, "8.99999", true)]), []);
        assert_eq!(
            found(&[price("0", None, "9", true), price("10", None, "9", true)]),
            [(1, "UNREACHABLE_BREAK")]
        );
        // The dearer line at the lower quantity still counts below the break.
        assert_eq!(found(&[price("0", None, "9.5", true), price("10", None, "9", true)]), []);
    }

    #[test]
    fn units_are_compared_in_base_units() {
        // 12 pieces at 9 are 108 a box.
        assert_eq!(
            found(&[price("0", None, "9", true), price("0", Some("BOX"), "107.99999", true)]),
            []
        );
        assert_eq!(
            found(&[price("0", None, "9", true), price("0", Some("BOX"), "108", true)]),
            [(1, "LINE_SHADOWED")]
        );
        // A line for boxes does not apply to single pieces, however cheap it is.
        assert_eq!(found(&[price("0", Some("BOX"), "1", true), price("0", None, "9", true)]), []);
        // The minimum of one box is one of twelve pieces.
        assert_eq!(
            found(&[price("12", None, "9", true), price("1", Some("BOX"), "108", true)]),
            [(1, "LINE_SHADOWED")]
        );
        assert_eq!(
            found(&[price("13", None, "9", true), price("1", Some("BOX"), "108", true)]),
            []
        );
    }

    #[test]
    fn price_that_allows_discount_is_kept() {
        assert_eq!(found(&[price("0", None, "8", false), price("0", Some("PCS"), "9", true)]), []);
        assert_eq!(
            found(&[price("0", None, "8", true), price("0", Some("PCS"), "9", false)]),
            [(1, "LINE_SHADOWED")]
        );
    }

    #[test]
    fn one_of_two_equal_lines_is_kept() {
        assert_eq!(
            found(&[price("0", Some("PCS"), "9", true), price("0", Some("PCS"), "9", true)]).len(),
            1
        );
    }
}
