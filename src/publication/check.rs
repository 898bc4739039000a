//! The self-check: whether the copy in memory, made step by step, holds what the database holds.
//!
//! Both are hashed as they are walked through, row by row, so that no second copy is needed to
//! compare with; only when they differ is the book read anew. The hash takes in every fact with its
//! version and every member of an audience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::export::ContentHash;
use super::live::{LiveBook, RefreshError};
use super::reader;
use super::snapshot::Snapshot;
use crate::platform::db::pool::Pool;

/// The counter of self-checks, by result.
pub const SELF_CHECKS_TOTAL: &str = "kampanje_book_self_checks_total";
/// After so many changes the check rests for as long as they took: requests come first.
const REST_AFTER: u32 = 2_000;

/// What a self-check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfCheck {
    /// The version that was compared.
    pub version: i64,
    /// When the check ended.
    pub at: DateTime<Utc>,
    /// Whether copy and database hold the same.
    pub agrees: bool,
}

impl LiveBook {
    /// Compares the copy with what the database holds for its version. A copy that differs is a
    /// defect; it is read anew.
    ///
    /// # Errors
    /// When the database is out of reach or its book is not of this build's making.
    pub async fn check(&self, pool: &Pool) -> Result<SelfCheck, RefreshError> {
        let began = Instant::now();
        let snapshot = self.snapshot().clone();
        let version = snapshot.version();
        let here = tokio::task::spawn_blocking(move || hash_gently(&snapshot));
        let mut conn = pool.own_session().await?;
        let mut there = ContentHash::of_version(version);
        let mut pace = Pace::new();
        let hash = |change| {
            there.add(&change);
            pace.rest()
        };
        reader::changes(&mut conn, 0, version, hash).await?;
        // A walk that panicked agrees with nothing.
        let agrees = here.await.is_ok_and(|here| here == there.sum());
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if agrees {
            tracing::info!(version, millis, "the price book in memory is that of the database");
        } else {
            tracing::error!(
                version,
                millis,
                "the price book in memory is not that of the database; it is read anew"
            );
            self.reload(pool).await?;
        }
        let result = if agrees { "same" } else { "different" };
        metrics::counter!(SELF_CHECKS_TOTAL, "result" => result).increment(1);
        let check = SelfCheck { version, at: Utc::now(), agrees };
        self.shared.last_check.store(Some(Arc::new(check.clone())));
        Ok(check)
    }

    /// Checks so often, for as long as the process lives.
    pub async fn keep_checking(self, pool: Pool, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.check(&pool).await {
                metrics::counter!(SELF_CHECKS_TOTAL, "result" => "failed").increment(1);
                tracing::warn!(%error, "the price book could not be checked");
            }
        }
    }
}

/// The hash of a book; the thread rests half of the time.
fn hash_gently(snapshot: &Snapshot) -> u128 {
    let mut hash = ContentHash::of_version(snapshot.version());
    let mut pace = Pace::new();
    for change in snapshot.changes() {
        hash.add(&change);
        std::thread::sleep(pace.rest());
    }
    hash.sum()
}

/// Says how long to rest.
struct Pace {
    steps: u32,
    /// When the last rest was over.
    since: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { steps: 0, since: Instant::now() }
    }

    /// How long to rest after another step.
    fn rest(&mut self) -> Duration {
        self.steps = self.steps.saturating_add(1);
        if self.steps < REST_AFTER {
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
