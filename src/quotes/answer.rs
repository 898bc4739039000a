//! The answer to a request for prices, as it goes over the wire. It borrows its names from the
//! snapshot.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::pricing::exact::{Amount, Percent, Positive, Shown};
use crate::pricing::verdict::Verdict;

/// Why the whole request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// No contact has the number.
    #[error("there is no contact {0}")]
    UnknownContact(String),
    /// No company is the customer with the number.
    #[error("there is no customer {0}")]
    UnknownCustomer(String),
}

/// Declares the codes of problems of one line: an enum whose variants know their public text and
/// meaning.
macro_rules! line_problems {
    ($($variant:ident $text:literal $meaning:literal;)+) => {
        /// Why one line of a quote has no price; the other lines are answered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
        pub enum LineProblemCode { $(#[doc = $meaning] #[schema(rename = $text)] $variant),+ }

        impl LineProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable public text of the code.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// What the code means, for the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }
        }
    };
}

line_problems! {
    UnknownItem "UNKNOWN_ITEM" "No item has the number.";
    UnknownVariant "UNKNOWN_VARIANT" "The item does not have the variant.";
    UnknownUnitOfMeasure "UNKNOWN_UNIT_OF_MEASURE" "The item is not sold in the unit of measure.";
    ItemBlocked "ITEM_BLOCKED" "The item is blocked and not sold.";
    ExchangeRateMissing "EXCHANGE_RATE_MISSING" "The request's currency has no exchange rate that has begun by the date.";
    NoPrice "NO_PRICE" "No price line holds for the question, and the item has no list price.";
    AmountTooLarge "AMOUNT_TOO_LARGE" "A price or an amount of the answer would have more than 15 digits before the point.";
}

impl Serialize for LineProblemCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// The answer to a whole request.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuote)]
pub struct Quote<'a> {
    /// The version of the price book that the answer comes from.
    #[schema(example = 418)]
    pub publication_version: i64,
    /// The company's calendar date for which the prices hold.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// The contact number of the account whose prices these are; null when nobody was named.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<&'a str>,
    /// The currency of all amounts; null while the company has no settings.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<&'a str>,
    /// Whether the prices include tax.
    pub prices_include_tax: bool,
    /// The answers, in the order of the questions.
    #[schema(max_items = 1000)]
    pub lines: Vec<QuoteLine<'a>>,
    /// The sums over the lines that have a price.
    pub totals: Totals,
}

/// The sums over the lines that have a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteTotals)]
pub struct Totals {
    /// The sum of `grossAmount`.
    #[schema(value_type = String, max_length = 30, pattern = r"^(0|[1-9][0-9]*)(\.[0-9]{1,5})?$", example = "1140")]
    pub gross_amount: Shown<5>,
    /// The sum of `discountAmount`.
    #[schema(value_type = String, max_length = 30, pattern = r"^(0|[1-9][0-9]*)(\.[0-9]{1,5})?$", example = "45.6")]
    pub discount_amount: Shown<5>,
    /// The sum of `lineAmount`.
    #[schema(value_type = String, max_length = 30, pattern = r"^(0|[1-9][0-9]*)(\.[0-9]{1,5})?$", example = "1094.4")]
    pub line_amount: Shown<5>,
}

