//! Pooled connections, pure Rust, with TLS where the URL asks for it.
//!
//! `sslmode=disable` and `prefer` (PostgreSQL's default) connect without TLS here: an unverified `prefer` protects from nobody.
//! `require` and stricter connect with TLS and always check the server's certificate against the platform's roots.

use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::{self, Object};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection on loan from the pool.
pub type Connection = Object<AsyncPgConnection>;

/// How long a caller waits for a connection, or for a new one to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// What every session is set to: no statement and no open transaction may hold locks for long, whatever becomes of its client.
const SESSION_OPTIONS: &str =
    "-c statement_timeout=60s -c idle_in_transaction_session_timeout=60s -c lock_timeout=20s -c timezone=UTC";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The URL cannot be read.
    #[error("the database URL cannot be read")]
    Url(#[source] tokio_postgres::Error),
    /// The pool cannot be set up.
    #[error("the pool cannot be set up")]
    Build(#[source] deadpool::BuildError),
    /// All connections are taken, or the server is out of reach.
    #[error("the database is out of reach")]
    OutOfReach(#[source] deadpool::PoolError),
}

/// The pool; cloning shares it.
#[derive(Clone)]
pub struct Pool(deadpool::Pool<AsyncPgConnection>);

impl Pool {
    /// A pool of at most `size` connections, made when they are needed.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn new(url: &str, size: usize) -> Result<Self, PoolError> {
        // Read here once, so that a wrong URL is told at start and not by the first request.
        url.parse::<tokio_postgres::Config>().map_err(PoolError::Url)?;
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        config.custom_setup = Box::new(|url| connect(url).boxed());
        // The default asks the server before each loan; a broken connection shows itself at its first statement anyway.
        config.recycling_method = RecyclingMethod::Fast;
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
        deadpool::Pool::builder(manager)
            .max_size(size)
            .runtime(::deadpool::Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build()
            .map(Self)
            .map_err(PoolError::Build)
    }

    /// A connection.
    ///
    /// # Errors
    /// When none came free, or the server could not be reached, in time.
    pub async fn get(&self) -> Result<Connection, PoolError> {
        self.0.get().await.map_err(PoolError::OutOfReach)
    }
}

/// Connects one session outside any pool.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub fn connect(url: &str) -> BoxFuture<'static, Result<AsyncPgConnection, ConnectionError>> {
    let config = url.parse::<tokio_postgres::Config>();
    async move {
        let mut config = config.map_err(refused)?;
        let options = config.get_options().map_or_else(String::new, |given| format!(" {given}"));
        config.options(format!("{SESSION_OPTIONS}{options}"));
        if config.get_application_name().is_none() {
            config.application_name("kampanje");
        }
        if matches!(config.get_ssl_mode(), SslMode::Disable | SslMode::Prefer) {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(refused)?;
            return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        }
        let tls = rustls::ClientConfig::with_platform_verifier().map_err(refused)?;
        let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await.map_err(refused)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    }
    .boxed()
}

fn refused(error: impl std::fmt::Display) -> ConnectionError {
    ConnectionError::BadConnection(error.to_string())
}
