//! A database for each test, copied from one that was migrated once; a copy takes some 40 ms.
//!
//! The server is that of `TEST_DATABASE_URL`, whose role has to be allowed to create databases and
//! roles, or else a private one that lives as long as this process. Processes that share a server
//! share the migrated database too. Services use the role with the service's rights, so every test
//! also shows that these rights suffice.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use embedded_postgres::{Durability, EmbeddedPostgres, SERVICE_ROLE, Settings};
use kampanje::platform::db::migrations::migrate;
use kampanje::platform::db::pool::connect;
use rustix::fs::statvfs;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The advisory lock that protects the creation of the migrated database.
const LOCK: i64 = 0x6b61_6d70_7465_7374;

/// The bytes that a file system in memory must have free for the private server.
const MIN_FREE_MEMORY: u64 = 4 << 30;

static SERVER: OnceLock<Server> = OnceLock::new();
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

enum Server {
    /// Never dropped, because it is a static. Its watchdog notices the end of this process, stops
    /// the server and removes its data.
    Own(EmbeddedPostgres),
    Given(String),
}

impl Server {
    fn get() -> &'static Self {
        SERVER.get_or_init(|| match std::env::var("TEST_DATABASE_URL") {
            Ok(url) if !url.is_empty() => Self::Given(url),
            _ => {
                let data_dir =
                    temp_dir().join(format!("kampanje-test-{}", Uuid::now_v7().simple()));
                let settings = Settings::new(data_dir, Durability::Throwaway);
                Self::Own(EmbeddedPostgres::start(settings).unwrap())
            }
        })
    }

    /// Returns the URL of a database of this server, by default of the maintenance database.
    fn url(&self, database: Option<&str>) -> String {
        match (self, database) {
            (Self::Own(server), _) => server.url(database.unwrap_or("postgres")),
            (Self::Given(url), None) => url.clone(),
            (Self::Given(url), Some(database)) => with_database(url, database),
        }
    }
}

/// Returns the folder for the private server: in memory if there is room. A database has hundreds
/// of files, and each test creates one, which took a sixth of the suite's time on ext4.
fn temp_dir() -> PathBuf {
    let in_memory = Path::new("/dev/shm");
    let free = statvfs(in_memory).map_or(0, |found| found.f_bavail * found.f_frsize);
    if free >= MIN_FREE_MEMORY { in_memory.to_owned() } else { std::env::temp_dir() }
}

/// A database that is dropped with the value.
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// Creates a database with the schema only.
    pub async fn new() -> Self {
        let template = TEMPLATE.get_or_init(template).await;
        let name = format!("kampanje_test_{}", Uuid::now_v7().simple());
        let mut conn = connect_to_maintenance_database().await;
        execute(&mut conn, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { name }
    }

    /// Creates a database without a schema.
    pub async fn empty() -> Self {
        let name = format!("kampanje_test_{}", Uuid::now_v7().simple());
        execute(&mut connect_to_maintenance_database().await, &format!("CREATE DATABASE {name}"))
            .await;
        Self { name }
    }

    /// Ends all sessions, and refuses new ones.
    pub async fn close(&self) {
        let mut conn = connect_to_maintenance_database().await;
        execute(&mut conn, &format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", self.name))
            .await;
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        execute(&mut conn, &end).await;
    }

    /// Accepts sessions again.
    pub async fn open(&self) {
        execute(
            &mut connect_to_maintenance_database().await,
            &format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", self.name),
        )
        .await;
    }

    /// Returns the URL for the role that owns the schema.
    pub fn url(&self) -> String {
        Server::get().url(Some(&self.name))
    }

    /// Returns the URL for the role that has the service's rights only.
    pub fn service_url(&self) -> String {
        match Server::get() {
            Server::Own(server) => server.service_url(&self.name),
            // That server may want a password for another role. Its own role may become the other.
            Server::Given(_) => {
                let url = self.url();
                let separator = if url.contains('?') { '&' } else { '?' };
                format!("{url}{separator}options=-c%20role%3D{SERVICE_ROLE}")
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // On its own thread, because the test's runtime cannot be blocked from inside. Best effort:
        // a second panic in a failed test would abort the whole process.
        let dropped = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                execute(&mut connect_to_maintenance_database().await, &statement).await
            });
        });
        if dropped.join().is_err() {
            eprintln!("database {} stays behind", self.name);
        }
    }
}

