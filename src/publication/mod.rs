//! The price book: what counts, as versions, and its copy in memory.
//!
//! ```text
//! facts.rs        what can stand in the book, and what a step changes
//! facts_sql.rs    the same, made from the drafts by the database; line_drafts.rs those of lines, of which there are many
//! difference.rs   what the book carries against what is wished: pure
//! published_campaign.rs        all that is carried of one campaign: in force, as of a version
//! writer.rs       a difference → one version, in the transaction of the change
//! announce.rs     tells others of it, in the same transaction
//! audience.rs     who a campaign is for, in the database
//! reader.rs       drafts and book → rows and changes: the way out of the database
//! item_history.rs       the same, for one item and account and all versions of a time
//! snapshot.rs     the copy in memory; apply.rs advances it, export.rs lists it
//! listing.rs      items and accounts of a snapshot in the order of their numbers
//! http.rs         the history over HTTP; compare.rs two versions of it, price_changes.rs what a copy elsewhere has to follow
//! live.rs         the copy that quotes read, kept up to date; disk.rs keeps it on disk, check.rs compares it with the database
//! ```

mod announce;
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
pub mod reader;
pub mod snapshot;
pub mod writer;
