//! Database sessions: one pool for each kind of work.
//!
//! The pools are bulkheads: work that exhausts its own sessions does not affect the others. One
//! pool with a limit for each kind is not enough: a query whose future is dropped keeps running on
//! the server, and the next user of its session waits for it. For the same reason each session has
//! time limits on the server. A dropped transaction closes its session.

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{self, Object};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;

use super::liveness;
use super::session::{CONNECT_TIMEOUT, Connector};

/// A session on loan from a pool.
pub type Connection = Object<AsyncPgConnection>;

/// Minimum number of sessions for requests: one for each kind of work.
pub const MIN_REQUEST_SESSIONS: u16 = 4;
/// Maximum number of sessions for requests.
pub const MAX_REQUEST_SESSIONS: u16 = 1_000;
/// Maximum number of sessions for background work. The refresher of the price book, the lifecycle
/// of campaigns, the purge of idempotency records and the worker of imports may need one each at
/// the same time.
const MAX_BACKGROUND_SESSIONS: usize = 4;
/// Timeout for a session of an exhausted pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of statements whose cost the client determines.
const SEARCH_TIMEOUT: &str = "5s";

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
    /// Sessions are shared with others by a pooler: an error in the configuration.
    #[error(
        "the pooler in front of the database gives each transaction another session, as PgBouncer \
         does in transaction mode; the service needs session mode or a direct connection"
    )]
    SharedSessions,
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
        let searching = connector.clone().with_setting("statement_timeout", SEARCH_TIMEOUT);
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

    /// Ends the sessions of a server that is frozen, vanished or replaced, until the process ends.
    pub async fn watch_server(self) {
        liveness::watch(self.background.connector).await;
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
            async move { connector.session().await.map_err(failed) }.boxed()
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

    /// Checks that each session is one session of the server.
    ///
    /// # Errors
    /// [`PoolError::SharedSessions`] behind a pooler in transaction mode. Also when the server
    /// cannot be reached or refuses.
    pub async fn check_sessions(&self) -> Result<(), PoolError> {
        self.connector.check_sessions().await
    }

    /// Opens a session outside the pool that receives notifications. Its user has to bound each
    /// wait.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn listening_session(&self) -> Result<AsyncPgConnection, PoolError> {
        self.connector.listening_session().await
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use diesel::sql_types::Text;
    use diesel_async::RunQueryDsl;
    use tokio::runtime;
    use tokio_postgres::config::TargetSessionAttrs;

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
        let attributes = |url: &str| Connector::new(url).unwrap().target_session_attrs();
        assert_eq!(attributes("postgres://u@a,b/d"), [TargetSessionAttrs::ReadWrite; 2]);
        assert_eq!(
            attributes("postgres://u@a,b/d?target_session_attrs=read-only"),
            [TargetSessionAttrs::ReadOnly; 2]
        );
        assert_eq!(attributes("postgres://u@a/d"), [TargetSessionAttrs::Any]);
    }

    #[tokio::test]
    async fn silent_host_does_not_use_up_the_timeout() {
        let server = Server::start("pool-hosts");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = format!("@{},", listener.local_addr().unwrap());
        let url = server.url().replace('@', &silent);
        assert_eq!(setting(&mut connect(&url).await.unwrap(), "lock_timeout").await, "20s");
    }

    #[tokio::test]
    async fn ended_sessions_refuse_their_statements_and_are_replaced() {
        let server = Server::start("pool-ended");
        let pool = pool(&server.url(), 2, ACQUIRE_TIMEOUT);
        let (mut waiting, idle) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        drop(idle);
        let sleeping = diesel::sql_query("SELECT pg_sleep(60)").execute(&mut waiting);
        let (slept, ()) = tokio::join!(sleeping, async {
            tokio::task::yield_now().await;
            pool.connector.end_sessions();
        });
        assert!(slept.is_err());
        drop(waiting);
        // A session is replaced when its connection is closed, which happens on another thread.
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        let (mut one, mut other) = loop {
            let mut sessions = (pool.get().await.unwrap(), pool.get().await.unwrap());
            let alive = |conn| diesel::sql_query("SELECT 1").execute(conn);
            if alive(&mut *sessions.0).await.is_ok() && alive(&mut *sessions.1).await.is_ok() {
                break sessions;
            }
            assert!(Instant::now() < deadline, "the ended sessions are still lent");
        };
        for conn in [&mut one, &mut other] {
            assert_eq!(setting(conn, "lock_timeout").await, "20s");
        }
    }
}
