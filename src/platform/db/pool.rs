//! Pooled connections, pure Rust. What the URL says about encryption is read in `tls`.
//!
//! A query whose future is dropped keeps running on the server, and the next user of its connection waits for it; a dropped
//! transaction takes its connection with it. So each session has time limits of its own, on the server.

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{self, Object};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::Tls;

/// A connection on loan from the pool.
pub type Connection = Object<AsyncPgConnection>;

/// How long a caller waits for a connection to come free, and how long for a new one to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one host of the URL may take to answer; less than the patience, so that the next host gets its turn.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent data may stay unacknowledged: a host that vanished without a word is noticed then.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// What every session is set to: no statement and no open transaction may hold locks for long, whatever becomes of its client. And
/// each statement is planned when it runs: a plan that was made and kept while a table was small reads the whole table when it
/// has grown, until somebody analyzes it.
const SESSION_OPTIONS: &str = "-c statement_timeout=60s -c idle_in_transaction_session_timeout=60s -c lock_timeout=20s \
    -c plan_cache_mode=force_custom_plan -c TimeZone=UTC";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The URL, or a file that it names, cannot be used: a mistake in the configuration.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// The pool cannot be set up: a defect.
    #[error("the pool cannot be set up: {0}")]
    Build(deadpool::BuildError),
    /// No connection came free, or the server did not answer, in time. It may pass.
    #[error("no connection to the database in time: {0}")]
    TimedOut(&'static str),
    /// The server is out of reach or refuses the session. It may pass.
    #[error("the database is out of reach: {0}")]
    OutOfReach(String),
    /// The server does not know the role, the password or the database: a mistake in the configuration.
    #[error("the database refuses the service: {0}")]
    Refused(String),
}

impl PoolError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::OutOfReach(_))
    }
}

/// The pool; cloning shares it.
#[derive(Clone)]
pub struct Pool {
    sessions: deadpool::Pool<AsyncPgConnection>,
    connector: Connector,
}

impl Pool {
    /// A pool of at most `size` connections, made when they are needed.
    ///
    /// # Errors
    /// When the URL cannot be used. Whether a server is there shows itself later.
    pub fn new(url: &str, size: usize) -> Result<Self, PoolError> {
        Self::with_patience(url, size, PATIENCE)
    }

    fn with_patience(url: &str, size: usize, patience: Duration) -> Result<Self, PoolError> {
        let connector = Connector::new(url)?;
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        let for_sessions = connector.clone();
        config.custom_setup = Box::new(move |_| {
            let connector = for_sessions.clone();
            let failed = |error: PoolError| ConnectionError::BadConnection(error.to_string());
            async move { connector.connect().await.map_err(failed) }.boxed()
        });
        // The default asks the server before each loan. Fast still sees a connection that is known to be closed; one that broke
        // unnoticed fails its first statement.
        config.recycling_method = RecyclingMethod::Fast;
        // The connector has read the URL; the manager's copy would only be one more place with the password.
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config("", config);
        let sessions = deadpool::Pool::builder(manager)
            .max_size(size)
            .runtime(::deadpool::Runtime::Tokio1)
            .wait_timeout(Some(patience))
            .create_timeout(Some(patience))
            .recycle_timeout(Some(patience))
            .build()
            .map_err(PoolError::Build)?;
        Ok(Self { sessions, connector })
    }

    /// A connection.
    ///
    /// # Errors
    /// When none came free, or the server could not be reached, in time.
    pub async fn get(&self) -> Result<Connection, PoolError> {
        use ::deadpool::managed::{PoolError as Cause, TimeoutType};
        self.sessions.get().await.map_err(|cause| match cause {
            Cause::Timeout(TimeoutType::Wait) => PoolError::TimedOut("all connections are in use"),
            Cause::Timeout(_) => PoolError::TimedOut("the server does not answer"),
            other => PoolError::OutOfReach(other.to_string()),
        })
    }

    /// A session outside the pool, for what keeps one for long. A statement of it may take as long as it takes.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn own_session(&self) -> Result<AsyncPgConnection, PoolError> {
        let mut conn = self.connector.session().await?;
        let unlimited = conn.batch_execute("SET statement_timeout = 0").await;
        unlimited.map_err(|error| PoolError::OutOfReach(error.to_string()))?;
        Ok(conn)
    }
}

/// Connects one session outside any pool, with the settings of the pool's.
///
/// # Errors
/// When the URL cannot be used, or the server cannot be reached or refuses.
pub async fn connect(url: &str) -> Result<AsyncPgConnection, PoolError> {
    Connector::new(url)?.session().await
}

/// A URL that has been read, so that a mistake in it is told at start and not by the first request.
#[derive(Clone)]
struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Connector {
    fn new(url: &str) -> Result<Self, PoolError> {
        let (url, tls) = Tls::take_from(url).map_err(PoolError::Url)?;
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| PoolError::Url(chain(&error)))?;
        config.ssl_mode(tls.mode());
        // Later options win: those of the URL come after ours.
        let given = config.get_options().map_or_else(String::new, |given| format!(" {given}"));
        config.options(format!("{SESSION_OPTIONS}{given}"));
        if config.get_application_name().is_none() {
            config.application_name("kampanje");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        // Of several hosts one is the primary, and after a failover it is another one; only there can we write.
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self { config, tls: tls.connector().map_err(PoolError::Url)? })
    }

    /// A session, or none in time.
    async fn session(&self) -> Result<AsyncPgConnection, PoolError> {
        let connected = tokio::time::timeout(PATIENCE, self.connect()).await;
        connected.unwrap_or(Err(PoolError::TimedOut("the server does not answer")))
    }

    async fn connect(&self) -> Result<AsyncPgConnection, PoolError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(|error| {
            let unknown = [
                SqlState::INVALID_PASSWORD,
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                SqlState::INVALID_CATALOG_NAME,
            ];
            let is_unknown = error.code().is_some_and(|code| unknown.contains(code));
            if is_unknown { PoolError::Refused(chain(&error)) } else { PoolError::OutOfReach(chain(&error)) }
        })?;
        let session = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        session.map_err(|error| PoolError::OutOfReach(error.to_string()))
    }
}

