//! Start and stop of the service, each in order, with the reason when the start fails.

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use embedded_postgres::{Durability, EmbeddedPostgres, SERVICE_ROLE, Settings, StartError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::activation::AutoPublisher;
use crate::api_keys::ring;
use crate::app::Shared;
use crate::config::{DatabaseSettings, MigrateSettings, ServeSettings, from_here};
use crate::desk::Desk;
use crate::events::latest::LatestEvent;
use crate::events::lifecycle;
use crate::health::Readiness;
use crate::imports::worker;
use crate::live_book::disk::SnapshotStore;
use crate::live_book::{LiveBook, POLL_INTERVAL, RefreshError};
use crate::platform::clock::Calendar;
use crate::platform::db::migrations;
use crate::platform::db::pool::{MIN_REQUEST_SESSIONS, Pool, PoolError, Pools};
use crate::platform::db::secrets;
use crate::platform::http::access::Credentials;
use crate::platform::http::access::keys::KeyRing;
use crate::platform::http::access::oidc::Issuer;
use crate::platform::http::call::BodyLimits;
use crate::platform::http::connections::ConnectionLimits;
use crate::platform::http::list::CursorKey;
use crate::platform::http::stream::Streams;
use crate::publication::reader;
use crate::publication::writer::renew_book_id;
use crate::segments::rule;
use crate::unit_of_work::Database;
use crate::webhooks::client::WebhookClient;
use crate::webhooks::sender::Sender;
use crate::{app, demo, health, retention, welcome};

/// The database of the private server.
const DATABASE: &str = "kampanje";
/// The name of the secret that list cursors are signed with.
const CURSOR_SECRET: &str = "list cursors";
/// The file for the price book beside a private database.
const COPY: &str = "price-book.copy";
/// The file descriptors that are not for clients: background sessions, listeners, logs, files that
/// are read and written.
const RESERVED_DESCRIPTORS: usize = 128;
/// The pause between two attempts to open the database.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// Resumes the logging of requests once the demo has printed its story.
pub type ShowRequests = Box<dyn FnOnce()>;

/// Serves until a signal ends it. Requests in flight are finished then, and a private database
/// server is stopped last. With `demo`, the demo is played as soon as the service listens.
///
/// # Errors
/// If a setting is not safe, the database refuses the service or has the schema of another
/// release, or the address cannot be bound. A database that is unavailable is no error: the service
/// waits for it.
pub async fn serve(settings: ServeSettings, demo: Option<ShowRequests>) -> anyhow::Result<()> {
    settings.check()?;
    health::record_metrics()?;
    let given = settings.snapshot_path().map(Path::to_owned);
    with_database(&settings.database, async |url, data_dir| {
        let path = given.or_else(|| data_dir.map(|data_dir| data_dir.join(COPY)));
        serve_from(url, path.map(SnapshotStore::at), &settings, demo).await
    })
    .await
}

/// Gives the history of the price book a new identity, and returns it. To be called after the
/// database was restored to an earlier state while no replica ran that could notice it.
///
/// # Errors
/// If the database cannot be used.
pub async fn new_history(settings: &DatabaseSettings) -> anyhow::Result<Uuid> {
    with_database(settings, async |url, _| {
        let pools = Pools::new(url, MIN_REQUEST_SESSIONS)?;
        let mut conn = pools.background.dedicated_session().await?;
        migrations::check_schema(&mut conn, false).await?;
        let (_, known) = reader::latest(&mut conn).await?;
        Ok(renew_book_id(&mut conn, known).await?)
    })
    .await
}

/// Migrates a database with the role that owns its schema, and gives the service's role its rights.
///
/// # Errors
/// If no database is named, it cannot be migrated, or there is no such role.
pub async fn migrate(settings: &MigrateSettings) -> anyhow::Result<()> {
    let url = settings.database.url()?.context(
        "DATABASE_URL names no database; a private database is migrated by `serve` itself",
    )?;
    let role = settings.service_role().map(str::to_owned);
    blocking(move || migrations::migrate(&url, role.as_deref())).await?
}

/// Runs `work` with the URL of the database, and with the data directory if the database is a
/// private one. A private database server runs as long as the work.
async fn with_database<T>(
    settings: &DatabaseSettings,
    work: impl AsyncFnOnce(&str, Option<PathBuf>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if let Some(url) = settings.database.url()? {
        return work(&url, None).await;
    }
    let data_dir =
        settings.data_dir.clone().map_or_else(embedded_postgres::default_data_dir, Ok)?;
    let (url, server) = private_database(data_dir.clone()).await?;
    let done = work(&url, Some(data_dir)).await;
    blocking(move || server.stop()).await?;
    done
}

/// Starts a private database server in the data directory, and migrates its database. Returns the
/// URL for the service's role, which does not own the schema.
async fn private_database(data_dir: PathBuf) -> anyhow::Result<(String, EmbeddedPostgres)> {
    let server = blocking(move || -> Result<EmbeddedPostgres, StartError> {
        let server = EmbeddedPostgres::start(Settings::new(data_dir, Durability::Durable))?;
        server.create_database_if_missing(DATABASE)?;
        Ok(server)
    });
    let server = server.await?.context("the private database server does not start")?;
    let (owner_url, url) = (server.url(DATABASE), server.service_url(DATABASE));
    match blocking(move || migrations::migrate(&owner_url, Some(SERVICE_ROLE))).await? {
        Ok(()) => Ok((url, server)),
        Err(error) => {
            blocking(move || server.stop()).await?;
            Err(error.context("the private database cannot be migrated"))
        }
    }
}

/// The parts of the service that need the database before they can be used.
#[derive(Clone)]
struct Opening {
    pool: Pool,
    /// True to accept a schema of a later release.
    allow_newer_schema: bool,
    database: Database,
    book: LiveBook,
    cursor_key: CursorKey,
}

impl Opening {
    /// Checks the database, reads the shared secrets, and brings the price book to its newest
    /// version. Only then requests read and write the database.
    async fn open(&self) -> anyhow::Result<()> {
        self.pool.check_sessions().await?;
        let mut conn = self.pool.dedicated_session().await?;
        migrations::check_schema(&mut conn, self.allow_newer_schema).await?;
        if migrations::may_change_history(&mut conn).await? {
            tracing::warn!(
                "the service's database role may change the published history; `kampanje migrate \
                 --service-role` gives another role only the rights that the service needs"
            );
        }
        drop(conn);
        let secret = secrets::get_or_create(&mut *self.pool.get().await?, CURSOR_SECRET).await;
        self.cursor_key.learn(secret.context("the secret of list cursors cannot be read")?);
        app::open_book(&self.pool, &self.book).await.context("the price book cannot be opened")?;
        self.database.open();
        Ok(())
    }

    /// Opens the database, or returns `false` if it is unavailable for now.
    ///
    /// # Errors
    /// If the database refuses the service, or has the schema of another release.
    async fn try_open(&self) -> anyhow::Result<bool> {
        match self.open().await {
            Err(error) if is_away(&error) => {
                let error = format!("{error:#}");
                tracing::warn!(
                    %error,
                    "the database is away; a copy of the price book answers quotes"
                );
                Ok(false)
            }
            opened => opened.map(|()| true),
        }
    }

    /// Retries until the database is available. The service keeps running whatever the reason is.
    async fn connect_with_retry(&self) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(OPEN_AGAIN).await;
            match self.open().await {
                Ok(()) => return tracing::info!("the database was reached, and all is served"),
                Err(error) if is_away(&error) => {}
                Err(error) => {
                    let error = format!("{error:#}");
                    // Each reason once, not each second.
                    if error != told {
                        tracing::error!(%error, "the database cannot be used");
                        told = error;
                    }
                }
            }
        }
    }
}

