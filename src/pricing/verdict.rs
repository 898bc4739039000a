//! What became of a line (pricing rules, section 6).

use serde::Serialize;
use utoipa::ToSchema;

/// The first rule that dropped a line, or that it was chosen. The order is that in which the rules are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
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
