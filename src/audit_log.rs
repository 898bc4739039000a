//! The audit log: which caller did what, and what it was refused.
//!
//! [`Database::transact`](crate::unit_of_work::Database::transact) writes an entry for each effect,
//! in the same transaction. `src/audit_entries/` lists the entries and records refusals.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::schema::audit_entries;

/// The operation of an entry that no request caused.
const BACKGROUND: &str = "background";
/// Maximum length of a recorded path in bytes. Longer paths are cut.
const MAX_PATH_LENGTH: usize = 1_024;

/// An entry to record.
#[derive(Debug, Clone, Copy)]
pub struct AuditEntry<'a> {
    /// The identity of the caller.
    pub subject: &'a str,
    /// The operation in the OpenAPI document, or `background`.
    pub operation_id: &'a str,
    /// The path of the request, without its query; empty without request.
    pub path: &'a str,
    /// The status of the response; 0 without request.
    pub status: u16,
    /// The trace id of the request; empty without request.
    pub trace_id: &'a str,
    /// The version that the effect published.
    pub publication_version: Option<i64>,
}

impl<'a> AuditEntry<'a> {
    /// Creates the entry of work that no request caused.
    #[must_use]
    pub const fn of_background(subject: &'a str, publication_version: Option<i64>) -> Self {
        Self {
            subject,
            operation_id: BACKGROUND,
            path: "",
            status: 0,
            trace_id: "",
            publication_version,
        }
    }
}

/// Records an entry.
///
/// # Errors
/// When the database fails.
pub async fn record(conn: &mut AsyncPgConnection, entry: AuditEntry<'_>) -> QueryResult<()> {
    let path = entry.path.get(..entry.path.floor_char_boundary(MAX_PATH_LENGTH));
    let row = (
        audit_entries::id.eq(Uuid::now_v7()),
        audit_entries::subject.eq(entry.subject),
        audit_entries::operation_id.eq(entry.operation_id),
        audit_entries::path.eq(path.unwrap_or_default()),
        audit_entries::status.eq(i16::try_from(entry.status).unwrap_or_default()),
        audit_entries::trace_id.eq(entry.trace_id),
        audit_entries::publication_version.eq(entry.publication_version),
    );
    diesel::insert_into(audit_entries::table).values(row).execute(conn).await.map(drop)
}

/// Replaces the matches of a regular expression in paths, regardless of case. The database requires
/// that the replacement contains `***`.
///
/// # Errors
/// When the database fails.
pub async fn redact_paths(
    conn: &mut AsyncPgConnection,
    pattern: &str,
    replacement: &str,
) -> QueryResult<usize> {
    let query = "UPDATE audit_entries SET path = regexp_replace(path, $1, $2, 'gi')
        WHERE path ~* $1";
    let query = diesel::sql_query(query).bind::<Text, _>(pattern).bind::<Text, _>(replacement);
    query.execute(conn).await
}

/// Deletes the entries that are older than the retention time.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    retention: TimeDelta,
) -> QueryResult<usize> {
    let old = audit_entries::table.filter(audit_entries::at.lt(now - retention));
    diesel::delete(old).execute(conn).await
}
