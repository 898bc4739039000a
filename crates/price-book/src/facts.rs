//! The facts of the price book, as they are stored in its rows, and the changes from one version to
//! the next.
//!
//! A row is `book_entries(kind, key, facts, from_version, to_version)`. `facts` is one of the
//! structs below as JSON, in camelCase and with decimals as strings. Keys are the upper-cased
//! business keys, and those of lines their UUIDs. Audiences have rows of their own.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use roaring::RoaringBitmap;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use values::enums::{Combination, ContactType, PricePolicy, SourceType};
use values::{Amount, ExchangeRate, Percent, Precision, Quantity};

/// The kind of a fact. Kind and key together identify a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FactKind {
    /// The company's settings. The key is empty.
    Settings,
    /// The rounding of a currency. The key is the currency code.
    Currency,
    /// An exchange rate. The key is currency code and starting date, such as `USD|2031-01-01`.
    ExchangeRate,
    /// An item. The key is its number.
    Item,
    /// A contact. The key is its number.
    Contact,
    /// A published campaign. The key is its number.
    Campaign,
    /// A price line. The key is its id.
    PriceLine,
    /// A discount line. The key is its id.
    DiscountLine,
}

impl FactKind {
    /// All kinds.
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

    /// Returns the text of the column `kind`.
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

/// Error: a row's `kind` is unknown to this build.
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

/// A fact of the price book. The JSON has no tag, because the row has the `kind`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Fact {
    /// The company's settings.
    Settings(SettingsFact),
    /// The rounding of a currency.
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
    /// Returns the kind of the fact.
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

    /// Parses the column `facts` of a row of this kind.
    ///
    /// # Errors
    /// If the text is not the JSON of such a fact: a member is missing, or a decimal is out of
    /// bounds.
    pub fn from_text(kind: FactKind, facts: &str) -> serde_json::Result<Self> {
        Self::read(kind, &mut serde_json::Deserializer::from_str(facts))
    }

    /// Deserializes a fact of this kind from any format.
    ///
    /// # Errors
    /// If the input is not a fact of the kind.
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

    /// Returns the content of the column `facts`.
    ///
    /// # Errors
    /// Never for these types; serde's signature requires a result.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }
}

/// The company's settings that determine prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsFact {
    /// The local currency.
    pub local_currency_code: String,
    /// The IANA name of the company's time zone, which determines the current date.
    pub time_zone: String,
    /// The policy by which sources compete.
    #[serde(default = "lowest_net", deserialize_with = "enum_text")]
    pub price_policy: PricePolicy,
    /// All five sources, the preferred one first. Used by the policy `HIERARCHY`.
    #[serde(default, deserialize_with = "enum_texts")]
    pub price_hierarchy: Vec<SourceType>,
    /// If set, the list price caps the result.
    #[serde(default)]
    pub never_above_list_price: bool,
}

/// The rounding of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrencyFact {
    /// The rounding step of unit prices. Currencies without an entry have 0.00001.
    pub unit_amount_precision: Precision,
    /// The rounding step of amounts. Currencies without an entry have 0.01.
    pub amount_precision: Precision,
}

/// An exchange rate that starts at a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeRateFact {
    /// The foreign currency.
    pub currency_code: String,
    /// The first day of the rate, which applies until a newer one starts.
    pub starting_date: NaiveDate,
    /// The foreign units for one local unit.
    pub rate: ExchangeRate,
}

impl ExchangeRateFact {
    /// Returns the key of the fact.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}|{}", self.currency_code, self.starting_date)
    }
}

/// The properties of an item that determine its price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFact {
    /// The list price in local currency for one base unit.
    pub list_price: Option<Amount>,
    /// If set, the list price includes tax.
    #[serde(default)]
    pub price_includes_tax: bool,
    /// The item's tax rate.
    pub tax_percent: Percent,
    /// The item discount group, for discount lines.
    pub item_discount_group_code: Option<String>,
    /// If set, the item is not sold.
    #[serde(default)]
    pub blocked: bool,
    /// The unit of the list price and of lines without a unit.
    pub base_unit_of_measure_code: String,
    /// The other units of measure. The base unit may be among them.
    #[serde(default)]
    pub units_of_measure: Vec<UnitFact>,
    /// The codes of the variants.
    #[serde(default)]
    pub variants: Vec<String>,
    /// The cost of one base unit, in local currency.
    pub unit_cost: Option<Amount>,
}

/// A unit of measure of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFact {
    /// The unit's code.
    pub code: String,
    /// The number of base units in one such unit.
    pub quantity_per_unit: Quantity,
}

