//! The whole book as changes, and its hash. The snapshot file and the self-check use them.

use pricing::line::{Code, DiscountLine, PriceLine, Source};
use roaring::RoaringBitmap;
use serde::Serialize;
use values::enums::ContactType;
use xxhash_rust::xxh3::xxh3_128;

use super::facts::{
    Change, ContactFact, CustomerFact, DiscountLineFact, ExchangeRateFact, Fact, ItemFact,
    PriceLineFact, SourceFact, UnitFact,
};
use super::snapshot::{Contact, Item, ItemSlot, Snapshot};

impl Snapshot {
    /// Returns the content of the book as changes, in no particular order. Applied to the empty
    /// book, they produce this one.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.facts().chain(self.audience_changes())
    }

    /// Returns a hash of the content. It is the same for a book that was advanced and for one that
    /// was rebuilt.
    ///
    /// It serializes the whole book, so it is for self-checks, not for requests.
    #[must_use]
    pub fn content_hash(&self) -> u128 {
        let mut hash = ContentHash::of_version(self.version);
        for change in self.changes() {
            hash.add(&change);
        }
        hash.sum()
    }

    /// Returns the facts of an item.
    #[must_use]
    pub fn item(&self, number: &str) -> Option<ItemFact> {
        self.find_item(number).map(|found| self.item_fact(found.item))
    }

    /// Returns all facts, without the audiences.
    pub fn facts(&self) -> impl Iterator<Item = Change> + '_ {
        let settings = self.settings.iter().map(|settings| Change::Put {
            key: String::new(),
            fact: Fact::Settings(settings.fact.clone()),
            version: settings.version,
        });
        let currencies = self.currencies.iter().map(|(code, entry)| Change::Put {
            key: self.text(*code),
            fact: Fact::Currency(entry.fact),
            version: entry.version,
        });
        settings
            .chain(currencies)
            .chain(self.rate_changes())
            .chain(self.contact_changes())
            .chain(self.campaign_changes())
            .chain(self.item_changes())
    }

    /// Returns the audiences by campaign, as sets of ordinals.
    pub fn audience_sets(&self) -> impl Iterator<Item = (&str, &RoaringBitmap)> {
        self.campaigns.iter().filter(|(_, campaign)| !campaign.audience.is_empty()).filter_map(
            |(index, campaign)| Some((self.campaign_names.text(index)?, &*campaign.audience)),
        )
    }

    fn rate_changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.rates.iter().flat_map(|(code, rates)| {
            rates.iter().map(|rate| {
                let fact = ExchangeRateFact {
                    currency_code: self.text(*code),
                    starting_date: rate.starting,
                    rate: rate.rate,
                };
                Change::Put {
                    key: fact.key(),
                    fact: Fact::ExchangeRate(fact),
                    version: rate.version,
                }
            })
        })
    }

    fn contact_changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.contacts.iter().filter_map(|(index, contact)| {
            let contact = contact.as_ref()?;
            let key = self.contact_names.text(index)?.to_owned();
            Some(Change::Put {
                key,
                fact: Fact::Contact(self.contact_fact(contact)),
                version: contact.version,
            })
        })
    }

    fn campaign_changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.campaigns.iter().filter_map(|(index, campaign)| {
            let published = campaign.published?;
            let key = self.campaign_names.text(index)?.to_owned();
            Some(Change::Put {
                key,
                fact: Fact::Campaign(published.fact),
                version: published.version,
            })
        })
    }

    fn item_changes(&self) -> impl Iterator<Item = Change> + '_ {
        let at_items = self
            .items
            .iter()
            .filter_map(|(index, slot)| Some((self.item_names.text(index)?, slot)));
        let at_items = at_items.flat_map(|(number, slot)| self.changes_at_item(number, slot));
        let at_groups = self.group_discounts.iter().flat_map(|(group, lines)| {
            lines.iter().map(|line| self.discount_change(line, None, Some(self.text(*group))))
        });
        let at_all =
            self.all_item_discounts.iter().map(|line| self.discount_change(line, None, None));
        at_items.chain(at_groups).chain(at_all)
    }

    fn changes_at_item<'a>(
        &'a self,
        number: &'a str,
        slot: &'a ItemSlot,
    ) -> impl Iterator<Item = Change> + 'a {
        let item = slot.item.iter().map(|item| Change::Put {
            key: number.to_owned(),
            fact: Fact::Item(self.item_fact(item)),
            version: item.version,
        });
        let prices = slot.prices.iter().map(|line| self.price_change(line, number));
        let discounts = slot
            .discounts
            .iter()
            .map(|line| self.discount_change(line, Some(number.to_owned()), None));
        item.chain(prices).chain(discounts)
    }

    fn audience_changes(&self) -> impl Iterator<Item = Change> + '_ {
        self.audience_sets().map(|(campaign, accounts)| Change::AudienceAdd {
            campaign: campaign.to_owned(),
            accounts: accounts.clone(),
        })
    }

    fn text(&self, code: Code) -> String {
        self.code_text(code).to_owned()
    }

    fn text_some(&self, code: Option<Code>) -> Option<String> {
        code.map(|code| self.text(code))
    }

    fn contact_fact(&self, contact: &Contact) -> ContactFact {
        let Contact { version: _, ordinal, is_person, company, currency, customer } = contact;
        ContactFact {
            ordinal: *ordinal,
            contact_type: if *is_person { ContactType::Person } else { ContactType::Company },
            company_number: company.map(|company| self.contact_number(company).to_owned()),
            currency_code: self.text_some(*currency),
            customer: customer.map(|customer| CustomerFact {
                number: self.customer_names.text(customer.number).unwrap_or_default().to_owned(),
                price_group_code: self.text_some(customer.price_group),
                discount_group_code: self.text_some(customer.discount_group),
                allow_line_discount: customer.allow_line_discount,
                prices_include_tax: customer.prices_include_tax,
            }),
        }
    }

    fn item_fact(&self, item: &Item) -> ItemFact {
        ItemFact {
            list_price: item.list_price,
            price_includes_tax: item.price_includes_tax,
            tax_percent: item.tax,
            item_discount_group_code: self.text_some(item.discount_group),
            blocked: item.blocked,
            base_unit_of_measure_code: self.text(item.base_unit),
            units_of_measure: item
                .units
                .iter()
                .map(|(code, quantity)| UnitFact {
                    code: self.text(*code),
                    quantity_per_unit: *quantity,
                })
                .collect(),
            variants: item.variants.iter().map(|variant| self.text(*variant)).collect(),
            unit_cost: item.unit_cost,
        }
    }

    fn price_change(&self, line: &PriceLine, item: &str) -> Change {
        let PriceLine {
            id,
            version,
            conditions,
            unit_price,
            tax,
            allow_line_discount,
            includes_tax,
        } = *line;
        let fact = PriceLineFact {
            source: self.source_fact(conditions.source),
            item_number: item.to_owned(),
            variant_code: self.text_some(conditions.variant),
            unit_of_measure_code: self.text_some(conditions.unit),
            currency_code: self.text_some(conditions.currency),
            minimum_quantity: conditions.minimum_quantity,
            starting_date: conditions.period.starting,
            ending_date: conditions.period.ending,
            unit_price,
            allow_line_discount,
            price_includes_tax: includes_tax,
            tax_percent: tax,
        };
        Change::Put { key: id.to_string(), fact: Fact::PriceLine(fact), version }
    }

    fn discount_change(
        &self,
        line: &DiscountLine,
        item: Option<String>,
        group: Option<String>,
    ) -> Change {
        let DiscountLine { id, version, conditions, percent } = *line;
        let fact = DiscountLineFact {
            source: self.source_fact(conditions.source),
            item_number: item,
            item_discount_group_code: group,
            variant_code: self.text_some(conditions.variant),
            unit_of_measure_code: self.text_some(conditions.unit),
            currency_code: self.text_some(conditions.currency),
            minimum_quantity: conditions.minimum_quantity,
            starting_date: conditions.period.starting,
            ending_date: conditions.period.ending,
            line_discount_percent: percent,
        };
        Change::Put { key: id.to_string(), fact: Fact::DiscountLine(fact), version }
    }

    fn source_fact(&self, source: Source) -> SourceFact {
        match source {
            Source::Campaign(index) => {
                SourceFact::Campaign { campaign_number: self.campaign_number(index).to_owned() }
            }
            Source::Contact(index) => {
                SourceFact::Contact { contact_number: self.contact_number(index).to_owned() }
            }
            Source::PriceGroup(code) => SourceFact::CustomerPriceGroup { code: self.text(code) },
            Source::DiscountGroup(code) => {
                SourceFact::CustomerDiscountGroup { code: self.text(code) }
            }
            Source::AllCustomers => SourceFact::AllCustomers,
        }
    }
}

