//! A database for each test, copied from one that was migrated once; the server is private to the process and ends with it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel_async::RunQueryDsl;
use kampanje::platform::db::migrations::migrate;
use kampanje::platform::db::pool::connect;
use kampanje::platform::embedded_postgres::{Durability, EmbeddedPostgres, Settings};
use tokio::sync::OnceCell;

static SERVER: OnceLock<EmbeddedPostgres> = OnceLock::new();
static TEMPLATE: OnceCell<()> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The URL of a new database with the schema and nothing else.
pub async fn new_database() -> String {
    let server = SERVER.get_or_init(|| {
        let data_dir = std::env::temp_dir().join(format!("kampanje-test-{}", std::process::id()));
        EmbeddedPostgres::start(Settings::new(data_dir, Durability::Throwaway)).unwrap()
    });
    TEMPLATE
        .get_or_init(|| async {
            server.create_database_if_missing("template").unwrap();
            migrate(&server.url("template")).unwrap();
        })
        .await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut conn = connect(&server.url("postgres")).await.unwrap();
    diesel::sql_query(format!("CREATE DATABASE {name} TEMPLATE template")).execute(&mut conn).await.unwrap();
    server.url(&name)
}
