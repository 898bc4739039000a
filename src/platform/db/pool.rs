//! Database sessions: one pool for each kind of work. `tls` reads the encryption settings of the
//! URL.
//!
//! The pools are bulkheads: work that exhausts its own sessions does not affect the others. One
//! pool with a limit for each kind is not enough: a query whose future is dropped keeps running on
//! the server, and the next user of its session waits for it. For the same reason each session has
//! time limits on the server. A dropped transaction closes its session.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{self, Object};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::Tls;

/// A session on loan from a pool.
pub type Connection = Object<AsyncPgConnection>;

/// Minimum number of sessions for requests: one for each kind of work.
pub const MIN_REQUEST_SESSIONS: u16 = 4;
/// Maximum number of sessions for requests.
pub const MAX_REQUEST_SESSIONS: u16 = 1_000;
/// Maximum number of sessions for background work. The refresher of the price book, the lifecycle
/// of campaigns and the purge of idempotency records may need one each at the same time.
const MAX_BACKGROUND_SESSIONS: usize = 3;
/// Timeout for a session of an exhausted pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for opening a session, over all hosts of the URL.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for one host of the URL. Shorter than [`CONNECT_TIMEOUT`], so that the next host is
/// tried.
const HOST_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout for the acknowledgement of sent data, after which a vanished host is noticed.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Options of every session. No statement and no open transaction may hold locks for long, even if
/// its client is gone. Each statement is planned when it runs: a plan that was cached for a small
/// table keeps scanning the whole table after it has grown, until it is analyzed.
const SESSION_OPTIONS: &str = "-c statement_timeout=60s \
    -c idle_in_transaction_session_timeout=60s -c lock_timeout=20s \
    -c plan_cache_mode=force_custom_plan -c TimeZone=UTC";
/// Options of sessions for statements whose cost the client determines.
const SEARCH_OPTIONS: &str = "-c statement_timeout=5s";

/// The runtime for the I/O of all sessions, on a thread of its own for the life of the process.
///
/// A session that ran on the runtime of the HTTP worker that opened it would end with that worker,
/// while another worker uses it.
static SESSION_IO: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("database").enable_all().build()
});

/// The reason why work in the background could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// No session was available.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// The reason why no session is available.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The URL, or a file that it names, is invalid: an error in the configuration.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// The pool cannot be set up: a defect.
    #[error("the pool cannot be set up: {0}")]
    Build(deadpool::BuildError),
    /// The thread for the I/O of sessions cannot be started, or failed: a defect.
    #[error("the I/O of database sessions failed: {0}")]
    Io(String),
    /// All sessions for this kind of work are in use, and none was returned in time. Transient.
    #[error("all database sessions for {0} are in use")]
    Exhausted(&'static str),
    /// The server did not answer in time. Transient.
    #[error("no connection to the database in time: the server does not answer")]
    TimedOut,
    /// The server is unreachable or refuses the session. Transient.
    #[error("the database is out of reach: {0}")]
    Unreachable(String),
    /// The server does not know the role, the password or the database: an error in the
    /// configuration.
    #[error("the database refuses the service: {0}")]
    Refused(String),
}

impl PoolError {
    /// Returns whether the same call may succeed a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Exhausted(_) | Self::TimedOut | Self::Unreachable(_))
    }
}

/// The sessions of the service, a pool for each kind of work. Cloning shares them.
#[derive(Clone)]
pub struct Pools {
    /// Reads that take milliseconds: single resources, and pages in the default order.
    pub reads: Pool,
    /// Lists whose cost the client determines by a filter, an order or a count. Their statements
    /// time out after 5 s.
    pub searches: Pool,
    /// Reads that compute: plans, previews, statistics, comparisons, earlier versions.
    pub reports: Pool,
    /// Transactions that change something.
    pub writes: Pool,
    /// Work that no request waits for. It must continue while requests exhaust their sessions.
    pub background: Pool,
}

impl Pools {
    /// Creates the pools; sessions are opened when they are needed. `request_sessions`, at least
    /// [`MIN_REQUEST_SESSIONS`], are divided among all but the background pool.
    ///
    /// # Errors
    /// When the URL cannot be used. An unreachable server is noticed later.
    pub fn new(url: &str, request_sessions: u16) -> Result<Self, PoolError> {
        let connector = Connector::new(url)?;
        let searching = connector.clone().with_options(SEARCH_OPTIONS);
        let Shares { reads, searches, reports, writes } = Shares::of(request_sessions);
        Ok(Self {
            reads: Pool::new(&connector, "reads", reads, ACQUIRE_TIMEOUT)?,
            searches: Pool::new(&searching, "searches", searches, ACQUIRE_TIMEOUT)?,
            reports: Pool::new(&connector, "reports", reports, ACQUIRE_TIMEOUT)?,
            writes: Pool::new(&connector, "writes", writes, ACQUIRE_TIMEOUT)?,
            background: Pool::new(
                &connector,
                "background work",
                MAX_BACKGROUND_SESSIONS,
                ACQUIRE_TIMEOUT,
            )?,
        })
    }
}

