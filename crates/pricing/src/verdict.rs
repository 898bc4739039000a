//! Verdicts on lines (`docs/pricing-rules.md` section 6).

use values::wire_enum;

wire_enum! {
    /// The first rule that dropped a line, or `CHOSEN`. The variants are in the order in which the
    /// rules are tried.
    Verdict {
        /// The line is granted to another account or group.
        OtherSource = "OTHER_SOURCE",
        /// The campaign is not in the price book.
        NotPublished = "NOT_PUBLISHED",
        /// The campaign's audience does not contain the account.
        NotInAudience = "NOT_IN_AUDIENCE",
        /// The request names another campaign.
        OtherCampaign = "OTHER_CAMPAIGN",
        /// The line is for another variant.
        OtherVariant = "OTHER_VARIANT",
        /// The line is for another unit of measure.
        OtherUnit = "OTHER_UNIT",
        /// The line is in another foreign currency. Lines in a foreign currency are never
        /// converted.
        OtherCurrency = "OTHER_CURRENCY",
        /// The date is outside the line's period.
        OutsideDates = "OUTSIDE_DATES",
        /// The quantity is below the line's minimum.
        BelowMinimumQuantity = "BELOW_MINIMUM_QUANTITY",
        /// The line is a discount for all items, and its source has one for the item or its group.
        ItemLineOfSameSource = "ITEM_LINE_OF_SAME_SOURCE",
        /// The company's price policy admits only other sources.
        Policy = "POLICY",
        /// Another line is more specific: it fixes the same of currency and variant, and more.
        LessSpecific = "LESS_SPECIFIC",
        /// The line must not be combined with the chosen one, because one of their campaigns
        /// combines only with itself. It is a discount, or a price that would have won with another
        /// discount.
        NotCombinable = "NOT_COMBINABLE",
        /// Another discount is higher.
        LowerDiscount = "LOWER_DISCOUNT",
        /// Another line's net is lower.
        HigherNet = "HIGHER_NET",
        /// The line is equal to the chosen one, which comes first by source, starting date, minimum
        /// quantity or id.
        Tie = "TIE",
        /// The line won, but its net is above that of the list price, which is taken instead.
        AboveListPrice = "ABOVE_LIST_PRICE",
        /// The discount won, but the chosen price allows no line discount.
        LineDiscountNotAllowed = "LINE_DISCOUNT_NOT_ALLOWED",
        /// The line provides the price or the discount of the answer.
        Chosen = "CHOSEN",
    }
}

impl Verdict {
    /// Returns whether the line is granted to the account. Other lines belong to other accounts and
    /// groups, or to campaigns that do not reach the account.
    #[must_use]
    pub const fn is_granted(self) -> bool {
        !matches!(self, Self::OtherSource | Self::NotPublished | Self::NotInAudience)
    }
}
