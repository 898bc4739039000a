//! The plain resource: list, get, create, replace, patch, delete and batch, implemented once for
//! all resources.
//!
//! A module implements [`Resource`] (reading and writing of its rows) and mounts it; handlers
//! contain no decisions of their own.
//!
//! ```text
//! definition.rs  the trait `Resource`, which a module implements
//! table.rs       macros that write most of an implementation over one table
//! constraints.rs the constraints of the database as the client sees them
//! export.rs      the list as a table
//! handlers.rs    the operations on one resource, and the list
//! batch.rs       many rows in one request
//! mount.rs       the operations in the route table, with their documentation
//! ```

pub mod batch;
pub mod constraints;
mod definition;
mod export;
mod handlers;
pub mod mount;
pub mod table;

pub use definition::{
    IfExists, Names, Origin, Resource, RowWrite, SaveError, Scope, ids_of, path_in, reference,
};
pub use export::field;
pub use handlers::{checked, make, refusal, require, respond, validate_only, with_etag};
