//! The background task that sends due deliveries. Every replica runs one.
//!
//! A sender takes deliveries with a lease: it moves `next_attempt_at` to the end of the lease, in a
//! transaction that skips what other replicas are taking. No session is used during an attempt. If
//! a replica dies, its deliveries are due again when the lease ends. So a delivery can be repeated,
//! but is never lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::client::{Attempt, Message, WebhookClient};
use super::delivery_state::DeliveryState;
use super::schedule::next_attempt;
use super::secret::Secret;
use super::subscriptions::{MAX_FAILING, disable};
use crate::events::latest::LatestEvent;
use crate::events::{CloudEvent, EventRow};
use crate::outbox::WebhookDisabledReason;
use crate::platform::clock::Calendar;
use crate::platform::http::problem::Problem;
use crate::publication::reader;
use crate::schema::{events, webhook_deliveries, webhook_subscriptions};
use crate::unit_of_work::Database;

/// Counter of attempts, by result.
pub const ATTEMPTS_TOTAL: &str = "kampanje_webhook_attempts_total";
/// Counter of subscriptions that the service disabled, by reason.
pub const DISABLED_TOTAL: &str = "kampanje_webhook_disabled_total";
/// Gauge of pending deliveries.
pub const PENDING: &str = "kampanje_webhook_pending_deliveries";
/// Gauge of the time in seconds by which the oldest due delivery is late.
pub const LAG_SECONDS: &str = "kampanje_webhook_lag_seconds";

/// The interval at which due deliveries are looked for. New events are noticed earlier.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which the gauges are updated.
const GAUGE_INTERVAL: Duration = Duration::from_secs(15);
/// The time for which a replica has a delivery to itself. It is much longer than an attempt.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Maximum number of deliveries of a subscription that a replica takes at a time. It takes more
/// when these are done, so a slow receiver does not delay others.
const MAX_BATCH: i32 = 8;
/// Maximum number of deliveries that a replica takes at a time.
const MAX_IN_FLIGHT: i64 = 128;
/// The status with which a receiver says that it wants no more events.
const GONE: u16 = 410;