/// The division of the sessions for requests.
#[derive(Debug, PartialEq, Eq)]
struct Shares {
    reads: usize,
    searches: usize,
    reports: usize,
    writes: usize,
}

impl Shares {
    /// Gives a quarter to searches, an eighth to reports, three eighths to writes and the rest, a
    /// quarter or a little more, to reads.
    fn of(sessions: u16) -> Self {
        let sessions = usize::from(sessions.max(MIN_REQUEST_SESSIONS));
        let eighths = |count: usize| (sessions * count / 8).max(1);
        let (searches, reports, writes) = (eighths(2), eighths(1), eighths(3));
        Self { reads: sessions - searches - reports - writes, searches, reports, writes }
    }
}

/// Sessions for one kind of work. Cloning shares them.
#[derive(Clone)]
pub struct Pool {
    work: &'static str,
    sessions: deadpool::Pool<AsyncPgConnection>,
    connector: Connector,
}

impl Pool {
    fn new(
        connector: &Connector,
        work: &'static str,
        size: usize,
        timeout: Duration,
    ) -> Result<Self, PoolError> {
        let connector = connector.clone();
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        let for_sessions = connector.clone();
        config.custom_setup = Box::new(move |_| {
            let connector = for_sessions.clone();
            let failed = |error: PoolError| ConnectionError::BadConnection(error.to_string());
            async move { connector.connect().await.map_err(failed) }.boxed()
        });
        // The default method queries the server before each loan. `Fast` still detects a connection
        // that is known to be closed; one that broke unnoticed fails its first statement.
        config.recycling_method = RecyclingMethod::Fast;
        // The connector has read the URL. A copy in the manager would only be one more place with
        // the password.
        let manager =
            AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config("", config);
        let sessions = deadpool::Pool::builder(manager)
            .max_size(size)
            .runtime(::deadpool::Runtime::Tokio1)
            .wait_timeout(Some(timeout))
            .create_timeout(Some(timeout.min(CONNECT_TIMEOUT)))
            .recycle_timeout(Some(timeout))
            .build()
            .map_err(PoolError::Build)?;
        Ok(Self { work, sessions, connector })
    }

    /// Lends a session.
    ///
    /// # Errors
    /// When no session became free, or the server could not be reached, in time.
    pub async fn get(&self) -> Result<Connection, PoolError> {
        use ::deadpool::managed::{PoolError as Cause, TimeoutType};
        self.sessions.get().await.map_err(|cause| match cause {
            Cause::Timeout(TimeoutType::Wait) => PoolError::Exhausted(self.work),
            Cause::Timeout(_) => PoolError::TimedOut,
            other => PoolError::Unreachable(other.to_string()),
        })
    }

    /// Opens a session outside the pool, for work that keeps one for long. Its statements have no
    /// time limit.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn dedicated_session(&self) -> Result<AsyncPgConnection, PoolError> {
        let mut conn = self.connector.session().await?;
        let unlimited = conn.batch_execute("SET statement_timeout = 0").await;
        unlimited.map_err(|error| PoolError::Unreachable(error.to_string()))?;
        Ok(conn)
    }
}

/// Opens one session outside any pool, with the settings of the pools' sessions.
///
/// # Errors
/// When the URL cannot be used, or the server cannot be reached or refuses.
pub async fn connect(url: &str) -> Result<AsyncPgConnection, PoolError> {
    Connector::new(url)?.session().await
}