/// The answer to one question: a price, or why there is none.
// The large variant is the usual one; a box for it would be an allocation per line.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = PriceQuoteLine)]
pub enum QuoteLine<'a> {
    /// The price.
    Priced(PricedLine<'a>),
    /// Why there is no price.
    Unpriced(UnpricedLine<'a>),
}

/// A line with its price.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PricedLine)]
pub struct PricedLine<'a> {
    /// The price of one unit of measure before the line discount.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "57")]
    pub unit_price: Amount,
    /// The line discount; 0 when there is none or the price allows none.
    #[schema(value_type = String, max_length = 9, pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$", example = "4")]
    pub line_discount_percent: Percent,
    /// Quantity × unit price, rounded.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "1140")]
    pub gross_amount: Amount,
    /// The discount on `grossAmount`, rounded.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "45.6")]
    pub discount_amount: Amount,
    /// `grossAmount` − `discountAmount`.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "1094.4")]
    pub line_amount: Amount,
    /// The list price in the currency, unit and tax of the answer; null when the item has none.
    #[schema(value_type = Option<String>, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "61")]
    pub list_price: Option<Amount>,
    /// The line that the price comes from; null with the list price.
    pub price_line: Option<LineUsed<'a>>,
    /// The line that the discount comes from; null without discount line, or when the price allows
    /// no discount.
    pub discount_line: Option<LineUsed<'a>>,
    /// Who grants the price; `LIST_PRICE` when no line won.
    pub source: AnswerSource<'a>,
    /// The first date after the quote's date on which the answer can differ, because a line that
    /// fits the question but for its dates begins, or one that fits has ended, or another exchange
    /// rate holds; null when nothing of that is known. `nextBreak` is not part of it: a break can
    /// begin or end earlier.
    #[schema(example = "2031-06-01")]
    pub valid_until: Option<NaiveDate>,
    /// The next quantity from which one unit costs less than now, discount included; null when
    /// there is none.
    pub next_break: Option<NextBreak>,
    /// The lines that were looked at, and what became of each; only with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<Trace<'a>>>,
}

/// A line without price.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UnpricedLine)]
pub struct UnpricedLine<'a> {
    /// Why.
    pub problem: LineProblem,
    /// The lines that were looked at, and what became of each; only with `explain`, and only if
    /// lines were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<Trace<'a>>>,
}

/// Why one line has no price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteProblem)]
pub struct LineProblem {
    /// The kind of problem.
    pub code: LineProblemCode,
    /// The problem in words.
    #[schema(max_length = 4000, example = "there is no item 1896-S")]
    pub detail: String,
}

/// A line of the price book that the answer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteLineUsed)]
pub struct LineUsed<'a> {
    /// The line's id.
    pub id: Uuid,
    /// Who grants it.
    pub source: AnswerSource<'a>,
    /// The version of the price book that brought the line.
    #[schema(example = 417)]
    pub publication_version: i64,
}

/// Who grants a price or discount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum AnswerSource<'a> {
    /// A campaign.
    Campaign {
        /// Its number.
        campaign_number: &'a str,
    },
    /// An account.
    Contact {
        /// The number of the contact that the line names.
        contact_number: &'a str,
    },
    /// A price group.
    CustomerPriceGroup {
        /// Its code.
        code: &'a str,
    },
    /// A discount group.
    CustomerDiscountGroup {
        /// Its code.
        code: &'a str,
    },
    /// Everybody.
    AllCustomers,
    /// No line: the item's list price.
    ListPrice,
}

/// How an [`AnswerSource`] is described: as one object, since it is only read.
#[derive(ToSchema)]
#[schema(as = PriceQuoteSource, rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used")]
struct SourceDocument {
    /// Of which kind the source is; `LIST_PRICE` when no line won.
    #[schema(value_type = String, pattern = "^(CAMPAIGN|CONTACT|CUSTOMER_PRICE_GROUP|CUSTOMER_DISCOUNT_GROUP|ALL_CUSTOMERS|LIST_PRICE)$",
        max_length = 30, example = "CAMPAIGN")]
    r#type: String,
    /// The campaign, of a `CAMPAIGN`.
    #[schema(max_length = 50, example = "CP0001")]
    campaign_number: Option<String>,
    /// The contact that the line names, of a `CONTACT`.
    #[schema(max_length = 50, example = "CT000042")]
    contact_number: Option<String>,
    /// The group, of a `CUSTOMER_PRICE_GROUP` or `CUSTOMER_DISCOUNT_GROUP`.
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

