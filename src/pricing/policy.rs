//! The company's one policy: which sources compete at all (pricing rules, section 4.0).

use crate::values::enums::{PricePolicy, SourceType};

/// The policy as the contest uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which policy.
    pub kind: PricePolicy,
    /// All five sources, best first; only `Hierarchy` reads it.
    pub hierarchy: Vec<SourceType>,
    /// Whether the list price caps the result.
    pub never_above_list_price: bool,
}

/// A set of source types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceSet(u8);

impl SourceSet {
    /// Every source.
    pub const ALL: Self = Self(0b1_1111);

    /// The set of one.
    #[must_use]
    pub const fn of(kind: SourceType) -> Self {
        Self(match kind {
            SourceType::Campaign => 1,
            SourceType::Contact => 2,
            SourceType::CustomerPriceGroup => 4,
            SourceType::CustomerDiscountGroup => 8,
            SourceType::AllCustomers => 16,
        })
    }

    /// Adds one.
    pub fn insert(&mut self, kind: SourceType) {
        self.0 |= Self::of(kind).0;
    }

    /// Whether the set holds it.
    #[must_use]
    pub const fn contains(self, kind: SourceType) -> bool {
        self.0 & Self::of(kind).0 != 0
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { kind: PricePolicy::LowestNet, hierarchy: Vec::new(), never_above_list_price: false }
    }
}

impl Policy {
    /// Whether a candidate can keep those of other sources out.
    #[must_use]
    pub fn restricts(&self) -> bool {
        self.kind != PricePolicy::LowestNet
    }

    /// Which sources compete, given those that have a candidate.
    #[must_use]
    pub fn competing(&self, present: SourceSet) -> SourceSet {
        match self.kind {
            PricePolicy::LowestNet => SourceSet::ALL,
            PricePolicy::CampaignFirst if present.contains(SourceType::Campaign) => {
                SourceSet::of(SourceType::Campaign)
            }
            PricePolicy::CampaignFirst => SourceSet::ALL,
            // A hierarchy always names all five; were it not so, sources without a place would
            // still be better than none.
            PricePolicy::Hierarchy => self
                .hierarchy
                .iter()
                .find(|kind| present.contains(**kind))
                .map_or(SourceSet::ALL, |kind| SourceSet::of(*kind)),
        }
    }
}
