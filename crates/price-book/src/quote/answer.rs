//! The answer to a request for prices, as types of the wire. It borrows its texts from the
//! snapshot.

use std::borrow::Cow;

use chrono::NaiveDate;
use pricing::line::Source;
use pricing::verdict::Verdict;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;
use values::{Amount, Percent, Quantity, Shown, Signed, code_table, wire_enum};

use crate::snapshot::Snapshot;

/// The reason for which a whole request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// No contact has the number.
    #[error("there is no contact {0}")]
    UnknownContact(String),
    /// No company is the customer with the number.
    #[error("there is no customer {0}")]
    UnknownCustomer(String),
}

code_table! {
    /// The reason for which one line of a quote has no price. The other lines are answered.
    LineProblemCode {
        UnknownItem "UNKNOWN_ITEM" "No item has the number.";
        UnknownVariant "UNKNOWN_VARIANT" "The item does not have the variant.";
        UnknownUnitOfMeasure "UNKNOWN_UNIT_OF_MEASURE"
            "The item is not sold in the unit of measure.";
        ItemBlocked "ITEM_BLOCKED" "The item is blocked and not sold.";
        ExchangeRateMissing "EXCHANGE_RATE_MISSING"
            "The request's currency has no exchange rate that has begun by the date.";
        NoPrice "NO_PRICE" "No price line holds for the question, and the item has no list price.";
        AmountTooLarge "AMOUNT_TOO_LARGE"
            "A price or an amount of the answer would have more than 15 digits before the point.";
    }
}

/// The answer to a request for prices.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuote)]
pub struct Quote<'a> {
    /// The version of the price book that the answer comes from.
    #[schema(example = 418)]
    pub publication_version: i64,
    /// The history that the version belongs to.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub book_id: Uuid,
    /// The company's calendar date for which the prices apply.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// The contact number of the account whose prices these are. Null if the request names neither
    /// contact nor customer.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<&'a str>,
    /// The currency of all amounts. Null while the company has no settings.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<&'a str>,
    /// True if the prices include tax.
    pub prices_include_tax: bool,
    /// The answers, in the order of the lines of the request.
    #[schema(max_items = 1000)]
    pub lines: Vec<QuoteLine<'a>>,
    /// The sums of the amounts of all lines that have a price.
    pub totals: Totals,
    /// The inputs of the request that had no effect.
    #[schema(max_items = 10)]
    pub warnings: Vec<QuoteWarning>,
}

/// An input of a request that had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteWarning)]
pub struct QuoteWarning {
    /// The stable code of the warning.
    pub code: QuoteWarningCode,
    /// The place of the input: a JSON pointer into the body, or `?` and the parameter.
    #[schema(max_length = 100, example = "/campaignNumber")]
    pub pointer: String,
    /// A description of the warning.
    #[schema(max_length = 1000, example = "SPRNG is not a published campaign")]
    pub detail: String,
}

wire_enum! {
    /// The kind of an input that had no effect.
    QuoteWarningCode {
        /// The named campaign is not in the price book.
        CampaignNotPublished = "CAMPAIGN_NOT_PUBLISHED",
        /// The audience of the named campaign does not contain the account.
        NotInAudience = "NOT_IN_AUDIENCE",
        /// The date is outside the dates of the named campaign.
        OutsideCampaignDates = "OUTSIDE_CAMPAIGN_DATES",
        /// No contact has the number. The prices are those of everybody.
        UnknownContact = "UNKNOWN_CONTACT",
        /// No company is the customer with the number. The prices are those of everybody.
        UnknownCustomer = "UNKNOWN_CUSTOMER",
    }
}

/// The sums of the amounts of all lines that have a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteTotals)]
pub struct Totals {
    /// The sum of `grossAmount`.
    #[schema(
        value_type = String,
        max_length = 31,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,5})?$",
        example = "1140"
    )]
    pub gross_amount: Signed<5>,
    /// The sum of `discountAmount`.
    #[schema(
        value_type = String,
        max_length = 31,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,5})?$",
        example = "45.6"
    )]
    pub discount_amount: Signed<5>,
    /// The sum of `lineAmount`.
    #[schema(
        value_type = String,
        max_length = 31,
        pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,5})?$",
        example = "1094.4"
    )]
    pub line_amount: Signed<5>,
}

