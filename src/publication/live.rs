//! The copy of the book that quotes read: an immutable snapshot behind an atomic pointer, advanced
//! by what was published since.
//!
//! It is filled from the copy on disk ([`disk`](super::disk)) or from the database, and follows the
//! database from then on: a notification is only a hint, the poll is what counts. While the
//! database is away it stays what it is, and says how old it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use diesel::QueryResult;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::StreamExt;
use tokio::sync::{Mutex, Notify, watch};

use super::check::SelfCheck;
use super::disk::Copy;
use super::reader::{self, Fingerprints, ReadError};
use super::snapshot::Snapshot;
use crate::platform::clock::Calendar;
use crate::platform::db::pool::{Pool, PoolError};
use crate::platform::http::problem::Problem;

/// How often the database is asked whether there is a newer version.
pub const POLL: Duration = Duration::from_secs(1);
/// From which age on, in milliseconds, the copy says that it is stale: several polls have failed.
const STALE_AFTER_MS: i64 = 5_000;
/// The channel on which each publication is announced, with its version.
const CHANNEL: &str = "kampanje_publications";
/// How long a session that listens may be silent before it is asked whether it is still there.
const LISTEN_SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait before another try to listen.
const LISTEN_AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// The live copy; cloning shares it.
#[derive(Clone)]
pub struct LiveBook {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    snapshot: ArcSwap<Snapshot>,
    version: watch::Sender<i64>,
    nudge: Notify,
    /// When the copy was last known to be the newest, in milliseconds since 1970; 0 while there is
    /// none.
    known_at: AtomicI64,
    /// Whether the database was asked since the copy was restored from disk.
    confirmed: AtomicBool,
    /// Whether the database answered the last time it was asked.
    database_answers: AtomicBool,
    /// Held by whoever changes the snapshot.
    history: Mutex<History>,
    /// What may be the next version.
    prepared: ArcSwapOption<Prepared>,
    pub(super) last_check: ArcSwapOption<SelfCheck>,
    calendar: Calendar,
}

/// The next version of the book as the publication that writes it has made it, before its commit.
struct Prepared {
    before: Arc<Snapshot>,
    next: Arc<Snapshot>,
    /// What the database says of the version once it is committed; of another one it says something
    /// else.
    fingerprint: Option<String>,
}

/// What the snapshot was taken from.
#[derive(Debug, Clone, Default)]
struct History {
    /// Which database.
    identity: Vec<u8>,
    /// What the database says of the snapshot's version.
    fingerprint: Option<String>,
}

/// Why the copy could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There was no connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The book could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<diesel::result::Error> for RefreshError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Read(error.into())
    }
}

