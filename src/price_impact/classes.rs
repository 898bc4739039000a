//! Classes of accounts that pay the same for an item.
//!
//! Two accounts with the same customer terms (groups, flags and currency) and in the same campaigns
//! have the same candidates, except for lines of their own. Only the groups and campaigns that the
//! item's lines name count. So the number of classes depends on the lines, not on the accounts. An
//! account with a line of its own for the item is a class by itself.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use price_book::snapshot::Snapshot;
use pricing::line::{CampaignIndex, Code};

/// Maximum number of classes of one item, without those of accounts with lines of their own.
pub const MAX_CLASSES: usize = 100_000;

/// There are more classes than [`MAX_CLASSES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyClasses;

/// A set of accounts whose prices can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum AccountScope {
    /// All accounts.
    All,
    /// The accounts of a price group.
    PriceGroup(Code),
    /// The accounts of a discount group.
    DiscountGroup(Code),
    /// The audience of a campaign in either book.
    Campaign(CampaignIndex),
    /// One account, by its ordinal.
    Account(u32),
}

/// The groups and campaigns that distinguish accounts, and the accounts to distinguish. All lists
/// are sorted and without repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Profile {
    pub scopes: Vec<AccountScope>,
    pub price_groups: Vec<Code>,
    pub discount_groups: Vec<Code>,
    pub campaigns: Vec<CampaignIndex>,
}

/// The customer terms of an account that can determine its prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CustomerTerms {
    price_group: Option<Code>,
    discount_group: Option<Code>,
    allow_line_discount: bool,
    prices_include_tax: bool,
    currency: Option<Code>,
}

impl CustomerTerms {
    fn of(book: &Snapshot, ordinal: u32) -> Option<Self> {
        let contact = book.contact_of_ordinal(ordinal)?;
        let customer = contact.customer;
        Some(Self {
            price_group: customer.and_then(|customer| customer.price_group),
            discount_group: customer.and_then(|customer| customer.discount_group),
            allow_line_discount: customer.is_none_or(|customer| customer.allow_line_discount),
            prices_include_tax: customer.is_some_and(|customer| customer.prices_include_tax),
            currency: contact.currency.filter(|code| Some(*code) != book.local_currency()),
        })
    }

    /// Returns the terms without groups that no line names.
    fn reduced(self, profile: &Profile) -> Self {
        let among = |group: Option<Code>, groups: &[Code]| {
            group.filter(|group| groups.binary_search(group).is_ok())
        };
        Self {
            price_group: among(self.price_group, &profile.price_groups),
            discount_group: among(self.discount_group, &profile.discount_groups),
            ..self
        }
    }
}

/// Accounts with the same customer terms.
#[derive(Debug)]
struct TermsGroup {
    terms: CustomerTerms,
    accounts: RoaringBitmap,
}

/// The classes of a profile.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// The accounts of each class; no class is empty.
    pub classes: Vec<AccountSet>,
    /// The campaigns of the profile that reach some of the accounts.
    pub campaigns: Vec<CampaignIndex>,
    /// True if the prices for nobody in particular can differ too.
    pub includes_anybody: bool,
    /// All accounts of the classes.
    pub accounts: RoaringBitmap,
}

/// The accounts of a class, and the currency of their quotes.
#[derive(Debug)]
pub(super) struct AccountSet {
    pub accounts: RoaringBitmap,
    /// The foreign currency.
    pub currency: Option<Code>,
}

/// Divides accounts into classes, and remembers the results.
pub(super) struct Classifier<'a> {
    before: &'a Snapshot,
    after: &'a Snapshot,
    all: Option<Arc<Vec<TermsGroup>>>,
    by_scopes: HashMap<Vec<AccountScope>, Arc<Vec<TermsGroup>>>,
    by_profile: HashMap<Profile, Arc<Partition>>,
}

impl<'a> Classifier<'a> {
    pub fn new(before: &'a Snapshot, after: &'a Snapshot) -> Self {
        Self { before, after, all: None, by_scopes: HashMap::new(), by_profile: HashMap::new() }
    }

    /// Returns the classes of a profile.
    pub fn partition(&mut self, profile: &Profile) -> Result<Arc<Partition>, TooManyClasses> {
        if let Some(known) = self.by_profile.get(profile) {
            return Ok(known.clone());
        }
        let groups = self.terms_groups(&profile.scopes);
        let partition = Arc::new(self.divide(profile, &groups)?);
        self.by_profile.insert(profile.clone(), partition.clone());
        Ok(partition)
    }

    /// Returns the accounts of the scopes by their terms.
    fn terms_groups(&mut self, scopes: &[AccountScope]) -> Arc<Vec<TermsGroup>> {
        if let Some(known) = self.by_scopes.get(scopes) {
            return known.clone();
        }
        let groups = if scopes.first() == Some(&AccountScope::All) {
            self.all_accounts()
        } else {
            let accounts = self.accounts(scopes);
            Arc::new(by_terms(self.after, &accounts))
        };
        self.by_scopes.insert(scopes.to_vec(), groups.clone());
        groups
    }

