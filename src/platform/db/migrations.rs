//! Brings the schema up to date at start.

use anyhow::Context as _;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::pool::connect;

/// The steps of `migrations/`, inside the binary.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
/// Whoever migrates holds this advisory lock, so that replicas starting together do not step on each other.
const LOCK: i64 = 0x6b61_6d70_616e_6a65;

/// Runs the steps that the database has not seen yet. Blocks the caller: it belongs at start, before anything is served.
///
/// # Errors
/// When the database is out of reach or a step fails; a failed step leaves nothing behind.
pub fn migrate(url: &str) -> anyhow::Result<()> {
    // Diesel's harness blocks inside a multi-threaded runtime, and actix's are single-threaded: so it gets one of its own.
    let run =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(steps(url));
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_| anyhow::bail!("the migration panicked"))
}

async fn steps(url: &str) -> anyhow::Result<()> {
    let mut conn = connect(url).await.context("the database cannot be reached to migrate it")?;
    // A replica may wait here for as long as another's migration takes.
    diesel::sql_query("SET lock_timeout = 0").execute(&mut conn).await?;
    diesel::sql_query("SET statement_timeout = 0").execute(&mut conn).await?;
    diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(&mut conn).await?;
    let mut harness = AsyncMigrationHarness::new(conn);
    let steps = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow::anyhow!(error))
        .context("a migration failed")?;
    for step in steps {
        tracing::info!(step = %step, "migrated the database");
    }
    // The session ends here, and its lock with it.
    Ok(())
}
