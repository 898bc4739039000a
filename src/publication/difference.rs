//! The difference between the current and the desired rows of the book; pure.

use std::collections::HashMap;

use price_book::facts::FactKind;
use sha2::{Digest, Sha256};

use super::audience::AudienceDifference;

/// A row of the book, or a desired one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The kind of the fact.
    pub kind: FactKind,
    /// The key within the kind.
    pub key: String,
    /// The campaign that a line or a campaign's dates belong to.
    pub campaign_number: Option<String>,
    /// The facts as the database writes JSON, so that equal facts are equal texts.
    pub facts: String,
}

/// The rows to write so that the current rows become the desired ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Difference {
    /// Rows to end: those without successor, and those that a row in `begin` replaces.
    pub end: Vec<Entry>,
    /// Rows to begin.
    pub begin: Vec<Entry>,
    /// The change of the published campaign's audience.
    pub audience: AudienceDifference,
}

/// A difference with its hash, ready to be published. The hash of a million accounts takes long. So
/// large differences are hashed in the [background](crate::platform::background).
#[derive(Debug, Clone)]
pub struct HashedDifference {
    /// The difference to publish.
    pub difference: Difference,
    /// The numbers of changed facts and accounts.
    pub counts: Counts,
    /// The hash of the difference.
    pub hash: String,
}

/// The numbers of facts and accounts that are added, changed and removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The facts and accounts that are added.
    pub added: i64,
    /// The facts that replace others.
    pub changed: i64,
    /// The facts and accounts that are removed.
    pub removed: i64,
}

impl Difference {
    /// Computes the difference between the current and the desired rows. The caller adds the
    /// audience.
    #[must_use]
    pub fn between(current: Vec<Entry>, desired: Vec<Entry>) -> Self {
        let mut remaining: HashMap<(FactKind, String), Entry> =
            current.into_iter().map(|entry| ((entry.kind, entry.key.clone()), entry)).collect();
        let mut difference = Self::default();
        for entry in desired {
            match remaining.remove(&(entry.kind, entry.key.clone())) {
                Some(current) if current == entry => {}
                Some(current) => {
                    difference.end.push(current);
                    difference.begin.push(entry);
                }
                None => difference.begin.push(entry),
            }
        }
        difference.end.extend(remaining.into_values());
        difference
    }

    /// Returns whether nothing has to be written.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.end.is_empty() && self.begin.is_empty() && self.audience.is_none()
    }

    /// Returns the numbers of changed facts and accounts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let entries = self.counts_of(|_| true);
        let accounts = |set: &roaring::RoaringBitmap| i64::try_from(set.len()).unwrap_or(i64::MAX);
        Counts {
            added: entries.added.saturating_add(accounts(&self.audience.joined)),
            changed: entries.changed,
            removed: entries.removed.saturating_add(accounts(&self.audience.left)),
        }
    }

    /// Returns the numbers of changed rows of some kinds.
    #[must_use]
    pub fn counts_of(&self, wanted: impl Fn(FactKind) -> bool) -> Counts {
        let ends: HashMap<(FactKind, &str), ()> = self
            .end
            .iter()
            .filter(|entry| wanted(entry.kind))
            .map(|entry| ((entry.kind, entry.key.as_str()), ()))
            .collect();
        let begins = self.begin.iter().filter(|entry| wanted(entry.kind));
        let (mut added, mut changed) = (0_i64, 0_i64);
        for entry in begins {
            if ends.contains_key(&(entry.kind, entry.key.as_str())) {
                changed = changed.saturating_add(1);
            } else {
                added = added.saturating_add(1);
            }
        }
        let ended = i64::try_from(ends.len()).unwrap_or(i64::MAX);
        Counts { added, changed, removed: ended.saturating_sub(changed) }
    }

    /// Adds the counts and the hash that the publication records.
    #[must_use]
    pub fn with_hash(self) -> HashedDifference {
        HashedDifference { counts: self.counts(), hash: self.hash(), difference: self }
    }

    /// Returns a hash of everything that is added and removed, independent of its order.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut sum = HashSum::default();
        for entry in &self.end {
            sum.add("END", entry);
        }
        for entry in &self.begin {
            sum.add("BEGIN", entry);
        }
        sum.add_accounts("LEFT", &self.audience.left);
        sum.add_accounts("JOINED", &self.audience.joined);
        sum.text()
    }
}

