//! The company's price policy: the sources that compete (`docs/pricing-rules.md` section 4.0).

use values::enums::{PricePolicy, SourceType};

/// The price policy in the form that the contest uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The kind of policy.
    pub kind: PricePolicy,
    /// All five sources, the preferred one first. Only `Hierarchy` reads it.
    pub hierarchy: Vec<SourceType>,
    /// If set, the list price caps the result.
    pub never_above_list_price: bool,
}

/// A set of source types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceSet(u8);

impl SourceSet {
    /// The set of all sources.
    pub const ALL: Self = Self(0b1_1111);

    /// Returns the set that contains only `kind`.
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

    /// Adds a source.
    pub fn insert(&mut self, kind: SourceType) {
        self.0 |= Self::of(kind).0;
    }

    /// Returns whether the set contains the source.
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
    /// Returns whether a candidate can exclude those of other sources.
    #[must_use]
    pub fn restricts(&self) -> bool {
        self.kind != PricePolicy::LowestNet
    }

    /// Returns the sources that compete, given the sources that have a candidate.
    #[must_use]
    pub fn competing(&self, present: SourceSet) -> SourceSet {
        match self.kind {
            PricePolicy::LowestNet => SourceSet::ALL,
            PricePolicy::CampaignFirst if present.contains(SourceType::Campaign) => {
                SourceSet::of(SourceType::Campaign)
            }
            PricePolicy::CampaignFirst => SourceSet::ALL,
            // A hierarchy always names all five sources. If a source were missing from it, its
            // candidates would compete rather than be lost.
            PricePolicy::Hierarchy => self
                .hierarchy
                .iter()
                .find(|kind| present.contains(**kind))
                .map_or(SourceSet::ALL, |kind| SourceSet::of(*kind)),
        }
    }
}
