//! A request for prices, parsed and complete save for what the price book itself supplies (units, taxes, currencies).

use chrono::NaiveDate;

use crate::pricing::exact::{Percent, Positive};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Asker {
    /// Nobody in particular: only lines for all customers count.
    #[default]
    Anybody,
    /// The contact with this number; a person of a company asks for the company's account.
    Contact(String),
    /// The company that is the customer with this number.
    Customer(String),
}

/// A document of questions. All keys are upper-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteRequest {
    /// Who asks.
    pub asker: Asker,
    /// The company's calendar date for which the prices hold.
    pub date: NaiveDate,
    /// The currency of the answer; absent: the contact's, else the account's, else local.
    pub currency_code: Option<String>,
    /// Whether the prices of the answer include tax; absent: the account's flag.
    pub prices_include_tax: Option<bool>,
    /// The only campaign that counts; absent: all of them.
    pub campaign_number: Option<String>,
    /// What is asked.
    pub lines: Vec<RequestLine>,
    /// Whether each line of the answer explains itself.
    pub explain: bool,
}

/// One question. All keys are upper-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The item.
    pub item_number: String,
    /// The variant, if any.
    pub variant_code: Option<String>,
    /// The unit of measure of `quantity`; absent: the base unit.
    pub unit_of_measure_code: Option<String>,
    /// How many units.
    pub quantity: Positive,
    /// The tax rate of the sale; absent: the item's. 0 for reverse charge.
    pub tax_percent: Option<Percent>,
}
