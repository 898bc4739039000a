//! The price book: what counts, as versions, and its copy in memory.
//!
//! ```text
//! facts.rs        what can stand in the book, and what a step changes
//! facts_sql.rs    the same, made from the drafts by the database
//! writer.rs       drafts → book: one version, in the transaction of the change
//! announce.rs     tells others of it, in the same transaction
//! reader.rs       book → changes: the way back out of the database
//! snapshot.rs     the copy in memory; apply.rs advances it, export.rs lists it
//! http.rs         the history over HTTP
//! live.rs         the copy that quotes read, kept up to date
//! ```

mod announce;
mod apply;
mod export;
pub mod facts;
mod facts_sql;
pub mod http;
pub mod live;
mod names;
mod paged;
pub mod reader;
pub mod snapshot;
pub mod writer;