/// Returns a hash of rows and accounts, independent of their order.
#[must_use]
pub fn hash_of(entries: &[Entry], audience: &roaring::RoaringBitmap) -> String {
    let mut sum = HashSum::default();
    for entry in entries {
        sum.add("", entry);
    }
    sum.add_accounts("", audience);
    sum.text()
}

/// The sum of the hashes of all parts, which does not depend on their order.
#[derive(Default)]
struct HashSum(u128);

impl HashSum {
    fn add(&mut self, label: &str, entry: &Entry) {
        let mut hasher = Sha256::new();
        for text in [label, entry.kind.text(), &entry.key, &entry.facts] {
            hasher.update(text.as_bytes());
            // This byte does not occur in UTF-8, so the texts cannot run together.
            hasher.update([0xff]);
        }
        self.0 = self.0.wrapping_add(first_half(&hasher.finalize()));
    }

    fn add_accounts(&mut self, label: &str, accounts: &roaring::RoaringBitmap) {
        if accounts.is_empty() {
            return;
        }
        let mut hasher = Sha256::new();
        hasher.update(label.as_bytes());
        for ordinal in accounts {
            hasher.update(ordinal.to_be_bytes());
        }
        self.0 = self.0.wrapping_add(first_half(&hasher.finalize()));
    }

    fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// Returns the first 16 bytes of a digest as a number.
fn first_half(digest: &[u8]) -> u128 {
    digest.iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, facts: &str) -> Entry {
        Entry {
            kind: FactKind::Item,
            key: key.to_owned(),
            campaign_number: None,
            facts: facts.to_owned(),
        }
    }

    fn set(ordinals: &[u32]) -> roaring::RoaringBitmap {
        ordinals.iter().copied().collect()
    }

    #[test]
    fn only_differences_are_written() {
        let current = vec![entry("A", "1"), entry("B", "1"), entry("C", "1")];
        let desired = vec![entry("A", "1"), entry("B", "2"), entry("D", "1")];
        let mut difference = Difference::between(current, desired);
        difference.end.sort_by(|one, other| one.key.cmp(&other.key));
        assert_eq!(difference.end, [entry("B", "1"), entry("C", "1")]);
        assert_eq!(difference.begin, [entry("B", "2"), entry("D", "1")]);
        assert_eq!(difference.counts(), Counts { added: 1, changed: 1, removed: 1 });
        difference.audience = AudienceDifference::between(&set(&[1, 2, 600]), &set(&[2, 3]));
        assert_eq!(
            (&difference.audience.joined, &difference.audience.left),
            (&set(&[3]), &set(&[1, 600]))
        );
        assert_eq!(difference.counts(), Counts { added: 2, changed: 1, removed: 3 });
    }

    #[test]
    fn line_of_another_campaign_is_another_row() {
        let of = |campaign: &str| Entry {
            campaign_number: Some(campaign.to_owned()),
            ..entry("A", "1")
        };
        let difference = Difference::between(vec![of("ONE")], vec![of("TWO")]);
        assert_eq!(difference.counts(), Counts { added: 0, changed: 1, removed: 0 });
    }

    #[test]
    fn equal_rows_have_no_difference() {
        assert!(Difference::between(vec![entry("A", "1")], vec![entry("A", "1")]).is_none());
        assert!(AudienceDifference::between(&set(&[5]), &set(&[5])).is_none());
    }

    #[test]
    fn hash_does_not_depend_on_order() {
        let (one, other) = (entry("A", "1"), entry("B", "2"));
        let hash = |end: &[&Entry], begin: &[&Entry], joined: &[u32]| {
            let rows = |rows: &[&Entry]| rows.iter().map(|row| (*row).clone()).collect();
            let audience = AudienceDifference { joined: set(joined), left: set(&[]) };
            Difference { end: rows(end), begin: rows(begin), audience }.hash()
        };
        assert_eq!(hash(&[], &[&one, &other], &[]), hash(&[], &[&other, &one], &[]));
        assert_ne!(hash(&[], &[&one, &other], &[]), hash(&[&one], &[&other], &[]));
        assert_ne!(hash(&[], &[&one], &[1]), hash(&[], &[&one], &[2]));
    }
}