/// Returns whether the database may become available later.
fn is_away(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let refreshed = cause.downcast_ref::<RefreshError>();
        let of_book = refreshed.and_then(|error| {
            if let RefreshError::Pool(error) = error { Some(error) } else { None }
        });
        cause.downcast_ref::<PoolError>().or(of_book).is_some_and(PoolError::is_transient)
    })
}

/// Serves until a signal ends it.
async fn serve_from(
    url: &str,
    disk: Option<SnapshotStore>,
    settings: &ServeSettings,
    demo: Option<ShowRequests>,
) -> anyhow::Result<()> {
    let pools = Pools::new(url, settings.pool_size)?;
    let pool = pools.background.clone();
    tokio::spawn(pools.clone().watch_server());
    let calendar = Calendar::system();
    let book = LiveBook::new(calendar.clone());
    let kept = match &disk {
        Some(disk) => disk.restore(&book).await,
        None => None,
    };
    let publisher = AutoPublisher::new(book.clone(), calendar.clone());
    let database = Database::new(pools, Arc::new(publisher));
    let opening = Opening {
        pool,
        allow_newer_schema: settings.allow_newer_schema,
        database,
        book: book.clone(),
        cursor_key: CursorKey::default(),
    };
    let opened = opening.try_open().await?;
    let readiness = Readiness::new(book.clone());
    let latest_event = LatestEvent::default();
    let (api_key, keys) = (settings.api_key()?, KeyRing::default());
    let issuer = settings.oidc()?.map(Issuer::new).transpose()?;
    let shared = Shared {
        database: opening.database.clone(),
        calendar: calendar.clone(),
        book: book.clone(),
        cursor_key: opening.cursor_key.clone(),
        credentials: Credentials::new(
            api_key.as_deref(),
            keys.clone(),
            issuer.clone(),
            calendar.clone(),
        ),
        body_limits: BodyLimits::new(settings.body_limit.get()),
        readiness: readiness.clone(),
        streams: Streams::default(),
        latest_event: latest_event.clone(),
        desk: Desk::new(settings.desk_client()?.as_ref())
            .context("the desk cannot be configured")?,
    };
    // Caught before the address is announced: its readers may send a signal immediately.
    let signals = Signals::catch().context("signals cannot be caught")?;
    let (server, address) = bind(shared, settings)?;
    tokio::spawn(health::keep_metrics());
    if let Some(issuer) = issuer {
        tokio::spawn(issuer.run());
    }
    // Units of work stay on their thread.
    let rules = actix_web::rt::spawn(rule::run(opening.database.clone(), calendar.clone()));
    let imports =
        actix_web::rt::spawn(worker::run(opening.database.clone(), calendar.clone(), book.clone()));
    let client = WebhookClient::new(settings.webhook_networks.clone())?;
    let sender = Sender::new(opening.database.clone(), calendar.clone(), client);
    let webhooks = actix_web::rt::spawn(sender.run(latest_event.clone()));
    let background = tokio::spawn(run_background(Background {
        opening,
        opened,
        greets_at: demo.is_none().then(|| from_here(address)),
        calendar,
        disk: disk.clone(),
        kept,
        keys,
        latest_event: latest_event.clone(),
        snapshot_interval: Duration::from_secs(settings.snapshot_seconds),
        self_check_interval: Duration::from_secs(settings.self_check_seconds),
        audit_retention: TimeDelta::days(settings.audit_days.into()),
    }));
    let drain = Duration::from_secs(settings.drain_seconds);
    tokio::spawn(stop_on_signal(signals, readiness, drain, latest_event, server.handle()));
    let played = play(demo, address, api_key.as_deref(), server.handle());
    let (served, played) = tokio::join!(server, played);
    if let Some(disk) = disk {
        disk.keep(&book).await;
    }
    // A private database server stops next, which these tasks would report as a failure.
    background.abort();
    rules.abort();
    imports.abort();
    webhooks.abort();
    served.context("the HTTP server failed")?;
    played.context("the demo cannot be played")?;
    tracing::info!("the service has stopped");
    Ok(())
}