/// The answer to one line: a price, or the problem for which there is none.
// The large variant is the usual one; a box for it would be an allocation per line.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = PriceQuoteLine)]
pub enum QuoteLine<'a> {
    /// The line has a price.
    Priced(PricedLine<'a>),
    /// The line has no price.
    Unpriced(UnpricedLine<'a>),
}

/// A line with its price.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PricedLine)]
pub struct PricedLine<'a> {
    /// The price of one unit of measure before the line discount.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Amount,
    /// The line discount in percent. 0 if there is none or the price allows none.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
    /// The unit price less the discount, exact. The amounts are computed from the unit price and
    /// not from this.
    #[schema(
        value_type = String,
        max_length = 28,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$",
        example = "54.72"
    )]
    pub net_unit_price: Shown<12>,
    /// Quantity × unit price, rounded to the currency's amount precision. The amounts of a
    /// negative quantity are negative.
    #[schema(
        value_type = String,
        max_length = 22,
        pattern = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "1140"
    )]
    pub gross_amount: Signed<5>,
    /// The discount on `grossAmount`, rounded to the currency's amount precision.
    #[schema(
        value_type = String,
        max_length = 22,
        pattern = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "45.6"
    )]
    pub discount_amount: Signed<5>,
    /// `grossAmount` − `discountAmount`.
    #[schema(
        value_type = String,
        max_length = 22,
        pattern = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "1094.4"
    )]
    pub line_amount: Signed<5>,
    /// The list price in the currency, unit and tax of the answer. Null if the item has none.
    #[schema(
        value_type = Option<String>,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "61"
    )]
    pub list_price: Option<Amount>,
    /// The line that provides the price. Null if the list price applies.
    pub price_line: Option<LineReference<'a>>,
    /// The line that provides the discount. Null if there is none or the price allows no discount.
    pub discount_line: Option<LineReference<'a>>,
    /// The grantor of the price. `LIST_PRICE` if no line won.
    pub source: AnswerSource<'a>,
    /// The first date after that of the quote on which the answer can change. On that date a
    /// relevant line starts, a line has ended, or another exchange rate starts. Null if no such
    /// date is known. `nextBreak` is not considered: it can change earlier.
    #[schema(example = "2031-06-01")]
    pub valid_until: Option<NaiveDate>,
    /// The next quantity from which one unit has a lower price less discount. Null if there is
    /// none.
    pub next_break: Option<NextBreak>,
    /// The lines that were examined, with their verdicts. Only present with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<Trace<'a>>>,
}

/// A line without price.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UnpricedLine)]
pub struct UnpricedLine<'a> {
    /// The reason for which there is no price.
    pub problem: LineProblem,
    /// The lines that were examined, with their verdicts. Only present with `explain`, and only if
    /// lines were examined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<Trace<'a>>>,
}

/// The reason for which one line has no price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteProblem)]
pub struct LineProblem {
    /// The kind of problem.
    pub code: LineProblemCode,
    /// A description of the problem.
    #[schema(max_length = 4000, example = "there is no item 1896-S")]
    pub detail: String,
}

/// A line of the price book that the answer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteLineUsed)]
pub struct LineReference<'a> {
    /// The line's id.
    pub id: Uuid,
    /// The grantor of the line.
    pub source: AnswerSource<'a>,
    /// The version of the price book that brought the line.
    #[schema(example = 417)]
    pub publication_version: i64,
}

/// The grantor of a price or discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum AnswerSource<'a> {
    /// A campaign.
    Campaign {
        /// The campaign's number.
        campaign_number: &'a str,
    },
    /// A contact, for its account.
    Contact {
        /// The number of the contact that the line names.
        contact_number: &'a str,
    },
    /// A price group.
    CustomerPriceGroup {
        /// The group's code.
        code: &'a str,
    },
    /// A discount group.
    CustomerDiscountGroup {
        /// The group's code.
        code: &'a str,
    },
    /// All customers.
    AllCustomers,
    /// No line: the list price of the item.
    ListPrice,
}

/// The schema of [`AnswerSource`]: one object, which suffices because it is only read.
#[derive(ToSchema)]
#[schema(as = PriceQuoteSource, rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used")]
struct SourceDocument {
    /// The kind of the source. `LIST_PRICE` if no line won.
    #[schema(
        value_type = String,
        pattern = "^(CAMPAIGN|CONTACT|CUSTOMER_PRICE_GROUP|CUSTOMER_DISCOUNT_GROUP|\
            ALL_CUSTOMERS|LIST_PRICE)$",
        max_length = 30,
        example = "CAMPAIGN"
    )]
    r#type: String,
    /// The number of the campaign. Only present with `CAMPAIGN`.
    #[schema(max_length = 50, example = "CP0001")]
    campaign_number: Option<String>,
    /// The number of the contact that the line names. Only present with `CONTACT`.
    #[schema(max_length = 50, example = "CT000042")]
    contact_number: Option<String>,
    /// The code of the group. Only present with `CUSTOMER_PRICE_GROUP` and
    /// `CUSTOMER_DISCOUNT_GROUP`.
    #[schema(max_length = 50, example = "GOLD")]
    code: Option<String>,
}

impl PartialSchema for AnswerSource<'_> {
    fn schema() -> RefOr<Schema> {
        SourceDocument::schema()
    }
}

impl ToSchema for AnswerSource<'_> {
    fn name() -> Cow<'static, str> {
        SourceDocument::name()
    }
}

