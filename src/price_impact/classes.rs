//! Classes of accounts that pay the same for an item.
//!
//! Two accounts with the same customer terms (groups, flags and currency) and in the same campaigns
//! have the same candidates, except for lines of their own. Only the groups and campaigns that the
//! item's lines name count. So the number of classes depends on the lines, not on the accounts. An
//! account with a line of its own for the item is a class by itself.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use price_book::customer_terms::CustomerTerms;
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

/// Returns the terms without groups that no line names, and without the local currency.
fn reduced(terms: CustomerTerms, profile: &Profile, local: Option<Code>) -> CustomerTerms {
    let among = |group: Option<Code>, groups: &[Code]| {
        group.filter(|group| groups.binary_search(group).is_ok())
    };
    CustomerTerms {
        price_group: among(terms.price_group, &profile.price_groups),
        discount_group: among(terms.discount_group, &profile.discount_groups),
        currency: terms.currency.filter(|code| Some(*code) != local),
        ..terms
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
        self.all.get_or_insert_with(|| Arc::new(all_by_terms(after))).clone()
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
        let local = self.after.local_currency();
        for group in groups {
            accounts |= &group.accounts;
            let terms = reduced(group.terms, profile, local);
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

/// Groups accounts by their terms. Contacts that are no accounts in the book are ignored.
fn by_terms(book: &Snapshot, accounts: &RoaringBitmap) -> Vec<TermsGroup> {
    let sets = book.accounts_by_terms();
    let few = usize::try_from(accounts.len()).is_ok_and(|accounts| accounts < sets.len());
    if !few {
        let groups = sets.map(|(terms, set)| TermsGroup { terms, accounts: set & accounts });
        return ordered(groups.filter(|group| !group.accounts.is_empty()).collect());
    }
    let mut groups: HashMap<CustomerTerms, RoaringBitmap> = HashMap::new();
    for ordinal in accounts {
        if let Some(terms) = book.terms_of_account(ordinal) {
            groups.entry(terms).or_default().insert(ordinal);
        }
    }
    let groups = groups.into_iter().map(|(terms, accounts)| TermsGroup { terms, accounts });
    ordered(groups.collect())
}

/// Returns all accounts by their terms.
fn all_by_terms(book: &Snapshot) -> Vec<TermsGroup> {
    let sets = book.accounts_by_terms();
    ordered(sets.map(|(terms, set)| TermsGroup { terms, accounts: set.clone() }).collect())
}

/// Returns the groups in the order of their first accounts, so that results are reproducible.
fn ordered(mut groups: Vec<TermsGroup>) -> Vec<TermsGroup> {
    groups.sort_unstable_by_key(|group| group.accounts.min());
    groups
}
