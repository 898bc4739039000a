//! Enums of the domain that several modules use.

text_enum! {
    /// The kind of the grantor of a price or discount line.
    SourceType {
        /// The audience of a published campaign.
        Campaign = "CAMPAIGN",
        /// One contact's account.
        Contact = "CONTACT",
        /// The customers of a price group (prices only).
        CustomerPriceGroup = "CUSTOMER_PRICE_GROUP",
        /// The customers of a discount group (discounts only).
        CustomerDiscountGroup = "CUSTOMER_DISCOUNT_GROUP",
        /// All customers.
        AllCustomers = "ALL_CUSTOMERS",
    }
}

text_enum! {
    /// The policy by which candidates compete (`docs/pricing-rules.md` section 4.0).
    PricePolicy {
        /// All candidates compete, and the lowest net wins.
        LowestNet = "LOWEST_NET",
        /// Only campaign lines compete, if there is one.
        CampaignFirst = "CAMPAIGN_FIRST",
        /// Only candidates of the first source in `priceHierarchy` that has one compete.
        Hierarchy = "HIERARCHY",
    }
}

text_enum! {
    /// The lines that those of a campaign may be combined with (`docs/pricing-rules.md` section
    /// 4.7).
    Combination {
        /// All lines.
        Any = "ANY",
        /// Only lines of the same campaign.
        Own = "OWN",
    }
}

text_enum! {
    /// The kind of a contact.
    ContactType {
        /// A company, which can be a customer.
        Company = "COMPANY",
        /// A person, who can belong to a company.
        Person = "PERSON",
    }
}

text_enum! {
    /// The selection of a segment's lines.
    Membership {
        /// By hand or by criteria actions.
        List = "LIST",
        /// By the segment's filter: contacts enter and leave as they change.
        Rule = "RULE",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro declares the enum")]
impl Default for Membership {
    fn default() -> Self {
        Self::List
    }
}

text_enum! {
    /// The account that a segment's line targets.
    LineTarget {
        /// The account that the contact has at any time.
        Contact = "CONTACT",
        /// The account that the contact had when the line was made a target of this kind.
        Account = "ACCOUNT",
    }
}

text_enum! {
    /// The time at which changes of an active campaign are published.
    Publishing {
        /// In the transaction of the change.
        Automatic = "AUTOMATIC",
        /// With the next activation.
        Manual = "MANUAL",
    }
}

text_enum! {
    /// The effect of a price that violates a guardrail.
    GuardrailMode {
        /// None: guardrails are not checked.
        Off = "OFF",
        /// A warning, which an activation has to acknowledge.
        Warn = "WARN",
        /// An error, which refuses the publication.
        Block = "BLOCK",
    }
}

text_enum! {
    /// The publications of campaigns that a second person has to approve.
    ApprovalRequired {
        /// None.
        Never = "NEVER",
        /// All: activations, rollbacks and changes of active campaigns.
        Always = "ALWAYS",
        /// Those that violate a guardrail.
        Breach = "BREACH",
    }
}

text_enum! {
    /// The state of a campaign, derived from its publication and its dates.
    CampaignState {
        /// The campaign is not published.
        Draft = "DRAFT",
        /// The campaign is published, and its first day is in the future.
        Scheduled = "SCHEDULED",
        /// The campaign is published, and today is within its dates.
        Running = "RUNNING",
        /// The campaign is published, and its last day is in the past.
        Ended = "ENDED",
    }
}
