//! A copy-on-write vector of pages that snapshots share. Changing an element copies its page, once
//! per version.

use std::sync::Arc;

/// The number of elements of a page: small enough to copy for one change, large enough that the
/// list of pages stays short.
const PAGE_LENGTH: usize = 256;

/// A vector of values by dense number. Elements that were never set have the default value.
#[derive(Debug, Clone)]
pub struct CowVec<T> {
    pages: Vec<Arc<Vec<T>>>,
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T: Clone + Default> CowVec<T> {
    /// Returns the value at an index, if its page exists.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (page, place) = split(index);
        self.pages.get(page)?.get(place)
    }

    /// Returns the value at an index for modification. The page is copied if another snapshot
    /// shares it. Missing pages are added, so the result is never `None`.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (page, place) = split(index);
        while self.pages.len() <= page {
            self.pages.push(Arc::new(vec![T::default(); PAGE_LENGTH]));
        }
        Arc::make_mut(self.pages.get_mut(page)?).get_mut(place)
    }

    /// Iterates over all elements with their indexes, including those that were never set.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..).zip(self.pages.iter().flat_map(|page| page.iter()))
    }
}

/// Returns the page of an index, and the index within the page.
fn split(index: u32) -> (usize, usize) {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    (index / PAGE_LENGTH, index % PAGE_LENGTH)
}
