//! One version of the price book in memory, immutable and shared.
//!
//! [`Snapshot::advanced`] (in `apply.rs`) creates the next version, and unchanged parts are shared.
//! Texts are interned as dense numbers (see `interner.rs`). A contact takes 40 bytes and a price
//! line 112. An audience is a compressed bitmap of contact ordinals. Lines are stored with their
//! item, so the cost of a quote depends only on that item. Their order does not matter, because the
//! contest has a total order of its own.

use std::sync::Arc;

use chrono::NaiveDate;
use hashbrown::HashMap;
use pricing::line::{CampaignIndex, Code, ContactIndex, DiscountLine, Period, PriceLine};
use pricing::policy::Policy;
use pricing::resolve::{Book, CampaignTerms, Lines};
use roaring::RoaringBitmap;
use uuid::Uuid;
use values::{Amount, ExchangeRate, Percent, Precision, Quantity};

use super::cow_vec::CowVec;
use super::customer_terms::AccountsByTerms;
use super::facts::{CampaignFact, CurrencyFact, SettingsFact};
use super::interner::Interner;

/// The number of shards of the map of lines, which are copied separately. With this number, a
/// change of ten thousand lines among a million copies only a few entries for each.
const LINE_SHARDS: u128 = 65_536;

/// One version of the price book.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) book_id: Uuid,
    pub(super) version: i64,
    pub(super) settings: Option<Arc<Settings>>,
    /// The price policy of a company without settings.
    pub(super) default_policy: Arc<Policy>,
    /// The codes of variants, units, currencies and groups, with one numbering.
    pub(super) codes: Interner,
    pub(super) currencies: Arc<HashMap<Code, Versioned<CurrencyFact>>>,
    /// The exchange rates by currency, the oldest first.
    pub(super) rates: Arc<HashMap<Code, Vec<RateEntry>>>,
    pub(super) contact_names: Interner,
    pub(super) contacts: CowVec<Option<Contact>>,
    /// The contact of each ordinal.
    pub(super) ordinals: CowVec<Option<ContactIndex>>,
    pub(super) accounts_by_terms: AccountsByTerms,
    pub(super) customer_names: Interner,
    /// The contact of each customer.
    pub(super) customers: CowVec<Option<ContactIndex>>,
    pub(super) campaign_names: Interner,
    pub(super) campaigns: CowVec<Campaign>,
    pub(super) item_names: Interner,
    pub(super) items: CowVec<ItemSlot>,
    pub(super) group_discounts: Arc<HashMap<Code, Arc<Vec<DiscountLine>>>>,
    pub(super) all_item_discounts: Arc<Vec<DiscountLine>>,
    /// The list that contains each line, in shards.
    pub(super) line_lists: CowVec<Arc<HashMap<Uuid, LineList>>>,
}

/// A fact with the version in which it was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versioned<T> {
    pub version: i64,
    pub fact: T,
}

/// The settings, with the properties that the resolver reads.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub version: i64,
    pub fact: SettingsFact,
    pub local_currency: Code,
    pub policy: Policy,
}

/// An exchange rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateEntry {
    pub starting: NaiveDate,
    pub rate: ExchangeRate,
    pub version: i64,
}

/// A contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    pub(super) version: i64,
    /// The number of the contact in audiences.
    pub(super) ordinal: u32,
    pub(super) is_person: bool,
    pub(super) company: Option<ContactIndex>,
    /// The currency of the contact's quotes.
    pub currency: Option<Code>,
    /// The customer terms, if the contact is a customer.
    pub customer: Option<Customer>,
}

impl Contact {
    /// Returns whether the contact is an account: a company, or a person without one.
    pub(super) const fn is_account(&self) -> bool {
        !(self.is_person && self.company.is_some())
    }
}

/// The terms of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer {
    /// The interned customer number.
    pub(super) number: u32,
    /// The customer price group.
    pub price_group: Option<Code>,
    /// The customer discount group.
    pub discount_group: Option<Code>,
    /// If set, line discounts can be granted on the list price.
    pub allow_line_discount: bool,
    /// If set, prices include tax unless the request says otherwise.
    pub prices_include_tax: bool,
}

/// A campaign: its dates if it is published, and its audience. The two are changed independently.
#[derive(Debug, Clone, Default)]
pub(super) struct Campaign {
    pub published: Option<Versioned<CampaignFact>>,
    /// The accounts by ordinal.
    pub audience: Arc<RoaringBitmap>,
}

