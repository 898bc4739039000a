//! The findings of an activation, in one table.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use values::code_table;
use values::text_enum;

text_enum! {
    /// The severity of a finding.
    Severity {
        /// The campaign cannot be published in this state.
        Error = "ERROR",
        /// The campaign can be published if the warning is acknowledged.
        Warning = "WARNING",
    }
}

code_table! {
    /// The code of a finding. Unknown items, variants, units and currencies, values out of bounds
    /// and duplicate lines have no code: such lines cannot be created.
    FindingCode,
    /// Returns the severity of the code.
    severity: Severity {
        NoStartingDate "NO_STARTING_DATE": Severity::Error, "The campaign has no starting date.";
        StatusForbidsActivation "STATUS_FORBIDS_ACTIVATION": Severity::Error,
            "The campaign's status does not allow activation.";
        NoSegment "NO_SEGMENT": Severity::Error, "No segment is attached to the campaign.";
        NoTargets "NO_TARGETS": Severity::Error,
            "No contact is targeted: attach a segment and set `campaignTarget` on it or on its \
             lines.";
        NobodyLeft "NOBODY_LEFT": Severity::Error,
            "Every targeted contact is left out, as excluded from segments or privacy blocked.";
        ItemBlocked "ITEM_BLOCKED": Severity::Error, "A line is for an item that is blocked.";
        GoldenQuoteDiffers "GOLDEN_QUOTE_DIFFERS": Severity::Error,
            "A golden quote of the campaign would be answered otherwise than expected; `params` \
             say how.";
        BelowMarginFloor "BELOW_MARGIN_FLOOR": Severity::Warning,
            "A net price falls below the margin floor. An error if `guardrailMode` is `BLOCK`.";
        NetBelowCost "NET_BELOW_COST": Severity::Warning,
            "A net price falls below the item's unit cost. An error if `guardrailMode` is `BLOCK`.";
        DiscountTooDeep "DISCOUNT_TOO_DEEP": Severity::Warning,
            "A net price is further below the list price than `maxDiscountPercent`. An error if \
             `guardrailMode` is `BLOCK`.";
        NoGain "NO_GAIN": Severity::Warning,
            "The campaign lowers nobody's price of an item, a group or any item. An error if \
             `guardrailMode` is `BLOCK`.";
        PlanTooLarge "PLAN_TOO_LARGE": Severity::Warning,
            "The guardrails could not be checked, because the prices exceed a bound. An error if \
             `guardrailMode` is `BLOCK`.";
        WindowOver "WINDOW_OVER": Severity::Warning, "The campaign's ending date is past.";
        OpenEnd "OPEN_END": Severity::Warning, "The campaign has no ending date.";
        NoPrices "NO_PRICES": Severity::Warning, "The campaign has neither a price nor a discount.";
        ContactsExcluded "CONTACTS_EXCLUDED": Severity::Warning,
            "Targeted contacts are left out, as they are excluded from segments.";
        ContactsPrivacyBlocked "CONTACTS_PRIVACY_BLOCKED": Severity::Warning,
            "Targeted contacts are left out, as they are privacy blocked.";
        PersonsWithoutCompany "PERSONS_WITHOUT_COMPANY": Severity::Warning,
            "Targeted persons have no company: each is an account of its own.";
        PriceAboveList "PRICE_ABOVE_LIST": Severity::Warning,
            "A price is above the item's list price.";
        PriceZero "PRICE_ZERO": Severity::Warning, "A price is zero.";
        ExchangeRateMissing "EXCHANGE_RATE_MISSING": Severity::Warning,
            "A line's currency has no exchange rate yet: it cannot be quoted.";
        LineShadowed "LINE_SHADOWED": Severity::Warning,
            "Another line of the campaign is at least as good under the same conditions: this \
             one changes nothing.";
        UnreachableBreak "UNREACHABLE_BREAK": Severity::Warning,
            "A line with a lower minimum quantity is at least as good: this break changes nothing.";
        LineWithoutEffect "LINE_WITHOUT_EFFECT": Severity::Warning,
            "A discount of 0 %, or one for an item discount group that no item has.";
        AccountsLosePrices "ACCOUNTS_LOSE_PRICES": Severity::Warning,
            "A changed contact takes an active campaign's prices away from accounts; `params` name \
             them.";
        StatusHoldsChanges "STATUS_HOLDS_CHANGES": Severity::Warning,
            "The status of an active campaign is final or forbids activation, so the change waits \
             (`hasUnpublishedChanges`) for another status; the published prices stay in force.";
        ApprovalHoldsChanges "APPROVAL_HOLDS_CHANGES": Severity::Warning,
            "The change of an active campaign needs an approval, so it waits \
             (`hasUnpublishedChanges`) for an activation; the published prices stay in force.";
        Overlap "OVERLAP": Severity::Warning,
            "Another published campaign offers the same items to the same accounts in the same \
             days; `params` say who wins.";
        Stacked "STACKED": Severity::Warning,
            "The price of one campaign is combined with the discount of another; `params` have \
             both sources, the net price and the margin.";
    }
}

/// A result of the check of a campaign.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The id of the finding, by which it can be acknowledged. It is the same for the same facts:
    /// code, pointer and parameters.
    #[schema(
        min_length = 32,
        max_length = 32,
        pattern = "^[0-9a-f]{32}$",
        example = "8f14e45fceea167a5a36dedd4bea2543"
    )]
    pub finding_id: String,
    /// The code of the finding; docs/errors.md lists all codes.
    pub code: FindingCode,
    /// The severity of the finding.
    pub severity: Severity,
    /// The location of the finding: a field of the campaign (`/startingDate`), its segments
    /// (`/segments`), one of its lines (`/prices/{id}`, `/discounts/{id}`) or golden quotes
    /// (`/golden-quotes/{id}`).
    #[schema(max_length = 200, example = "/endingDate")]
    pub pointer: String,
    /// The finding in words.
    #[schema(max_length = 4000, example = "the campaign ended on 2031-05-31")]
    pub detail: String,
    /// The numbers and names that the finding refers to.
    #[schema(
        value_type = Object,
        additional_properties,
        example = json!({"endingDate": "2031-05-31"})
    )]
    pub params: Map<String, Value>,
}

impl Finding {
    /// Creates a finding without parameters.
    pub fn new(code: FindingCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            finding_id: String::new(),
            code,
            severity: code.severity(),
            pointer: pointer.into(),
            detail: detail.into(),
            params: Map::new(),
        }
    }

    /// Returns the finding with one more parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// Returns the finding with its id.
    #[must_use]
    pub fn identified(mut self) -> Self {
        let mut hasher = Sha256::new();
        for text in
            [self.code.text(), &self.pointer, &Value::Object(self.params.clone()).to_string()]
        {
            hasher.update(text.as_bytes());
            // This byte does not occur in UTF-8, so the texts cannot run together.
            hasher.update([0xff]);
        }
        let digest = hasher.finalize();
        let first_half =
            digest.iter().take(16).fold(0_u128, |id, byte| (id << 8) | u128::from(*byte));
        self.finding_id = format!("{first_half:032x}");
        self
    }

    /// Returns whether the finding refuses publication even if it is acknowledged.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