/// The next quantity from which one unit costs less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteBreak)]
pub struct NextBreak {
    /// The quantity, in the unit of measure of the question.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "20")]
    pub quantity: Positive,
    /// The unit price from there on.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "57")]
    pub unit_price: Amount,
    /// The line discount from there on.
    #[schema(value_type = String, max_length = 9, pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$", example = "4")]
    pub line_discount_percent: Percent,
}

/// How an answer came about: the lines that were looked at, and what became of each.
///
/// Listed are the lines granted to the account: its own, those of its groups, those for all
/// customers, and those of campaigns whose audience holds it. All other lines are the prices of
/// other customers; `otherLines` counts them.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteTrace)]
pub struct Trace<'a> {
    /// What became of the campaign that the request names; null when it names none.
    pub campaign: Option<NamedCampaign<'a>>,
    /// Whether the price that was taken allows the discount marked `CHOSEN`; if not, the discount
    /// is 0.
    pub line_discount_allowed: bool,
    /// The item's price lines that are granted to the account, by id.
    #[schema(max_items = 1_000_000)]
    pub prices: Vec<PriceTrace<'a>>,
    /// The discount lines of the item, of its group and for all items that are granted to the
    /// account, by id.
    #[schema(max_items = 1_000_000)]
    pub discounts: Vec<DiscountTrace<'a>>,
    /// The numbers of price and discount lines that were looked at and are not granted to the
    /// account, by verdict; empty when there are none.
    #[schema(max_items = 3)]
    pub other_lines: Vec<OtherLines>,
}

/// A number of lines that are not granted to the account. Nothing else is said about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteOtherLines)]
pub struct OtherLines {
    /// `OTHER_SOURCE`: granted to other accounts or groups. `NOT_PUBLISHED` or `NOT_IN_AUDIENCE`:
    /// of campaigns that grant the account nothing.
    #[schema(example = "OTHER_SOURCE")]
    pub verdict: Verdict,
    /// The number of lines, prices and discounts together.
    #[schema(minimum = 1, maximum = 4_294_967_295_i64, example = 12)]
    pub count: u32,
}

/// What became of the campaign that the request names.
///
/// The price book does not hold lines of campaigns that are not published, so the lines' verdicts
/// cannot say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteNamedCampaign)]
pub struct NamedCampaign<'a> {
    /// The campaign's number, as in the request.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: &'a str,
    /// `NOT_PUBLISHED`, `NOT_IN_AUDIENCE` or `OUTSIDE_DATES`: why it grants nothing. Null: it
    /// counts, and its lines tell more. The lines of a campaign whose audience does not hold the
    /// account are only counted.
    pub verdict: Option<Verdict>,
}

/// What became of one price line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuotePriceTrace)]
pub struct PriceTrace<'a> {
    /// The line, its source and its version.
    #[serde(flatten)]
    pub line: LineUsed<'a>,
    /// Kept or dropped, and why.
    pub verdict: Verdict,
    /// The line's minimum quantity, in its own unit.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "6")]
    pub minimum_quantity: Amount,
    /// The price in the currency, unit and tax of the answer; null for a line in another unit or
    /// currency, and above 15 digits.
    #[schema(value_type = Option<String>, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "57")]
    pub unit_price: Option<Amount>,
    /// The price less the discount, if the line allows it; exact, as it is compared.
    #[schema(value_type = Option<String>, max_length = 28, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$", example = "54.72")]
    pub net_unit_price: Option<Shown<12>>,
}

/// What became of one discount line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceQuoteDiscountTrace)]
pub struct DiscountTrace<'a> {
    /// The line, its source and its version.
    #[serde(flatten)]
    pub line: LineUsed<'a>,
    /// Kept or dropped, and why.
    pub verdict: Verdict,
    /// The line's minimum quantity, in its own unit.
    #[schema(value_type = String, max_length = 21, pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$", example = "20")]
    pub minimum_quantity: Amount,
    /// The discount.
    #[schema(value_type = String, max_length = 9, pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$", example = "4")]
    pub line_discount_percent: Percent,
}
