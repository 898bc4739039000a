//! PgBouncer in front of the database.

use std::process::Stdio;
use std::time::Duration;

use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use embedded_postgres::SERVICE_ROLE;
use kampanje::platform::db::pool::{MIN_REQUEST_SESSIONS, Pools, connect};
use tokio::time::{Instant, sleep};

use super::servers::{DATABASE, Directory, Killed, OWNER, Server, command, free_port};
use super::service::{Service, run};

struct PgBouncer {
    port: u16,
    _process: Killed,
    _directory: Directory,
}

impl PgBouncer {
    async fn new(server: &Server, pool_mode: &str) -> Self {
        let (directory, port) = (Directory::new(), free_port());
        let users =
            directory.write("users", &format!("\"{OWNER}\" \"\"\n\"{SERVICE_ROLE}\" \"\"\n"));
        let settings = format!(
            "[databases]\n{DATABASE} = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = {pool_mode}\ndefault_pool_size = 40\n",
            server.port,
            users.display(),
        );
        let settings = directory.write("pgbouncer.ini", &settings);
        let mut pgbouncer = command("pgbouncer");
        pgbouncer.arg("--quiet").arg(settings).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Killed::spawn(pgbouncer);
        let pooler = Self { port, _process: process, _directory: directory };
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "PgBouncer does not start");
            sleep(Duration::from_millis(20)).await;
        }
        pooler
    }

    fn url(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{DATABASE}", self.port)
    }
}

#[tokio::test]
async fn session_mode_has_all_limits() {
    let server = Server::primary().await;
    let pooler = PgBouncer::new(&server, "session").await;
    let url = pooler.url(SERVICE_ROLE);
    let Pools { reads, searches, reports, writes, background } =
        Pools::new(&url, MIN_REQUEST_SESSIONS).unwrap();
    for (pool, statement_timeout) in [
        (reads, "1min"),
        (searches, "5s"),
        (reports, "1min"),
        (writes, "1min"),
        (background, "1min"),
    ] {
        let mut conn = pool.get().await.unwrap();
        for (name, value) in [
            ("statement_timeout", statement_timeout),
            ("idle_in_transaction_session_timeout", "1min"),
            ("lock_timeout", "20s"),
            ("plan_cache_mode", "force_custom_plan"),
            ("TimeZone", "UTC"),
            ("application_name", "kampanje"),
        ] {
            let query = diesel::dsl::sql::<Text>("current_setting(").bind::<Text, _>(name).sql(")");
            let current: String = diesel::select(query).get_result(&mut conn).await.unwrap();
            assert_eq!(current, value, "{name}");
        }
    }
    // A migration through the pooler leaves no lock behind.
    let migrated = run(&["migrate", "--service-role", SERVICE_ROLE], &pooler.url(OWNER));
    assert!(migrated.status.success(), "{migrated:?}");
    // PgBouncer resets a session after its client has gone.
    let began = Instant::now();
    while advisory_locks(&server).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the lock of the migration stays");
        sleep(Duration::from_millis(50)).await;
    }
    let service = Service::start(&url);
    assert_eq!(service.put_item("DESK", "400").await, 201);
    assert_eq!(service.quote("DESK").await, 200);
}

#[tokio::test]
async fn transaction_mode_is_refused_in_one_line() {
    let server = Server::primary().await;
    let pooler = PgBouncer::new(&server, "transaction").await;
    let (serve, migrate) = (&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"][..]);
    for (arguments, role) in [(serve, SERVICE_ROLE), (migrate, OWNER)] {
        let refused = run(arguments, &pooler.url(role));
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let text = String::from_utf8(refused.stderr).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("kampanje: ")).collect();
        assert!(matches!(lines[..], [line] if line.contains("transaction mode")), "{text}");
        assert!(!text.contains("the database is away"), "{text}");
    }
    assert_eq!(advisory_locks(&server).await, 0);
}

async fn advisory_locks(server: &Server) -> i64 {
    let mut conn = connect(&server.url(OWNER)).await.unwrap();
    let query = "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    diesel::select(diesel::dsl::sql::<BigInt>(query)).get_result(&mut conn).await.unwrap()
}
