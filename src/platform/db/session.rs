//! Opening of database sessions: hosts, encryption and limits.
//!
//! The driver's own loop over the hosts of a URL waits for a host that accepts a connection and
//! stays silent. Here each host has [`STAGGER`] before the next one is tried at the same time, and
//! the first session counts. Limits are set by a statement, because poolers refuse or drop the
//! startup parameter `options`.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options;
use super::pool::PoolError;
use super::tls::Tls;

/// Timeout for opening a session, over all hosts of the URL.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for a session on one of several hosts, with encryption, credentials and limits.
const HOST_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time after which the next host is tried beside a silent one.
const STAGGER: Duration = Duration::from_millis(500);
/// Timeout for the acknowledgement of sent data, after which a vanished host is noticed.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// The silence after which the other end is probed, the interval and the number of probes. They
/// notice a host that vanished while a statement ran.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// Settings of every session. No statement and no open transaction may hold locks for long, even if
/// its client is gone. Each statement is planned when it runs: a plan that was cached for a small
/// table keeps scanning the whole table after it has grown, until it is analyzed.
const SETTINGS: [(&str, &str); 5] = [
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("lock_timeout", "20s"),
    ("plan_cache_mode", "force_custom_plan"),
    ("TimeZone", "UTC"),
];

/// The runtime for the I/O of all sessions, on a thread of its own for the life of the process.
///
/// A session that ran on the runtime of the HTTP worker that opened it would end with that worker,
/// while another worker uses it.
static SESSION_IO: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("database").enable_all().build()
});

/// A parsed URL, so that a mistake in it shows at start and not with the first request.
#[derive(Clone)]
pub(super) struct Connector {
    /// One for each host of the URL, in this order.
    hosts: Vec<Config>,
    tls: MakeRustlsConnect,
    /// The settings of the sessions by name.
    settings: Vec<(String, String)>,
    shared: Arc<Shared>,
}

/// The state that all connectors to a database share.
struct Shared {
    /// The position of the host of the latest session, which is tried first.
    preferred: AtomicUsize,
    /// Sessions that were opened before a change of this value end.
    generation: watch::Sender<u64>,
}

