//! The outbox: events for other systems, written in the transaction of the change that they
//! announce.
//!
//! An event and its change commit together or not at all. Sequence numbers have no gaps and follow
//! the order of the commits, because the counter stays locked until the transaction ends. A
//! consumer that reads on from its last event misses none.
//!
//! *Invariant:* the counter is the last lock that a transaction takes, after that of the price
//! book. A [`UnitOfWork`] keeps its events until its work is done. A publication already holds the
//! lock of the book, so it writes its own event directly.
//!
//! [`UnitOfWork`]: crate::unit_of_work::UnitOfWork

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;
use values::text_enum;

use crate::schema::{event_counter, events};

/// The channel on which new events are announced, with the newest sequence. The database does so.
pub const NOTIFICATION_CHANNEL: &str = "kampanje_events";

text_enum! {
    /// The reason for which the service disabled a webhook subscription.
    WebhookDisabledReason {
        /// The receiver answered 410: it wants no more events.
        Gone = "GONE",
        /// All attempts of seven days failed.
        Failing = "FAILING",
    }
}

text_enum! {
    /// The type of an event.
    EventType {
        /// The price book has a new version.
        PublicationCreated = "kampanje.publication.created",
        /// The draft of a campaign changed.
        CampaignChanged = "kampanje.campaign.changed",
        /// The draft of a segment changed.
        SegmentChanged = "kampanje.segment.changed",
        /// The status of a campaign changed.
        CampaignStatusChanged = "kampanje.campaign.status-changed",
        /// The first day of a published campaign began.
        CampaignStarted = "kampanje.campaign.started",
        /// The last day of a published campaign ended.
        CampaignEnded = "kampanje.campaign.ended",
        /// The cost of an item rose, and its prices are below a guardrail since.
        GuardrailViolated = "kampanje.guardrail.violated",
        /// The service disabled a webhook subscription.
        WebhookDisabled = "kampanje.webhook.disabled",
        /// A test of a webhook subscription, which no other subscription receives.
        WebhookTest = "kampanje.webhook.test",
    }
}

/// The price book has a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublicationCreated {
    /// The new version.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub version: i64,
    /// The history that the version belonged to when it was published.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub book_id: Uuid,
    /// The kind of publication: `ACTIVATION`, `CHANGE`, `DEACTIVATION` and so on.
    #[schema(max_length = 20, example = "ACTIVATION")]
    pub kind: String,
    /// The number of the campaign; null for base data.
    #[schema(required = true, max_length = 50, example = "CP0001")]
    pub campaign_number: Option<String>,
    /// Number of facts and accounts that were added.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1241)]
    pub added: i64,
    /// Number of facts that were replaced.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub changed: i64,
    /// Number of facts and accounts that were removed.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub removed: i64,
}

/// The draft of a campaign was created, changed or deleted: the campaign itself, its lines or its
/// golden quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignChanged {
    /// The number of the campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
}

/// The draft of a segment was created, changed or deleted: the segment itself or its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentChanged {
    /// The number of the segment.
    #[schema(max_length = 50, example = "SM0001")]
    pub segment_number: String,
}

/// The status of a campaign changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignStatusChanged {
    /// The number of the campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
    /// The code of the previous status; null if there was none.
    #[schema(required = true, max_length = 50, example = "PLANNED")]
    pub from_status_code: Option<String>,
    /// The code of the new status; null if it was removed.
    #[schema(required = true, max_length = 50, example = "STARTED")]
    pub to_status_code: Option<String>,
}

/// A published campaign started or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignLifecycleEvent {
    /// The number of the campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
    /// The first day on which the campaign's prices apply.
    #[schema(example = "2031-05-01")]
    pub starting_date: NaiveDate,
    /// The last day on which they apply; null if the end is open.
    #[schema(required = true, example = "2031-05-31")]
    pub ending_date: Option<NaiveDate>,
    /// The day at whose beginning the event was due: the first day, or the day after the last. The
    /// event is written later if no replica was running then, or if the campaign was published
    /// later.
    #[schema(example = "2031-05-01")]
    pub due_date: NaiveDate,
    /// The version of the price book that contains the campaign.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: i64,
}

/// The cost of an item rose, and its prices are below a guardrail since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GuardrailViolated {
    /// The number of the item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The code of the finding: `NET_BELOW_COST` or `BELOW_MARGIN_FLOOR`.
    #[schema(max_length = 50, example = "NET_BELOW_COST")]
    pub code: String,
    /// Number of accounts that pay such a price.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub number_of_accounts: u64,
    /// The worst of the prices in words.
    #[schema(max_length = 4000, example = "ACME would pay 57 on 2031-05-01: below the cost 60")]
    pub detail: String,
}

/// The service disabled a webhook subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDisabled {
    /// The id of the subscription.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub subscription_id: Uuid,
    /// The reason.
    pub reason: WebhookDisabledReason,
}

/// A test of a webhook subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTest {
    /// The id of the subscription.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub subscription_id: Uuid,
}

