//! The days on which published campaigns begin and end. Nobody does anything then, so every replica
//! looks, and whoever comes first writes the event.
//!
//! What is looked for is what is missing: campaigns whose first day has come, or whose last day is
//! over, by the dates as published, and whose event is not there yet. So nothing is lost while no
//! replica runs, and nothing is told twice.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::platform::clock::Calendar;
use crate::platform::db::pool::{Pool, PoolError};
use crate::platform::outbox::{self, CampaignLifecycleEvent, Event, EventType};

/// At most so long is nothing looked for: clocks are set, companies move to other time zones, and
/// campaigns are published after their first day.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// At least so long, so that a clock that is a little behind does not make it a busy one.
const MIN_SLEEP: Duration = Duration::from_millis(50);
/// At most so many are written in one transaction.
const MAX_EVENTS_PER_TRANSACTION: i64 = 1_000;

/// What is due on day `$1`, in the order in which it fell due: at most `$2`. A campaign that begins
/// and ends before it is looked at does both.
const DUE: &str = "
    SELECT campaigns.id, campaigns.number, turn.type, turn.due_date, published_starting_date AS starting_date,
        published_ending_date AS ending_date, publication_version
    FROM campaigns CROSS JOIN LATERAL (VALUES
        ('kampanje.campaign.started', 1, published_starting_date),
        ('kampanje.campaign.ended', 2, published_ending_date + 1)) AS turn (type, place, due_date)
    WHERE publication_version IS NOT NULL AND published_starting_date IS NOT NULL AND turn.due_date <= $1
        AND NOT EXISTS (SELECT FROM events WHERE events.campaign_id = campaigns.id AND events.type = turn.type
            AND events.starting_date = published_starting_date
            AND events.ending_date IS NOT DISTINCT FROM published_ending_date)
    ORDER BY turn.due_date, turn.place, campaigns.number LIMIT $2";

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
        Self::turned(due.type_, due.id, data)
    }
}

async fn due(conn: &mut AsyncPgConnection, today: NaiveDate, most: i64) -> QueryResult<Vec<Due>> {
    diesel::sql_query(DUE).bind::<Date, _>(today).bind::<BigInt, _>(most).load(conn).await
}

/// Writes the events of the campaigns that have begun and ended by today: how many.
///
/// # Errors
/// When the database fails.
pub async fn emit_due(conn: &mut AsyncPgConnection, today: NaiveDate) -> QueryResult<usize> {
    let mut emitted: usize = 0;
    // Without a lock first: on most days nothing is due, and nobody is to wait for that answer.
    while !due(conn, today, 1).await?.is_empty() {
        let written = conn
            .transaction(async |conn| {
                // Whoever publishes or tells holds the same lock; so what is due now agrees with
                // the events so far.
                outbox::lock(conn).await?;
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

/// Tells what time brings for as long as the process lives: at each of the company's midnights, and
/// every minute.
pub async fn run(pool: Pool, calendar: Calendar) {
    loop {
        if let Err(error) = tell_from(&pool, &calendar).await {
            tracing::warn!(%error, "campaigns that begin or end cannot be told of; the next attempt makes up for it");
        }
        tokio::time::sleep(rest(&calendar)).await;
    }
}

async fn tell_from(pool: &Pool, calendar: &Calendar) -> Result<(), TellError> {
    let emitted = emit_due(&mut *pool.get().await?, calendar.today()).await?;
    if emitted > 0 {
        tracing::info!(emitted, "campaigns have begun or ended");
    }
    Ok(())
}

/// Why nothing could be told.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// How long until the company's next day begins, or a minute.
fn rest(calendar: &Calendar) -> Duration {
    let tomorrow = calendar.today().checked_add_days(Days::new(1));
    let midnight =
        tomorrow.map(|tomorrow| calendar.begins(tomorrow).signed_duration_since(calendar.now()));
    let until = midnight.and_then(|until| until.to_std().ok()).unwrap_or(MAX_SLEEP);
    until.clamp(MIN_SLEEP, MAX_SLEEP)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn it_wakes_at_the_company_s_midnight_and_every_minute() {
        let rest_at = |instant: &str| {
            let at: DateTime<Utc> = instant.parse().unwrap();
            let calendar = Calendar::new(Arc::new(move || at));
            calendar.set_zone("Europe/Oslo");
            rest(&calendar)
        };
        assert_eq!(rest_at("2031-05-14T12:00:00Z"), MAX_SLEEP);
        assert_eq!(rest_at("2031-05-14T21:59:30Z"), Duration::from_secs(30));
        assert_eq!(rest_at("2031-05-14T21:59:59.999Z"), MIN_SLEEP);
        assert_eq!(rest_at("2031-05-14T22:00:00Z"), MAX_SLEEP);
    }
}