    /// Returns all accounts by their terms. They are computed once.
    fn all_accounts(&mut self) -> Arc<Vec<TermsGroup>> {
        let after = self.after;
        self.all.get_or_insert_with(|| Arc::new(by_terms(after, &after.accounts()))).clone()
    }

    /// Returns the accounts of scopes.
    fn accounts(&mut self, scopes: &[AccountScope]) -> RoaringBitmap {
        let mut accounts = RoaringBitmap::new();
        for scope in scopes {
            match *scope {
                AccountScope::All => {
                    for group in self.all_accounts().iter() {
                        accounts |= &group.accounts;
                    }
                }
                AccountScope::PriceGroup(code) => {
                    for group in self.all_accounts().iter() {
                        if group.terms.price_group == Some(code) {
                            accounts |= &group.accounts;
                        }
                    }
                }
                AccountScope::DiscountGroup(code) => {
                    for group in self.all_accounts().iter() {
                        if group.terms.discount_group == Some(code) {
                            accounts |= &group.accounts;
                        }
                    }
                }
                AccountScope::Campaign(campaign) => {
                    for book in [self.before, self.after] {
                        if let Some(audience) = book.audience_of(campaign) {
                            accounts |= &**audience;
                        }
                    }
                }
                AccountScope::Account(ordinal) => {
                    accounts.insert(ordinal);
                }
            }
        }
        accounts
    }

    /// Divides the accounts of a profile by their terms and by the campaigns that reach them.
    fn divide(
        &self,
        profile: &Profile,
        groups: &[TermsGroup],
    ) -> Result<Partition, TooManyClasses> {
        let mut places: HashMap<CustomerTerms, usize> = HashMap::new();
        let mut classes: Vec<AccountSet> = Vec::new();
        let mut accounts = RoaringBitmap::new();
        for group in groups {
            accounts |= &group.accounts;
            let terms = group.terms.reduced(profile);
            let place = *places.entry(terms).or_insert(classes.len());
            match classes.get_mut(place) {
                Some(class) => class.accounts |= &group.accounts,
                None => classes.push(AccountSet {
                    accounts: group.accounts.clone(),
                    currency: terms.currency,
                }),
            }
        }
        let mut campaigns = Vec::new();
        for campaign in &profile.campaigns {
            let before = self.before.audience_of(*campaign);
            let after = self.after.audience_of(*campaign);
            let audiences = before.into_iter().chain(after.filter(|after| before != Some(*after)));
            let mut reaches_some = false;
            for audience in audiences {
                if !audience.is_disjoint(&accounts) {
                    reaches_some = true;
                    classes = split(classes, audience)?;
                }
            }
            if reaches_some {
                campaigns.push(*campaign);
            }
        }
        if classes.len() > MAX_CLASSES {
            return Err(TooManyClasses);
        }
        let includes_anybody = profile.scopes.first() == Some(&AccountScope::All);
        Ok(Partition { classes, campaigns, includes_anybody, accounts })
    }
}

/// Divides each class into the accounts inside and outside an audience.
fn split(
    classes: Vec<AccountSet>,
    audience: &RoaringBitmap,
) -> Result<Vec<AccountSet>, TooManyClasses> {
    let mut divided = Vec::with_capacity(classes.len());
    for AccountSet { accounts, currency } in classes {
        let inside = &accounts & audience;
        if inside.is_empty() || inside.len() == accounts.len() {
            divided.push(AccountSet { accounts, currency });
        } else {
            divided.push(AccountSet { accounts: accounts - &inside, currency });
            divided.push(AccountSet { accounts: inside, currency });
        }
        if divided.len() > MAX_CLASSES {
            return Err(TooManyClasses);
        }
    }
    Ok(divided)
}

/// Groups accounts by their terms. Contacts that the book does not contain are ignored.
fn by_terms(book: &Snapshot, accounts: &RoaringBitmap) -> Vec<TermsGroup> {
    let mut places: HashMap<CustomerTerms, usize> = HashMap::new();
    let mut ordinals: Vec<(CustomerTerms, Vec<u32>)> = Vec::new();
    let mut last: Option<(CustomerTerms, usize)> = None;
    for ordinal in accounts {
        let Some(terms) = CustomerTerms::of(book, ordinal) else { continue };
        // Neighbours often have the same terms.
        let place = match last {
            Some((known, place)) if known == terms => place,
            _ => *places.entry(terms).or_insert(ordinals.len()),
        };
        last = Some((terms, place));
        match ordinals.get_mut(place) {
            Some((_, of_terms)) => of_terms.push(ordinal),
            None => ordinals.push((terms, vec![ordinal])),
        }
    }
    let groups = ordinals
        .into_iter()
        .map(|(terms, ordinals)| TermsGroup { terms, accounts: ordinals.into_iter().collect() });
    groups.collect()
}
