//! What the book carries, what it is to carry, and the difference between the two: pure.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::audience::AudienceDifference;
use super::facts::FactKind;

/// A row of the book, or one that is to be.
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

/// What has to be written to bring the book from what it carries to what is wished.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Difference {
    /// Rows that end: those without successor, and those that a row in `begin` takes the place of.
    pub end: Vec<Entry>,
    /// Rows that begin.
    pub begin: Vec<Entry>,
    /// The audience of the campaign that is published.
    pub audience: AudienceDifference,
}

/// A difference that is ready to be published. To seal one of a million accounts takes a while:
/// where it may be so large, away from the threads that answer requests
/// ([`background`](crate::platform::background)).
#[derive(Debug, Clone)]
pub struct HashedDifference {
    /// What is to be written.
    pub difference: Difference,
    /// How much that is.
    pub counts: Counts,
    /// A hash of all of it.
    pub hash: String,
}

/// How many facts and accounts come, take the place of others, and go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Come.
    pub added: i64,
    /// Take the place of others.
    pub changed: i64,
    /// Go.
    pub removed: i64,
}

impl Difference {
    /// The difference between the rows in force and those that are wished; the audience is added by
    /// whoever knows it.
    #[must_use]
    pub fn between(current: Vec<Entry>, desired: Vec<Entry>) -> Self {
        let mut standing: HashMap<(FactKind, String), Entry> =
            current.into_iter().map(|entry| ((entry.kind, entry.key.clone()), entry)).collect();
        let mut difference = Self::default();
        for entry in desired {
            match standing.remove(&(entry.kind, entry.key.clone())) {
                Some(current) if current == entry => {}
                Some(current) => {
                    difference.end.push(current);
                    difference.begin.push(entry);
                }
                None => difference.begin.push(entry),
            }
        }
        difference.end.extend(standing.into_values());
        difference
    }

    /// Whether the book carries what is wished.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.end.is_empty() && self.begin.is_empty() && self.audience.is_none()
    }

    /// How much it changes.
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

    /// How much it changes of the rows of some kinds.
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

    /// The difference with what its publication says about it.
    #[must_use]
    pub fn with_hash(self) -> HashedDifference {
        HashedDifference { counts: self.counts(), hash: self.hash(), difference: self }
    }

    /// A hash of all that comes and goes, whatever the order.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut sum = Sum::default();
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

/// A hash of rows and accounts, whatever their order.
#[must_use]
pub fn hash_of(entries: &[Entry], audience: &roaring::RoaringBitmap) -> String {
    let mut sum = Sum::default();
    for entry in entries {
        sum.add("", entry);
    }
    sum.add_accounts("", audience);
    sum.text()
}

/// The sum of the hashes of the parts.
#[derive(Default)]
struct Sum(u128);

impl Sum {
    fn add(&mut self, what: &str, entry: &Entry) {
        let mut hasher = Sha256::new();
        for text in [what, entry.kind.text(), &entry.key, &entry.facts] {
            hasher.update(text.as_bytes());
            // No byte of UTF-8: so the texts cannot run together.
            hasher.update([0xff]);
        }
        self.0 = self.0.wrapping_add(first_half(&hasher.finalize()));
    }

    fn add_accounts(&mut self, what: &str, accounts: &roaring::RoaringBitmap) {
        if accounts.is_empty() {
            return;
        }
        let mut hasher = Sha256::new();
        hasher.update(what.as_bytes());
        for ordinal in accounts {
            hasher.update(ordinal.to_be_bytes());
        }
        self.0 = self.0.wrapping_add(first_half(&hasher.finalize()));
    }

    fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// The first 16 bytes of a digest as a number.
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
    fn only_what_differs_is_written() {
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
    fn a_line_that_moves_to_another_campaign_is_another_row() {
        let of = |campaign: &str| Entry {
            campaign_number: Some(campaign.to_owned()),
            ..entry("A", "1")
        };
        let difference = Difference::between(vec![of("ONE")], vec![of("TWO")]);
        assert_eq!(difference.counts(), Counts { added: 0, changed: 1, removed: 0 });
    }

    #[test]
    fn equal_is_no_difference() {
        assert!(Difference::between(vec![entry("A", "1")], vec![entry("A", "1")]).is_none());
        assert!(AudienceDifference::between(&set(&[5]), &set(&[5])).is_none());
    }

    #[test]
    fn the_hash_does_not_depend_on_the_order() {
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