/// The content of an event; the type of the event determines the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventData {
    /// Of `kampanje.publication.created`.
    PublicationCreated(PublicationCreated),
    /// Of `kampanje.campaign.status-changed`.
    CampaignStatusChanged(CampaignStatusChanged),
    /// Of `kampanje.campaign.changed`.
    CampaignChanged(CampaignChanged),
    /// Of `kampanje.segment.changed`.
    SegmentChanged(SegmentChanged),
    /// Of `kampanje.campaign.started` and `kampanje.campaign.ended`.
    CampaignLifecycleEvent(CampaignLifecycleEvent),
    /// Of `kampanje.guardrail.violated`.
    GuardrailViolated(GuardrailViolated),
    /// Of `kampanje.webhook.disabled`.
    WebhookDisabled(WebhookDisabled),
    /// Of `kampanje.webhook.test`.
    WebhookTest(WebhookTest),
}

/// A draft that a unit of work changed. It is announced once, however many of its parts changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangedDraft {
    /// A campaign by number: itself, its lines or its golden quotes.
    Campaign(String),
    /// A segment by number: itself or its lines.
    Segment(String),
}

impl From<&ChangedDraft> for Event {
    fn from(draft: &ChangedDraft) -> Self {
        let (type_, subject, data) = match draft.clone() {
            ChangedDraft::Campaign(campaign_number) => (
                EventType::CampaignChanged,
                campaign_subject(&campaign_number),
                EventData::CampaignChanged(CampaignChanged { campaign_number }),
            ),
            ChangedDraft::Segment(segment_number) => (
                EventType::SegmentChanged,
                format!("segments/{segment_number}"),
                EventData::SegmentChanged(SegmentChanged { segment_number }),
            ),
        };
        Self { type_, subject, data, campaign_id: None }
    }
}

/// An event to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    type_: EventType,
    subject: String,
    data: EventData,
    /// The id of the campaign, for events of its lifecycle.
    campaign_id: Option<Uuid>,
}

impl From<PublicationCreated> for Event {
    fn from(data: PublicationCreated) -> Self {
        let subject = match &data.campaign_number {
            Some(number) => campaign_subject(number),
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
            subject: campaign_subject(&data.campaign_number),
            data: EventData::CampaignStatusChanged(data),
            campaign_id: None,
        }
    }
}

impl From<GuardrailViolated> for Event {
    fn from(data: GuardrailViolated) -> Self {
        Self {
            type_: EventType::GuardrailViolated,
            subject: format!("items/{}", data.item_number),
            data: EventData::GuardrailViolated(data),
            campaign_id: None,
        }
    }
}

impl From<WebhookDisabled> for Event {
    fn from(data: WebhookDisabled) -> Self {
        Self {
            type_: EventType::WebhookDisabled,
            subject: subscription_subject(data.subscription_id),
            data: EventData::WebhookDisabled(data),
            campaign_id: None,
        }
    }
}

impl From<WebhookTest> for Event {
    fn from(data: WebhookTest) -> Self {
        Self {
            type_: EventType::WebhookTest,
            subject: subscription_subject(data.subscription_id),
            data: EventData::WebhookTest(data),
            campaign_id: None,
        }
    }
}

impl Event {
    /// Creates a lifecycle event of a campaign. It is written once for each campaign, type and pair
    /// of dates.
    #[must_use]
    pub fn lifecycle(type_: EventType, campaign_id: Uuid, data: CampaignLifecycleEvent) -> Self {
        let subject = campaign_subject(&data.campaign_number);
        Self {
            type_,
            subject,
            data: EventData::CampaignLifecycleEvent(data),
            campaign_id: Some(campaign_id),
        }
    }

    /// Returns the dates that identify a lifecycle event among those of its campaign.
    const fn period(&self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        match &self.data {
            EventData::CampaignLifecycleEvent(data) => (Some(data.starting_date), data.ending_date),
            _ => (None, None),
        }
    }
}

/// Returns the path of a campaign below the source of events.
fn campaign_subject(number: &str) -> String {
    format!("campaigns/{number}")
}

/// Returns the path of a webhook subscription below the source of events. The database delivers
/// tests by it.
fn subscription_subject(id: Uuid) -> String {
    format!("webhook-subscriptions/{id}")
}

/// Locks the counter until the transaction ends. While it is locked no other transaction commits an
/// event, and all committed events are visible.
///
/// # Errors
/// When the database fails.
pub async fn lock_counter(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    event_counter::table
        .select(event_counter::sequence)
        .for_update()
        .first::<i64>(conn)
        .await
        .map(drop)
}

/// Writes events in this order. The caller must take no further locks afterwards.
///
/// # Errors
/// When the database fails.
pub async fn record(conn: &mut AsyncPgConnection, new_events: &[Event]) -> QueryResult<()> {
    if new_events.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(new_events.len()).unwrap_or(i64::MAX);
    let last: i64 = diesel::update(event_counter::table)
        .set(event_counter::sequence.eq(event_counter::sequence + count))
        .returning(event_counter::sequence)
        .get_result(conn)
        .await?;
    let first = last.saturating_sub(count).saturating_add(1);
    let rows: Vec<_> = (first..)
        .zip(new_events)
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
