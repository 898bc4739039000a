//! Events for the first and last days of published campaigns. No request happens then, so every
//! replica polls, and the first one writes the event.
//!
//! A poll looks for missing events: campaigns that have begun or ended by their published dates,
//! without an event for it. So nothing is lost while no replica runs, and no event is written
//! twice.

use std::time::Duration;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::outbox::{self, CampaignLifecycleEvent, Event, EventType};
use crate::platform::clock::Calendar;
use crate::platform::db::pool::{PollError, Pool};

/// Maximum time between two polls. Clocks are adjusted, companies change their time zone, and
/// campaigns are published after their first day.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// Minimum time between two polls, so that a slow clock does not cause a busy loop.
const MIN_SLEEP: Duration = Duration::from_millis(50);
/// Maximum number of events in one transaction.
const MAX_EVENTS_PER_TRANSACTION: i64 = 1_000;

/// The events that are due on day `$1`, oldest first, at most `$2`. A campaign that has begun and
/// ended since the last poll has both.
const DUE: &str = "
    SELECT campaigns.id, campaigns.number, due.type, due.due_date,
        published_starting_date AS starting_date,
        published_ending_date AS ending_date, publication_version
    FROM campaigns CROSS JOIN LATERAL (VALUES
        ('kampanje.campaign.started', 1, published_starting_date),
        ('kampanje.campaign.ended', 2, published_ending_date + 1)) AS due (type, place, due_date)
    WHERE publication_version IS NOT NULL AND published_starting_date IS NOT NULL
        AND due.due_date <= $1
        AND NOT EXISTS (SELECT FROM events WHERE events.campaign_id = campaigns.id
            AND events.type = due.type
            AND events.starting_date = published_starting_date
            AND events.ending_date IS NOT DISTINCT FROM published_ending_date)
    ORDER BY due.due_date, due.place, campaigns.number LIMIT $2";

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    number: String,
    #[diesel(sql_type = Text, column_name = "type")]
    type_: EventType,
    #[diesel(sql_type = Date)]
    due_date: NaiveDate,
    #[diesel(sql_type = Date)]
    starting_date: NaiveDate,
    #[diesel(sql_type = Nullable<Date>)]
    ending_date: Option<NaiveDate>,
    #[diesel(sql_type = BigInt)]
    publication_version: i64,
}

impl From<Due> for Event {
    fn from(due: Due) -> Self {
        let data = CampaignLifecycleEvent {
            campaign_number: due.number,
            starting_date: due.starting_date,
            ending_date: due.ending_date,
            due_date: due.due_date,
            publication_version: due.publication_version,
        };
        Self::lifecycle(due.type_, due.id, data)
    }
}

async fn due(conn: &mut AsyncPgConnection, today: NaiveDate, limit: i64) -> QueryResult<Vec<Due>> {
    diesel::sql_query(DUE).bind::<Date, _>(today).bind::<BigInt, _>(limit).load(conn).await
}

/// Writes the events of the campaigns that have begun or ended by today. Returns their number.
///
/// # Errors
/// If the database fails.
pub async fn emit_due(conn: &mut AsyncPgConnection, today: NaiveDate) -> QueryResult<usize> {
    let mut emitted: usize = 0;
    // Checked without a lock first: on most days nothing is due, and publications must not wait for
    // that.
    while !due(conn, today, 1).await?.is_empty() {
        let written = conn
            .transaction(async |conn| {
                // Publications take the same lock, and so does every writer of events. What is due
                // now therefore agrees with the recorded events.
                outbox::lock_counter(conn).await?;
                let events: Vec<Event> = due(conn, today, MAX_EVENTS_PER_TRANSACTION)
                    .await?
                    .into_iter()
                    .map(Event::from)
                    .collect();
                outbox::record(conn, &events).await?;
                QueryResult::Ok(events.len())
            })
            .await?;
        emitted = emitted.saturating_add(written);
    }
    Ok(emitted)
}

/// Writes due events for as long as the process lives: at each midnight of the company, and at
/// least every minute.
pub async fn run(pool: Pool, calendar: Calendar) {
    loop {
        if let Err(error) = poll(&pool, &calendar).await {
            tracing::warn!(%error, "lifecycle events cannot be written; retrying later");
        }
        tokio::time::sleep(time_until_poll(&calendar)).await;
    }
}

async fn poll(pool: &Pool, calendar: &Calendar) -> Result<(), PollError> {
    let emitted = emit_due(&mut *pool.get().await?, calendar.today()).await?;
    if emitted > 0 {
        tracing::info!(emitted, "lifecycle events written");
    }
    Ok(())
}

/// Returns the time until the next poll: the company's midnight, but at most a minute.
fn time_until_poll(calendar: &Calendar) -> Duration {
    calendar.time_until_midnight().clamp(MIN_SLEEP, MAX_SLEEP)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn polls_at_company_midnight_and_every_minute() {
        let time_at = |instant: &str| {
            let at: DateTime<Utc> = instant.parse().unwrap();
            let calendar = Calendar::new(Arc::new(move || at));
            calendar.set_zone("Europe/Oslo");
            time_until_poll(&calendar)
        };
        assert_eq!(time_at("2031-05-14T12:00:00Z"), MAX_SLEEP);
        assert_eq!(time_at("2031-05-14T21:59:30Z"), Duration::from_secs(30));
        assert_eq!(time_at("2031-05-14T21:59:59.999Z"), MIN_SLEEP);
        assert_eq!(time_at("2031-05-14T22:00:00Z"), MAX_SLEEP);
    }
}
