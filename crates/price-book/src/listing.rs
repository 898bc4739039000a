//! Iteration over the book in order of numbers: over items, once or for each account of a
//! campaign's audience.

use std::sync::Arc;

use hashbrown::HashSet;
use pricing::line::{
    CampaignIndex, Code, Conditions, ContactIndex, DiscountLine, PriceLine, Source,
};
use pricing::resolve::{Book, Lines};
use values::Quantity;

use super::snapshot::{FoundItem, Item, Snapshot};

/// A walk over the items of one snapshot in the order of their numbers. With a campaign, it visits
/// the items for each account of the audience, in the order of the accounts' numbers.
///
/// The walk only stores positions. Each step is given the snapshot, which must be the same in all
/// steps.
#[derive(Debug, Clone)]
pub struct Walk {
    audience: Option<Audience>,
    items: Arc<[u32]>,
    next_item: usize,
}

/// The accounts of a campaign.
#[derive(Debug, Clone)]
struct Audience {
    campaign: CampaignIndex,
    /// All contacts. A contact's membership is checked when it is visited.
    contacts: Arc<[u32]>,
    next_contact: usize,
}

/// The content of a position of the walk.
#[derive(Debug, Clone, Copy)]
pub enum Visit<'a> {
    /// An item, for an account if the walk is over a campaign's audience.
    At {
        /// The account's number.
        account: Option<&'a str>,
        /// The item's number.
        item_number: &'a str,
        /// The item and its lines.
        found: FoundItem<'a>,
    },
    /// Nothing. There may be further positions.
    Nothing,
    /// The end of the walk.
    End,
}

impl Walk {
    /// Creates a walk over all items. The first walk over a snapshot sorts the numbers, which takes
    /// long.
    #[must_use]
    pub fn over_items(book: &Snapshot) -> Self {
        Self { audience: None, items: book.item_names.in_order(), next_item: 0 }
    }

    /// Creates a walk over the items that a campaign's lines cover, for each account of its
    /// audience. It examines all lines once.
    #[must_use]
    pub fn over_campaign(book: &Snapshot, campaign: CampaignIndex) -> Self {
        let audience =
            Audience { campaign, contacts: book.contact_names.in_order(), next_contact: 0 };
        Self { audience: Some(audience), items: covered(book, campaign), next_item: 0 }
    }

    /// Moves to an item, and to an account if the walk is over an audience. If they no longer
    /// exist, the walk continues with their successors.
    pub fn move_to(&mut self, book: &Snapshot, account: Option<&str>, item_number: &str) {
        if let (Some(audience), Some(account)) = (&mut self.audience, account) {
            let is_before = |index: &u32| book.contact_names.text(*index) < Some(account);
            audience.next_contact = audience.contacts.partition_point(is_before);
        }
        self.next_item =
            self.items.partition_point(|index| book.item_names.text(*index) < Some(item_number));
    }

    /// Returns the content of the next position.
    pub fn next<'a>(&mut self, book: &'a Snapshot) -> Visit<'a> {
        let mut account = None;
        if let Some(audience) = &mut self.audience {
            let Some(contact) =
                audience.contacts.get(audience.next_contact).copied().map(ContactIndex)
            else {
                return Visit::End;
            };
            // A person that has joined a company is no longer an account of its own.
            let is_account = book.contact(contact).is_some() && book.account_of(contact) == contact;
            if !is_account
                || self.next_item >= self.items.len()
                || !book.is_in_audience(audience.campaign, contact)
            {
                audience.next_contact = audience.next_contact.saturating_add(1);
                self.next_item = 0;
                return Visit::Nothing;
            }
            account = Some(book.contact_number(contact));
        }
        let Some(index) = self.items.get(self.next_item) else { return Visit::End };
        self.next_item = self.next_item.saturating_add(1);
        let item_number = book.item_names.text(*index).unwrap_or_default();
        match book.find_item(item_number) {
            Some(found) => Visit::At { account, item_number, found },
            None => Visit::Nothing,
        }
    }
}

/// Returns the items for which a campaign has a price or a discount, in the order of their numbers.
fn covered(book: &Snapshot, campaign: CampaignIndex) -> Arc<[u32]> {
    let source = Source::Campaign(campaign);
    let gives_price =
        |lines: &[PriceLine]| lines.iter().any(|line| line.conditions.source == source);
    let gives_discount =
        |lines: &[DiscountLine]| lines.iter().any(|line| line.conditions.source == source);
    let all = gives_discount(&book.all_item_discounts);
    let groups: HashSet<Code> = book
        .group_discounts
        .iter()
        .filter(|(_, lines)| gives_discount(lines))
        .map(|(group, _)| *group)
        .collect();
    let covers = |index: &u32| {
        let slot = book.items.get(*index)?;
        let in_group =
            slot.item.as_ref()?.discount_group.is_some_and(|group| groups.contains(&group));
        Some(all || in_group || gives_price(&slot.prices) || gives_discount(&slot.discounts))
    };
    book.item_names.in_order().iter().copied().filter(|index| covers(index) == Some(true)).collect()
}

impl Snapshot {
    /// Returns the conditions of all lines that can be granted to an account for an item. Dates and
    /// groups are not checked, so not all of the lines apply.
    pub fn conditions_for<'a>(
        &'a self,
        lines: Lines<'a>,
        account: Option<ContactIndex>,
    ) -> impl Iterator<Item = &'a Conditions> {
        let discounts = lines
            .item_discounts
            .iter()
            .chain(lines.group_discounts)
            .chain(lines.all_item_discounts);
        let all = lines
            .prices
            .iter()
            .map(|line| &line.conditions)
            .chain(discounts.map(|line| &line.conditions));
        all.filter(move |conditions| match conditions.source {
            Source::Campaign(campaign) => {
                account.is_some_and(|account| self.is_in_audience(campaign, account))
            }
            Source::Contact(contact) => {
                account.is_some_and(|account| self.account_of(contact) == account)
            }
            Source::PriceGroup(_) | Source::DiscountGroup(_) => account.is_some(),
            Source::AllCustomers => true,
        })
    }
}

impl Item {
    /// Returns the units of measure of the item with the base units in each. The base unit is the
    /// first.
    pub fn units_of_measure(&self) -> impl Iterator<Item = (Code, Quantity)> {
        let others = self.units.iter().copied().filter(|(unit, _)| *unit != self.base_unit);
        std::iter::once((self.base_unit, Quantity::ONE)).chain(others)
    }
}
