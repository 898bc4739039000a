//! The newest event of the database, as a replica knows it: for callers that wait for events, and
//! for the sender of webhooks.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::outbox::NOTIFICATION_CHANNEL;
use crate::platform::db::notifications::{self, Notification};
use crate::platform::db::pool::{PollError, Pool};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::schema::event_counter;

/// The interval at which the database is polled. Notifications arrive earlier.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of requests of a replica that wait for events. Each requests a page when an event
/// is written.
pub const MAX_WAITING: usize = 100;
/// Value of `Retry-After`, in seconds, for a request that cannot wait.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The newest event. Clones share one state.
#[derive(Clone)]
pub struct LatestEvent {
    known: watch::Sender<Known>,
    waiting: Arc<Semaphore>,
    max_waiting: usize,
}

impl Default for LatestEvent {
    fn default() -> Self {
        Self::new(MAX_WAITING)
    }
}

/// The state of [`LatestEvent`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Known {
    sequence: i64,
    is_stopping: bool,
}

impl LatestEvent {
    /// Creates the state before the first poll, with a limit other than the default one.
    #[must_use]
    pub fn new(max_waiting: usize) -> Self {
        Self {
            known: watch::Sender::new(Known::default()),
            waiting: Arc::new(Semaphore::new(max_waiting)),
            max_waiting,
        }
    }

    /// Follows the database for as long as the process lives.
    pub async fn run(self, pool: Pool) {
        let listening = notifications::listen(pool.clone(), NOTIFICATION_CHANNEL, |notification| {
            if let Notification::Received(sequence) = notification
                && let Ok(sequence) = sequence.parse()
            {
                self.learn(sequence);
            }
        });
        tokio::join!(listening, self.poll(&pool));
    }

    async fn poll(&self, pool: &Pool) {
        let mut has_failed = false;
        loop {
            let polled = newest_sequence(pool).await;
            match &polled {
                Ok(sequence) => self.learn(*sequence),
                Err(error) if !has_failed => {
                    tracing::warn!(%error, "the newest event is unknown; retrying");
                }
                Err(_) => {}
            }
            has_failed = polled.is_err();
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Notes the newest sequence. After a restore it can be lower than before.
    fn learn(&self, sequence: i64) {
        self.known.send_if_modified(|known| {
            let is_news = known.sequence != sequence;
            known.sequence = sequence;
            is_news
        });
    }

    /// Ends all waits, because the service stops. Later ones end immediately.
    pub fn stop(&self) {
        self.known.send_modify(|known| known.is_stopping = true);
    }

    /// Returns a view that notices the events written from now on.
    #[must_use]
    pub fn news(&self) -> News {
        News(self.known.subscribe())
    }

    /// Returns the number of requests that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.max_waiting.saturating_sub(self.waiting.available_permits())
    }

    /// Takes a slot for a request that waits.
    ///
    /// # Errors
    /// 503 while all slots are taken.
    pub fn wait_slot(&self) -> Result<WaitSlot, Problem> {
        let permit = Arc::clone(&self.waiting).try_acquire_owned();
        permit.map(|permit| WaitSlot { _permit: permit }).map_err(|_| {
            let detail = "too many requests wait for events; repeat the request without `wait`, or \
                later";
            Problem::new(ProblemCode::TooManyWaiting, detail)
                .header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
        })
    }
}

/// The slot of a request that waits.
#[derive(Debug)]
pub struct WaitSlot {
    _permit: OwnedSemaphorePermit,
}

/// The events that are written after a point in time.
pub struct News(watch::Receiver<Known>);

impl News {
    /// Waits until there are events that were not noticed before. Returns false if there are none
    /// at the deadline, or the service stops.
    pub async fn arrive_until(&mut self, deadline: Instant) -> bool {
        let Self(known) = self;
        if known.borrow().is_stopping {
            return false;
        }
        let changed = timeout_at(deadline, known.changed()).await;
        matches!(changed, Ok(Ok(()))) && !known.borrow().is_stopping
    }
}

async fn newest_sequence(pool: &Pool) -> Result<i64, PollError> {
    let mut conn = pool.get().await?;
    Ok(event_counter::table.select(event_counter::sequence).first(&mut conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn news_arrive_once_also_after_a_restore() {
        let latest = LatestEvent::default();
        let mut news = latest.news();
        latest.learn(5);
        assert!(news.arrive_until(soon()).await);
        latest.learn(5);
        assert!(!news.arrive_until(Instant::now()).await, "nothing new");
        latest.learn(3);
        assert!(news.arrive_until(soon()).await);
    }

    #[tokio::test]
    async fn stop_ends_present_and_later_waits() {
        let latest = LatestEvent::default();
        let mut news = latest.news();
        let (arrived, ()) = tokio::join!(news.arrive_until(soon()), async { latest.stop() });
        assert!(!arrived);
        assert!(!latest.news().arrive_until(soon()).await);
    }

    #[test]
    fn waits_are_bounded() {
        let latest = LatestEvent::new(1);
        let slot = latest.wait_slot().unwrap();
        let refused = latest.wait_slot().unwrap_err();
        assert_eq!((refused.code, refused.status().as_u16()), (ProblemCode::TooManyWaiting, 503));
        drop(slot);
        assert!(latest.wait_slot().is_ok());
    }
}