/// A parsed URL, so that a mistake in it shows at start and not with the first request.
#[derive(Clone)]
struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    fn new(url: &str) -> Result<Self, PoolError> {
        let (url, tls) = Tls::take_from(url).map_err(PoolError::Url)?;
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| PoolError::Url(chain(&error)))?;
        config.ssl_mode(tls.mode());
        // Later options win, so those of the URL override the defaults.
        let given = config.get_options().map_or_else(String::new, |given| format!(" {given}"));
        config.options(format!("{SESSION_OPTIONS}{given}"));
        if config.get_application_name().is_none() {
            config.application_name("kampanje");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(HOST_CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        // Of several hosts only the primary accepts writes, and after a failover another host is
        // the primary.
        if config.get_hosts().len() > 1
            && config.get_target_session_attrs() == TargetSessionAttrs::Any
        {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self { config, tls: tls.connector().map_err(PoolError::Url)? })
    }

    /// Adds options that override those of the URL.
    fn with_options(mut self, options: &str) -> Self {
        let given = self.config.get_options().unwrap_or_default().to_owned();
        self.config.options(format!("{given} {options}"));
        self
    }

    /// Opens a session within [`CONNECT_TIMEOUT`].
    async fn session(&self) -> Result<AsyncPgConnection, PoolError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await;
        connected.unwrap_or(Err(PoolError::TimedOut))
    }

    /// Opens a session whose I/O runs on [`SESSION_IO`].
    async fn connect(&self) -> Result<AsyncPgConnection, PoolError> {
        let io = SESSION_IO.as_ref().map_err(|error| PoolError::Io(error.to_string()))?;
        // A `JoinSet` aborts the attempt when the caller gives up.
        let mut attempt = JoinSet::new();
        attempt.spawn_on(self.clone().open(), io.handle());
        match attempt.join_next().await {
            Some(Ok(session)) => session,
            Some(Err(error)) => Err(PoolError::Io(error.to_string())),
            None => Err(PoolError::TimedOut),
        }
    }

    async fn open(self) -> Result<AsyncPgConnection, PoolError> {
        let (client, connection) = self.config.connect(self.tls).await.map_err(|error| {
            let unknown = [
                SqlState::INVALID_PASSWORD,
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                SqlState::INVALID_CATALOG_NAME,
            ];
            let is_unknown = error.code().is_some_and(|code| unknown.contains(code));
            let error = chain(&error);
            if is_unknown { PoolError::Refused(error) } else { PoolError::Unreachable(error) }
        })?;
        let session = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        session.map_err(|error| PoolError::Unreachable(error.to_string()))
    }
}

