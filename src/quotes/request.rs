//! A request for prices, parsed and complete save for what the price book itself supplies (units,
//! taxes, currencies).

use std::borrow::Cow;

use chrono::NaiveDate;

use crate::pricing::exact::{Percent, Positive};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Asker<'a> {
    /// Nobody in particular: only lines for all customers count.
    #[default]
    Anybody,
    /// The contact with this number; a person of a company asks for the company's account.
    Contact(Cow<'a, str>),
    /// The company that is the customer with this number.
    Customer(Cow<'a, str>),
}

/// A document of questions. All keys are upper-cased; they may be borrowed from what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteRequest<'a> {
    /// Who asks.
    pub asker: Asker<'a>,
    /// The company's calendar date for which the prices hold.
    pub date: NaiveDate,
    /// The currency of the answer; absent: the contact's, else the account's, else local.
    pub currency_code: Option<Cow<'a, str>>,
    /// Whether the prices of the answer include tax; absent: the account's flag.
    pub prices_include_tax: Option<bool>,
    /// The only campaign that counts; absent: all of them.
    pub campaign_number: Option<Cow<'a, str>>,
    /// What is asked.
    pub lines: Vec<RequestLine<'a>>,
    /// The lines that the explanation of each answer lists; absent: the answers are not explained.
    pub explain: Option<Visibility>,
}

/// The lines of the price book that an explanation lists one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Those granted to the account that asks. The others are only counted, by verdict: they are
    /// the prices of other customers.
    Account,
    /// Every line that was looked at.
    All,
}

impl Visibility {
    /// Returns the lines that a caller of quotes may see, if the caller wants an explanation.
    #[must_use]
    pub fn of_quotes(explain: bool) -> Option<Self> {
        explain.then_some(Self::Account)
    }
}

/// One question. All keys are upper-cased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The item.
    pub item_number: Cow<'a, str>,
    /// The variant, if any.
    pub variant_code: Option<Cow<'a, str>>,
    /// The unit of measure of `quantity`; absent: the base unit.
    pub unit_of_measure_code: Option<Cow<'a, str>>,
    /// How many units.
    pub quantity: Positive,
    /// The tax rate of the sale; absent: the item's. 0 for reverse charge.
    pub tax_percent: Option<Percent>,
}
