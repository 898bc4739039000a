//! Advances a snapshot by copy-on-write in O(changes).
//!
//! The same function builds a snapshot of the whole book, from the empty one.

use std::num::NonZeroU32;
use std::sync::Arc;

use pricing::line::{
    CampaignIndex, Code, Conditions, ContactIndex, DiscountLine, Line, Period, PriceLine, Source,
};
use pricing::policy::Policy;
use roaring::RoaringBitmap;
use uuid::Uuid;
use values::enums::ContactType;

use super::facts::{
    Change, ContactFact, DiscountLineFact, ExchangeRateFact, Fact, FactKind, ItemFact,
    PriceLineFact, SettingsFact, SourceFact,
};
use super::snapshot::{
    Contact, Customer, Item, LineList, RateEntry, Settings, Snapshot, Versioned,
};

impl Snapshot {
    /// Returns the book of the version, with the changes applied. Their order does not matter if
    /// each key occurs once.
    ///
    /// Lines whose key is no UUID, and exchange rates whose key differs from
    /// [`ExchangeRateFact::key`], cannot have been written by this service. They are logged and
    /// ignored.
    #[must_use]
    pub fn advanced(&self, version: i64, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        next.version = version;
        for change in changes {
            next.apply(change);
        }
        next
    }

    /// Applies one of the changes that lead to the snapshot's version.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Put { key, fact, version } => self.put(&key, fact, version),
            Change::Remove { kind, key } => self.remove(kind, &key),
            Change::AudienceAdd { campaign, accounts } => {
                self.change_campaign(&campaign, |campaign| {
                    *Arc::make_mut(&mut campaign.audience) |= accounts
                });
            }
            Change::AudienceRemove { campaign, accounts } => {
                self.change_campaign(&campaign, |campaign| {
                    *Arc::make_mut(&mut campaign.audience) -= accounts
                });
            }
        }
    }

    /// Sets the audience of a campaign.
    pub fn set_audience(&mut self, campaign: &str, audience: RoaringBitmap) {
        self.change_campaign(campaign, |campaign| campaign.audience = Arc::new(audience));
    }

    fn put(&mut self, key: &str, fact: Fact, version: i64) {
        match fact {
            Fact::Settings(fact) => self.put_settings(fact, version),
            Fact::Currency(fact) => {
                let code = self.intern(key);
                Arc::make_mut(&mut self.currencies).insert(code, Versioned { version, fact });
            }
            Fact::ExchangeRate(fact) => self.put_rate(&fact, version),
            Fact::Item(fact) => self.put_item(key, &fact, version),
            Fact::Contact(fact) => self.put_contact(key, &fact, version),
            Fact::Campaign(fact) => {
                self.change_campaign(key, |campaign| {
                    campaign.published = Some(Versioned { version, fact })
                });
            }
            Fact::PriceLine(fact) => self.put_price_line(key, &fact, version),
            Fact::DiscountLine(fact) => self.put_discount_line(key, &fact, version),
        }
    }

    fn remove(&mut self, kind: FactKind, key: &str) {
        match kind {
            FactKind::Settings => self.settings = None,
            FactKind::Currency => {
                if let Some(code) = self.code(key) {
                    Arc::make_mut(&mut self.currencies).remove(&code);
                }
            }
            FactKind::ExchangeRate => self.remove_rate(key),
            FactKind::Item => {
                if let Some(slot) =
                    self.item_names.find(key).and_then(|index| self.items.get_mut(index))
                {
                    slot.item = None;
                }
            }
            FactKind::Contact => {
                if let Some(index) = self.contact_names.find(key) {
                    self.set_contact(ContactIndex(index), None);
                }
            }
            FactKind::Campaign => self.change_campaign(key, |campaign| campaign.published = None),
            FactKind::PriceLine | FactKind::DiscountLine => {
                if let Some(id) = line_id(key) {
                    self.remove_line(id);
                }
            }
        }
    }

    /// Returns the number of a code. Codes are numbered from one.
    fn intern(&mut self, text: &str) -> Code {
        Code(NonZeroU32::new(self.codes.number(text)).unwrap_or(NonZeroU32::MAX))
    }

    fn intern_some(&mut self, text: Option<&String>) -> Option<Code> {
        text.map(|text| self.intern(text))
    }

    fn put_settings(&mut self, fact: SettingsFact, version: i64) {
        let local_currency = self.intern(&fact.local_currency_code);
        let policy = Policy {
            kind: fact.price_policy,
            hierarchy: fact.price_hierarchy.clone(),
            never_above_list_price: fact.never_above_list_price,
        };
        self.settings = Some(Arc::new(Settings { version, fact, local_currency, policy }));
    }

    fn put_rate(&mut self, fact: &ExchangeRateFact, version: i64) {
        let currency = self.intern(&fact.currency_code);
        let rates = Arc::make_mut(&mut self.rates).entry(currency).or_default();
        let entry = RateEntry { starting: fact.starting_date, rate: fact.rate, version };
        match rates.binary_search_by_key(&entry.starting, |rate| rate.starting) {
            Ok(place) => {
                if let Some(rate) = rates.get_mut(place) {
                    *rate = entry;
                }
            }
            Err(place) => rates.insert(place, entry),
        }
    }

    fn remove_rate(&mut self, key: &str) {
        let parts = key
            .split_once('|')
            .and_then(|(code, date)| Some((code, date.parse::<chrono::NaiveDate>().ok()?)));
        let Some((code, date)) = parts else {
            return tracing::error!(
                key,
                "ignored an exchange rate whose key is not a currency and a date"
            );
        };
        let Some(code) = self.code(code) else { return };
        let rates = Arc::make_mut(&mut self.rates);
        if let Some(of_currency) = rates.get_mut(&code) {
            of_currency.retain(|rate| rate.starting != date);
            if of_currency.is_empty() {
                rates.remove(&code);
            }
        }
    }

    fn put_item(&mut self, key: &str, fact: &ItemFact, version: i64) {
        let item = Item {
            version,
            list_price: fact.list_price,
            price_includes_tax: fact.price_includes_tax,
            tax: fact.tax_percent,
            discount_group: self.intern_some(fact.item_discount_group_code.as_ref()),
            blocked: fact.blocked,
            base_unit: self.intern(&fact.base_unit_of_measure_code),
            units: fact
                .units_of_measure
                .iter()
                .map(|unit| (self.intern(&unit.code), unit.quantity_per_unit))
                .collect(),
            variants: fact.variants.iter().map(|variant| self.intern(variant)).collect(),
            unit_cost: fact.unit_cost,
        };
        let index = self.item_names.number(key);
        if let Some(slot) = self.items.get_mut(index) {
            slot.item = Some(Arc::new(item));
        }
    }

    fn put_contact(&mut self, key: &str, fact: &ContactFact, version: i64) {
        let customer = fact.customer.as_ref().map(|customer| Customer {
            number: self.customer_names.number(&customer.number),
            price_group: self.intern_some(customer.price_group_code.as_ref()),
            discount_group: self.intern_some(customer.discount_group_code.as_ref()),
            allow_line_discount: customer.allow_line_discount,
            prices_include_tax: customer.prices_include_tax,
        });
        let contact = Contact {
            version,
            ordinal: fact.ordinal,
            is_person: fact.contact_type == ContactType::Person,
            company: fact
                .company_number
                .as_ref()
                .map(|number| ContactIndex(self.contact_names.number(number))),
            currency: self.intern_some(fact.currency_code.as_ref()),
            customer,
        };
        let index = ContactIndex(self.contact_names.number(key));
        self.set_contact(index, Some(contact));
    }

    /// Sets a contact and its customer number. A number that has moved to another contact stays
    /// there.
    fn set_contact(&mut self, index: ContactIndex, contact: Option<Contact>) {
        let number_of = |contact: Option<&Contact>| {
            contact.and_then(|contact| contact.customer).map(|c| c.number)
        };
        let before = number_of(self.contact(index));
        let after = number_of(contact.as_ref());
        if let Some(number) = before.filter(|_| before != after)
            && let Some(owner) = self.customers.get_mut(number)
            && *owner == Some(index)
        {
            *owner = None;
        }
        if let Some(owner) = after.and_then(|number| self.customers.get_mut(number)) {
            *owner = Some(index);
        }
        let (old, new) = (
            self.contact(index).map(|contact| contact.ordinal),
            contact.map(|contact| contact.ordinal),
        );
        if old != new
            && let Some(place) = old.and_then(|ordinal| self.ordinals.get_mut(ordinal))
        {
            *place = None;
        }
        if let Some(place) = new.and_then(|ordinal| self.ordinals.get_mut(ordinal)) {
            *place = Some(index);
        }
        if let Some(place) = self.contacts.get_mut(index.0) {
            if let Some(before) = place.filter(Contact::is_account) {
                self.accounts_by_terms.remove(&before);
            }
            if let Some(after) = contact.filter(Contact::is_account) {
                self.accounts_by_terms.insert(&after);
            }
            *place = contact;
        }
    }

    fn change_campaign(
        &mut self,
        number: &str,
        change: impl FnOnce(&mut super::snapshot::Campaign),
    ) {
        let index = self.campaign_names.number(number);
        if let Some(campaign) = self.campaigns.get_mut(index) {
            change(campaign);
        }
    }

    fn put_price_line(&mut self, key: &str, fact: &PriceLineFact, version: i64) {
        let Some(id) = line_id(key) else { return };
        self.remove_line(id);
        let line = PriceLine {
            id,
            version,
            conditions: Conditions {
                minimum_quantity: fact.minimum_quantity,
                source: self.source(&fact.source),
                variant: self.intern_some(fact.variant_code.as_ref()),
                unit: self.intern_some(fact.unit_of_measure_code.as_ref()),
                currency: self.intern_some(fact.currency_code.as_ref()),
                period: Period { starting: fact.starting_date, ending: fact.ending_date },
            },
            unit_price: fact.unit_price,
            tax: fact.tax_percent,
            allow_line_discount: fact.allow_line_discount,
            includes_tax: fact.price_includes_tax,
        };
        let item = self.item_names.number(&fact.item_number);
        if let Some(slot) = self.items.get_mut(item) {
            push_line(Arc::make_mut(&mut slot.prices), line);
        }
        self.record_line(id, LineList::PriceOfItem(item));
    }

    fn put_discount_line(&mut self, key: &str, fact: &DiscountLineFact, version: i64) {
        let Some(id) = line_id(key) else { return };
        self.remove_line(id);
        let line = DiscountLine {
            id,
            version,
            conditions: Conditions {
                minimum_quantity: fact.minimum_quantity,
                source: self.source(&fact.source),
                variant: self.intern_some(fact.variant_code.as_ref()),
                unit: self.intern_some(fact.unit_of_measure_code.as_ref()),
                currency: self.intern_some(fact.currency_code.as_ref()),
                period: Period { starting: fact.starting_date, ending: fact.ending_date },
            },
            percent: fact.line_discount_percent,
        };
        let list = match (&fact.item_number, &fact.item_discount_group_code) {
            (Some(item), _) => LineList::DiscountOfItem(self.item_names.number(item)),
            (None, Some(group)) => LineList::DiscountOfGroup(self.intern(group)),
            (None, None) => LineList::DiscountOfAll,
        };
        if let Some(lines) = self.discounts_mut(list) {
            push_line(lines, line);
        }
        self.record_line(id, list);
    }

    fn source(&mut self, source: &SourceFact) -> Source {
        match source {
            SourceFact::Campaign { campaign_number } => {
                Source::Campaign(CampaignIndex(self.campaign_names.number(campaign_number)))
            }
            SourceFact::Contact { contact_number } => {
                Source::Contact(ContactIndex(self.contact_names.number(contact_number)))
            }
            SourceFact::CustomerPriceGroup { code } => Source::PriceGroup(self.intern(code)),
            SourceFact::CustomerDiscountGroup { code } => Source::DiscountGroup(self.intern(code)),
            SourceFact::AllCustomers => Source::AllCustomers,
        }
    }

    /// Records the list that contains a line.
    fn record_line(&mut self, id: Uuid, list: LineList) {
        if let Some(shard) = self.line_lists.get_mut(Self::line_shard(id)) {
            Arc::make_mut(shard).insert(id, list);
        }
    }

    /// Removes a line from the list that contains it.
    fn remove_line(&mut self, id: Uuid) {
        let Some(shard) = self.line_lists.get_mut(Self::line_shard(id)) else { return };
        if !shard.contains_key(&id) {
            return;
        }
        let Some(list) = Arc::make_mut(shard).remove(&id) else { return };
        if let LineList::PriceOfItem(item) = list {
            if let Some(slot) = self.items.get_mut(item) {
                remove_from(Arc::make_mut(&mut slot.prices), id);
            }
            return;
        }
        let empty = self.discounts_mut(list).is_some_and(|lines| {
            remove_from(lines, id);
            lines.is_empty()
        });
        if let LineList::DiscountOfGroup(group) = list
            && empty
        {
            Arc::make_mut(&mut self.group_discounts).remove(&group);
        }
    }

    /// Returns a list of discount lines for modification, or `None` for a list of price lines.
    fn discounts_mut(&mut self, list: LineList) -> Option<&mut Vec<DiscountLine>> {
        let lines = match list {
            LineList::PriceOfItem(_) => return None,
            LineList::DiscountOfItem(item) => &mut self.items.get_mut(item)?.discounts,
            LineList::DiscountOfGroup(group) => {
                Arc::make_mut(&mut self.group_discounts).entry(group).or_default()
            }
            LineList::DiscountOfAll => &mut self.all_item_discounts,
        };
        Some(Arc::make_mut(lines))
    }
}

/// Parses the key of a line.
fn line_id(key: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(key).ok();
    if id.is_none() {
        tracing::error!(key, "ignored a line whose key is not a UUID");
    }
    id
}

/// Adds a line to a list. The capacity grows by a quarter, because doubling would leave a third of
/// the memory of all lines unused.
fn push_line<L: Line>(lines: &mut Vec<L>, line: L) {
    if lines.len() == lines.capacity() {
        lines.reserve_exact((lines.len() / 4).max(1));
    }
    lines.push(line);
}

/// Removes a line from a list, without keeping its order.
fn remove_from<L: Line>(lines: &mut Vec<L>, id: Uuid) {
    if let Some(place) = lines.iter().position(|line| line.id() == id) {
        lines.swap_remove(place);
    }
}