/// Returns the error with its causes, without those that the text already contains.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use diesel::sql_types::Text;
    use diesel_async::RunQueryDsl;

    use super::super::testing::Server;
    use super::*;

    fn pool(url: &str, size: usize, timeout: Duration) -> Pool {
        Pool::new(&Connector::new(url).unwrap(), "tests", size, timeout).unwrap()
    }

    async fn setting(conn: &mut AsyncPgConnection, name: &str) -> String {
        let query = diesel::dsl::sql::<Text>("current_setting(").bind::<Text, _>(name).sql(")");
        diesel::select(query).get_result(conn).await.unwrap()
    }

    #[tokio::test]
    async fn limits_of_sessions_and_their_overrides() {
        let server = Server::start("pool-settings");
        let Pools { reads, searches, reports, writes, background } =
            Pools::new(&server.url(), MIN_REQUEST_SESSIONS).unwrap();
        for pool in [&reads, &reports, &writes, &background] {
            let mut conn = pool.get().await.unwrap();
            for (name, value) in [
                ("statement_timeout", "1min"),
                ("idle_in_transaction_session_timeout", "1min"),
                ("lock_timeout", "20s"),
                ("TimeZone", "UTC"),
                ("application_name", "kampanje"),
            ] {
                assert_eq!(setting(&mut conn, name).await, value, "{name}");
            }
        }
        let mut conn = searches.get().await.unwrap();
        assert_eq!(setting(&mut conn, "statement_timeout").await, "5s");
        assert_eq!(setting(&mut conn, "lock_timeout").await, "20s");
        let url =
            format!("{}?options=-c%20statement_timeout%3D7s&application_name=other", server.url());
        let Pools { writes, searches, .. } = Pools::new(&url, MIN_REQUEST_SESSIONS).unwrap();
        let mut conn = writes.get().await.unwrap();
        assert_eq!(setting(&mut conn, "statement_timeout").await, "7s");
        assert_eq!(setting(&mut conn, "application_name").await, "other");
        let mut conn = searches.get().await.unwrap();
        assert_eq!(setting(&mut conn, "statement_timeout").await, "5s", "the API promises it");
    }

    #[test]
    fn division_of_sessions() {
        let shares = |reads, searches, reports, writes| Shares { reads, searches, reports, writes };
        for (sessions, expected) in [
            (1, shares(1, 1, 1, 1)),
            (4, shares(1, 1, 1, 1)),
            (6, shares(2, 1, 1, 2)),
            (8, shares(2, 2, 1, 3)),
            (16, shares(4, 4, 2, 6)),
            (100, shares(26, 25, 12, 37)),
        ] {
            assert_eq!(Shares::of(sessions), expected, "{sessions}");
        }
        for sessions in MIN_REQUEST_SESSIONS..=MAX_REQUEST_SESSIONS {
            let Shares { reads, searches, reports, writes } = Shares::of(sessions);
            assert_eq!(reads + searches + reports + writes, usize::from(sessions));
            assert!(reads * 4 >= usize::from(sessions), "{sessions}");
        }
    }

    #[test]
    fn session_outlives_the_runtime_that_opened_it() {
        let server = Server::start("pool-runtime");
        let pool = pool(&server.url(), 1, ACQUIRE_TIMEOUT);
        let worker = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut conn = worker().block_on(pool.get()).unwrap();
        assert_eq!(worker().block_on(setting(&mut conn, "TimeZone")), "UTC");
    }

    #[tokio::test]
    async fn exhausted_pool_times_out() {
        let server = Server::start("pool-exhausted");
        let pool = pool(&server.url(), 1, Duration::from_millis(200));
        let held = pool.get().await.unwrap();
        let refused = pool.get().await.err().unwrap();
        assert!(matches!(refused, PoolError::Exhausted("tests")), "{refused}");
        assert!(refused.is_transient());
        drop(held);
        drop(pool.get().await.unwrap());
    }

    #[tokio::test]
    async fn unreachable_server() {
        // Nothing listens on port 1.
        for url in ["postgres://u@127.0.0.1:1/d", "postgres://u@%2Fnowhere/d"] {
            let began = Instant::now();
            let refused = pool(url, 1, ACQUIRE_TIMEOUT).get().await.err().unwrap();
            assert!(matches!(refused, PoolError::Unreachable(_)), "{refused}");
            assert!(began.elapsed() < Duration::from_secs(4));
        }
    }

    #[tokio::test]
    async fn silent_server_times_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u@{}/d?sslmode=disable", listener.local_addr().unwrap());
        let refused = pool(&url, 1, Duration::from_millis(200)).get().await.err().unwrap();
        assert!(matches!(refused, PoolError::TimedOut), "{refused}");
    }

    #[tokio::test]
    async fn closed_connection_is_replaced() {
        let server = Server::start("pool-closed");
        let pool = pool(&server.url(), 2, ACQUIRE_TIMEOUT);
        let mut victim = pool.get().await.unwrap();
        let pid: i32 =
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
                .get_result(&mut victim)
                .await
                .unwrap();
        let mut killer = pool.get().await.unwrap();
        diesel::sql_query(format!("SELECT pg_terminate_backend({pid})"))
            .execute(&mut killer)
            .await
            .unwrap();
        drop((victim, killer));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (mut first, mut second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        assert_eq!(setting(&mut first, "TimeZone").await, setting(&mut second, "TimeZone").await);
    }

    #[test]
    fn invalid_url_is_refused_without_its_password() {
        for url in [
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h/d?sslmode=verify",
            "postgres://u:secret@h/d?x=1",
        ] {
            let error = Pools::new(url, MIN_REQUEST_SESSIONS).err().unwrap();
            assert!(matches!(error, PoolError::Url(_)), "{error}");
            assert!(!error.is_transient() && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn several_hosts_need_a_writable_one() {
        let attributes = |url: &str| Connector::new(url).unwrap().config.get_target_session_attrs();
        assert_eq!(attributes("postgres://u@a,b/d"), TargetSessionAttrs::ReadWrite);
        assert_eq!(
            attributes("postgres://u@a,b/d?target_session_attrs=read-only"),
            TargetSessionAttrs::ReadOnly
        );
        assert_eq!(attributes("postgres://u@a/d"), TargetSessionAttrs::Any);
    }

    /// Needs a server with TLS. `TEST_TLS_DATABASE_URL` is its URL (localhost, no parameters),
    /// `TEST_TLS_ROOT` the PEM file of its root.
    #[tokio::test]
    #[ignore = "needs a server with TLS"]
    async fn certificate_check_by_mode() {
        let [url, root] =
            ["TEST_TLS_DATABASE_URL", "TEST_TLS_ROOT"].map(|name| std::env::var(name).unwrap());
        let other_name = url.replace("localhost", "127.0.0.1");
        for (url, encrypted) in [
            (format!("{url}?sslmode=disable"), Some(false)),
            (format!("{url}?sslmode=prefer"), Some(true)),
            (format!("{url}?sslmode=verify-full&sslrootcert={root}"), Some(true)),
            (format!("{url}?sslmode=require"), None),
            (format!("{other_name}?sslmode=verify-full&sslrootcert={root}"), None),
        ] {
            match (connect(&url).await, encrypted) {
                (Ok(mut conn), Some(expected)) => {
                    let query = diesel::dsl::sql::<diesel::sql_types::Bool>(
                        "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
                    );
                    let ssl: bool = diesel::select(query).get_result(&mut conn).await.unwrap();
                    assert_eq!(ssl, expected, "{url}");
                }
                (Err(error), None) => assert!(error.to_string().contains("certificate"), "{error}"),
                (result, _) => panic!("{url}: {:?}", result.err()),
            }
        }
    }
}
