//! The self-check: compares the snapshot, which is advanced step by step, with the database.
//!
//! Both are hashed row by row as they are read, so that no second copy is needed. Only if the
//! hashes differ is the whole book read again. The hash covers every fact with its version and
//! every member of an audience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use price_book::ContentHash;
use price_book::snapshot::Snapshot;

use super::{LiveBook, RefreshError, SelfCheck};
use crate::platform::db::pool::Pool;
use crate::publication::reader;

/// The metric that counts self-checks by result.
pub const SELF_CHECKS_TOTAL: &str = "kampanje_book_self_checks_total";
/// The number of changes after which the check pauses for as long as they took, so that requests
/// take precedence.
const PAUSE_AFTER_CHANGES: u32 = 2_000;

impl LiveBook {
    /// Compares the snapshot with the database at the snapshot's version. A difference is a defect,
    /// and the whole book is read again.
    ///
    /// # Errors
    /// If the database is unavailable, or a row is not readable by this build.
    pub async fn check(&self, pool: &Pool) -> Result<SelfCheck, RefreshError> {
        let began = Instant::now();
        let snapshot = self.snapshot().clone();
        let version = snapshot.version();
        let snapshot_hash = tokio::task::spawn_blocking(move || hash_with_pauses(&snapshot));
        let mut conn = pool.dedicated_session().await?;
        let mut database_hash = ContentHash::of_version(version);
        let mut throttle = Throttle::new();
        let hash = |change| {
            database_hash.add(&change);
            throttle.pause()
        };
        reader::changes(&mut conn, 0, version, hash).await?;
        // If the thread panicked, the hashes do not agree.
        let agrees = snapshot_hash.await.is_ok_and(|hash| hash == database_hash.sum());
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if agrees {
            tracing::info!(version, millis, "the price book in memory is that of the database");
        } else {
            tracing::error!(
                version,
                millis,
                "the price book in memory differs from that of the database; it is read again"
            );
            self.reload(pool).await?;
        }
        let result = if agrees { "same" } else { "different" };
        metrics::counter!(SELF_CHECKS_TOTAL, "result" => result).increment(1);
        let check = SelfCheck { version, at: Utc::now(), agrees };
        self.shared.last_check.store(Some(Arc::new(check.clone())));
        Ok(check)
    }

    /// Runs the check once per interval until the process ends.
    pub async fn run_self_check(self, pool: Pool, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.check(&pool).await {
                metrics::counter!(SELF_CHECKS_TOTAL, "result" => "failed").increment(1);
                tracing::warn!(%error, "the price book could not be checked");
            }
        }
    }
}

/// Returns the hash of a snapshot. The thread sleeps half of the time.
fn hash_with_pauses(snapshot: &Snapshot) -> u128 {
    let mut hash = ContentHash::of_version(snapshot.version());
    let mut throttle = Throttle::new();
    for change in snapshot.changes() {
        hash.add(&change);
        std::thread::sleep(throttle.pause());
    }
    hash.sum()
}

/// Determines the pauses of the check.
struct Throttle {
    steps: u32,
    /// The end of the last pause.
    since: Instant,
}

impl Throttle {
    fn new() -> Self {
        Self { steps: 0, since: Instant::now() }
    }

    /// Returns the pause after another change.
    fn pause(&mut self) -> Duration {
        self.steps = self.steps.saturating_add(1);
        if self.steps < PAUSE_AFTER_CHANGES {
            return Duration::ZERO;
        }
        let worked = self.since.elapsed();
        *self = Self {
            steps: 0,
            since: Instant::now().checked_add(worked).unwrap_or_else(Instant::now),
        };
        worked
    }
}
