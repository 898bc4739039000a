//! The lock between changes of contacts and changes of segments by rule.
//!
//! A change of a contact evaluates all rules for it at its end, and a change of a rule evaluates it
//! for all contacts. Without a lock neither might see the other. Changes of contacts share the
//! lock, so they do not wait for each other. It comes before the locks of contacts and segments.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use values::Key;

use crate::unit_of_work::UnitOfWork;

/// The key of the advisory lock.
const RULES_LOCK: i64 = 0x6b6d_706a_7275_6c65;

/// Waits until no rule is being changed, and until the transaction ends none is.
///
/// # Errors
/// If the database fails.
pub(super) async fn share_rules(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    let lock = diesel::sql_query("SELECT pg_advisory_xact_lock_shared($1)");
    lock.bind::<BigInt, _>(RULES_LOCK).execute(conn).await.map(drop)
}

/// Waits until no contact is being changed, and until the transaction ends none is.
///
/// # Errors
/// If the database fails.
pub async fn lock_rules(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    let lock = diesel::sql_query("SELECT pg_advisory_xact_lock($1)");
    lock.bind::<BigInt, _>(RULES_LOCK).execute(conn).await.map(drop)
}

/// Removes the segment lines of a contact that rules have made, so that the contact can be deleted.
/// Records the changed targets.
///
/// # Errors
/// If the database fails.
pub(super) async fn leave_rules(work: &mut UnitOfWork, contact: &Key) -> QueryResult<()> {
    #[derive(diesel::QueryableByName)]
    struct Left {
        #[diesel(sql_type = SqlText)]
        campaign_number: String,
    }
    let query = "WITH gone AS (DELETE FROM segment_lines AS lines USING segments
            WHERE segments.number = lines.segment_number AND segments.membership = 'RULE'
                AND lines.contact_number = $1
            RETURNING segments.campaign_number)
        SELECT campaign_number FROM gone WHERE campaign_number IS NOT NULL";
    let left: Vec<Left> =
        diesel::sql_query(query).bind::<SqlText, _>(contact).load(&mut work.conn).await?;
    for Left { campaign_number } in left {
        let targets = work.changed_keys.targets.entry(campaign_number).or_default();
        targets.insert(contact.to_string());
    }
    Ok(())
}
