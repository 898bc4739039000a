//! The facts that count for prices, as they stand in the price book's rows, and the changes from
//! one version to the next.
//!
//! A row is `book_entries(kind, key, facts, from_version, to_version)`; `facts` is one of the
//! structs below as JSON, camelCase, decimals as strings. All keys are the upper-cased business
//! keys, those of lines their UUID as text. Audiences lie beside the facts, as rows of their own.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use roaring::RoaringBitmap;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::pricing::exact::{Amount, Percent, Positive, Rate};
use crate::values::enums::{ContactType, PricePolicy, SourceType};

/// The kind of a fact; together with the key it names one fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FactKind {
    /// The company's settings; the key is empty.
    Settings,
    /// A currency's rounding; the key is its code.
    Currency,
    /// An exchange rate; the key is currency code and starting date, as in `USD|2031-01-01`.
    ExchangeRate,
    /// An item; the key is its number.
    Item,
    /// A contact; the key is its number.
    Contact,
    /// A campaign that is published; the key is its number.
    Campaign,
    /// A price line; the key is its id.
    PriceLine,
    /// A discount line; the key is its id.
    DiscountLine,
}

impl FactKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Settings,
        Self::Currency,
        Self::ExchangeRate,
        Self::Item,
        Self::Contact,
        Self::Campaign,
        Self::PriceLine,
        Self::DiscountLine,
    ];

    /// The text in the column `kind`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Settings => "SETTINGS",
            Self::Currency => "CURRENCY",
            Self::ExchangeRate => "EXCHANGE_RATE",
            Self::Item => "ITEM",
            Self::Contact => "CONTACT",
            Self::Campaign => "CAMPAIGN",
            Self::PriceLine => "PRICE_LINE",
            Self::DiscountLine => "DISCOUNT_LINE",
        }
    }
}

impl fmt::Display for FactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A row's `kind` is none of those of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kind of fact is called {0}")]
pub struct UnknownKind(pub String);

impl FromStr for FactKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.text() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// One thing that counts for prices. Without a tag in JSON: the row's `kind` says which it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Fact {
    /// The company's settings.
    Settings(SettingsFact),
    /// A currency's rounding.
    Currency(CurrencyFact),
    /// An exchange rate.
    ExchangeRate(ExchangeRateFact),
    /// An item.
    Item(ItemFact),
    /// A contact.
    Contact(ContactFact),
    /// A published campaign.
    Campaign(CampaignFact),
    /// A price line.
    PriceLine(PriceLineFact),
    /// A discount line.
    DiscountLine(DiscountLineFact),
}

impl Fact {
    /// The kind of the fact.
    #[must_use]
    pub const fn kind(&self) -> FactKind {
        match self {
            Self::Settings(_) => FactKind::Settings,
            Self::Currency(_) => FactKind::Currency,
            Self::ExchangeRate(_) => FactKind::ExchangeRate,
            Self::Item(_) => FactKind::Item,
            Self::Contact(_) => FactKind::Contact,
            Self::Campaign(_) => FactKind::Campaign,
            Self::PriceLine(_) => FactKind::PriceLine,
            Self::DiscountLine(_) => FactKind::DiscountLine,
        }
    }

    /// Reads the column `facts` of a row of this kind.
    ///
    /// # Errors
    /// When the text is not the JSON of a fact of the kind: a member is missing, or a decimal is
    /// out of its bounds.
    pub fn from_text(kind: FactKind, facts: &str) -> serde_json::Result<Self> {
        Self::read(kind, &mut serde_json::Deserializer::from_str(facts))
    }

    /// Reads a fact of this kind from whatever form it has.
    ///
    /// # Errors
    /// When what is read is not a fact of the kind.
    pub fn read<'de, D: Deserializer<'de>>(kind: FactKind, from: D) -> Result<Self, D::Error> {
        Ok(match kind {
            FactKind::Settings => Self::Settings(Deserialize::deserialize(from)?),
            FactKind::Currency => Self::Currency(Deserialize::deserialize(from)?),
            FactKind::ExchangeRate => Self::ExchangeRate(Deserialize::deserialize(from)?),
            FactKind::Item => Self::Item(Deserialize::deserialize(from)?),
            FactKind::Contact => Self::Contact(Deserialize::deserialize(from)?),
            FactKind::Campaign => Self::Campaign(Deserialize::deserialize(from)?),
            FactKind::PriceLine => Self::PriceLine(Deserialize::deserialize(from)?),
            FactKind::DiscountLine => Self::DiscountLine(Deserialize::deserialize(from)?),
        })
    }

    /// The column `facts`.
    ///
    /// # Errors
    /// Never for these types; the signature is serde's.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }
}

/// The company's settings, as far as prices depend on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsFact {
    /// The local currency.
    pub local_currency_code: String,
    /// The IANA name of the company's time zone, which decides what today is.
    pub time_zone: String,
    /// Which sources compete.
    #[serde(default = "lowest_net", deserialize_with = "word")]
    pub price_policy: PricePolicy,
    /// All five sources, best first; for the policy `HIERARCHY`.
    #[serde(default, deserialize_with = "words")]
    pub price_hierarchy: Vec<SourceType>,
    /// Whether the list price caps the result.
    #[serde(default)]
    pub never_above_list_price: bool,
}

/// How a currency is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrencyFact {
    /// The step of unit prices; 0.00001 for currencies without an entry.
    pub unit_amount_precision: Positive,
    /// The step of amounts; 0.01 for currencies without an entry.
    pub amount_precision: Positive,
}

/// An exchange rate from a date on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeRateFact {
    /// The foreign currency.
    pub currency_code: String,
    /// The first day of the rate; it holds until a newer one begins.
    pub starting_date: NaiveDate,
    /// Foreign units for one local unit.
    pub rate: Rate,
}

