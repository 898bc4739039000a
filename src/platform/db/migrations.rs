//! Schema migrations: the owner of the schema applies them, and the service checks them at start.

use std::collections::BTreeSet;

use anyhow::Context as _;
use diesel::QueryResult;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{
    AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::pool::connect;
use super::session::Connector;

/// The migrations of `migrations/`, embedded in the binary.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// Gives the service's role its rights. The name of the role is in `kampanje.service_role`.
const PRIVILEGES: &str = include_str!("../../../migrations/privileges.sql");
/// The advisory lock of migrations, so that processes that start together migrate one after the
/// other.
const LOCK: i64 = 0x6b61_6d70_616e_6a65;

/// The reason why this build cannot use the schema of a database.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// Migrations of this build are missing.
    #[error(
        "the schema of the database ({current}) is older than this release ({expected}): run \
         `kampanje migrate` of this release first, with the role that owns the schema"
    )]
    Older {
        /// The latest migration of the database.
        current: String,
        /// The latest migration of this build.
        expected: String,
    },
    /// The database has migrations that this build does not know.
    #[error(
        "the schema of the database ({current}) is newer than this release ({expected}): start \
         the release that migrated it, or allow it for the release before that one \
         (KAMPANJE_ALLOW_NEWER_SCHEMA=true)"
    )]
    Newer {
        /// The latest migration of the database.
        current: String,
        /// The latest migration of this build.
        expected: String,
    },
}

/// Applies the pending migrations, and gives the service's role its rights. Blocks the caller.
///
/// # Errors
/// When the database is unavailable, a migration fails, or there is no such role. A failed
/// migration is rolled back.
pub fn migrate(url: &str, service_role: Option<&str>) -> anyhow::Result<()> {
    // Diesel's harness blocks inside a multi-threaded runtime, while those of actix are
    // single-threaded. So the migration runs on a runtime of its own.
    let run = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?
            .block_on(steps(url, service_role))
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| anyhow::bail!("the migration panicked"))
}

async fn steps(url: &str, service_role: Option<&str>) -> anyhow::Result<()> {
    // The lock belongs to a session, so the session must not be shared.
    Connector::new(url)?.check_sessions().await.context("the database cannot be migrated")?;
    let mut harness = AsyncMigrationHarness::new(locked_session(url).await?);
    let steps = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow::anyhow!(error))
        .context("a migration failed")?;
    for step in steps {
        tracing::info!(migration = %step, "applied a migration");
    }
    if let Some(role) = service_role {
        let mut conn = harness.into_inner();
        conn.transaction(async |conn| {
            diesel::sql_query("SELECT set_config('kampanje.service_role', $1, true)")
                .bind::<Text, _>(role)
                .execute(conn)
                .await?;
            conn.batch_execute(PRIVILEGES).await
        })
        .await
        .context("the rights of the service's role cannot be given")?;
        tracing::info!(role, "the service's role has its rights");
    }
    // Closing the session releases the lock.
    Ok(())
}

/// Opens a session that holds the lock. It has no time limits, because a process may wait for the
/// whole migration of another one.
async fn locked_session(url: &str) -> anyhow::Result<AsyncPgConnection> {
    let mut conn = connect(url).await.context("the database cannot be reached to migrate it")?;
    for limit in ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"] {
        diesel::sql_query(format!("SET {limit} = 0")).execute(&mut conn).await?;
    }
    let free = diesel::dsl::sql::<Bool>("pg_try_advisory_lock(").bind::<BigInt, _>(LOCK).sql(")");
    if !diesel::select(free).get_result::<bool>(&mut conn).await? {
        tracing::info!("waiting for another process to migrate the database");
        diesel::sql_query("SELECT pg_advisory_lock($1)")
            .bind::<BigInt, _>(LOCK)
            .execute(&mut conn)
            .await?;
    }
    Ok(conn)
}

