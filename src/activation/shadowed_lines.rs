//! Lines of a campaign that another line of it makes idle: whenever the one is a candidate the
//! other is too, no less specific and at least as good. Only what holds for every question is said;
//! lines that differ in what they fix (variant, currency), or in how they are taxed, are not
//! compared.

use std::collections::HashMap;

use ethnum::U256;

use super::findings::{Finding, FindingCode};
use crate::pricing::exact::Positive;
use crate::publication::facts::{DiscountLineFact, ItemFact, PriceLineFact};

/// What is compared of a line: from which quantity on it holds, for which unit, and how good it is.
struct Rival<'a> {
    id: &'a str,
    /// None: holds for every unit.
    unit: Option<&'a str>,
    /// Units of `quantity_per_unit` in the unit of the line; one base unit where it has none.
    base_units: Positive,
    minimum: u128,
    /// The lower the better.
    price: u128,
    allows_discount: bool,
    is_price_per_unit: bool,
}

impl Rival<'_> {
    /// Whether this line is there and at least as good whenever the other is a candidate.
    fn dominates(&self, other: &Self) -> bool {
        let covers_unit = self.unit.is_none() || self.unit == other.unit;
        let covers_discount = self.allows_discount || !other.allows_discount;
        covers_unit
            && covers_discount
            && self.from() <= other.from()
            && self.per_base_unit(other) <= other.per_base_unit(self)
    }

    /// The minimum quantity in base units.
    fn from(&self) -> U256 {
        U256::from(self.minimum) * U256::from(self.base_units.units())
    }

    /// The price, made comparable with that of another line: each times the other's base units.
    fn per_base_unit(&self, other: &Self) -> U256 {
        let factor = if self.is_price_per_unit { other.base_units.units() } else { 1 };
        U256::from(self.price) * U256::from(factor)
    }
}

/// The price lines that change nothing. `items` are the facts of the items that the lines name.
pub(super) fn idle_prices(
    lines: &[(String, PriceLineFact)],
    items: &HashMap<String, ItemFact>,
) -> Vec<Finding> {
    let mut groups: HashMap<_, Vec<Rival<'_>>> = HashMap::new();
    for (id, line) in lines {
        let alike = (
            &line.item_number,
            &line.variant_code,
            &line.currency_code,
            line.price_includes_tax,
            line.tax_percent,
        );
        groups.entry(alike).or_default().push(Rival {
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
    groups.into_values().flat_map(|group| idle(&group, "prices")).collect()
}

/// The discount lines that change nothing.
pub(super) fn idle_discounts(
    lines: &[(String, DiscountLineFact)],
    items: &HashMap<String, ItemFact>,
) -> Vec<Finding> {
    let mut groups: HashMap<_, Vec<Rival<'_>>> = HashMap::new();
    for (id, line) in lines {
        let alike = (
            &line.item_number,
            &line.item_discount_group_code,
            &line.variant_code,
            &line.currency_code,
        );
        let item = line.item_number.as_ref().and_then(|number| items.get(number));
        groups.entry(alike).or_default().push(Rival {
            id,
            unit: line.unit_of_measure_code.as_deref(),
            base_units: base_units(item, line.unit_of_measure_code.as_deref()),
            minimum: line.minimum_quantity.units(),
            // The higher the better, so what is left to pay counts.
            price: line.line_discount_percent.rest().into(),
            allows_discount: true,
            is_price_per_unit: false,
        });
    }
    groups.into_values().flat_map(|group| idle(&group, "discounts")).collect()
}

/// The base units in a line's unit. Without an item its units are unknown: then only lines of the
/// same unit are comparable, and for these any factor will do.
fn base_units(item: Option<&ItemFact>, unit: Option<&str>) -> Positive {
    let found = item
        .zip(unit)
        .and_then(|(item, unit)| item.units_of_measure.iter().find(|known| known.code == unit));
    found.map_or(Positive::ONE, |unit| unit.quantity_per_unit)
}

fn idle(group: &[Rival<'_>], kind: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, line) in group.iter().enumerate() {
        let better = group.iter().enumerate().find(|(at, other)| {
            // Of two lines that outdo each other the first one stays.
            *at != place && other.dominates(line) && (!line.dominates(other) || *at < place)
        });
        if let Some((_, better)) = better {
            let (code, words) = if better.from() < line.from() {
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
            let detail = format!("line {} {words}", better.id);
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
            "unitsOfMeasure": [{"code": "PCS", "quantityPerUnit": "1"}, {"code": "BOX", "quantityPerUnit": "12"}]});
        HashMap::from([("A".to_owned(), serde_json::from_value(item).unwrap())])
    }

    fn price(minimum: &str, unit: Option<&str>, price: &str, allows: bool) -> PriceLineFact {
        serde_json::from_value(json!({"source": {"type": "CAMPAIGN", "campaignNumber": "C"}, "itemNumber": "A",
            "unitOfMeasureCode": unit, "minimumQuantity": minimum, "unitPrice": price, "allowLineDiscount": allows,
            "priceIncludesTax": false}))
        .unwrap()
    }

    /// The lines found idle with their codes, by place.
    fn found(lines: &[PriceLineFact]) -> Vec<(usize, &'static str)> {
        let named: Vec<_> =
            lines.iter().enumerate().map(|(at, line)| (at.to_string(), line.clone())).collect();
        let mut found: Vec<_> = idle_prices(&named, &items())
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
    fn a_break_has_to_be_cheaper() {
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
        // A box line says nothing about single pieces, however cheap it is.
        assert_eq!(found(&[price("0", Some("BOX"), "1", true), price("0", None, "9", true)]), []);
        // From one box on is from twelve pieces on.
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
    fn a_price_that_allows_a_discount_may_still_win() {
        assert_eq!(found(&[price("0", None, "8", false), price("0", Some("PCS"), "9", true)]), []);
        assert_eq!(
            found(&[price("0", None, "8", true), price("0", Some("PCS"), "9", false)]),
            [(1, "LINE_SHADOWED")]
        );
    }

    #[test]
    fn of_two_equal_lines_one_stays() {
        assert_eq!(
            found(&[price("0", Some("PCS"), "9", true), price("0", Some("PCS"), "9", true)]).len(),
            1
        );
    }
}