/// Takes due deliveries of enabled subscriptions, except those in `$3`, at most `$2` of each and
/// `$4` in all, until `$5`. `$1` is the current time.
const TAKE: &str = "
    WITH due AS (
        SELECT due.id FROM webhook_subscriptions AS subscriptions CROSS JOIN LATERAL (
            SELECT id, next_attempt_at FROM webhook_deliveries AS deliveries
            WHERE deliveries.subscription_id = subscriptions.id AND deliveries.state = 'PENDING'
                AND deliveries.next_attempt_at <= $1
            ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS due
        WHERE subscriptions.enabled AND subscriptions.id <> ALL ($3)
        ORDER BY due.next_attempt_at LIMIT $4)
    UPDATE webhook_deliveries AS deliveries SET next_attempt_at = $5
    FROM due WHERE deliveries.id = due.id
    RETURNING deliveries.id, deliveries.subscription_id, deliveries.event_sequence,
        deliveries.attempts";

/// The number of pending deliveries, and the time at which the first of those that are due at `$1`
/// was due.
const BACKLOG: &str = "
    SELECT count(*) AS pending,
        min(next_attempt_at) FILTER (WHERE next_attempt_at <= $1) AS due_since
    FROM webhook_deliveries JOIN webhook_subscriptions AS subscriptions
        ON subscriptions.id = subscription_id AND subscriptions.enabled
    WHERE state = 'PENDING'";

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    subscription_id: Uuid,
    #[diesel(sql_type = BigInt)]
    event_sequence: i64,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

#[derive(QueryableByName)]
struct Backlog {
    #[diesel(sql_type = BigInt)]
    pending: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_since: Option<DateTime<Utc>>,
}

/// The deliveries of one subscription that were taken together.
struct Batch {
    subscription: Target,
    deliveries: Vec<Delivery>,
}

/// A subscription as the sender needs it.
struct Target {
    id: Uuid,
    url: String,
    secrets: Vec<Secret>,
}

struct Delivery {
    id: Uuid,
    attempts: i32,
    event_id: Uuid,
    body: Vec<u8>,
}

/// A sender of due deliveries.
#[derive(Clone)]
pub struct Sender {
    database: Database,
    calendar: Calendar,
    client: WebhookClient,
    /// The permission to use a session. There are few for background work, and the refresher of the
    /// price book must not wait until many attempts are recorded.
    turn: Arc<Semaphore>,
}

impl Sender {
    /// Creates a sender.
    #[must_use]
    pub fn new(database: Database, calendar: Calendar, client: WebhookClient) -> Self {
        Self { database, calendar, client, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Sends for as long as the process lives.
    pub async fn run(self, latest: LatestEvent) {
        let mut news = latest.news();
        // Tasks of their own: a batch that records results would otherwise wait for this loop to
        // poll it, while the loop waits for the turn that the batch has.
        let mut in_flight = JoinSet::new();
        let mut busy = BTreeSet::new();
        let mut has_failed = false;
        let mut gauges_due = Instant::now();
        loop {
            let taken = self.take(&busy).await;
            match taken {
                Ok(batches) => {
                    has_failed = false;
                    for batch in batches {
                        busy.insert(batch.subscription.id);
                        let sender = self.clone();
                        in_flight.spawn_local(async move { sender.send(batch).await });
                    }
                }
                // The database is opened after the start, and can be away later.
                Err(problem) if !has_failed => {
                    has_failed = true;
                    tracing::warn!(detail = %problem.detail, "webhooks cannot be sent; retrying");
                }
                Err(_) => {}
            }
            if gauges_due <= Instant::now() {
                gauges_due = Instant::now() + GAUGE_INTERVAL;
                self.update_gauges().await;
            }
            let deadline = Instant::now() + POLL_INTERVAL;
            tokio::select! {
                Some(sent) = in_flight.join_next() => match sent {
                    Ok(subscription) => {
                        busy.remove(&subscription);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a batch of deliveries failed; its lease ends");
                        busy.clear();
                    }
                },
                arrived = news.arrive_until(deadline) => {
                    // Without news this was the poll interval, unless the service stops.
                    if !arrived {
                        tokio::time::sleep_until(deadline).await;
                    }
                }
            }
        }
    }

    /// Sends all deliveries that are due now, once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn send_due(&self) -> Result<usize, Problem> {
        let mut sent: usize = 0;
        loop {
            let batches = self.take(&BTreeSet::new()).await?;
            if batches.is_empty() {
                return Ok(sent);
            }
            for batch in &batches {
                sent = sent.saturating_add(batch.deliveries.len());
            }
            join_all(batches.into_iter().map(|batch| self.send(batch))).await;
        }
    }

    /// Takes due deliveries with a lease.
    async fn take(&self, busy: &BTreeSet<Uuid>) -> Result<Vec<Batch>, Problem> {
        let now = self.calendar.now();
        let _turn = self.turn.acquire().await.map_err(Problem::internal)?;
        let mut conn = self.database.background().await?;
        let busy: Vec<Uuid> = busy.iter().copied().collect();
        let taken: Vec<Taken> = diesel::sql_query(TAKE)
            .bind::<Timestamptz, _>(now)
            .bind::<Integer, _>(MAX_BATCH)
            .bind::<Array<SqlUuid>, _>(busy)
            .bind::<BigInt, _>(MAX_IN_FLIGHT)
            .bind::<Timestamptz, _>(now + LEASE)
            .load(&mut conn)
            .await?;
        if taken.is_empty() { Ok(Vec::new()) } else { Ok(batches(&mut conn, taken, now).await?) }
    }

    /// Sends a batch, and returns its subscription.
    async fn send(&self, batch: Batch) -> Uuid {
        let Batch { subscription, deliveries } = batch;
        join_all(deliveries.into_iter().map(|delivery| self.deliver(&subscription, delivery)))
            .await;
        subscription.id
    }

    /// Attempts a delivery once, and records the result.
    async fn deliver(&self, subscription: &Target, delivery: Delivery) {
        let Delivery { id, attempts, event_id, body } = delivery;
        let timestamp = self.calendar.now().timestamp();
        let message = Message { id: event_id.to_string(), timestamp, body };
        let attempt = self.client.attempt(&subscription.url, message, &subscription.secrets).await;
        if let Err(problem) = self.record(subscription.id, id, attempts, &attempt).await {
            // The delivery is repeated when the lease ends.
            tracing::warn!(
                delivery = %id, detail = %problem.detail,
                "the result of a delivery cannot be recorded"
            );
        }
    }

    /// Records the result of an attempt, after so many others, and disables the subscription if its
    /// receiver is gone or has failed for too long.
    async fn record(
        &self,
        subscription: Uuid,
        delivery: Uuid,
        attempts: i32,
        attempt: &Attempt,
    ) -> Result<(), Problem> {
        let result = if attempt.error.is_none() { "success" } else { "failure" };
        metrics::counter!(ATTEMPTS_TOTAL, "result" => result).increment(1);
        if let Some(error) = &attempt.error {
            tracing::info!(%subscription, %delivery, error, "a delivery failed");
        }
        let now = self.calendar.now();
        let turn = self.turn.acquire().await.map_err(Problem::internal)?;
        let mut conn = self.database.background().await?;
        let failing_since = conn
            .transaction(async |conn| {
                // The subscription is locked first, as by its changes.
                let failing_since =
                    record_failing(conn, subscription, attempt.error.is_some(), now).await?;
                record_attempt(conn, delivery, attempts, attempt, now).await?;
                QueryResult::Ok(failing_since)
            })
            .await?;
        drop((conn, turn));
        let reason = if attempt.status == Some(GONE) {
            WebhookDisabledReason::Gone
        } else if failing_since.is_some_and(|since| now - since >= MAX_FAILING) {
            WebhookDisabledReason::Failing
        } else {
            return Ok(());
        };
        tracing::warn!(%subscription, reason = reason.text(), "a webhook subscription is disabled");
        metrics::counter!(DISABLED_TOTAL, "reason" => reason.text()).increment(1);
        disable(&self.database, subscription, reason).await
    }

    /// Updates the gauges of the backlog. While the database is away they keep their values.
    async fn update_gauges(&self) {
        let now = self.calendar.now();
        let Ok(mut conn) = self.database.background().await else { return };
        let backlog = diesel::sql_query(BACKLOG).bind::<Timestamptz, _>(now);
        let Ok(Backlog { pending, due_since }) = backlog.get_result(&mut conn).await else {
            return;
        };
        let lag = due_since.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
        metrics::gauge!(PENDING).set(u32::try_from(pending).unwrap_or(u32::MAX));
        metrics::gauge!(LAG_SECONDS).set(lag.as_secs_f64());
    }
}

/// Reads what is sent: the events, and the URLs and secrets of their subscriptions.
async fn batches(
    conn: &mut AsyncPgConnection,
    taken: Vec<Taken>,
    now: DateTime<Utc>,
) -> Result<Vec<Batch>, Problem> {
    use webhook_subscriptions as t;
    type Row = (Uuid, String, Vec<u8>, Option<Vec<u8>>, Option<DateTime<Utc>>);
    let (_, book_id) = reader::latest(conn).await?;
    let sequences = taken.iter().map(|taken| taken.event_sequence);
    let events: Vec<EventRow> = events::table
        .filter(events::sequence.eq_any(sequences))
        .select(EventRow::as_select())
        .load(conn)
        .await?;
    let events: Vec<CloudEvent> =
        events.into_iter().map(|row| CloudEvent::new(row, book_id)).collect();
    let ids = taken.iter().map(|taken| taken.subscription_id);
    let subscriptions: Vec<Row> = t::table
        .filter(t::id.eq_any(ids))
        .select((t::id, t::url, t::secret, t::previous_secret, t::previous_secret_expires_at))
        .load(conn)
        .await?;
    let batch = |(id, url, secret, previous, expires_at): Row| -> Result<Batch, Problem> {
        let previous = previous.filter(|_| expires_at.is_some_and(|expires_at| now < expires_at));
        let secrets = std::iter::once(secret).chain(previous).map(Secret::from_bytes).collect();
        let of_subscription = taken.iter().filter(|taken| taken.subscription_id == id);
        let deliveries = of_subscription.map(|taken| -> Result<Delivery, Problem> {
            let event = events
                .iter()
                .find(|event| event.sequence == taken.event_sequence)
                .ok_or_else(|| Problem::internal("the event of a delivery is missing"))?;
            let body = serde_json::to_vec(event).map_err(Problem::internal)?;
            Ok(Delivery { id: taken.id, attempts: taken.attempts, event_id: event.id, body })
        });
        let deliveries = deliveries.collect::<Result<Vec<_>, Problem>>()?;
        Ok(Batch { subscription: Target { id, url, secrets }, deliveries })
    };
    subscriptions.into_iter().map(batch).collect()
}

/// Notes since when a receiver has been failing, and returns it.
async fn record_failing(
    conn: &mut AsyncPgConnection,
    subscription: Uuid,
    failed: bool,
    now: DateTime<Utc>,
) -> QueryResult<Option<DateTime<Utc>>> {
    use webhook_subscriptions as t;
    // Most attempts follow one with the same result, so nothing is written.
    let since: Option<Option<DateTime<Utc>>> =
        t::table.find(subscription).select(t::failing_since).first(conn).await.optional()?;
    match since {
        Some(since) if since.is_some() == failed => Ok(since),
        Some(_) => {
            let since = failed.then_some(now);
            diesel::update(t::table.find(subscription))
                .set(t::failing_since.eq(since))
                .execute(conn)
                .await?;
            Ok(since)
        }
        // It was deleted in the meantime.
        None => Ok(None),
    }
}

/// Writes the result of an attempt. If the lease ended and another replica was faster, or the
/// delivery was canceled, nothing is written.
async fn record_attempt(
    conn: &mut AsyncPgConnection,
    delivery: Uuid,
    attempts: i32,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use webhook_deliveries as t;
    let finished = attempts.saturating_add(1);
    let next = match &attempt.error {
        None => None,
        Some(_) => next_attempt(delivery, finished, now),
    };
    let state = match (&attempt.error, next) {
        (None, _) => DeliveryState::Succeeded,
        (Some(_), Some(_)) => DeliveryState::Pending,
        (Some(_), None) => DeliveryState::Failed,
    };
    let taken = t::table
        .find(delivery)
        .filter(t::state.eq(DeliveryState::Pending))
        .filter(t::attempts.eq(attempts));
    diesel::update(taken)
        .set((
            t::state.eq(state),
            t::attempts.eq(finished),
            t::next_attempt_at.eq(next),
            t::attempted_at.eq(now),
            t::response_status.eq(attempt.status.and_then(|status| i16::try_from(status).ok())),
            t::duration_milliseconds
                .eq(i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX)),
            t::error.eq(&attempt.error),
        ))
        .execute(conn)
        .await
        .map(drop)
}
