//! What became of a line (pricing rules, section 6).

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The first rule that dropped a line, or that it was chosen. The order is that in which the rules are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Granted to another account or group.
    OtherSource,
    /// The campaign is not in the price book.
    NotPublished,
    /// The campaign's audience does not hold the account.
    NotInAudience,
    /// The request names another campaign.
    OtherCampaign,
    /// For another variant.
    OtherVariant,
    /// For another unit of measure.
    OtherUnit,
    /// In another foreign currency, which is never converted.
    OtherCurrency,
    /// Not yet, or no longer.
    OutsideDates,
    /// The quantity is below the line's minimum.
    BelowMinimumQuantity,
    /// A discount for all items, whose source has one for the item or its group.
    ItemLineOfSameSource,
    /// The company's policy lets only other sources compete.
    Policy,
    /// Another line fixes all that this one fixes of currency and variant, and more.
    LessSpecific,
    /// Another discount is higher.
    LowerDiscount,
    /// Another line's net is lower.
    HigherNet,
    /// As good as the line chosen, which comes first by source, starting date, minimum quantity or id.
    Tie,
    /// The best line, but above the list price, which is taken instead.
    AboveListPrice,
    /// The price or the discount of the answer comes from this line.
    Chosen,
}

impl Verdict {
    /// The fixed text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OtherSource => "OTHER_SOURCE",
            Self::NotPublished => "NOT_PUBLISHED",
            Self::NotInAudience => "NOT_IN_AUDIENCE",
            Self::OtherCampaign => "OTHER_CAMPAIGN",
            Self::OtherVariant => "OTHER_VARIANT",
            Self::OtherUnit => "OTHER_UNIT",
            Self::OtherCurrency => "OTHER_CURRENCY",
            Self::OutsideDates => "OUTSIDE_DATES",
            Self::BelowMinimumQuantity => "BELOW_MINIMUM_QUANTITY",
            Self::ItemLineOfSameSource => "ITEM_LINE_OF_SAME_SOURCE",
            Self::Policy => "POLICY",
            Self::LessSpecific => "LESS_SPECIFIC",
            Self::LowerDiscount => "LOWER_DISCOUNT",
            Self::HigherNet => "HIGHER_NET",
            Self::Tie => "TIE",
            Self::AboveListPrice => "ABOVE_LIST_PRICE",
            Self::Chosen => "CHOSEN",
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}
