//! Advisory locks that are named by texts.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Locks a name in a namespace until the transaction ends. Returns false if another session has it.
///
/// # Errors
/// When the database fails.
pub async fn try_lock(
    conn: &mut AsyncPgConnection,
    namespace: i64,
    name: &str,
) -> QueryResult<bool> {
    let lock = diesel::dsl::sql::<Bool>("pg_try_advisory_xact_lock(hashtextextended(")
        .bind::<Text, _>(name)
        .sql(", ")
        .bind::<BigInt, _>(namespace)
        .sql("))");
    diesel::select(lock).get_result(conn).await
}
