//! What became of a line (pricing rules, section 6).

use crate::values::wire::text_enum;

text_enum! {
    /// The first rule that dropped a line, or that it was chosen. The order is that in which the
    /// rules are tried.
    Verdict {
        /// Granted to another account or group.
        OtherSource = "OTHER_SOURCE",
        /// The campaign is not in the price book.
        NotPublished = "NOT_PUBLISHED",
        /// The campaign's audience does not hold the account.
        NotInAudience = "NOT_IN_AUDIENCE",
        /// The request names another campaign.
        OtherCampaign = "OTHER_CAMPAIGN",
        /// For another variant.
        OtherVariant = "OTHER_VARIANT",
        /// For another unit of measure.
        OtherUnit = "OTHER_UNIT",
        /// In another foreign currency, which is never converted.
        OtherCurrency = "OTHER_CURRENCY",
        /// Not yet, or no longer.
        OutsideDates = "OUTSIDE_DATES",
        /// The quantity is below the line's minimum.
        BelowMinimumQuantity = "BELOW_MINIMUM_QUANTITY",
        /// A discount for all items, whose source has one for the item or its group.
        ItemLineOfSameSource = "ITEM_LINE_OF_SAME_SOURCE",
        /// The company's policy lets only other sources compete.
        Policy = "POLICY",
        /// Another line fixes all that this one fixes of currency and variant, and more.
        LessSpecific = "LESS_SPECIFIC",
        /// Another discount is higher.
        LowerDiscount = "LOWER_DISCOUNT",
        /// Another line's net is lower.
        HigherNet = "HIGHER_NET",
        /// As good as the line chosen, which comes first by source, starting date, minimum quantity
        /// or id.
        Tie = "TIE",
        /// The best line, but above the list price, which is taken instead.
        AboveListPrice = "ABOVE_LIST_PRICE",
        /// The price or the discount of the answer comes from this line.
        Chosen = "CHOSEN",
    }
}

impl Verdict {
    /// Returns whether the line is granted to the account at all. The lines that are not belong to
    /// other accounts and groups, or to campaigns that the account gets nothing from.
    #[must_use]
    pub const fn is_granted(self) -> bool {
        !matches!(self, Self::OtherSource | Self::NotPublished | Self::NotInAudience)
    }
}
