//! Problems of failed statements, except violated constraints.

use diesel::result::{DatabaseErrorKind, Error};

use super::problem::Problem;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => {
                Self::concurrent_change()
            }
            // The primary has become a standby. Later connections find its successor.
            Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Self {
                detail: "the database takes no changes at present; nothing was changed".to_owned(),
                ..Self::concurrent_change()
            },
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            )
            | Error::BrokenTransactionManager => Self::unavailable(&error),
            Error::DatabaseError(_, information) => match information.message() {
                // Diesel has no kinds for deadlocks, timeouts and a server that shuts down.
                text if text.contains("deadlock detected") || text.contains("lock timeout") => {
                    Self::concurrent_change()
                }
                text if text.contains("statement timeout") => Self::query_timeout(),
                // Canceled by an operator, or on a standby because of a recovery conflict.
                text if text.contains("canceling statement") => Self {
                    detail: "the database canceled the statement; nothing was changed".to_owned(),
                    ..Self::concurrent_change()
                },
                text if text.contains("No space left on device")
                    || text.contains("could not extend file") =>
                {
                    Self {
                        detail: "the database has no space left; nothing was changed".to_owned(),
                        ..Self::unavailable(&error)
                    }
                }
                text if text.contains("terminating connection")
                    || text.contains("connection closed") =>
                {
                    Self::unavailable(&error)
                }
                _ => Self::internal(&error),
            },
            _ => Self::internal(&error),
        }
    }
}