impl Connector {
    pub(super) fn new(url: &str) -> Result<Self, PoolError> {
        let (url, tls) = Tls::take_from(url).map_err(PoolError::Url)?;
        let (url, given) = options::take_from(&url).map_err(PoolError::Url)?;
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| PoolError::Url(chain(&error)))?;
        if config.get_options().is_some() {
            let error = "options need a URL that begins with postgres://";
            return Err(PoolError::Url(error.to_owned()));
        }
        config.ssl_mode(tls.mode());
        if config.get_application_name().is_none() {
            config.application_name("kampanje");
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(TCP_USER_TIMEOUT);
        }
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(KEEPALIVE_IDLE);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(KEEPALIVE_INTERVAL);
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(KEEPALIVE_RETRIES);
        }
        let several = config.get_hosts().len().max(config.get_hostaddrs().len()) > 1;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(if several { HOST_CONNECT_TIMEOUT } else { CONNECT_TIMEOUT });
        }
        // Of several hosts only the primary accepts writes, and after a failover another host is
        // the primary.
        if several && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        // The settings of the URL override the defaults.
        let defaults = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut settings = Vec::new();
        for (name, value) in defaults.into_iter().chain(given) {
            put(&mut settings, name, value);
        }
        Ok(Self {
            hosts: single_hosts(&config)?,
            tls: tls.connector().map_err(PoolError::Url)?,
            settings,
            shared: Arc::new(Shared {
                preferred: AtomicUsize::new(0),
                generation: watch::Sender::new(0),
            }),
        })
    }

    /// Adds a setting that overrides that of the URL.
    pub(super) fn with_setting(mut self, name: &str, value: &str) -> Self {
        put(&mut self.settings, name.to_owned(), value.to_owned());
        self
    }

    /// Ends all sessions but those that listen. Their statements in progress fail.
    pub(super) fn end_sessions(&self) {
        self.shared.generation.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Opens a session.
    pub(super) async fn session(&self) -> Result<AsyncPgConnection, PoolError> {
        self.on_any_host(Self::open).await
    }

    /// Opens a session that receives notifications. It does not end with the others.
    pub(super) async fn listening_session(&self) -> Result<AsyncPgConnection, PoolError> {
        self.on_any_host(Self::open_listening).await
    }

    /// Checks that no pooler gives the transactions of a session to several sessions of the server.
    ///
    /// Two sessions that are open at the same time have two processes on the server, each the same
    /// all the time. Only simple queries are sent, as such a pooler breaks prepared statements.
    pub(super) async fn check_sessions(&self) -> Result<(), PoolError> {
        let one = self.on_any_host(Self::client).await?;
        let other = self.on_any_host(Self::client).await?;
        let expected = (process(&one).await?, process(&other).await?);
        let again = (process(&one).await?, process(&other).await?);
        if expected.0 == expected.1 || expected != again {
            return Err(PoolError::SharedSessions);
        }
        Ok(())
    }

    /// Returns the first result of any host within [`CONNECT_TIMEOUT`], from [`SESSION_IO`].
    async fn on_any_host<T: Send + 'static, F>(
        &self,
        open: impl Fn(Self, Config) -> F + Send + Sync + 'static,
    ) -> Result<T, PoolError>
    where
        F: Future<Output = Result<T, PoolError>> + Send + 'static,
    {
        let io = SESSION_IO.as_ref().map_err(|error| PoolError::Io(error.to_string()))?;
        // A `JoinSet` aborts the attempt when the caller gives up.
        let mut attempt = JoinSet::new();
        attempt.spawn_on(self.clone().race(open), io.handle());
        match timeout(CONNECT_TIMEOUT, attempt.join_next()).await {
            Ok(Some(Ok(result))) => result,
            Ok(Some(Err(error))) => Err(PoolError::Io(error.to_string())),
            Ok(None) | Err(_) => Err(PoolError::TimedOut),
        }
    }

    /// Returns the first result. A host is tried when those before it have failed, or have been
    /// silent for [`STAGGER`].
    async fn race<T, F>(self, open: impl Fn(Self, Config) -> F) -> Result<T, PoolError>
    where
        F: Future<Output = Result<T, PoolError>>,
    {
        let first = self.shared.preferred.load(Ordering::Relaxed);
        let all = self.hosts.iter().enumerate();
        let mut waiting = all.clone().skip(first).chain(all.take(first));
        let attempt = async |place: usize, host: &Config| {
            let limit = host.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
            let opened = timeout(limit, open(self.clone(), host.clone())).await;
            (place, opened.unwrap_or(Err(PoolError::TimedOut)))
        };
        let (mut attempts, mut failure) = (FuturesUnordered::new(), PoolError::TimedOut);
        loop {
            match waiting.next() {
                Some((place, host)) => attempts.push(attempt(place, host)),
                None if attempts.is_empty() => return Err(failure),
                None => {}
            }
            match timeout(STAGGER, attempts.next()).await {
                Ok(Some((place, Ok(opened)))) => {
                    self.shared.preferred.store(place, Ordering::Relaxed);
                    return Ok(opened);
                }
                Ok(Some((_, Err(error)))) => failure = error,
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Opens a session of the driver, which ends with its generation.
    async fn client(self, host: Config) -> Result<Client, PoolError> {
        let mut generation = self.shared.generation.subscribe();
        let (client, connection) = host.connect(self.tls).await.map_err(refusal)?;
        tokio::spawn(async move {
            let next_generation = async move {
                if generation.changed().await.is_err() {
                    // Nobody is left to end it.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a database session ended");
                    }
                }
                () = next_generation => {}
            }
        });
        Ok(client)
    }

    async fn open(self, host: Config) -> Result<AsyncPgConnection, PoolError> {
        let limits = self.limits();
        let client = self.client(host).await?;
        client.batch_execute(&limits).await.map_err(refusal)?;
        AsyncPgConnection::try_from(client).await.map_err(unreachable)
    }

    async fn open_listening(self, host: Config) -> Result<AsyncPgConnection, PoolError> {
        let limits = self.limits();
        let (client, connection) = host.connect(self.tls).await.map_err(refusal)?;
        let session = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        let mut session = session.map_err(unreachable)?;
        session.batch_execute(&limits).await.map_err(unreachable)?;
        Ok(session)
    }

    /// Returns the statement that sets the limits.
    fn limits(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let settings = self
            .settings
            .iter()
            .map(|(name, value)| format!("set_config({}, {}, false)", quoted(name), quoted(value)));
        format!("SELECT {}", settings.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
impl Connector {
    pub(super) fn target_session_attrs(&self) -> Vec<TargetSessionAttrs> {
        self.hosts.iter().map(Config::get_target_session_attrs).collect()
    }
}

/// Adds a setting, in place of an earlier one of this name.
fn put(settings: &mut Vec<(String, String)>, name: String, value: String) {
    settings.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
    settings.push((name, value));
}

/// Returns a configuration for each host, which is otherwise the same.
fn single_hosts(config: &Config) -> Result<Vec<Config>, PoolError> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let ports = config.get_ports();
    let count = hosts.len().max(addresses.len());
    let wrong = |text: &str| Err(PoolError::Url(text.to_owned()));
    if count == 0 {
        return wrong("it names no host");
    }
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return wrong("the numbers of hosts and of their addresses differ");
    }
    if ports.len() > 1 && ports.len() != count {
        return wrong("the numbers of hosts and of ports differ");
    }
    let mut shared = Config::new();
    shared
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle());
    if let Some(user) = config.get_user() {
        shared.user(user);
    }
    if let Some(password) = config.get_password() {
        shared.password(password);
    }
    if let Some(database) = config.get_dbname() {
        shared.dbname(database);
    }
    if let Some(name) = config.get_application_name() {
        shared.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        shared.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        shared.tcp_user_timeout(*limit);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        shared.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        shared.keepalives_retries(retries);
    }
    let single = |place: usize| {
        let mut single = shared.clone();
        match hosts.get(place) {
            Some(Host::Tcp(name)) => drop(single.host(name)),
            Some(Host::Unix(path)) => drop(single.host_path(path)),
            None => {}
        }
        if let Some(address) = addresses.get(place) {
            single.hostaddr(*address);
        }
        if let Some(port) = ports.get(place).or_else(|| ports.first()) {
            single.port(*port);
        }
        single
    };
    Ok((0..count).map(single).collect())
}

/// Returns the reason why the server did not open a session.
fn refusal(error: tokio_postgres::Error) -> PoolError {
    let unknown = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_CATALOG_NAME,
        // A setting of the URL that the server does not accept.
        SqlState::UNDEFINED_OBJECT,
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ];
    let is_unknown = error.code().is_some_and(|code| unknown.contains(code));
    let error = chain(&error);
    if is_unknown { PoolError::Refused(error) } else { PoolError::Unreachable(error) }
}

/// Returns the process id of a session on the server.
async fn process(client: &Client) -> Result<Option<String>, PoolError> {
    let query = timeout(CONNECT_TIMEOUT, client.simple_query("SELECT pg_backend_pid()"));
    let rows = query.await.map_err(|_| PoolError::TimedOut)?.map_err(refusal)?;
    Ok(rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

fn unreachable(error: impl std::fmt::Display) -> PoolError {
    PoolError::Unreachable(error.to_string())
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