/// Binds the address and starts the workers.
fn bind(shared: Shared, settings: &ServeSettings) -> anyhow::Result<(Server, SocketAddr)> {
    let workers = settings
        .workers
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let address = settings.listen.address;
    let max_connections = max_connections(settings)?;
    let limits = ConnectionLimits {
        max_connections: max_connections.div_ceil(workers),
        ..ConnectionLimits::default()
    };
    let (server, address) = app::server(shared, address, workers, limits)
        .with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!(
        url = %format!("http://{address}"), workers, max_connections, "the service listens"
    );
    Ok((server, address))
}

/// The inputs of [`run_background`].
struct Background {
    opening: Opening,
    /// False if the database was unavailable at the start.
    opened: bool,
    /// The address in the greeting; `None` without greeting.
    greets_at: Option<SocketAddr>,
    calendar: Calendar,
    disk: Option<SnapshotStore>,
    /// The version of the snapshot file.
    kept: Option<i64>,
    keys: KeyRing,
    latest_event: LatestEvent,
    snapshot_interval: Duration,
    /// Zero for no self-checks.
    self_check_interval: Duration,
    audit_retention: TimeDelta,
}

/// Opens the database if that is still to be done, and then runs the tasks that work on it.
async fn run_background(inputs: Background) {
    let Background { opening, opened, greets_at, calendar, disk, kept, keys, .. } = inputs;
    if !opened {
        opening.connect_with_retry().await;
    }
    if let Some(address) = greets_at {
        welcome::greet(&opening.pool, address).await;
    }
    let Opening { pool, book, .. } = opening;
    let mut tasks = JoinSet::new();
    tasks.spawn(book.clone().run_refresher(pool.clone(), POLL_INTERVAL));
    tasks.spawn(retention::run(pool.clone(), inputs.audit_retention));
    tasks.spawn(ring::run(pool.clone(), keys));
    tasks.spawn(lifecycle::run(pool.clone(), calendar));
    tasks.spawn(inputs.latest_event.run(pool.clone()));
    if let Some(disk) = disk {
        let kept = kept.unwrap_or_default();
        tasks.spawn(disk.run_refresher(book.clone(), kept, inputs.snapshot_interval));
    }
    if !inputs.self_check_interval.is_zero() {
        tasks.spawn(book.run_self_check(pool, inputs.self_check_interval));
    }
    // One after the other, so that the panic of one leaves the others running.
    while tasks.join_next().await.is_some() {}
}

