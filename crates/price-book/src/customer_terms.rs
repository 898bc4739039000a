//! The accounts of the book by their customer terms. Plans of large audiences read the sets, which
//! would otherwise take a pass over all contacts for each.

use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use pricing::line::Code;
use roaring::RoaringBitmap;

use super::snapshot::Contact;

/// The properties of an account that determine its prices, except for its own lines and the
/// campaigns that reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CustomerTerms {
    /// The customer price group.
    pub price_group: Option<Code>,
    /// The customer discount group.
    pub discount_group: Option<Code>,
    /// If set, line discounts can be granted on the list price.
    pub allow_line_discount: bool,
    /// If set, prices include tax unless the request says otherwise.
    pub prices_include_tax: bool,
    /// The currency of the account's quotes, which may be the local one.
    pub currency: Option<Code>,
}

impl CustomerTerms {
    /// Returns the terms of a contact. A contact that is no customer has the defaults.
    #[must_use]
    pub fn of(contact: &Contact) -> Self {
        let customer = contact.customer;
        Self {
            price_group: customer.and_then(|customer| customer.price_group),
            discount_group: customer.and_then(|customer| customer.discount_group),
            allow_line_discount: customer.is_none_or(|customer| customer.allow_line_discount),
            prices_include_tax: customer.is_some_and(|customer| customer.prices_include_tax),
            currency: contact.currency,
        }
    }
}

/// The ordinals of the accounts with the same terms. No set is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct AccountsByTerms {
    sets: Arc<HashMap<CustomerTerms, Arc<RoaringBitmap>>>,
}

impl AccountsByTerms {
    /// Adds an account. A set that another snapshot shares is copied, once per version.
    pub fn insert(&mut self, contact: &Contact) {
        let sets = Arc::make_mut(&mut self.sets);
        let accounts = sets.entry(CustomerTerms::of(contact)).or_default();
        Arc::make_mut(accounts).insert(contact.ordinal);
    }

    /// Removes an account.
    pub fn remove(&mut self, contact: &Contact) {
        let sets = Arc::make_mut(&mut self.sets);
        if let Entry::Occupied(mut entry) = sets.entry(CustomerTerms::of(contact)) {
            let accounts = Arc::make_mut(entry.get_mut());
            accounts.remove(contact.ordinal);
            if accounts.is_empty() {
                entry.remove();
            }
        }
    }

    /// Iterates over the sets, in no particular order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (CustomerTerms, &RoaringBitmap)> {
        self.sets.iter().map(|(terms, accounts)| (*terms, &**accounts))
    }
}

#[cfg(test)]
mod tests {
    use values::enums::ContactType;

    use crate::facts::{Change, ContactFact, CustomerFact, Fact, FactKind};
    use crate::snapshot::Snapshot;

    fn contact(ordinal: u32, group: &str, company: Option<&str>) -> Fact {
        Fact::Contact(ContactFact {
            ordinal,
            contact_type: ContactType::Person,
            company_number: company.map(str::to_owned),
            currency_code: None,
            customer: Some(CustomerFact {
                number: format!("D{ordinal}"),
                price_group_code: Some(group.to_owned()),
                discount_group_code: None,
                allow_line_discount: true,
                prices_include_tax: false,
            }),
        })
    }

    fn put(key: &str, fact: Fact) -> Change {
        Change::Put { key: key.to_owned(), fact, version: 1 }
    }

    /// Returns the price group and the ordinals of each set, sorted.
    fn sets(book: &Snapshot) -> Vec<(String, Vec<u32>)> {
        let sets = book.accounts_by_terms().map(|(terms, accounts)| {
            let group = terms.price_group.map_or("", |code| book.code_text(code));
            (group.to_owned(), accounts.iter().collect())
        });
        let mut sets: Vec<_> = sets.collect();
        sets.sort();
        sets
    }

    fn of(sets: &[(&str, &[u32])]) -> Vec<(String, Vec<u32>)> {
        sets.iter().map(|(group, accounts)| ((*group).to_owned(), accounts.to_vec())).collect()
    }

    #[test]
    fn sets_follow_the_contacts() {
        let first = Snapshot::empty().advanced(
            1,
            [
                put("A", contact(1, "GOLD", None)),
                put("B", contact(2, "GOLD", None)),
                put("C", contact(3, "IRON", None)),
                put("EMPLOYEE", contact(4, "IRON", Some("C"))),
            ],
        );
        assert_eq!(sets(&first), of(&[("GOLD", &[1, 2]), ("IRON", &[3])]));
        let moved = first.advanced(2, [put("B", contact(2, "IRON", None))]);
        assert_eq!(sets(&moved), of(&[("GOLD", &[1]), ("IRON", &[2, 3])]));
        let employed = moved.advanced(3, [put("A", contact(1, "GOLD", Some("C")))]);
        assert_eq!(sets(&employed), of(&[("IRON", &[2, 3])]));
        let left = employed.advanced(4, [put("EMPLOYEE", contact(4, "GOLD", None))]);
        assert_eq!(sets(&left), of(&[("GOLD", &[4]), ("IRON", &[2, 3])]));
        let renumbered = left.advanced(5, [put("B", contact(9, "IRON", None))]);
        assert_eq!(sets(&renumbered), of(&[("GOLD", &[4]), ("IRON", &[3, 9])]));
        let remove = Change::Remove { kind: FactKind::Contact, key: "C".to_owned() };
        assert_eq!(sets(&renumbered.advanced(6, [remove])), of(&[("GOLD", &[4]), ("IRON", &[9])]));
        assert_eq!(
            sets(&first),
            of(&[("GOLD", &[1, 2]), ("IRON", &[3])]),
            "versions are immutable"
        );
    }

    #[test]
    fn accounts_are_found_with_their_terms() {
        let book = Snapshot::empty().advanced(
            1,
            [put("A", contact(1, "GOLD", None)), put("EMPLOYEE", contact(2, "IRON", Some("A")))],
        );
        let group = book.terms_of_account(1).unwrap().price_group.unwrap();
        assert_eq!(book.code_text(group), "GOLD");
        assert_eq!(book.terms_of_account(2), None, "an employee is no account");
        assert_eq!(book.terms_of_account(3), None);
    }
}
