//! The copy of the book that quotes read: an immutable snapshot behind an atomic pointer, advanced by what was published since.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use diesel_async::AsyncPgConnection;
use tokio::sync::{Notify, watch};

use super::reader::{self, ReadError};
use super::snapshot::Snapshot;
use crate::platform::clock::Calendar;
use crate::platform::db::pool::{Pool, PoolError};

/// How often the database is asked whether there is a newer version.
const POLL: Duration = Duration::from_secs(1);
/// From which age on, in milliseconds, the copy says that it is stale: several polls have failed.
const STALE_AFTER_MS: i64 = 5_000;

/// The live copy; cloning shares it.
#[derive(Clone)]
pub struct LiveBook {
    shared: Arc<Shared>,
}

struct Shared {
    snapshot: ArcSwap<Snapshot>,
    version: watch::Sender<i64>,
    nudge: Notify,
    /// When the copy was last known to be the newest, in milliseconds since 1970.
    known_at: AtomicI64,
    calendar: Calendar,
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

impl LiveBook {
    /// A copy of an empty book; [`LiveBook::refresh`] fills it.
    #[must_use]
    pub fn new(calendar: Calendar) -> Self {
        let shared = Shared {
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            version: watch::Sender::new(0),
            nudge: Notify::new(),
            known_at: AtomicI64::new(0),
            calendar,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The present snapshot; it stays whole for as long as the guard is held.
    #[must_use]
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    /// Since when, in milliseconds, nothing is known of newer versions.
    #[must_use]
    pub fn age_ms(&self) -> i64 {
        self.shared
            .calendar
            .now()
            .timestamp_millis()
            .saturating_sub(self.shared.known_at.load(Ordering::Relaxed))
            .max(0)
    }

    /// Whether the copy may have missed versions, because the database has not answered for a while.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        Self::is_stale_at(self.age_ms())
    }

    /// Whether a copy of this age, in milliseconds, may have missed versions.
    #[must_use]
    pub const fn is_stale_at(age_ms: i64) -> bool {
        age_ms > STALE_AFTER_MS
    }

    /// Waits until the copy has a version, for so long at most: whether it has.
    pub async fn reaches(&self, version: i64, patience: Duration) -> bool {
        self.shared.nudge.notify_one();
        let mut versions = self.shared.version.subscribe();
        let reached = versions.wait_for(|current| *current >= version);
        tokio::time::timeout(patience, reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// The book as of a version, present or past; none if there is no such version yet. Made from the present copy by what differs
    /// between the two, so its cost is that of the difference.
    ///
    /// # Errors
    /// When the database fails or its book is not of this build's making.
    pub async fn as_of(&self, conn: &mut AsyncPgConnection, version: i64) -> Result<Option<Arc<Snapshot>>, ReadError> {
        let present = self.snapshot().clone();
        if version == present.version() {
            return Ok(Some(present));
        }
        if version > reader::latest(conn).await? {
            return Ok(None);
        }
        let changes = reader::changes(conn, present.version(), version).await?;
        Ok(Some(Arc::new(present.advanced(version, changes))))
    }

    /// Keeps the copy up to date for as long as the process lives.
    pub async fn keep_up(self, pool: Pool) {
        let mut failed = false;
        loop {
            // A nudge is only a hint; the clock brings what it misses.
            let _ = tokio::time::timeout(POLL, self.shared.nudge.notified()).await;
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

    /// Brings the copy to the newest version; from an empty copy: reads the whole book. Only one task calls it at a time, so a
    /// version never goes backwards.
    ///
    /// # Errors
    /// When the database is out of reach or its book is not of this build's making; the copy stays what it is.
    pub async fn refresh(&self, pool: &Pool) -> Result<(), RefreshError> {
        let asked_at = self.shared.calendar.now().timestamp_millis();
        let mut conn = pool.get().await?;
        let latest = reader::latest(&mut conn).await.map_err(ReadError::from)?;
        let current = self.snapshot().version();
        if latest > current {
            let changes = reader::changes(&mut conn, current, latest).await?;
            let next = self.snapshot().advanced(latest, changes);
            if let Some(settings) = next.settings() {
                self.shared.calendar.set_zone(&settings.time_zone);
            }
            self.shared.snapshot.store(Arc::new(next));
            self.shared.version.send_replace(latest);
        }
        self.shared.known_at.store(asked_at, Ordering::Relaxed);
        Ok(())
    }
}