/// Stops the server on the first signal. After a SIGTERM the service continues to serve for
/// `drain`, while it reports that it is not ready. Requests that wait for events are answered then,
/// so that they do not delay the end.
async fn stop_on_signal(
    mut signals: Signals,
    readiness: Readiness,
    drain: Duration,
    latest_event: LatestEvent,
    server: ServerHandle,
) {
    let signal = signals.next().await;
    readiness.stop();
    tracing::info!(?signal, "the service stops");
    if signal == StopSignal::Terminate {
        tokio::time::sleep(drain).await;
    }
    latest_event.stop();
    server.stop(true).await;
}

/// Plays and prints the demo, if there is one. Stops the server if that fails.
async fn play(
    demo: Option<ShowRequests>,
    address: SocketAddr,
    api_key: Option<&str>,
    server: ServerHandle,
) -> anyhow::Result<()> {
    let Some(show_requests) = demo else { return Ok(()) };
    let today = Utc::now().date_naive();
    let story = demo::play(from_here(address), api_key, today).await;
    let printed = story.and_then(|story| Ok(io::stdout().write_all(story.as_bytes())?));
    show_requests();
    if printed.is_err() {
        server.stop(true).await;
    }
    printed
}

/// Raises the limit of file descriptors to its hard limit, and returns the maximum number of client
/// connections: the setting, reduced so that the database, files and logs keep their descriptors.
fn max_connections(settings: &ServeSettings) -> anyhow::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
    let descriptors = getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
    let reserved = RESERVED_DESCRIPTORS.saturating_add(settings.pool_size.into());
    let free = descriptors.saturating_sub(reserved);
    anyhow::ensure!(
        free > 0,
        "{descriptors} file descriptors are too few: the service needs more than {reserved}"
    );
    Ok(settings.max_connections.get().min(free))
}

/// The signal that ends the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopSignal {
    /// SIGINT, from a keyboard.
    Interrupt,
    /// SIGTERM, from a process manager.
    Terminate,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

/// Runs work that blocks, away from the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a step of the start was broken off")
}