/// Returns the name of the migrated database, and creates it if this server lacks these migrations.
async fn template() -> String {
    let mut hasher = DefaultHasher::new();
    hash_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"), &mut hasher);
    let name = format!("kampanje_template_{:016x}", hasher.finish());
    let mut conn = connect_to_maintenance_database().await;
    // Another process may hold the lock for longer than the usual statement timeout.
    execute(&mut conn, "SET statement_timeout = 0").await;
    execute(&mut conn, "SET lock_timeout = 0").await;
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(&mut conn)
        .await
        .unwrap();
    let exists = diesel::dsl::sql::<Bool>("EXISTS (SELECT FROM pg_database WHERE datname = ")
        .bind::<Text, _>(&name)
        .sql(")");
    if !diesel::select(exists).get_result::<bool>(&mut conn).await.unwrap() {
        // Renamed when complete, so that an interrupted migration is never used.
        execute(&mut conn, &format!("DROP DATABASE IF EXISTS {name}_unfinished WITH (FORCE)"))
            .await;
        execute(&mut conn, &format!("CREATE DATABASE {name}_unfinished")).await;
        let role = format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVICE_ROLE}') \
             THEN CREATE ROLE {SERVICE_ROLE} LOGIN; END IF; END $$"
        );
        execute(&mut conn, &role).await;
        let url = Server::get().url(Some(&format!("{name}_unfinished")));
        migrate(&url, Some(SERVICE_ROLE)).unwrap();
        execute(&mut conn, &format!("ALTER DATABASE {name}_unfinished RENAME TO {name}")).await;
    }
    // The end of the session releases the lock.
    name
}

fn hash_files(directory: &Path, hasher: &mut impl Hasher) {
    let mut paths: Vec<_> =
        directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        path.file_name().hash(hasher);
        if path.is_dir() {
            hash_files(&path, hasher)
        } else {
            std::fs::read(&path).unwrap().hash(hasher)
        }
    }
}

async fn connect_to_maintenance_database() -> AsyncPgConnection {
    connect(&Server::get().url(None)).await.unwrap()
}

async fn execute(conn: &mut AsyncPgConnection, statement: &str) {
    diesel::sql_query(statement)
        .execute(conn)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Replaces the database in a URL, and keeps the server and the parameters.
fn with_database(url: &str, database: &str) -> String {
    let (address, parameters) =
        url.split_once('?').map_or((url, String::new()), |(a, p)| (a, format!("?{p}")));
    let (scheme, rest) = address.split_once("://").expect("TEST_DATABASE_URL is a URL");
    let host = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{host}/{database}{parameters}")
}

#[tokio::test]
async fn databases_are_isolated() {
    let (one, other) = tokio::join!(TestDatabase::new(), TestDatabase::new());
    let count = async |database: &TestDatabase, change: &str| -> i64 {
        let mut conn = connect(&database.url()).await.unwrap();
        execute(&mut conn, change).await;
        let count = diesel::dsl::sql::<BigInt>("(SELECT count(*) FROM settings)");
        diesel::select(count).get_result(&mut conn).await.unwrap()
    };
    assert_eq!(count(&one, "DELETE FROM settings").await, 0);
    assert_eq!(count(&other, "SELECT 1").await, 1);
    let (url, name) = (one.url(), one.name.clone());
    drop(one);
    let error = connect(&url).await.err().unwrap().to_string();
    assert!(error.contains(&format!("database \"{name}\" does not exist")), "{error}");
}

#[test]
fn database_in_url_is_replaced() {
    for (url, expected) in [
        ("postgres://u:p@h:5432/d?sslmode=disable", "postgres://u:p@h:5432/new?sslmode=disable"),
        ("postgres://u@%2Frun/d", "postgres://u@%2Frun/new"),
        ("postgres://h", "postgres://h/new"),
    ] {
        assert_eq!(with_database(url, "new"), expected);
    }
}
