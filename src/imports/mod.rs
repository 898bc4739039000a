//! Imports: files with rows of a resource, written by a worker through the batch path of the
//! resource.
//!
//! The request streams the file. It is unpacked, decoded and divided into rows while it arrives,
//! and the rows are kept in the database, in chunks of up to 1,000. Then the worker writes the
//! chunks: each transaction writes rows, counts them, and deletes their chunks. A process that is
//! killed leaves the chunks whose rows are not written, and the worker of any replica continues
//! with them. A lock of the session, which ends with it, ensures that one worker writes an import
//! at a time.
//!
//! ```text
//! targets.rs  the resources that can be imported
//! store.rs    imports, chunks and errors in the database
//! receive.rs  the file as it arrives
//! worker.rs   the writing of the rows
//! http.rs     the operations
//! ```

pub mod http;
mod receive;
mod store;
pub mod targets;
pub mod worker;

pub use store::delete_expired;
