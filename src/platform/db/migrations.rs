//! Schema migrations, applied at start.

use anyhow::Context as _;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::pool::connect;

/// The migrations of `migrations/`, embedded in the binary.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// The advisory lock of migrations, so that replicas that start together migrate one after the
/// other.
const LOCK: i64 = 0x6b61_6d70_616e_6a65;

/// Applies the pending migrations. Blocks the caller, so it belongs at start, before the service
/// listens.
///
/// # Errors
/// When the database is unavailable or a migration fails. A failed migration is rolled back.
pub fn migrate(url: &str) -> anyhow::Result<()> {
    // Diesel's harness blocks inside a multi-threaded runtime, while those of actix are
    // single-threaded. So the migration runs on a runtime of its own.
    let run = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?
            .block_on(steps(url))
    };
    std::thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| anyhow::bail!("the migration panicked"))
}

async fn steps(url: &str) -> anyhow::Result<()> {
    let mut harness = AsyncMigrationHarness::new(locked_session(url).await?);
    let steps = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow::anyhow!(error))
        .context("a migration failed")?;
    for step in steps {
        tracing::info!(migration = %step, "applied a migration");
    }
    // Closing the session releases the lock.
    Ok(())
}

/// Opens a session that holds the lock. It has no time limits, because a replica may wait for the
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
            for replica in [(); 4].map(|()| scope.spawn(|| migrate(&url))) {
                replica.join().unwrap().unwrap();
            }
        });
        migrate(&url).unwrap();
        assert!(schema(&url).await.len() > 1);
    }

    #[tokio::test]
    async fn migrations_are_reversible() {
        let server = Server::start("migrations-redo");
        let url = server.url();
        migrate(&url).unwrap();
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
        migrate(&url).unwrap();
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
        migrate(&server.url()).unwrap();
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

    #[test]
    fn unreachable_server_is_named_as_the_cause() {
        let error = migrate("postgres://u@%2Fnowhere/d").unwrap_err();
        assert!(format!("{error:#}").contains("out of reach"), "{error:#}");
    }
}
