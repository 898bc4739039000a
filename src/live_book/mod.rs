//! The snapshot that quotes read: immutable, behind an atomic pointer, and advanced by each
//! publication.
//!
//! It is loaded from the file on disk ([`disk`]) or from the database. Then it follows
//! the database by polling; notifications only make it poll earlier. While the database is
//! unavailable the snapshot stays in use and reports its age.

pub mod check;
pub mod disk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use price_book::facts::Change;
use price_book::snapshot::Snapshot;
use tokio::sync::{Mutex, Notify, watch};
use uuid::Uuid;

use crate::platform::clock::Calendar;
use crate::platform::db::notifications::{self, Notification};
use crate::platform::db::pool::{Pool, PoolError};
use crate::platform::http::problem::Problem;
use crate::publication::reader::{self, Fingerprints, ReadError};
use crate::publication::writer::{NOTIFICATION_CHANNEL, renew_book_id};

/// The interval at which the database is polled for a newer version.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The age in milliseconds from which the snapshot is stale. By then several polls have failed.
const STALE_AFTER_MS: i64 = 5_000;

/// The live book. Clones share one state.
#[derive(Clone)]
pub struct LiveBook {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    snapshot: ArcSwap<Snapshot>,
    version: watch::Sender<i64>,
    nudge: Notify,
    /// The time at which the snapshot was last known to be the newest, in milliseconds since 1970.
    /// 0 while no book is loaded.
    known_at: AtomicI64,
    /// True if the database was polled since the snapshot was restored from disk.
    confirmed: AtomicBool,
    /// True if the latest poll of the database succeeded.
    database_answers: AtomicBool,
    /// The database's fingerprint of the snapshot's version. The lock is held while the snapshot is
    /// replaced.
    fingerprint: Mutex<Option<String>>,
    /// The prepared next version, if there is one.
    prepared: ArcSwapOption<Prepared>,
    pub(super) last_check: ArcSwapOption<SelfCheck>,
    calendar: Calendar,
}

/// The next version of the book, prepared by the publication that writes it, before its commit.
struct Prepared {
    before: Arc<Snapshot>,
    next: Arc<Snapshot>,
    /// The fingerprint that the version will have. If another version is committed instead, its
    /// fingerprint differs.
    fingerprint: Option<String>,
}

/// The reason for which the snapshot could not be refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// No connection was available.
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

/// The result of a self-check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfCheck {
    /// The version that was compared.
    pub version: i64,
    /// The time at which the check ended.
    pub at: DateTime<Utc>,
    /// True if snapshot and database have the same content.
    pub agrees: bool,
}

/// The content of a snapshot file.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    /// The database's fingerprint of the version.
    pub fingerprint: Option<String>,
    /// The time at which the snapshot was last known to be the newest, in milliseconds since 1970.
    pub known_at: i64,
    /// The price book.
    pub snapshot: Arc<Snapshot>,
}

/// Two versions of the book, and the changes between them.
pub(crate) struct BookChange {
    pub before: Arc<Snapshot>,
    pub after: Snapshot,
    pub changes: Vec<Change>,
}

