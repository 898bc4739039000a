//! Lookups by line, campaign and account, for the comparison of two versions of the book.

use std::sync::Arc;

use pricing::line::{CampaignIndex, Code, Conditions, ContactIndex, Line, Source};
use pricing::resolve::Book;
use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::customer_terms::CustomerTerms;
use crate::snapshot::{Contact, FoundItem, LineList, Snapshot};

/// The items that a line applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineTarget<'a> {
    /// The item with this number.
    Item(&'a str),
    /// All items of an item discount group.
    Group(Code),
    /// All items.
    AllItems,
}

/// A line of the book, found by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundLine<'a> {
    /// The line's id.
    pub id: Uuid,
    /// The items that the line applies to.
    pub target: LineTarget<'a>,
    /// The source of the line and its conditions.
    pub conditions: &'a Conditions,
}

impl Snapshot {
    /// Returns the line with the id, if it is in force.
    #[must_use]
    pub fn line(&self, id: Uuid) -> Option<FoundLine<'_>> {
        let list = self.line_lists.get(Self::line_shard(id))?.get(&id)?;
        let (target, conditions) = match *list {
            LineList::PriceOfItem(item) => (
                LineTarget::Item(self.item_names.text(item)?),
                conditions_in(&self.items.get(item)?.prices, id)?,
            ),
            LineList::DiscountOfItem(item) => (
                LineTarget::Item(self.item_names.text(item)?),
                conditions_in(&self.items.get(item)?.discounts, id)?,
            ),
            LineList::DiscountOfGroup(group) => {
                (LineTarget::Group(group), conditions_in(self.group_discounts.get(&group)?, id)?)
            }
            LineList::DiscountOfAll => {
                (LineTarget::AllItems, conditions_in(&self.all_item_discounts, id)?)
            }
        };
        Some(FoundLine { id, target, conditions })
    }

    /// Returns whether the line is in force and a price line.
    #[must_use]
    pub fn line_is_price(&self, id: Uuid) -> bool {
        let list = self.line_lists.get(Self::line_shard(id)).and_then(|shard| shard.get(&id));
        matches!(list, Some(LineList::PriceOfItem(_)))
    }

    /// Returns the ids of a campaign's lines. It examines all lines of the book.
    #[must_use]
    pub fn campaign_lines(&self, campaign: CampaignIndex) -> Vec<Uuid> {
        let source = Source::Campaign(campaign);
        let mut ids = Vec::new();
        for (_, slot) in self.items.iter() {
            ids.extend(ids_from(&slot.prices, source));
            ids.extend(ids_from(&slot.discounts, source));
        }
        for lines in self.group_discounts.values() {
            ids.extend(ids_from(lines, source));
        }
        ids.extend(ids_from(&self.all_item_discounts, source));
        ids
    }

    /// Returns all items with their numbers, in no particular order.
    pub fn items(&self) -> impl Iterator<Item = (&str, FoundItem<'_>)> {
        self.items.iter().filter_map(|(index, slot)| {
            let number = self.item_names.text(index)?;
            slot.item.as_ref()?;
            Some((number, self.find_item(number)?))
        })
    }

    /// Returns the number of an item as the book stores it, if the item exists.
    #[must_use]
    pub fn item_number(&self, number: &str) -> Option<&str> {
        let index = self.item_names.find(number)?;
        self.items.get(index)?.item.as_ref()?;
        self.item_names.text(index)
    }

    /// Iterates over the ordinals of all accounts by their terms, in no particular order.
    pub fn accounts_by_terms(
        &self,
    ) -> impl ExactSizeIterator<Item = (CustomerTerms, &RoaringBitmap)> {
        self.accounts_by_terms.iter()
    }

    /// Returns the terms of the account with an ordinal, if there is one.
    #[must_use]
    pub fn terms_of_account(&self, ordinal: u32) -> Option<CustomerTerms> {
        let contact = self.contact_of_ordinal(ordinal)?;
        contact.is_account().then(|| CustomerTerms::of(contact))
    }

    /// Returns the contact with an ordinal.
    #[must_use]
    pub fn contact_of_ordinal(&self, ordinal: u32) -> Option<&Contact> {
        self.contact((*self.ordinals.get(ordinal)?)?)
    }

    /// Returns the ordinal of the account that a contact belongs to.
    #[must_use]
    pub fn account_ordinal(&self, contact: ContactIndex) -> Option<u32> {
        self.contact(self.account_of(contact)).map(|contact| contact.ordinal)
    }

    /// Returns the audience of a campaign, by its index.
    #[must_use]
    pub fn audience_of(&self, campaign: CampaignIndex) -> Option<&Arc<RoaringBitmap>> {
        self.campaigns.get(campaign.0).map(|campaign| &campaign.audience)
    }
}

fn conditions_in<L: Line>(lines: &[L], id: Uuid) -> Option<&Conditions> {
    lines.iter().find(|line| line.id() == id).map(Line::conditions)
}

fn ids_from<L: Line>(lines: &[L], source: Source) -> impl Iterator<Item = Uuid> {
    lines.iter().filter(move |line| line.conditions().source == source).map(Line::id)
}
