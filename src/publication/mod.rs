//! The price book: its versions in the database, and the snapshot of it in memory.
//!
//! ```text
//! facts.rs               the facts of the book, and the changes between versions
//! facts_sql.rs           queries that build facts from the drafts; line_drafts.rs for lines
//! difference.rs          the difference between the current and the desired rows; pure
//! published_campaign.rs  the rows and accounts of one campaign: in force, or as of a version
//! writer.rs              publishes a difference as one version, in the transaction of the change
//! audience.rs            audiences in the database
//! reader.rs              reads drafts and book as rows and changes
//! item_history.rs        reads all versions of a period for one item and one account
//! snapshot.rs            the snapshot in memory; apply.rs advances it, export.rs iterates over it
//! listing.rs             iterates over items and accounts of a snapshot in order
//! http.rs                the history over HTTP; compare.rs compares two versions,
//!                        price_changes.rs lists the changes for external copies
//! live.rs                the snapshot that quotes read, and its refresher; disk.rs writes it to
//!                        disk, check.rs compares it with the database
//! ```

mod apply;
pub mod audience;
pub mod check;
mod compare;
mod cow_vec;
pub mod difference;
pub mod disk;
mod export;
pub mod facts;
mod facts_sql;
pub mod http;
mod interner;
pub mod item_history;
mod line_drafts;
pub mod listing;
pub mod live;
mod price_changes;
pub(crate) mod published_campaign;
mod read_error;
pub mod reader;
pub mod snapshot;
pub mod writer;
