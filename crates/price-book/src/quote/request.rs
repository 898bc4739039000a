//! A parsed request for prices. Only the price book can complete it, with units, taxes and
//! currencies.

use std::borrow::Cow;

use chrono::NaiveDate;
use values::{Percent, Quantity, SignedQuantity, wire_enum};

/// The maximum number of lines of one request.
pub const MAX_LINES: usize = 1_000;

/// The party whose prices are requested.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum QuoteParty<'a> {
    /// Nobody in particular: only lines for all customers count.
    #[default]
    Anybody,
    /// The contact with this number. For a person of a company this means the company's account.
    Contact(Cow<'a, str>),
    /// The company with this customer number.
    Customer(Cow<'a, str>),
}

/// A request for the prices of several lines. All keys are upper-cased. They can be borrowed from
/// the request's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteRequest<'a> {
    /// The party whose prices are requested.
    pub party: QuoteParty<'a>,
    /// The treatment of a party that is unknown.
    pub on_unknown_party: OnUnknownParty,
    /// The company's calendar date for which the prices apply.
    pub date: NaiveDate,
    /// The currency of the answer. If absent: the contact's, else the account's, else local
    /// currency.
    pub currency_code: Option<Cow<'a, str>>,
    /// If set, the prices of the answer include tax. If absent, the account's flag decides.
    pub prices_include_tax: Option<bool>,
    /// The only campaign that counts. If absent, all campaigns count.
    pub campaign_number: Option<Cow<'a, str>>,
    /// True if no campaign counts, for the price that the party would pay without campaigns.
    pub without_campaigns: bool,
    /// The lines to price.
    pub lines: Vec<RequestLine<'a>>,
    /// The form in which the request came, which determines the pointers of warnings.
    pub form: RequestForm,
    /// The lines that the explanation of each answer lists. If absent, the answers are not
    /// explained.
    pub explain: Option<Visibility>,
}

wire_enum! {
    /// The treatment of a contact or customer that is unknown.
    OnUnknownParty {
        /// The request is refused.
        Refuse = "REFUSE",
        /// The request is answered with the prices of everybody.
        Everybody = "EVERYBODY",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro declares the enum")]
impl Default for OnUnknownParty {
    fn default() -> Self {
        Self::Refuse
    }
}

impl QuoteParty<'_> {
    /// Copies the number if it is borrowed.
    #[must_use]
    pub fn into_owned(self) -> QuoteParty<'static> {
        match self {
            QuoteParty::Anybody => QuoteParty::Anybody,
            QuoteParty::Contact(number) => QuoteParty::Contact(owned(number)),
            QuoteParty::Customer(number) => QuoteParty::Customer(owned(number)),
        }
    }
}

impl QuoteRequest<'_> {
    /// Returns a request without lines, for everybody, that leaves all choices to their defaults.
    #[must_use]
    pub const fn on(date: NaiveDate) -> Self {
        Self {
            party: QuoteParty::Anybody,
            on_unknown_party: OnUnknownParty::Refuse,
            date,
            currency_code: None,
            prices_include_tax: None,
            campaign_number: None,
            without_campaigns: false,
            lines: Vec::new(),
            explain: None,
            form: RequestForm::Body,
        }
    }

    /// Copies the texts that are borrowed.
    #[must_use]
    pub fn into_owned(self) -> QuoteRequest<'static> {
        QuoteRequest {
            party: self.party.into_owned(),
            on_unknown_party: self.on_unknown_party,
            date: self.date,
            currency_code: self.currency_code.map(owned),
            prices_include_tax: self.prices_include_tax,
            campaign_number: self.campaign_number.map(owned),
            without_campaigns: self.without_campaigns,
            lines: self.lines.into_iter().map(RequestLine::into_owned).collect(),
            explain: self.explain,
            form: self.form,
        }
    }

    /// Returns what precedes the name of a field in a pointer.
    pub(super) const fn pointer_prefix(&self) -> &'static str {
        match self.form {
            RequestForm::Body => "/",
            RequestForm::Query => "?",
        }
    }
}

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestForm {
    /// A JSON body.
    #[default]
    Body,
    /// The parameters of a query.
    Query,
}

impl<'a> RequestLine<'a> {
    /// Returns the line for a quantity of an item in its base unit.
    #[must_use]
    pub fn new(item_number: impl Into<Cow<'a, str>>, quantity: Quantity) -> Self {
        Self {
            item_number: item_number.into(),
            variant_code: None,
            unit_of_measure_code: None,
            quantity: quantity.into(),
            tax_percent: None,
        }
    }

    fn into_owned(self) -> RequestLine<'static> {
        RequestLine {
            item_number: owned(self.item_number),
            variant_code: self.variant_code.map(owned),
            unit_of_measure_code: self.unit_of_measure_code.map(owned),
            quantity: self.quantity,
            tax_percent: self.tax_percent,
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// The lines of the price book that an explanation lists individually.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The lines that are granted to the account. The others are the prices of other customers, so
    /// they are only counted, by verdict.
    Account,
    /// All lines that were examined.
    All,
}

impl Visibility {
    /// Returns the lines that a caller of quotes may see, if the caller wants an explanation.
    #[must_use]
    pub fn of_quotes(explain: bool) -> Option<Self> {
        explain.then_some(Self::Account)
    }
}

/// One line of a request. All keys are in their canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The item.
    pub item_number: Cow<'a, str>,
    /// The variant, if any.
    pub variant_code: Option<Cow<'a, str>>,
    /// The unit of measure of `quantity`. If absent, the item's base unit.
    pub unit_of_measure_code: Option<Cow<'a, str>>,
    /// The quantity in that unit. A negative one is priced like the positive one, and its amounts
    /// are negative.
    pub quantity: SignedQuantity,
    /// The tax rate of the sale. If absent, the item's rate. 0 is right for reverse charge.
    pub tax_percent: Option<Percent>,
}
