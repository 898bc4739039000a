//! How the service starts, and how it ends: in order, and saying why when it cannot.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::activation::Follower;
use crate::app::{self, Shared};
use crate::config::{ServeSettings, from_here};
use crate::demo;
use crate::events::turns::keep_telling;
use crate::health::{self, Readiness};
use crate::platform::clock::Calendar;
use crate::platform::db::migrations::migrate;
use crate::platform::db::pool::{Pool, connect};
use crate::platform::db::secrets;
use crate::platform::effect::{Database, forget_old_answers};
use crate::platform::embedded_postgres::{self, Durability, EmbeddedPostgres, Settings, StartError};
use crate::platform::http::call::BodyLimit;
use crate::platform::http::list::CursorKey;
use crate::platform::http::middleware::Credentials;

/// The database of the private server.
const DATABASE: &str = "kampanje";
/// The name of the secret that list cursors are signed with.
const CURSOR_SECRET: &str = "list cursors";

/// Serves until a signal ends it. Requests in flight are finished then, and a private database server is stopped last. With the
/// demo, it is played as soon as the service listens.
///
/// # Errors
/// When a setting is not safe, the database is not to be had, or the address cannot be listened on.
pub async fn serve(settings: ServeSettings, with_demo: bool) -> anyhow::Result<()> {
    settings.check()?;
    health::record_metrics()?;
    let (url, private_server) = match settings.database_url() {
        Some(url) => (url.to_owned(), None),
        None => {
            let (url, server) = private_database(&settings).await?;
            (url, Some(server))
        }
    };
    let done = serve_from(&url, &settings, with_demo).await;
    if let Some(server) = private_server {
        blocking(move || server.stop()).await?;
    }
    done
}

/// Starts a private database server in the data directory.
async fn private_database(settings: &ServeSettings) -> anyhow::Result<(String, EmbeddedPostgres)> {
    let data_dir = match &settings.data_dir {
        Some(data_dir) => data_dir.clone(),
        None => embedded_postgres::default_data_dir()?,
    };
    let server = blocking(move || -> Result<EmbeddedPostgres, StartError> {
        let server = EmbeddedPostgres::start(Settings::new(data_dir, Durability::Durable))?;
        server.create_database_if_missing(DATABASE)?;
        Ok(server)
    });
    let server = server.await?.context("the private database server does not start")?;
    Ok((server.url(DATABASE), server))
}

async fn serve_from(url: &str, settings: &ServeSettings, with_demo: bool) -> anyhow::Result<()> {
    let to_migrate = url.to_owned();
    blocking(move || migrate(&to_migrate)).await??;
    let cursor_secret = secrets::shared(&mut connect(url).await?, CURSOR_SECRET)
        .await
        .context("the secret of list cursors cannot be read")?;
    let pool = Pool::new(url, settings.pool_size.get())?;
    let calendar = Calendar::system();
    let book = app::open_book(&pool, &calendar).await.context("the price book cannot be opened")?;
    let database = Database::new(pool.clone(), Arc::new(Follower::new(book.clone(), calendar.clone())));
    let readiness = Readiness::new(database.clone());
    let told_by = calendar.clone();
    let shared = Shared {
        database,
        calendar,
        book,
        cursor_key: CursorKey::new(cursor_secret),
        credentials: Credentials::new(settings.api_key()),
        body_limit: BodyLimit(settings.body_limit.get()),
        readiness: readiness.clone(),
    };
    // Caught before the address is announced: whoever reads it may send a signal at once.
    let mut signals = Signals::catch().context("signals cannot be caught")?;
    let workers = settings.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let address = settings.listen.address;
    let (server, addresses) =
        app::server(shared, address, workers).with_context(|| format!("cannot listen on {address}"))?;
    for address in &addresses {
        tracing::info!(url = %format!("http://{address}"), workers, "the service listens");
    }
    tokio::spawn(keep_telling(pool.clone(), told_by));
    tokio::spawn(forget_old_answers(pool));
    tokio::spawn(health::keep_metrics());
    let drain = Duration::from_secs(settings.drain_seconds);
    let handle = server.handle();
    let played = async {
        let Some(address) = addresses.first().filter(|_| with_demo) else { return Ok(()) };
        let account = demo::play(from_here(*address), settings.api_key()).await;
        let told = account.and_then(|account| Ok(io::stdout().write_all(account.as_bytes())?));
        if told.is_err() {
            handle.stop(true).await;
        }
        told
    };
    let handle = server.handle();
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::info!(?signal, "the service stops");
        readiness.stop();
        if signal == StopSignal::Terminate {
            tokio::time::sleep(drain).await;
        }
        handle.stop(true).await;
    });
    let (served, played) = tokio::join!(server, played);
    served.context("the HTTP server failed")?;
    played.context("the demo cannot be played")?;
    tracing::info!("the service has stopped");
    Ok(())
}

/// What ends the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopSignal {
    /// SIGINT, from a keyboard.
    Interrupt,
    /// SIGTERM, from whoever manages the process.
    Terminate,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

/// Runs work that blocks, away from the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a step of the start was broken off")
}
