//! A list in pages that snapshots share: changing one place copies its page, once per step, and
//! nothing else.

use std::sync::Arc;

/// Places in one page: small enough to copy for one change, large enough that the list of pages
/// stays short.
const PAGE: usize = 256;

/// A list of values by dense number. Places never set hold the default.
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
    /// The value at a place, if its page was ever written.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (page, place) = split(index);
        self.pages.get(page)?.get(place)
    }

    /// The value at a place, to be changed; the page is copied if another snapshot shares it.
    /// `None` never occurs: the pages up to the place are added first.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (page, place) = split(index);
        while self.pages.len() <= page {
            self.pages.push(Arc::new(vec![T::default(); PAGE]));
        }
        Arc::make_mut(self.pages.get_mut(page)?).get_mut(place)
    }

    /// All places with their numbers, those never set included.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..).zip(self.pages.iter().flat_map(|page| page.iter()))
    }
}

/// The page, and the place in it.
fn split(index: u32) -> (usize, usize) {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    (index / PAGE, index % PAGE)
}