impl LiveBook {
    /// A copy without content; [`LiveBook::restore`] and [`LiveBook::refresh`] fill it.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        let shared = Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            version: watch::Sender::new(0),
            nudge: Notify::new(),
            known_at: AtomicI64::new(0),
            confirmed: AtomicBool::new(false),
            database_answers: AtomicBool::new(false),
            history: Mutex::default(),
            prepared: ArcSwapOption::empty(),
            last_check: ArcSwapOption::empty(),
            calendar,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The present snapshot; it stays whole for as long as the guard is held.
    #[must_use]
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    /// Whether there is a book to answer from.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.shared.known_at.load(Ordering::Relaxed) > 0
    }

    /// The present snapshot to answer from.
    ///
    /// # Errors
    /// 503 while no book was ever loaded.
    pub fn loaded(&self) -> Result<Guard<Arc<Snapshot>>, Problem> {
        if self.is_loaded() {
            Ok(self.snapshot())
        } else {
            Err(Problem::unavailable("the price book is not loaded yet"))
        }
    }

    /// Since when, in milliseconds, nothing is known of newer versions.
    #[must_use]
    pub fn age_ms(&self) -> i64 {
        self.now().saturating_sub(self.shared.known_at.load(Ordering::Relaxed)).max(0)
    }

    /// The same in whole seconds.
    #[must_use]
    pub fn age_seconds(&self) -> i64 {
        self.age_ms().checked_div(1_000).unwrap_or_default()
    }

    /// Whether the copy may have missed versions: the database has not answered for a while, or not
    /// at all since the start.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.is_stale_at(self.age_ms())
    }

    /// Whether a copy of this age, in milliseconds, may have missed versions.
    #[must_use]
    pub fn is_stale_at(&self, age_ms: i64) -> bool {
        age_ms > STALE_AFTER_MS || !self.shared.confirmed.load(Ordering::Relaxed)
    }

    /// Whether the database answered when it was last asked for the newest version.
    #[must_use]
    pub fn database_answers(&self) -> bool {
        self.shared.database_answers.load(Ordering::Relaxed)
    }

    /// The last self-check, if there was one.
    #[must_use]
    pub fn last_check(&self) -> Option<Arc<SelfCheck>> {
        self.shared.last_check.load_full()
    }

    fn now(&self) -> i64 {
        self.shared.calendar.now().timestamp_millis()
    }

    /// Waits until the copy has a version, for so long at most: whether it has.
    pub async fn wait_for_version(&self, version: i64, patience: Duration) -> bool {
        self.shared.nudge.notify_one();
        let mut versions = self.shared.version.subscribe();
        let reached = versions.wait_for(|current| *current >= version);
        tokio::time::timeout(patience, reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// Hands over what the book will be once this transaction is committed, so that what was made
    /// and written here is not read back and made again. Only a hint: it is taken if the database
    /// then says that its newest version is this publication, and if the copy is still what it was
    /// made from.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn prepare(
        &self,
        conn: &mut AsyncPgConnection,
        before: Arc<Snapshot>,
        next: Arc<Snapshot>,
    ) -> QueryResult<()> {
        let Fingerprints { latest, of_latest: fingerprint, .. } =
            reader::fingerprints(conn, before.version()).await?;
        if latest == next.version() {
            self.shared.prepared.store(Some(Arc::new(Prepared { before, next, fingerprint })));
        }
        Ok(())
    }

    /// The book as of a version, present or past; none if there is no such version yet. Made from
    /// the present copy by what differs between the two, so its cost is that of the difference.
    ///
    /// # Errors
    /// When the database fails or its book is not of this build's making.
    pub async fn as_of(
        &self,
        conn: &mut AsyncPgConnection,
        version: i64,
    ) -> Result<Option<Arc<Snapshot>>, ReadError> {
        let present = self.snapshot().clone();
        if version == present.version() {
            return Ok(Some(present));
        }
        if version > reader::latest(conn).await? {
            return Ok(None);
        }
        Ok(Some(Arc::new(at(conn, &present, version).await?)))
    }

    /// Takes over a copy that was kept. Only for a book that has nothing yet; how old it is counts
    /// from when it was last known to be the newest.
    pub async fn restore(&self, copy: Copy) {
        let mut history = self.shared.history.lock().await;
        if self.is_loaded() {
            return;
        }
        *history = History { identity: copy.identity, fingerprint: copy.fingerprint };
        self.swap(copy.snapshot);
        self.shared.known_at.store(copy.known_at, Ordering::Relaxed);
    }

    /// What is to be kept of the copy; nothing while it is not known from which database it is.
    pub async fn copy(&self) -> Option<Copy> {
        let history = self.shared.history.lock().await;
        let known_at = self.shared.known_at.load(Ordering::Relaxed);
        let History { identity, fingerprint } = history.clone();
        (known_at > 0 && !identity.is_empty()).then(|| Copy {
            identity,
            fingerprint,
            known_at,
            snapshot: self.snapshot().clone(),
        })
    }

    /// Tells from which database the book is read. A copy of another one is given up: it is read
    /// anew.
    pub async fn set_database_identity(&self, identity: Vec<u8>) {
        let mut history = self.shared.history.lock().await;
        if !history.identity.is_empty() && history.identity != identity {
            tracing::error!("the price book was kept from another database; it is read anew");
            history.fingerprint = Some("of another database".to_owned());
        }
        history.identity = identity;
    }

    /// Waits until the copy has another version than this one.
    pub(super) async fn differs_from(&self, version: i64) {
        let mut versions = self.shared.version.subscribe();
        // The sender lives as long as the book, so it does not fail.
        let _ = versions.wait_for(|current| *current != version).await;
    }

    /// Keeps the copy up to date for as long as the process lives, asking for newer versions at
    /// least so often.
    pub async fn keep_up(self, pool: Pool, poll: Duration) {
        tokio::spawn(self.clone().listen(pool.clone()));
        let mut failed = false;
        loop {
            // A nudge is only a hint; the clock brings what it misses.
            let _ = tokio::time::timeout(poll, self.shared.nudge.notified()).await;
            match self.refresh(&pool).await {
                Ok(()) if failed => {
                    failed = false;
                    tracing::info!("the price book is followed again");
                }
                Ok(()) => {}
                Err(error) if !failed => {
                    failed = true;
                    tracing::warn!(%error, "the price book cannot be followed; quotes go on from the last copy");
                }
                Err(_) => {}
            }
        }
    }

    /// Nudges the refresher whenever a publication is announced. Without the session, or through a
    /// pooler that shares sessions, the poll alone goes on.
    async fn listen(self, pool: Pool) {
        let mut wait = POLL;
        loop {
            if let Ok(mut conn) = pool.own_session().await
                && conn.batch_execute(&format!("LISTEN {CHANNEL}")).await.is_ok()
            {
                wait = POLL;
                // What was announced before.
                self.shared.nudge.notify_one();
                self.hear(&mut conn).await;
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LISTEN_AGAIN_AT_MOST);
        }
    }

    /// Hears announcements until the session is lost.
    async fn hear(&self, conn: &mut AsyncPgConnection) {
        loop {
            let heard = {
                let mut announcements = std::pin::pin!(conn.notifications_stream());
                tokio::time::timeout(LISTEN_SILENCE_TIMEOUT, announcements.next()).await
            };
            match heard {
                Ok(Some(Ok(announced))) => {
                    let known = self.snapshot().version();
                    if announced.payload.parse().is_ok_and(|version: i64| version > known) {
                        self.shared.nudge.notify_one();
                    }
                }
                Ok(Some(Err(_)) | None) => return,
                // A host that vanished would be silent too.
                Err(_) => match tokio::time::timeout(
                    LISTEN_SILENCE_TIMEOUT,
                    conn.batch_execute("SELECT 1"),
                )
                .await
                {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                },
            }
        }
    }

    /// Brings the copy to the newest version; a copy without content, or one that is not of this
    /// database's history, reads the whole book. One at a time, so within one history a version
    /// never goes backwards.
    ///
    /// # Errors
    /// When the database is out of reach or its book is not of this build's making; the copy stays
    /// what it is.
    pub async fn refresh(&self, pool: &Pool) -> Result<(), RefreshError> {
        let mut history = self.shared.history.lock().await;
        let refreshed = self.refreshed(pool, &mut history).await;
        self.shared.database_answers.store(refreshed.is_ok(), Ordering::Relaxed);
        refreshed
    }

    async fn refreshed(&self, pool: &Pool, history: &mut History) -> Result<(), RefreshError> {
        let asked_at = self.now();
        let mut conn = pool.get().await?;
        let current = self.snapshot().clone();
        let Fingerprints { latest, of_latest, of_known } =
            reader::fingerprints(&mut conn, current.version()).await?;
        let is_of_this_history = latest >= current.version() && of_known == history.fingerprint;
        if !self.is_loaded() || !is_of_this_history {
            if self.is_loaded() {
                let version = current.version();
                tracing::error!(
                    version,
                    latest,
                    "the database has another history than the price book here; it is read anew"
                );
            }
            self.read_whole(pool, latest).await?;
        } else if latest > current.version() {
            let next = match self.prepared(&current, latest, of_latest.as_ref()) {
                Some(next) => next,
                None => Arc::new(at(&mut conn, &current, latest).await?),
            };
            self.swap(next);
        }
        history.fingerprint = of_latest;
        self.confirm(asked_at);
        Ok(())
    }

    /// The newest version, if it is what was prepared here. What was prepared for a version that
    /// came otherwise is given up.
    fn prepared(
        &self,
        current: &Arc<Snapshot>,
        latest: i64,
        fingerprint: Option<&String>,
    ) -> Option<Arc<Snapshot>> {
        let prepared = self
            .shared
            .prepared
            .load_full()
            .filter(|prepared| prepared.next.version() <= latest)?;
        self.shared.prepared.store(None);
        let is_newest =
            prepared.next.version() == latest && prepared.fingerprint.as_ref() == fingerprint;
        (is_newest && Arc::ptr_eq(&prepared.before, current)).then(|| prepared.next.clone())
    }

    /// Reads the whole book anew, whatever the copy holds.
    pub(super) async fn reload(&self, pool: &Pool) -> Result<(), RefreshError> {
        let mut history = self.shared.history.lock().await;
        let asked_at = self.now();
        let fingerprints = reader::fingerprints(&mut *pool.get().await?, 0).await?;
        self.read_whole(pool, fingerprints.latest).await?;
        history.fingerprint = fingerprints.of_latest;
        self.confirm(asked_at);
        Ok(())
    }

    /// The copy was the newest when the database was asked.
    fn confirm(&self, asked_at: i64) {
        self.shared.known_at.store(asked_at, Ordering::Relaxed);
        self.shared.confirmed.store(true, Ordering::Relaxed);
    }

    async fn read_whole(&self, pool: &Pool, version: i64) -> Result<(), RefreshError> {
        let began = std::time::Instant::now();
        let mut conn = pool.own_session().await?;
        self.swap(Arc::new(at(&mut conn, &Snapshot::empty(), version).await?));
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(version, millis, "the price book was read from the database");
        Ok(())
    }

    fn swap(&self, next: Arc<Snapshot>) {
        if let Some(settings) = next.settings() {
            self.shared.calendar.set_zone(&settings.time_zone);
        }
        let version = next.version();
        self.shared.snapshot.store(next);
        self.shared.version.send_replace(version);
    }
}

/// Announces a version to all replicas; they hear of it when the transaction commits.
pub(super) async fn announce(conn: &mut AsyncPgConnection, version: i64) -> QueryResult<()> {
    let notify = diesel::sql_query("SELECT pg_notify($1, $2)");
    let notify = notify.bind::<Text, _>(CHANNEL).bind::<Text, _>(version.to_string());
    // Named in full: with the trait in scope, `load` of the atomics above would be a query.
    diesel_async::RunQueryDsl::execute(notify, conn).await.map(drop)
}

/// The book at a version, made from another of its versions.
async fn at(
    conn: &mut AsyncPgConnection,
    other: &Snapshot,
    version: i64,
) -> Result<Snapshot, ReadError> {
    let mut next = other.advanced(version, []);
    let apply = |change| {
        next.apply(change);
        Duration::ZERO
    };
    reader::changes(conn, other.version(), version, apply).await?;
    Ok(next)
}