/// The next quantity from which one unit has a lower price less discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteBreak)]
pub struct NextBreak {
    /// The quantity, in the unit of measure of the line of the request.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "20"
    )]
    pub quantity: Quantity,
    /// The unit price from this quantity on.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Amount,
    /// The line discount from this quantity on, in percent.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
}

/// The explanation of an answer: the lines that were examined, with their verdicts.
///
/// It lists the lines granted to the account: its own, its groups', those for all customers, and
/// those of campaigns whose audience contains it. All other lines are the prices of other customers
/// and are only counted, in `otherLines`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteTrace)]
pub struct Trace<'a> {
    /// The verdict on the campaign that the request names. Null if it names none.
    pub campaign: Option<NamedCampaign<'a>>,
    /// True if the chosen price allows the discount that is marked `CHOSEN`. Otherwise the discount
    /// of the answer is 0.
    pub line_discount_allowed: bool,
    /// The item's price lines that are granted to the account, by id.
    #[schema(max_items = 1_000_000)]
    pub prices: Vec<PriceTrace<'a>>,
    /// The discount lines of the item, of its group and for all items that are granted to the
    /// account, by id.
    #[schema(max_items = 1_000_000)]
    pub discounts: Vec<DiscountTrace<'a>>,
    /// The numbers of price and discount lines that were examined and are not granted to the
    /// account, by verdict. Empty if there are none.
    #[schema(max_items = 3)]
    pub other_lines: Vec<OtherLines>,
}

/// A number of lines that are not granted to the account. They are not described any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteOtherLines)]
pub struct OtherLines {
    /// `OTHER_SOURCE` for lines granted to other accounts or groups. `NOT_PUBLISHED` and
    /// `NOT_IN_AUDIENCE` for lines of campaigns that grant the account nothing.
    #[schema(example = "OTHER_SOURCE")]
    pub verdict: Verdict,
    /// The number of price and discount lines.
    #[schema(minimum = 1, maximum = 4_294_967_295_i64, example = 12)]
    pub count: u32,
}

/// The verdict on the campaign that the request names.
///
/// The price book has no lines of campaigns that are not published, so the verdicts on lines cannot
/// show this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteNamedCampaign)]
pub struct NamedCampaign<'a> {
    /// The campaign's number, as in the request.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: &'a str,
    /// `NOT_PUBLISHED`, `NOT_IN_AUDIENCE` or `OUTSIDE_DATES` if the campaign grants nothing. Null
    /// if the campaign counts; then its lines have verdicts. The lines of a campaign whose audience
    /// does not contain the account are only counted.
    pub verdict: Option<Verdict>,
}

/// The verdict on one price line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuotePriceTrace)]
pub struct PriceTrace<'a> {
    /// The line, its source and its version.
    #[serde(flatten)]
    pub line: LineReference<'a>,
    /// `CHOSEN`, or the first rule that dropped the line.
    pub verdict: Verdict,
    /// The line's minimum quantity, in its own unit.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "6"
    )]
    pub minimum_quantity: Amount,
    /// The price in the currency, unit and tax of the answer. Null for a line in another unit or
    /// currency, and for a price of more than 15 digits.
    #[schema(
        value_type = Option<String>,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Option<Amount>,
    /// The price less the discount, if the line allows it. Exact, as it is compared.
    #[schema(
        value_type = Option<String>,
        max_length = 28,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$",
        example = "54.72"
    )]
    pub net_unit_price: Option<Shown<12>>,
}

/// The verdict on one discount line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteDiscountTrace)]
pub struct DiscountTrace<'a> {
    /// The line, its source and its version.
    #[serde(flatten)]
    pub line: LineReference<'a>,
    /// `CHOSEN`, or the first rule that dropped the line.
    pub verdict: Verdict,
    /// The line's minimum quantity, in its own unit.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "20"
    )]
    pub minimum_quantity: Amount,
    /// The discount in percent.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
}

/// Converts a line of the price book into its form in the answer.
pub(super) fn line_reference(
    snapshot: &Snapshot,
    id: Uuid,
    source: Source,
    version: i64,
) -> LineReference<'_> {
    let source = match source {
        Source::Campaign(index) => {
            AnswerSource::Campaign { campaign_number: snapshot.campaign_number(index) }
        }
        Source::Contact(index) => {
            AnswerSource::Contact { contact_number: snapshot.contact_number(index) }
        }
        Source::PriceGroup(code) => {
            AnswerSource::CustomerPriceGroup { code: snapshot.code_text(code) }
        }
        Source::DiscountGroup(code) => {
            AnswerSource::CustomerDiscountGroup { code: snapshot.code_text(code) }
        }
        Source::AllCustomers => AnswerSource::AllCustomers,
    };
    LineReference { id, source, publication_version: version }
}
