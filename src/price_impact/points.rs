//! The points at which an item has a price of its own: variant, unit of measure, currency and
//! quantity break.
//!
//! Variants, units and currencies that no line names have the price of a line that leaves them
//! open, so they are no points of their own.

use std::collections::BTreeSet;

use price_book::snapshot::{Item, Snapshot};
use pricing::line::{Code, Conditions, threshold};
use values::{Amount, Quantity};

use super::affected::{AffectedItem, AffectedLine};

/// A combination of variant, unit of measure, currency and quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PricePoint {
    /// The foreign currency that the point is limited to. `None` for the currency of the account.
    pub currency: Option<Code>,
    /// The variant.
    pub variant: Option<Code>,
    /// The unit of measure. `None` for the base unit.
    pub unit: Option<Code>,
    /// The quantity, in the unit.
    pub quantity: Quantity,
}

/// The conditions of a line that can be granted for the item.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    variant: Option<Code>,
    unit: Option<Code>,
    currency: Option<Code>,
    minimum: Amount,
}

/// A variant, unit of measure and currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    currency: Option<Code>,
    variant: Option<Code>,
    unit: Option<Code>,
}

/// Collects the points of an item.
pub(super) struct Points<'a> {
    book: &'a Snapshot,
    item: &'a Item,
    candidates: Vec<Candidate>,
}

impl<'a> Points<'a> {
    pub fn new(book: &'a Snapshot, item: &'a Item) -> Self {
        Self { book, item, candidates: Vec::new() }
    }

    /// Adds a line that can be granted.
    pub fn add(&mut self, conditions: &Conditions) {
        let candidate = Candidate {
            variant: conditions.variant,
            unit: conditions.unit,
            currency: conditions.currency.filter(|code| Some(*code) != self.book.local_currency()),
            minimum: conditions.minimum_quantity,
        };
        let is_possible = candidate.variant.is_none_or(|variant| self.item.has_variant(variant))
            && conditions.unit.is_none_or(|unit| self.item.quantity_per_unit(unit).is_some());
        if is_possible {
            self.candidates.push(candidate);
        }
    }

    /// Returns the points at which one of the affected lines can be granted, in order.
    pub fn points(&self, affected: &AffectedItem, lines: &[AffectedLine]) -> Vec<PricePoint> {
        let mut points = Vec::new();
        for shape in self.shapes(affected, lines) {
            self.add_breaks(shape, affected, lines, &mut points);
        }
        points
    }

    /// Returns the variants, units and currencies for which affected lines can be granted.
    fn shapes(&self, affected: &AffectedItem, lines: &[AffectedLine]) -> BTreeSet<Shape> {
        let mut variants = BTreeSet::from([None]);
        let mut units = BTreeSet::from([None]);
        let mut currencies = BTreeSet::from([None]);
        for candidate in &self.candidates {
            variants.insert(candidate.variant);
            units.insert(candidate.unit.filter(|unit| *unit != self.item.base_unit));
            currencies.insert(candidate.currency);
        }
        let mut shapes = BTreeSet::new();
        let mut add = |variant: Option<Code>, unit: Option<Code>, currency: Option<Code>| {
            for &other_variant in &variants {
                for &other_unit in &units {
                    for &other_currency in &currencies {
                        shapes.insert(Shape {
                            currency: currency.or(other_currency),
                            variant: variant.or(other_variant),
                            unit: match unit {
                                Some(unit) => Some(unit).filter(|it| *it != self.item.base_unit),
                                None => other_unit,
                            },
                        });
                    }
                }
            }
        };
        if affected.is_changed {
            add(None, None, None);
        }
        for line in lines.iter().filter(|line| self.is_possible(line)) {
            add(line.variant, line.unit, line.currency);
        }
        shapes
    }

    fn is_possible(&self, line: &AffectedLine) -> bool {
        line.variant.is_none_or(|variant| self.item.has_variant(variant))
            && line.unit.is_none_or(|unit| self.item.quantity_per_unit(unit).is_some())
    }

    /// Adds the quantity breaks of a shape from the lowest at which an affected line counts.
    fn add_breaks(
        &self,
        shape: Shape,
        affected: &AffectedItem,
        lines: &[AffectedLine],
        points: &mut Vec<PricePoint>,
    ) {
        let fits = |variant: Option<Code>, unit: Option<Code>, currency: Option<Code>| {
            let unit_of_shape = shape.unit.unwrap_or(self.item.base_unit);
            variant.is_none_or(|variant| shape.variant == Some(variant))
                && unit.is_none_or(|unit| unit == unit_of_shape)
                // The account's currency can be the foreign one.
                && currency.is_none_or(|code| shape.currency.is_none_or(|it| it == code))
        };
        let per_unit =
            shape.unit.and_then(|unit| self.item.quantity_per_unit(unit)).unwrap_or(Quantity::ONE);
        let first = if affected.is_changed {
            Some(0)
        } else {
            let of_shape = lines.iter().filter(|line| fits(line.variant, line.unit, line.currency));
            of_shape.map(|line| threshold(line.unit, line.minimum, per_unit)).min()
        };
        let Some(first) = first else { return };
        let mut breaks = BTreeSet::from([first]);
        let candidates = self.candidates.iter().filter(|it| fits(it.variant, it.unit, it.currency));
        breaks.extend(
            candidates
                .map(|it| threshold(it.unit, it.minimum, per_unit))
                .filter(|threshold| *threshold > first),
        );
        for &units in &breaks {
            let quantity = if units == 0 {
                let next = breaks.iter().find(|it| **it > 0).copied();
                below(next)
            } else {
                Quantity::from_units(units)
            };
            let Some(quantity) = quantity else { continue };
            let Shape { currency, variant, unit } = shape;
            points.push(PricePoint { currency, variant, unit, quantity });
        }
    }
}

/// Returns the quantity that stands for all quantities below the first break: one, or half the
/// break if that is at most one. Below the smallest quantity there is none.
fn below(next: Option<u128>) -> Option<Quantity> {
    match next {
        Some(next) if next <= Quantity::ONE.units() => Quantity::from_units(next / 2),
        _ => Some(Quantity::ONE),
    }
}
