//! The outbox: what others want to hear of, written in the transaction in which it happens.
//!
//! An event that is written is an event that happened, and what happened is written: both commit or
//! neither does. The sequence has no gap and is in the order of the commits, since its counter
//! stays locked until the transaction ends; so whoever reads on from the last event it knows misses
//! none.
//!
//! *Invariant:* the counter is the last lock that a transaction takes, after that of the price
//! book. An [`UnitOfWork`] keeps its events until its work is done; a publication, which holds the
//! book's counter already, writes its own at once.
//!
//! [`UnitOfWork`]: super::unit_of_work::Effect

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::db::schema::{event_counter, events};
use crate::values::wire::text_enum;

text_enum! {
    /// What kind of thing happened.
    EventType {
        /// The price book has a new version.
        PublicationCreated = "kampanje.publication.created",
        /// A campaign is at another status.
        CampaignStatusChanged = "kampanje.campaign.status-changed",
        /// The first day of a published campaign has come.
        CampaignStarted = "kampanje.campaign.started",
        /// The last day of a published campaign is over.
        CampaignEnded = "kampanje.campaign.ended",
    }
}

/// The price book has a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicationCreated {
    /// The version.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub version: i64,
    /// What the publication does: `ACTIVATION`, `CHANGE`, `DEACTIVATION` … as its `kind` says.
    #[schema(max_length = 20, example = "ACTIVATION")]
    pub kind: String,
    /// The campaign; null for base data.
    #[schema(required = true, max_length = 50, example = "CP0001")]
    pub campaign_number: Option<String>,
    /// Facts and accounts that came.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1241)]
    pub added: i64,
    /// Facts that took the place of others.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub changed: i64,
    /// Facts and accounts that went.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub removed: i64,
}

/// A campaign is at another status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignStatusChanged {
    /// The campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
    /// The status before; null if there was none.
    #[schema(required = true, max_length = 50, example = "PLANNED")]
    pub from_status_code: Option<String>,
    /// The status after; null if it was taken away.
    #[schema(required = true, max_length = 50, example = "STARTED")]
    pub to_status_code: Option<String>,
}

/// A published campaign began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignLifecycleEvent {
    /// The campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
    /// The first day on which its prices hold.
    #[schema(example = "2031-05-01")]
    pub starting_date: NaiveDate,
    /// The last day on which they hold; null while the end is open.
    #[schema(required = true, example = "2031-05-31")]
    pub ending_date: Option<NaiveDate>,
    /// The day with whose beginning it was due: the first day, or the one after the last. The event
    /// comes later where no replica ran then, or the campaign was published later.
    #[schema(example = "2031-05-01")]
    pub due_date: NaiveDate,
    /// The version of the price book that carries the campaign.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: i64,
}

/// What an event tells; its type says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    /// Of `kampanje.publication.created`.
    PublicationCreated(PublicationCreated),
    /// Of `kampanje.campaign.status-changed`.
    CampaignStatusChanged(CampaignStatusChanged),
    /// Of `kampanje.campaign.started` and `kampanje.campaign.ended`.
    CampaignLifecycleEvent(CampaignLifecycleEvent),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    type_: EventType,
    subject: String,
    data: EventData,
    /// Of a campaign that began or ended: its id.
    campaign_id: Option<Uuid>,
}

impl From<PublicationCreated> for Event {
    fn from(data: PublicationCreated) -> Self {
        let subject = match &data.campaign_number {
            Some(number) => of_campaign(number),
            None => format!("publications/{}", data.version),
        };
        Self {
            type_: EventType::PublicationCreated,
            subject,
            data: EventData::PublicationCreated(data),
            campaign_id: None,
        }
    }
}

impl From<CampaignStatusChanged> for Event {
    fn from(data: CampaignStatusChanged) -> Self {
        Self {
            type_: EventType::CampaignStatusChanged,
            subject: of_campaign(&data.campaign_number),
            data: EventData::CampaignStatusChanged(data),
            campaign_id: None,
        }
    }
}

impl Event {
    /// A campaign began or ended, as the type says. It is written once for a campaign, the type and
    /// the campaign's dates.
    #[must_use]
    pub fn turned(type_: EventType, campaign_id: Uuid, data: CampaignLifecycleEvent) -> Self {
        let subject = of_campaign(&data.campaign_number);
        Self {
            type_,
            subject,
            data: EventData::CampaignLifecycleEvent(data),
            campaign_id: Some(campaign_id),
        }
    }

    /// The dates by which an event of a campaign that began or ended is told from its others.
    const fn period(&self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        match &self.data {
            EventData::CampaignLifecycleEvent(data) => (Some(data.starting_date), data.ending_date),
            _ => (None, None),
        }
    }
}

/// The path of a campaign below the source of events.
fn of_campaign(number: &str) -> String {
    format!("campaigns/{number}")
}

/// Locks the counter until the transaction ends: from here on nobody else commits an event, and
/// everything that has one is to be seen.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    event_counter::table
        .select(event_counter::sequence)
        .for_update()
        .first::<i64>(conn)
        .await
        .map(drop)
}

/// Writes events, in this order. What the caller still locks afterwards, it has to hold already.
///
/// # Errors
/// When the database fails.
pub async fn record(conn: &mut AsyncPgConnection, happened: &[Event]) -> QueryResult<()> {
    if happened.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(happened.len()).unwrap_or(i64::MAX);
    let last: i64 = diesel::update(event_counter::table)
        .set(event_counter::sequence.eq(event_counter::sequence + count))
        .returning(event_counter::sequence)
        .get_result(conn)
        .await?;
    let first = last.saturating_sub(count).saturating_add(1);
    let rows: Vec<_> = (first..)
        .zip(happened)
        .map(|(sequence, event)| {
            let (starting_date, ending_date) = event.period();
            (
                events::sequence.eq(sequence),
                events::id.eq(Uuid::now_v7()),
                events::type_.eq(event.type_),
                events::subject.eq(&event.subject),
                events::data.eq(json!(event.data)),
                events::campaign_id.eq(event.campaign_id),
                events::starting_date.eq(starting_date),
                events::ending_date.eq(ending_date),
            )
        })
        .collect();
    diesel::insert_into(events::table).values(rows).execute(conn).await.map(drop)
}
