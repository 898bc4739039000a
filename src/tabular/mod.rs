//! Tables: resources as the rows of CSV, NDJSON and XLSX files, for imports and exports.
//!
//! A table has one column for each value of a resource, named by its place: `number`,
//! `customer.number`, `unitsOfMeasure[0].code`. The types of the columns come from the schema of
//! the resource, so a cell becomes the JSON that a client would have sent.
//!
//! ```text
//! format.rs   the formats and their media types
//! shape.rs    the fields of a resource, from its schema
//! columns.rs  the columns of a table, and the conversion between rows and resources
//! cell.rs     one cell
//! body.rs     the bytes of a file: gzip and encodings, with their limits
//! read.rs     the rows of a file
//! workbook.rs the rows of a workbook
//! write.rs    the files of exports
//! ```

pub mod body;
pub mod cell;
pub mod columns;
mod format;
pub mod read;
pub mod shape;
pub mod workbook;
pub mod write;

pub use format::{CSV, Format, NDJSON, XLSX};