impl ExchangeRateFact {
    /// The key under which the fact stands.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}|{}", self.currency_code, self.starting_date)
    }
}

/// An item, as far as its price depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFact {
    /// In local currency, per base unit.
    pub list_price: Option<Amount>,
    /// Whether the list price includes tax.
    #[serde(default)]
    pub price_includes_tax: bool,
    /// The item's tax rate.
    pub tax_percent: Percent,
    /// The group for discount lines.
    pub item_discount_group_code: Option<String>,
    /// Whether the item is not sold.
    #[serde(default)]
    pub blocked: bool,
    /// The unit of the list price and of lines without a unit.
    pub base_unit_of_measure_code: String,
    /// The further units; the base unit may stand among them.
    #[serde(default)]
    pub units_of_measure: Vec<UnitFact>,
    /// The codes of the variants.
    #[serde(default)]
    pub variants: Vec<String>,
    /// What one base unit costs, in local currency.
    pub unit_cost: Option<Amount>,
}

/// A unit of measure of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFact {
    /// The unit's code.
    pub code: String,
    /// Base units in one such unit.
    pub quantity_per_unit: Positive,
}

/// A contact, as far as its prices depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactFact {
    /// The number by which audiences hold the contact; never given to another.
    pub ordinal: u32,
    /// Company or person.
    #[serde(rename = "type", deserialize_with = "word")]
    pub contact_type: ContactType,
    /// The company of a person.
    pub company_number: Option<String>,
    /// The currency the contact is quoted in; none: local.
    pub currency_code: Option<String>,
    /// The customer of a company.
    pub customer: Option<CustomerFact>,
}

/// What makes a company a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerFact {
    /// The customer's number; one company has it.
    pub number: String,
    /// The group for prices.
    pub price_group_code: Option<String>,
    /// The group for discounts.
    pub discount_group_code: Option<String>,
    /// Whether line discounts come on top of the list price.
    pub allow_line_discount: bool,
    /// Whether prices are quoted with tax unless the request says otherwise.
    pub prices_include_tax: bool,
}

/// A campaign that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignFact {
    /// The first day.
    pub starting_date: NaiveDate,
    /// The last day; none: open.
    pub ending_date: Option<NaiveDate>,
}

/// Who grants a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum SourceFact {
    /// A campaign.
    Campaign {
        /// Which.
        campaign_number: String,
    },
    /// An account.
    Contact {
        /// The account, or a person whose account it is.
        contact_number: String,
    },
    /// A price group.
    CustomerPriceGroup {
        /// Which.
        code: String,
    },
    /// A discount group.
    CustomerDiscountGroup {
        /// Which.
        code: String,
    },
    /// Everybody.
    AllCustomers,
}

/// A unit price for an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceLineFact {
    /// Who grants it.
    pub source: SourceFact,
    /// The item.
    pub item_number: String,
    /// Only this variant.
    pub variant_code: Option<String>,
    /// Only this unit; none: per base unit, in every unit.
    pub unit_of_measure_code: Option<String>,
    /// Only this currency; none, or the local one: in every currency.
    pub currency_code: Option<String>,
    /// From this quantity on.
    pub minimum_quantity: Amount,
    /// The first day; none for campaign lines.
    pub starting_date: Option<NaiveDate>,
    /// The last day; none for campaign lines.
    pub ending_date: Option<NaiveDate>,
    /// The price.
    pub unit_price: Amount,
    /// Whether a line discount may come on top.
    pub allow_line_discount: bool,
    /// Whether the price includes tax.
    pub price_includes_tax: bool,
    /// The line's own tax rate; none: the item's.
    pub tax_percent: Option<Percent>,
}

/// A line discount for an item, an item discount group (no item), or all items (neither).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscountLineFact {
    /// Who grants it.
    pub source: SourceFact,
    /// The item.
    pub item_number: Option<String>,
    /// The item discount group.
    pub item_discount_group_code: Option<String>,
    /// Only this variant.
    pub variant_code: Option<String>,
    /// Only this unit.
    pub unit_of_measure_code: Option<String>,
    /// Only this currency; none, or the local one: in every currency.
    pub currency_code: Option<String>,
    /// From this quantity on.
    pub minimum_quantity: Amount,
    /// The first day; none for campaign lines.
    pub starting_date: Option<NaiveDate>,
    /// The last day; none for campaign lines.
    pub ending_date: Option<NaiveDate>,
    /// The discount.
    pub line_discount_percent: Percent,
}

/// The policy of a company that has chosen none.
const fn lowest_net() -> PricePolicy {
    PricePolicy::LowestNet
}

/// Reads one of the fixed words.
fn word<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Reads a list of the fixed words; null is no word.
fn words<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

/// One step from one version of the price book towards the next. The order of changes to different
/// keys does not matter.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A fact begins to count, or takes the place of the one with the same kind and key.
    Put {
        /// The key within the fact's kind.
        key: String,
        /// What counts from now on.
        fact: Fact,
        /// The version that brings it: the row's `from_version`.
        version: i64,
    },
    /// A fact ceases to count.
    Remove {
        /// The kind of the fact.
        kind: FactKind,
        /// The key within the kind.
        key: String,
    },
    /// Accounts join a campaign's audience. All at once, because audiences come by the million.
    AudienceAdd {
        /// The campaign's number.
        campaign: String,
        /// The ordinals of the accounts' contacts.
        accounts: RoaringBitmap,
    },
    /// Accounts leave a campaign's audience.
    AudienceRemove {
        /// The campaign's number.
        campaign: String,
        /// The ordinals of the accounts' contacts.
        accounts: RoaringBitmap,
    },
}
