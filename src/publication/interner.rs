//! Dense numbers for business keys: everything behind the edge of the snapshot works with the
//! numbers.
//!
//! A key keeps its number as long as snapshots are advanced, whether or not anything still bears
//! it; a rebuild numbers anew. *Invariant:* so the numbers never leave the snapshot.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use hashbrown::{DefaultHashBuilder, HashTable};
use smol_str::SmolStr;

use super::cow_vec::CowVec;

/// Parts of the table that are copied on their own: a million keys make parts of four thousand.
const SHARDS: usize = 256;

/// A numbering of keys.
#[derive(Debug, Clone)]
pub struct Interner {
    hasher: DefaultHashBuilder,
    /// The numbers, by the hash of their keys; the keys themselves lie in `texts` only.
    shards: Vec<Arc<HashTable<u32>>>,
    /// Keys of up to 23 bytes lie in place: nearly all of them.
    texts: CowVec<Option<SmolStr>>,
    next: u32,
    /// The numbers in the order of their keys, once somebody has asked. Shared until a key is
    /// added: most steps add none.
    order: Arc<OnceLock<Arc<[u32]>>>,
}

impl Interner {
    /// No keys; the first number is `first`.
    #[must_use]
    pub fn starting_at(first: u32) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: (0..SHARDS).map(|_| Arc::default()).collect(),
            texts: CowVec::default(),
            next: first,
            order: Arc::default(),
        }
    }

    /// The number of a key.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.shards
            .get(shard_of(hash))?
            .find(hash, |index| self.text(*index) == Some(text))
            .copied()
    }

    /// The key with the number.
    #[must_use]
    pub fn text(&self, index: u32) -> Option<&str> {
        self.texts.get(index)?.as_deref()
    }

    /// All numbers in the order of their keys. The first to ask waits until they are sorted, about
    /// a second for a million keys.
    #[must_use]
    pub fn in_order(&self) -> Arc<[u32]> {
        let sort = || {
            let mut keys: Vec<(&str, u32)> =
                (0..self.next).filter_map(|index| Some((self.text(index)?, index))).collect();
            keys.sort_unstable();
            keys.into_iter().map(|(_, index)| index).collect()
        };
        Arc::clone(self.order.get_or_init(sort))
    }

    /// The number of a key, a new one if need be. Four thousand million keys are more than any book
    /// has.
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(index) = self.find(text) {
            return index;
        }
        let index = self.next;
        self.next = self.next.saturating_add(1);
        match Arc::get_mut(&mut self.order) {
            Some(order) => drop(order.take()),
            // An older snapshot shares it, and may sort its own keys yet.
            None => self.order = Arc::default(),
        }
        if let Some(place) = self.texts.get_mut(index) {
            *place = Some(SmolStr::new(text));
        }
        let hash = self.hasher.hash_one(text);
        if let Some(shard) = self.shards.get_mut(shard_of(hash)) {
            let (hasher, texts) = (&self.hasher, &self.texts);
            let rehash = |index: &u32| {
                hasher.hash_one(texts.get(*index).and_then(Option::as_deref).unwrap_or_default())
            };
            Arc::make_mut(shard).insert_unique(hash, index, rehash);
        }
        index
    }
}

/// The part of the table; the table itself uses the top and the bottom bits of the hash, so the
/// ones between are taken.
fn shard_of(hash: u64) -> usize {
    usize::try_from((hash >> 32) % 256).unwrap_or_default()
}
