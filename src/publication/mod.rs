//! The price book in the database: its versions, what publishes them, and their history.
//!
//! The book in memory is the crate `price_book`; `live_book` keeps a snapshot of it current.
//!
//! ```text
//! facts_sql.rs           queries that build facts from the drafts; line_drafts.rs for lines
//! difference.rs          the difference between the current and the desired rows; pure
//! published_campaign.rs  the rows and accounts of one campaign: in force, or as of a version
//! writer.rs              publishes a difference as one version, in the transaction of the change
//! audience.rs            audiences in the database
//! reader.rs              reads drafts and book as rows and changes
//! item_history.rs        reads all versions of a period for one item and one account
//! book_id.rs             the identity of the history, in requests
//! http.rs                the history over HTTP; compare.rs compares two versions,
//!                        price_changes.rs lists the changes for external copies
//! ```

pub mod audience;
pub mod book_id;
mod compare;
pub mod difference;
mod facts_sql;
pub mod http;
pub mod item_history;
mod line_drafts;
mod price_changes;
pub(crate) mod published_campaign;
mod read_error;
pub mod reader;
pub mod writer;