/// The properties of a contact that determine its prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactFact {
    /// The number of the contact in audiences. It is never reused.
    pub ordinal: u32,
    /// Company or person.
    #[serde(rename = "type", deserialize_with = "enum_text")]
    pub contact_type: ContactType,
    /// The company of a person.
    pub company_number: Option<String>,
    /// The currency of the contact's quotes. Without it, local currency applies.
    pub currency_code: Option<String>,
    /// The customer of a company.
    pub customer: Option<CustomerFact>,
}

/// The terms of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerFact {
    /// The customer number, which only one company has.
    pub number: String,
    /// The customer price group.
    pub price_group_code: Option<String>,
    /// The customer discount group.
    pub discount_group_code: Option<String>,
    /// If set, line discounts can be granted on the list price.
    pub allow_line_discount: bool,
    /// If set, prices include tax unless the request says otherwise.
    pub prices_include_tax: bool,
}

/// A campaign that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignFact {
    /// The first day.
    pub starting_date: NaiveDate,
    /// The last day, or none if the campaign is open-ended.
    pub ending_date: Option<NaiveDate>,
    /// The lines that those of the campaign may be combined with.
    #[serde(default = "any_line", deserialize_with = "enum_text")]
    pub combination: Combination,
}

/// The grantor of a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum SourceFact {
    /// A campaign.
    Campaign {
        /// The campaign's number.
        campaign_number: String,
    },
    /// An account.
    Contact {
        /// The number of the account, or of a person that belongs to it.
        contact_number: String,
    },
    /// A price group.
    CustomerPriceGroup {
        /// The group's code.
        code: String,
    },
    /// A discount group.
    CustomerDiscountGroup {
        /// The group's code.
        code: String,
    },
    /// All customers.
    AllCustomers,
}

/// A unit price for an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceLineFact {
    /// The grantor of the line.
    pub source: SourceFact,
    /// The item.
    pub item_number: String,
    /// The variant, if the line is limited to one.
    pub variant_code: Option<String>,
    /// The unit of measure, if the line is limited to one. Otherwise the price is for one base
    /// unit.
    pub unit_of_measure_code: Option<String>,
    /// The currency, if the line is limited to one. The local currency means the same as none.
    pub currency_code: Option<String>,
    /// The minimum quantity.
    pub minimum_quantity: Amount,
    /// The first day. None for campaign lines.
    pub starting_date: Option<NaiveDate>,
    /// The last day. None for campaign lines.
    pub ending_date: Option<NaiveDate>,
    /// The unit price.
    pub unit_price: Amount,
    /// If set, a line discount can be granted on this price.
    pub allow_line_discount: bool,
    /// If set, the price includes tax.
    pub price_includes_tax: bool,
    /// The line's own tax rate. Without it, the item's rate applies.
    pub tax_percent: Option<Percent>,
}

/// A line discount for an item, an item discount group (no item), or all items (neither).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscountLineFact {
    /// The grantor of the line.
    pub source: SourceFact,
    /// The item.
    pub item_number: Option<String>,
    /// The item discount group.
    pub item_discount_group_code: Option<String>,
    /// The variant, if the line is limited to one.
    pub variant_code: Option<String>,
    /// The unit of measure, if the line is limited to one.
    pub unit_of_measure_code: Option<String>,
    /// The currency, if the line is limited to one. The local currency means the same as none.
    pub currency_code: Option<String>,
    /// The minimum quantity.
    pub minimum_quantity: Amount,
    /// The first day. None for campaign lines.
    pub starting_date: Option<NaiveDate>,
    /// The last day. None for campaign lines.
    pub ending_date: Option<NaiveDate>,
    /// The discount in percent.
    pub line_discount_percent: Percent,
}

/// Returns the combination of a campaign that has chosen none.
const fn any_line() -> Combination {
    Combination::Any
}

/// Returns the policy of a company that has chosen none.
const fn lowest_net() -> PricePolicy {
    PricePolicy::LowestNet
}

/// Deserializes a text of an enum.
fn enum_text<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Deserializes a list of texts of an enum. Null is the empty list.
fn enum_texts<'de, T: FromStr<Err: fmt::Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

/// A change from one version of the price book to the next. The order of changes to different keys
/// does not matter.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A fact comes into force, or replaces the one with the same kind and key.
    Put {
        /// The key within the fact's kind.
        key: String,
        /// The new fact.
        fact: Fact,
        /// The version of the change, which is the row's `from_version`.
        version: i64,
    },
    /// A fact ceases to be in force.
    Remove {
        /// The kind of the fact.
        kind: FactKind,
        /// The key within the kind.
        key: String,
    },
    /// Accounts join a campaign's audience. They are in one set, because audiences can have a
    /// million accounts.
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
