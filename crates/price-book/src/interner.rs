//! String interning: dense numbers for business keys, which the snapshot uses inside.
//!
//! A key keeps its number while snapshots are advanced, even if it is no longer in use. A rebuilt
//! snapshot has other numbers. *Invariant:* the numbers never leave the snapshot.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use hashbrown::{DefaultHashBuilder, HashTable};
use smol_str::SmolStr;

use super::cow_vec::CowVec;

/// The number of shards of the table, which are copied separately. A million keys make shards of
/// four thousand.
const SHARDS: usize = 256;

/// A numbering of keys.
#[derive(Debug, Clone)]
pub struct Interner {
    hasher: DefaultHashBuilder,
    /// The numbers, by the hash of their keys. The keys are only stored in `texts`.
    shards: Vec<Arc<HashTable<u32>>>,
    /// The keys. Keys of up to 23 bytes, which is nearly all, are stored inline.
    texts: CowVec<Option<SmolStr>>,
    next: u32,
    /// The numbers in the order of their keys, once requested. Shared until a key is added, which
    /// few versions do.
    order: Arc<OnceLock<Arc<[u32]>>>,
}

impl Interner {
    /// Creates an interner without keys. The first number is `first`.
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

    /// Returns the number of a key, if it has one.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.shards
            .get(shard_of(hash))?
            .find(hash, |index| self.text(*index) == Some(text))
            .copied()
    }

    /// Returns the key with the number.
    #[must_use]
    pub fn text(&self, index: u32) -> Option<&str> {
        self.texts.get(index)?.as_deref()
    }

    /// Returns all numbers in the order of their keys. The first call sorts them, which takes about
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

    /// Returns the number of a key, which is added if it is new. Numbers are 32 bits wide, which no
    /// book exceeds.
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(index) = self.find(text) {
            return index;
        }
        let index = self.next;
        self.next = self.next.saturating_add(1);
        match Arc::get_mut(&mut self.order) {
            Some(order) => drop(order.take()),
            // An older snapshot shares the cell and can still sort its own keys.
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

/// Returns the shard of a hash. The table uses the highest and lowest bits of the hash, so the
/// shard is taken from the bits in between.
fn shard_of(hash: u64) -> usize {
    usize::try_from((hash >> 32) % 256).unwrap_or_default()
}