/// The item with a number, if there is one, and the lines that name it.
#[derive(Debug, Clone, Default)]
pub(super) struct ItemSlot {
    pub item: Option<Arc<Item>>,
    pub prices: Arc<Vec<PriceLine>>,
    pub discounts: Arc<Vec<DiscountLine>>,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub(super) version: i64,
    /// The list price in local currency for one base unit.
    pub list_price: Option<Amount>,
    /// If set, the list price includes tax.
    pub price_includes_tax: bool,
    /// The item's tax rate.
    pub tax: Percent,
    /// The item discount group, for discount lines.
    pub discount_group: Option<Code>,
    /// If set, the item is not sold.
    pub blocked: bool,
    /// The unit of the list price.
    pub base_unit: Code,
    pub(super) units: Vec<(Code, Quantity)>,
    pub(super) variants: Vec<Code>,
    /// The cost of one base unit, in local currency.
    pub unit_cost: Option<Amount>,
}

impl Item {
    /// Returns the number of base units in one unit, or `None` if the item does not have the unit.
    /// For the base unit it is 1.
    #[must_use]
    pub fn quantity_per_unit(&self, unit: Code) -> Option<Quantity> {
        if unit == self.base_unit {
            return Some(Quantity::ONE);
        }
        self.units.iter().find(|(code, _)| *code == unit).map(|(_, quantity)| *quantity)
    }

    /// Returns whether the item has the variant.
    #[must_use]
    pub fn has_variant(&self, variant: Code) -> bool {
        self.variants.contains(&variant)
    }
}

/// The list that contains a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineList {
    PriceOfItem(u32),
    DiscountOfItem(u32),
    DiscountOfGroup(Code),
    DiscountOfAll,
}

/// An item that was found by its number.
#[derive(Debug, Clone, Copy)]
pub struct FoundItem<'a> {
    /// The item.
    pub item: &'a Item,
    /// All lines that are candidates for the item.
    pub lines: Lines<'a>,
}