impl LiveBook {
    /// Creates a book without content. [`LiveBook::restore`] and [`LiveBook::refresh`] load it.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        let shared = Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            version: watch::Sender::new(0),
            nudge: Notify::new(),
            known_at: AtomicI64::new(0),
            confirmed: AtomicBool::new(false),
            database_answers: AtomicBool::new(false),
            fingerprint: Mutex::default(),
            prepared: ArcSwapOption::empty(),
            last_check: ArcSwapOption::empty(),
            calendar,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the current snapshot. It does not change while the guard is held.
    #[must_use]
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    /// Returns whether a book is loaded.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.shared.known_at.load(Ordering::Relaxed) > 0
    }

    /// Returns the current snapshot, if a book is loaded.
    ///
    /// # Errors
    /// 503 before the first load.
    pub fn loaded(&self) -> Result<Guard<Arc<Snapshot>>, Problem> {
        if self.is_loaded() {
            Ok(self.snapshot())
        } else {
            Err(Problem::unavailable("the price book is not loaded yet"))
        }
    }

    /// Returns the time in milliseconds since the snapshot was last known to be the newest.
    #[must_use]
    pub fn age_ms(&self) -> i64 {
        self.now().saturating_sub(self.shared.known_at.load(Ordering::Relaxed)).max(0)
    }

    /// Returns the age of the snapshot in whole seconds.
    #[must_use]
    pub fn age_seconds(&self) -> i64 {
        self.age_ms().checked_div(1_000).unwrap_or_default()
    }

    /// Returns whether the snapshot may have missed versions. This is so if the database has not
    /// answered for a while, or not since the start.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.is_stale_at(self.age_ms())
    }

    /// Returns whether a snapshot of this age, in milliseconds, may have missed versions.
    #[must_use]
    pub fn is_stale_at(&self, age_ms: i64) -> bool {
        age_ms > STALE_AFTER_MS || !self.shared.confirmed.load(Ordering::Relaxed)
    }

    /// Returns whether the latest poll of the database succeeded.
    #[must_use]
    pub fn database_answers(&self) -> bool {
        self.shared.database_answers.load(Ordering::Relaxed)
    }

    /// Returns the last self-check, if there was one.
    #[must_use]
    pub fn last_check(&self) -> Option<Arc<SelfCheck>> {
        self.shared.last_check.load_full()
    }

    fn now(&self) -> i64 {
        self.shared.calendar.now().timestamp_millis()
    }

    /// Waits until the snapshot has reached a version, at most for `timeout`. Returns whether it
    /// has.
    pub async fn wait_for_version(&self, version: i64, timeout: Duration) -> bool {
        self.shared.nudge.notify_one();
        let mut versions = self.shared.version.subscribe();
        let reached = versions.wait_for(|current| *current >= version);
        tokio::time::timeout(timeout, reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// Offers the snapshot that this transaction will produce, so that the refresher need not
    /// rebuild it. It is used only if the committed version has the same fingerprint and the base
    /// snapshot is unchanged.
    ///
    /// # Errors
    /// If the database fails.
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

    /// Returns the book as of a version, or `None` if there is no such version yet. It applies the
    /// differences to the current snapshot, so the cost is proportional to them.
    ///
    /// # Errors
    /// If the database fails, or a row is not readable by this build.
    pub async fn as_of(
        &self,
        conn: &mut AsyncPgConnection,
        version: i64,
    ) -> Result<Option<Arc<Snapshot>>, ReadError> {
        let present = self.snapshot().clone();
        if version == present.version() {
            return Ok(Some(present));
        }
        let Fingerprints { book_id, latest, .. } = reader::fingerprints(conn, version).await?;
        if version > latest {
            return Ok(None);
        }
        // The snapshot is of another history until the next refresh.
        let base = if book_id == present.book_id() {
            present
        } else {
            Arc::new(Snapshot::empty().with_book_id(book_id))
        };
        Ok(Some(Arc::new(snapshot_at(conn, &base, version).await?)))
    }

    /// Returns the books of two versions and the changes from the first to the second, which are
    /// versions of this transaction or before it. Both number their codes alike.
    ///
    /// # Errors
    /// If the database fails, a row is not readable by this build, or there is no such version.
    pub(crate) async fn change(
        &self,
        conn: &mut AsyncPgConnection,
        from: i64,
        to: i64,
    ) -> Result<Option<BookChange>, ReadError> {
        let Some(before) = self.as_of(conn, from).await? else { return Ok(None) };
        let mut changes = Vec::new();
        let collect = |change| {
            changes.push(change);
            Duration::ZERO
        };
        reader::changes(conn, from, to, collect).await?;
        let after = before.advanced(to, changes.iter().cloned());
        Ok(Some(BookChange { before, after, changes }))
    }

    /// Loads a snapshot that was read from disk, if no book is loaded yet. Its age counts from the
    /// time at which it was last known to be the newest.
    pub async fn restore(&self, file: SnapshotFile) {
        let mut fingerprint = self.shared.fingerprint.lock().await;
        if self.is_loaded() {
            return;
        }
        *fingerprint = file.fingerprint;
        self.swap(file.snapshot);
        self.shared.known_at.store(file.known_at, Ordering::Relaxed);
    }

    /// Returns the content of the snapshot file, or `None` while no book is loaded.
    pub async fn copy(&self) -> Option<SnapshotFile> {
        let fingerprint = self.shared.fingerprint.lock().await;
        let known_at = self.shared.known_at.load(Ordering::Relaxed);
        (known_at > 0).then(|| SnapshotFile {
            fingerprint: fingerprint.clone(),
            known_at,
            snapshot: self.snapshot().clone(),
        })
    }

    /// Waits until the snapshot has a version other than this one.
    pub(super) async fn wait_for_other_version(&self, version: i64) {
        let mut versions = self.shared.version.subscribe();
        // The sender lives as long as the book, so waiting does not fail.
        let _ = versions.wait_for(|current| *current != version).await;
    }

    /// Refreshes the snapshot until the process ends, at least once per interval.
    pub async fn run_refresher(self, pool: Pool, poll: Duration) {
        tokio::spawn(self.clone().listen(pool.clone()));
        let mut failed = false;
        loop {
            // A nudge is only a hint; polling finds what it misses.
            let _ = tokio::time::timeout(poll, self.shared.nudge.notified()).await;
            match self.refresh(&pool).await {
                Ok(()) if failed => {
                    failed = false;
                    tracing::info!("the price book is refreshed again");
                }
                Ok(()) => {}
                Err(error) if !failed => {
                    failed = true;
                    tracing::warn!(
                        %error,
                        "the price book cannot be refreshed; quotes use the last snapshot"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Triggers a refresh for each announced publication. Without the session, or behind a pooler
    /// that shares sessions, only polling remains.
    async fn listen(self, pool: Pool) {
        notifications::listen(pool, NOTIFICATION_CHANNEL, |notification| {
            let is_news = match notification {
                Notification::Listening => true,
                Notification::Received(version) => {
                    let known = self.snapshot().version();
                    version.parse().is_ok_and(|version: i64| version > known)
                }
            };
            if is_news {
                self.shared.nudge.notify_one();
            }
        })
        .await;
    }

    /// Advances the snapshot to the newest version. A book that is not loaded, or whose history
    /// differs from the database's, is read in whole. Refreshes are serialized, so within one
    /// history the version never decreases.
    ///
    /// # Errors
    /// If the database is unavailable, or a row is not readable by this build. The snapshot stays
    /// unchanged.
    pub async fn refresh(&self, pool: &Pool) -> Result<(), RefreshError> {
        let mut fingerprint = self.shared.fingerprint.lock().await;
        let refreshed = self.refreshed(pool, &mut fingerprint).await;
        self.shared.database_answers.store(refreshed.is_ok(), Ordering::Relaxed);
        refreshed
    }

    async fn refreshed(
        &self,
        pool: &Pool,
        fingerprint: &mut Option<String>,
    ) -> Result<(), RefreshError> {
        let asked_at = self.now();
        let mut conn = pool.get().await?;
        let current = self.snapshot().clone();
        let (version, known_id) = (current.version(), current.book_id());
        let Fingerprints { book_id, latest, of_latest, of_known } =
            reader::fingerprints(&mut conn, version).await?;
        if !self.is_loaded() {
            self.read_whole(pool, latest, book_id).await?;
        } else if book_id != known_id {
            tracing::error!(
                version, latest, %known_id, %book_id,
                "the database has a different history than the snapshot; the book is read again"
            );
            self.read_whole(pool, latest, book_id).await?;
        } else if latest < version || of_known != *fingerprint {
            let renewed_id = renew_book_id(&mut conn, book_id).await?;
            tracing::error!(
                version, latest, %book_id, %renewed_id,
                "the database lost versions that were in use; its history has a new identity"
            );
            self.read_whole(pool, latest, renewed_id).await?;
        } else if latest > version {
            let next = match self.prepared(&current, latest, of_latest.as_ref()) {
                Some(next) => next,
                None => Arc::new(snapshot_at(&mut conn, &current, latest).await?),
            };
            self.swap(next);
        }
        *fingerprint = of_latest;
        self.confirm(asked_at);
        Ok(())
    }

    /// Returns the prepared snapshot, if it is the newest version. A prepared snapshot of an older
    /// or different version is discarded.
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

    /// Reads the whole book from the database and replaces the snapshot.
    pub(super) async fn reload(&self, pool: &Pool) -> Result<(), RefreshError> {
        let mut fingerprint = self.shared.fingerprint.lock().await;
        let asked_at = self.now();
        let Fingerprints { book_id, latest, of_latest, .. } =
            reader::fingerprints(&mut *pool.get().await?, 0).await?;
        self.read_whole(pool, latest, book_id).await?;
        *fingerprint = of_latest;
        self.confirm(asked_at);
        Ok(())
    }

    /// Records that the snapshot was the newest when the database was polled.
    fn confirm(&self, asked_at: i64) {
        self.shared.known_at.store(asked_at, Ordering::Relaxed);
        self.shared.confirmed.store(true, Ordering::Relaxed);
    }

    async fn read_whole(
        &self,
        pool: &Pool,
        version: i64,
        book_id: Uuid,
    ) -> Result<(), RefreshError> {
        let began = std::time::Instant::now();
        let mut conn = pool.dedicated_session().await?;
        let empty = Snapshot::empty().with_book_id(book_id);
        self.swap(Arc::new(snapshot_at(&mut conn, &empty, version).await?));
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

/// Returns the book at a version, derived from another version.
async fn snapshot_at(
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