/// The hash of a book, computed change by change. It is the sum of the hashes of all facts and
/// audience members, so their order does not matter. It detects defects, not attacks, so a fast
/// hash suffices.
#[derive(Debug)]
pub struct ContentHash {
    sum: u128,
    buffer: Vec<u8>,
}

impl ContentHash {
    /// Creates the hash of an empty book at this version.
    pub fn of_version(version: i64) -> Self {
        Self { sum: u128::from(version.unsigned_abs()), buffer: Vec::new() }
    }

    /// Adds the fact or members of a change. Removals are ignored, because a whole book has none.
    pub fn add(&mut self, change: &Change) {
        match change {
            Change::Put { key, fact, version } => {
                self.add_one(&(fact.kind().text(), key, version, fact))
            }
            Change::AudienceAdd { campaign, accounts } => {
                for account in accounts {
                    self.add_one(&("AUDIENCE", campaign, account));
                }
            }
            Change::Remove { .. } | Change::AudienceRemove { .. } => {}
        }
    }

    fn add_one(&mut self, value: &impl Serialize) {
        self.buffer.clear();
        if let Err(error) = rmp_serde::encode::write(&mut self.buffer, value) {
            tracing::error!(%error, "a fact cannot be serialized");
        }
        self.sum = self.sum.wrapping_add(xxh3_128(&self.buffer));
    }

    /// Returns the hash of everything that was added.
    pub const fn sum(&self) -> u128 {
        self.sum
    }
}