impl Snapshot {
    /// Returns the book before its first version.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            book_id: Uuid::nil(),
            version: 0,
            settings: None,
            default_policy: Arc::default(),
            codes: Interner::starting_at(1),
            currencies: Arc::default(),
            rates: Arc::default(),
            contact_names: Interner::starting_at(0),
            contacts: CowVec::default(),
            ordinals: CowVec::default(),
            accounts_by_terms: AccountsByTerms::default(),
            customer_names: Interner::starting_at(0),
            customers: CowVec::default(),
            campaign_names: Interner::starting_at(0),
            campaigns: CowVec::default(),
            item_names: Interner::starting_at(0),
            items: CowVec::default(),
            group_discounts: Arc::default(),
            all_item_discounts: Arc::default(),
            line_lists: CowVec::default(),
        }
    }

    /// Returns the snapshot as part of a history.
    #[must_use]
    pub fn with_book_id(self, book_id: Uuid) -> Self {
        Self { book_id, ..self }
    }

    /// Returns the identity of the history that the version belongs to. Versions of different
    /// histories are not comparable.
    #[must_use]
    pub const fn book_id(&self) -> Uuid {
        self.book_id
    }

    /// Returns the version of the book.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Returns the company's settings, if there are any.
    #[must_use]
    pub fn settings(&self) -> Option<&SettingsFact> {
        self.settings.as_deref().map(|settings| &settings.fact)
    }

    /// Returns the company's price policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.settings.as_deref().map_or(&*self.default_policy, |settings| &settings.policy)
    }

    /// Returns the local currency.
    #[must_use]
    pub fn local_currency(&self) -> Option<Code> {
        self.settings.as_deref().map(|settings| settings.local_currency)
    }

    /// Returns the number of a code, if the book contains it.
    #[must_use]
    pub fn code(&self, text: &str) -> Option<Code> {
        self.codes.find(text).and_then(|index| index.try_into().ok()).map(Code)
    }

    /// Returns the text of a code.
    #[must_use]
    pub fn code_text(&self, code: Code) -> &str {
        self.codes.text(code.0.get()).unwrap_or_default()
    }

    /// Returns the rounding steps of unit prices and of amounts in a currency.
    #[must_use]
    pub fn rounding(&self, currency: Option<Code>) -> (Precision, Precision) {
        let entry = currency.and_then(|currency| self.currencies.get(&currency));
        entry.map_or((Precision::UNIT_AMOUNT, Precision::AMOUNT), |entry| {
            (entry.fact.unit_amount_precision, entry.fact.amount_precision)
        })
    }

    /// Returns the exchange rate in force at a date, and the date on which the next one starts.
    #[must_use]
    pub fn rate(
        &self,
        currency: Code,
        date: NaiveDate,
    ) -> (Option<ExchangeRate>, Option<NaiveDate>) {
        let rates = self.rates.get(&currency).map(Vec::as_slice).unwrap_or_default();
        let (begun, to_come) =
            rates.split_at(rates.partition_point(|entry| entry.starting <= date));
        (begun.last().map(|entry| entry.rate), to_come.first().map(|entry| entry.starting))
    }

    /// Returns the contact with the number.
    #[must_use]
    pub fn find_contact(&self, number: &str) -> Option<ContactIndex> {
        let index = ContactIndex(self.contact_names.find(number)?);
        self.contact(index).map(|_| index)
    }

    /// Returns the company with the customer number.
    #[must_use]
    pub fn find_customer(&self, number: &str) -> Option<ContactIndex> {
        *self.customers.get(self.customer_names.find(number)?)?
    }

    /// Returns a contact, if it exists.
    #[must_use]
    pub fn contact(&self, index: ContactIndex) -> Option<&Contact> {
        self.contacts.get(index.0)?.as_ref()
    }

    /// Returns a contact's number.
    #[must_use]
    pub fn contact_number(&self, index: ContactIndex) -> &str {
        self.contact_names.text(index.0).unwrap_or_default()
    }

    /// Returns the campaign with the number. It may be unpublished, if the book has seen its
    /// number.
    #[must_use]
    pub fn find_campaign(&self, number: &str) -> Option<CampaignIndex> {
        self.campaign_names.find(number).map(CampaignIndex)
    }

    /// Returns a campaign's number.
    #[must_use]
    pub fn campaign_number(&self, index: CampaignIndex) -> &str {
        self.campaign_names.text(index.0).unwrap_or_default()
    }

    /// Returns the ordinals of the accounts in a campaign's audience.
    #[must_use]
    pub fn audience(&self, campaign: &str) -> Option<&RoaringBitmap> {
        let index = self.campaign_names.find(campaign)?;
        self.campaigns.get(index).map(|campaign| &*campaign.audience)
    }

    /// Returns the audiences, as the numbers of each campaign's accounts whose contacts exist.
    pub fn audiences(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.audience_sets().map(|(campaign, audience)| {
            (
                campaign,
                audience.iter().filter_map(|account| self.number_of_ordinal(account)).collect(),
            )
        })
    }

    /// Returns the number of the contact with an ordinal.
    #[must_use]
    pub fn number_of_ordinal(&self, ordinal: u32) -> Option<&str> {
        let index = (*self.ordinals.get(ordinal)?)?;
        self.contact_names.text(index.0)
    }

    /// Returns the item with the number, and all lines that are candidates for it.
    #[must_use]
    pub fn find_item(&self, number: &str) -> Option<FoundItem<'_>> {
        let slot = self.items.get(self.item_names.find(number)?)?;
        let item = slot.item.as_deref()?;
        let group = item.discount_group.and_then(|group| self.group_discounts.get(&group));
        let lines = Lines {
            prices: &slot.prices,
            item_discounts: &slot.discounts,
            group_discounts: group.map(|lines| lines.as_slice()).unwrap_or_default(),
            all_item_discounts: &self.all_item_discounts,
        };
        Some(FoundItem { item, lines })
    }

    /// Returns whether the line is in force.
    #[must_use]
    pub fn has_line(&self, id: Uuid) -> bool {
        self.line_lists.get(Self::line_shard(id)).is_some_and(|shard| shard.contains_key(&id))
    }

    /// Returns the shard of a line. The last bits of a UUID of version 7 are random.
    pub(super) fn line_shard(id: Uuid) -> u32 {
        u32::try_from(id.as_u128() % LINE_SHARDS).unwrap_or_default()
    }
}

impl Book for Snapshot {
    fn account_of(&self, contact: ContactIndex) -> ContactIndex {
        match self.contact(contact) {
            Some(Contact { is_person: true, company: Some(company), .. }) => *company,
            _ => contact,
        }
    }

    fn campaign(&self, campaign: CampaignIndex) -> Option<CampaignTerms> {
        let CampaignFact { starting_date, ending_date, combination } =
            self.campaigns.get(campaign.0)?.published?.fact;
        let period = Period { starting: Some(starting_date), ending: ending_date };
        Some(CampaignTerms { period, combination })
    }

    fn is_in_audience(&self, campaign: CampaignIndex, account: ContactIndex) -> bool {
        self.contact(account).is_some_and(|contact| {
            self.campaigns
                .get(campaign.0)
                .is_some_and(|campaign| campaign.audience.contains(contact.ordinal))
        })
    }
}