/// The error with its causes, leaving out those that the one before has said already.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
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

    async fn setting(conn: &mut AsyncPgConnection, name: &str) -> String {
        let question = diesel::dsl::sql::<Text>("current_setting(").bind::<Text, _>(name).sql(")");
        diesel::select(question).get_result(conn).await.unwrap()
    }

    #[tokio::test]
    async fn session_has_limits_and_the_url_may_change_them() {
        let server = Server::start("pool-settings");
        let mut conn = Pool::new(&server.url(), 1).unwrap().get().await.unwrap();
        for (name, value) in [
            ("statement_timeout", "1min"),
            ("idle_in_transaction_session_timeout", "1min"),
            ("lock_timeout", "20s"),
            ("TimeZone", "UTC"),
            ("application_name", "kampanje"),
        ] {
            assert_eq!(setting(&mut conn, name).await, value, "{name}");
        }
        let url = format!("{}?options=-c%20statement_timeout%3D7s&application_name=other", server.url());
        let mut conn = connect(&url).await.unwrap();
        assert_eq!(setting(&mut conn, "statement_timeout").await, "7s");
        assert_eq!(setting(&mut conn, "application_name").await, "other");
    }

    #[tokio::test]
    async fn caller_of_an_exhausted_pool_gives_up() {
        let server = Server::start("pool-exhausted");
        let pool = Pool::with_patience(&server.url(), 1, Duration::from_millis(200)).unwrap();
        let held = pool.get().await.unwrap();
        let refused = pool.get().await.err().unwrap();
        assert!(matches!(refused, PoolError::TimedOut("all connections are in use")), "{refused}");
        assert!(refused.may_pass());
        drop(held);
        drop(pool.get().await.unwrap());
    }

    #[tokio::test]
    async fn server_that_is_not_there_is_out_of_reach() {
        // Nothing listens on port 1.
        for url in ["postgres://u@127.0.0.1:1/d", "postgres://u@%2Fnowhere/d"] {
            let began = Instant::now();
            let refused = Pool::new(url, 1).unwrap().get().await.err().unwrap();
            assert!(matches!(refused, PoolError::OutOfReach(_)), "{refused}");
            assert!(began.elapsed() < Duration::from_secs(4));
        }
    }

    #[tokio::test]
    async fn silent_server_times_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u@{}/d?sslmode=disable", listener.local_addr().unwrap());
        let pool = Pool::with_patience(&url, 1, Duration::from_millis(200)).unwrap();
        let refused = pool.get().await.err().unwrap();
        assert!(matches!(refused, PoolError::TimedOut("the server does not answer")), "{refused}");
    }

    #[tokio::test]
    async fn closed_connection_is_replaced() {
        let server = Server::start("pool-closed");
        let pool = Pool::new(&server.url(), 2).unwrap();
        let mut victim = pool.get().await.unwrap();
        let pid: i32 = diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
            .get_result(&mut victim)
            .await
            .unwrap();
        let mut killer = pool.get().await.unwrap();
        diesel::sql_query(format!("SELECT pg_terminate_backend({pid})")).execute(&mut killer).await.unwrap();
        drop((victim, killer));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (mut first, mut second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        assert_eq!(setting(&mut first, "TimeZone").await, setting(&mut second, "TimeZone").await);
    }

    #[test]
    fn useless_url_is_told_at_once_and_without_its_password() {
        for url in
            ["postgres://u:secret@h:port/d", "postgres://u:secret@h/d?sslmode=verify", "postgres://u:secret@h/d?x=1"]
        {
            let error = Pool::new(url, 1).err().unwrap();
            assert!(matches!(error, PoolError::Url(_)), "{error}");
            assert!(!error.may_pass() && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn one_of_several_hosts_has_to_be_writable() {
        let attributes = |url: &str| Connector::new(url).unwrap().config.get_target_session_attrs();
        assert_eq!(attributes("postgres://u@a,b/d"), TargetSessionAttrs::ReadWrite);
        assert_eq!(attributes("postgres://u@a,b/d?target_session_attrs=read-only"), TargetSessionAttrs::ReadOnly);
        assert_eq!(attributes("postgres://u@a/d"), TargetSessionAttrs::Any);
    }

    /// `TEST_TLS_DATABASE_URL` names a server with TLS (localhost, no parameters), `TEST_TLS_ROOT` the PEM file of its root.
    #[tokio::test]
    #[ignore = "needs a server with TLS"]
    async fn certificate_is_checked_where_the_mode_says_so() {
        let [url, root] = ["TEST_TLS_DATABASE_URL", "TEST_TLS_ROOT"].map(|name| std::env::var(name).unwrap());
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
                    let question = diesel::dsl::sql::<diesel::sql_types::Bool>(
                        "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
                    );
                    let ssl: bool = diesel::select(question).get_result(&mut conn).await.unwrap();
                    assert_eq!(ssl, expected, "{url}");
                }
                (Err(error), None) => assert!(error.to_string().contains("certificate"), "{error}"),
                (result, _) => panic!("{url}: {:?}", result.err()),
            }
        }
    }
}
