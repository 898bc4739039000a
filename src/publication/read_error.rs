//! The error of reading the price book from the database.

use crate::platform::http::problem::Problem;

/// The reason for which the book could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database failed.
    #[error("the price book could not be read: {0}")]
    Database(#[from] diesel::result::Error),
    /// A row is not readable by this build.
    #[error("the price book holds {kind} {key}, which this build cannot read: {cause}")]
    Unknown {
        /// The row's kind.
        kind: String,
        /// The row's key.
        key: String,
        /// The error of the row.
        cause: String,
    },
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error) => error.into(),
            error @ ReadError::Unknown { .. } => Self::internal(error),
        }
    }
}

/// Returns the error of a row that this build cannot read.
pub(super) fn unreadable(kind: &str, key: &str, cause: &impl ToString) -> ReadError {
    ReadError::Unknown { kind: kind.to_owned(), key: key.to_owned(), cause: cause.to_string() }
}