/// Checks that the database has the schema of this build. A newer one can be allowed: migrations
/// leave the previous release working.
///
/// # Errors
/// A [`SchemaError`], or the failure of the database.
pub async fn check_schema(conn: &mut AsyncPgConnection, allow_newer: bool) -> anyhow::Result<()> {
    let table = "to_regclass('__diesel_schema_migrations') IS NOT NULL";
    let applied = if diesel::select(diesel::dsl::sql::<Bool>(table)).get_result(conn).await? {
        let query = diesel::sql_query("SELECT version FROM __diesel_schema_migrations");
        let applied: Vec<Applied> =
            query.load(conn).await.context("the version of the schema cannot be read")?;
        applied.into_iter().map(|row| row.version).collect()
    } else {
        BTreeSet::new()
    };
    Ok(compare(&known(MIGRATIONS)?, &applied, allow_newer)?)
}

/// Returns whether the role of a session has more rights than `migrations/privileges.sql` gives.
///
/// # Errors
/// When the database fails.
pub async fn may_change_history(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    let query = diesel::dsl::sql::<Bool>("has_table_privilege('publications', 'UPDATE')");
    diesel::select(query).get_result(conn).await
}

#[derive(diesel::QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Returns the versions of the migrations of this build.
fn known(source: impl MigrationSource<Pg>) -> anyhow::Result<BTreeSet<String>> {
    let migrations = source.migrations().map_err(|error| anyhow::anyhow!(error))?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

fn compare(
    known: &BTreeSet<String>,
    applied: &BTreeSet<String>,
    allow_newer: bool,
) -> Result<(), SchemaError> {
    let latest = |all: &BTreeSet<String>| all.last().map_or("none".to_owned(), String::clone);
    let (current, expected) = (latest(applied), latest(known));
    if !applied.is_subset(known) && !allow_newer {
        return Err(SchemaError::Newer { current, expected });
    }
    if !known.is_subset(applied) {
        return Err(SchemaError::Older { current, expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Text;

    use super::super::testing::Server;
    use super::*;

    /// Returns tables, columns, constraints and indexes of the schema as text.
    async fn schema(url: &str) -> Vec<String> {
        #[derive(diesel::QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            line: String,
        }
        let mut conn = connect(url).await.unwrap();
        let lines: Vec<Line> = diesel::sql_query(
            "SELECT format('%s.%s %s %s', table_name, column_name, data_type, is_nullable) AS line
             FROM information_schema.columns WHERE table_schema = 'public'
             UNION ALL
             SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
             ORDER BY line",
        )
        .load(&mut conn)
        .await
        .unwrap();
        lines.into_iter().map(|row| row.line).collect()
    }

    #[tokio::test]
    async fn concurrent_replicas_migrate_once() {
        let server = Server::start("migrations-together");
        let url = server.url();
        std::thread::scope(|scope| {
            for replica in [(); 4].map(|()| scope.spawn(|| migrate(&url, None))) {
                replica.join().unwrap().unwrap();
            }
        });
        migrate(&url, None).unwrap();
        assert!(schema(&url).await.len() > 1);
    }

    #[tokio::test]
    async fn migrations_are_reversible() {
        let server = Server::start("migrations-redo");
        let url = server.url();
        migrate(&url, None).unwrap();
        let before = schema(&url).await;
        let conn = connect(&url).await.unwrap();
        tokio::task::spawn_blocking(|| {
            AsyncMigrationHarness::new(conn).revert_all_migrations(MIGRATIONS).map(drop).unwrap();
        })
        .await
        .unwrap();
        let left: Vec<String> = schema(&url)
            .await
            .into_iter()
            .filter(|line| !line.contains("__diesel_schema_migrations"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        migrate(&url, None).unwrap();
        assert_eq!(schema(&url).await, before);
    }

    /// Returns the columns that the `diesel::table!` blocks declare, as `table.column type`.
    fn declared() -> Vec<String> {
        let (mut table, mut renamed, mut columns) = (String::new(), None, Vec::new());
        for line in include_str!("../../schema.rs").lines().map(str::trim) {
            if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with(") {")) {
                name.clone_into(&mut table);
            } else if let Some(name) = line.strip_prefix("#[sql_name = \"") {
                renamed = Some(name.trim_end_matches("\"]").to_owned());
            } else if let Some((column, kind)) = line.split_once(" -> ") {
                let column = renamed.take().unwrap_or_else(|| column.to_owned());
                columns.push(format!("{table}.{column} {}", kind.trim_end_matches(',')));
            }
        }
        columns.sort();
        columns
    }

    #[tokio::test]
    async fn schema_rs_matches_a_migrated_database() {
        #[derive(diesel::QueryableByName)]
        struct Column {
            #[diesel(sql_type = Text)]
            place: String,
            #[diesel(sql_type = Text)]
            kind: String,
            #[diesel(sql_type = Bool)]
            nullable: bool,
        }
        let server = Server::start("migrations-schema");
        migrate(&server.url(), None).unwrap();
        let columns: Vec<Column> = diesel::sql_query(
            "SELECT table_name || '.' || column_name AS place, udt_name::text AS kind,
                    is_nullable = 'YES' AS nullable
             FROM information_schema.columns
             JOIN information_schema.tables USING (table_schema, table_name)
             WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
               AND is_generated = 'NEVER' AND table_name NOT LIKE '\\_\\_diesel%'",
        )
        .load(&mut connect(&server.url()).await.unwrap())
        .await
        .unwrap();
        let mut migrated: Vec<String> = columns
            .into_iter()
            .map(|Column { place, kind, nullable }| {
                let kind = match kind.as_str() {
                    "_text" => "Array<Text>".to_owned(),
                    "_int4" => "Array<Int4>".to_owned(),
                    other => format!("{}{}", other[..1].to_uppercase(), &other[1..]),
                };
                if nullable {
                    format!("{place} Nullable<{kind}>")
                } else {
                    format!("{place} {kind}")
                }
            })
            .collect();
        migrated.sort();
        assert_eq!(declared(), migrated);
    }

    #[tokio::test]
    async fn no_index_equals_another_one() {
        #[derive(diesel::QueryableByName)]
        struct Equal {
            #[diesel(sql_type = Text)]
            indexes: String,
        }
        let server = Server::start("migrations-indexes");
        migrate(&server.url(), None).unwrap();
        // Two indexes are equal if they differ in name and uniqueness only.
        let query = "SELECT string_agg(indexrelid::regclass::text, ', ') AS indexes
            FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
            WHERE relnamespace = 'public'::regnamespace
            GROUP BY indrelid, indkey::text, indclass::text, indcollation::text, indoption::text,
                pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)
            HAVING count(*) > 1";
        let equal: Vec<Equal> = diesel::sql_query(query)
            .load(&mut connect(&server.url()).await.unwrap())
            .await
            .unwrap();
        let equal: Vec<String> = equal.into_iter().map(|row| row.indexes).collect();
        assert_eq!(equal, Vec::<String>::new());
    }

    #[test]
    fn schemas_of_other_releases() {
        let set = |versions: &[&str]| versions.iter().map(|text| (*text).to_owned()).collect();
        let known: BTreeSet<String> = set(&["1", "2"]);
        let check = |applied: &[&str], allow| match compare(&known, &set(applied), allow) {
            Ok(()) => "equal",
            Err(SchemaError::Older { .. }) => "older",
            Err(SchemaError::Newer { .. }) => "newer",
        };
        assert_eq!(
            [check(&["1", "2"], false), check(&["1"], false), check(&[], false)],
            ["equal", "older", "older"]
        );
        assert_eq!([check(&["1", "2", "3"], false), check(&["1", "3"], false)], ["newer"; 2]);
        assert_eq!([check(&["1", "2", "3"], true), check(&["1", "3"], true)], ["equal", "older"]);
    }

    #[test]
    fn unreachable_server_is_named_as_the_cause() {
        let error = migrate("postgres://u@%2Fnowhere/d", None).unwrap_err();
        assert!(format!("{error:#}").contains("out of reach"), "{error:#}");
    }
}
