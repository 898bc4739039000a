//! Lists: filter, order, keyset pages.
