//! The fixed words of the domain that more than one room speaks.

use super::wire::text_enum;

text_enum! {
    /// Whom a price or discount line is granted to.
    SourceType {
        /// The audience of a published campaign.
        Campaign = "CAMPAIGN",
        /// One account.
        Contact = "CONTACT",
        /// The customers of a price group (prices only).
        CustomerPriceGroup = "CUSTOMER_PRICE_GROUP",
        /// The customers of a discount group (discounts only).
        CustomerDiscountGroup = "CUSTOMER_DISCOUNT_GROUP",
        /// Everybody.
        AllCustomers = "ALL_CUSTOMERS",
    }
}

text_enum! {
    /// Which candidates compete (pricing-rules section 4, step 0).
    PricePolicy {
        /// All of them; the lowest net wins.
        LowestNet = "LOWEST_NET",
        /// Only campaign lines, if there is one.
        CampaignFirst = "CAMPAIGN_FIRST",
        /// Only those of the first source in `priceHierarchy` that has one.
        Hierarchy = "HIERARCHY",
    }
}

text_enum! {
    /// What a contact is.
    ContactType {
        /// A company; it may be a customer.
        Company = "COMPANY",
        /// A person, who may belong to a company.
        Person = "PERSON",
    }
}

text_enum! {
    /// When changes of an active campaign reach the price book.
    Publishing {
        /// In the transaction that makes them.
        Automatic = "AUTOMATIC",
        /// With the next activation.
        Manual = "MANUAL",
    }
}

text_enum! {
    /// Where a campaign stands, derived from its publication and its dates.
    CampaignState {
        /// Not published.
        Draft = "DRAFT",
        /// Published, and its first day is still to come.
        Scheduled = "SCHEDULED",
        /// Published, and today lies within its dates.
        Running = "RUNNING",
        /// Published, and its last day is over.
        Ended = "ENDED",
    }
}
