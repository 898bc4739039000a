//! Events for other systems: the outbox as a list, and the first and last days of campaigns.
//!
//! A change writes its event in its own transaction ([`outbox`](crate::outbox)). The
//! start of a day is no change, so [`lifecycle`] looks for campaigns that begin or end.

pub mod latest;
pub mod lifecycle;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use self::latest::LatestEvent;
use crate::outbox::{EventData, EventType};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec, Page};
use crate::platform::http::operations::{
    list_description, list_operation, query_parameter, whole_number,
};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::publication::book_id::{BOOK_ID_PARAM, book_id_parameter, require_history};
use crate::publication::reader;
use crate::schema::events;
use crate::unit_of_work::Database;

const PATH: &str = "/v1/events";
/// The parameter for the longest wait.
const WAIT_PARAM: &str = "wait";
/// Maximum wait for an event in seconds. Proxies end a response that does not begin in 60 s.
const MAX_WAIT_SECONDS: u64 = 30;
/// The version of CloudEvents that the events conform to.
const SPECVERSION: &str = "1.0";
/// The source of all events; subjects are paths below it.
const SOURCE: &str = "/v1";
/// The media type of `data`.
const CONTENT_TYPE: &str = "application/json";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("sequence", FieldKind::Integer, "events.sequence").not_null(),
        Field::new("id", FieldKind::Uuid, "events.id").not_null(),
        Field::new("type", FieldKind::Enum(EventType::TEXTS), "events.type").not_null(),
        Field::new("subject", FieldKind::Text, "events.subject").not_null(),
        Field::new("time", FieldKind::Instant, "events.occurred_at").not_null(),
    ],
    default_order: "sequence",
    tie: "sequence",
};

/// Adds the operation.
pub fn mount(routes: &mut Routes) {
    routes.schema::<EventPage>();
    let description = format!(
        "Lists all events in the order in which they were committed, without gaps. After the event \
         with sequence N continue with `after=N`; no event is skipped. With `wait` an empty page \
         is answered only when no event was written for that time. {}",
        list_description(&LIST)
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("list_events"))
        .tag("Events")
        .summary(Some("List events"))
        .description(Some(description))
        .parameter(after_parameter())
        .parameter(book_id_parameter())
        .parameter(type_parameter())
        .parameter(wait_parameter());
    routes.operation(
        Scope::BookRead,
        HttpMethod::Get,
        PATH,
        list_operation(operation, &LIST, "events", EventPage::name()),
        list,
    );
}

fn after_parameter() -> Parameter {
    let schema = whole_number(0).default(Some(0.into()));
    let description = "The sequence of the last event that was received; 0 if none was.";
    query_parameter("after", description, schema)
}

fn wait_parameter() -> Parameter {
    let schema =
        whole_number(0).maximum(Some(30.0)).default(Some(0.into())).examples([MAX_WAIT_SECONDS]);
    let description = "The number of seconds to wait if there is no event yet. The response comes \
        as soon as there is one. It is empty after that time, or earlier if the service stops.";
    query_parameter(WAIT_PARAM, description, schema)
}

fn type_parameter() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(EventType::TEXTS.iter().copied()));
    query_parameter("type", "Only events of this type.", schema)
}

/// An event in the form of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CloudEvent {
    /// The version of CloudEvents.
    #[schema(max_length = 5, example = "1.0")]
    pub specversion: &'static str,
    /// The id, which is the same for every delivery of the event.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: uuid::Uuid,
    /// The source of the event; `subject` is a path below it.
    #[schema(max_length = 20, example = "/v1")]
    pub source: &'static str,
    /// The type of the event.
    #[serde(rename = "type")]
    #[schema(value_type = EventType, example = "kampanje.publication.created")]
    pub type_: String,
    /// The subject: a campaign, a segment, or the publication of base data, for example.
    #[schema(max_length = 100, example = "campaigns/CP0001")]
    pub subject: String,
    /// The time at which the event was recorded.
    #[schema(max_length = 35, example = "2031-05-01T08:30:00.123456Z")]
    pub time: DateTime<Utc>,
    /// The media type of `data`.
    #[schema(max_length = 50, example = "application/json")]
    pub datacontenttype: &'static str,
    /// The position in the order of all events, one more than that of the previous event.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1042)]
    pub sequence: i64,
    /// The history that the sequence and the versions in `data` belong to. The extension attribute
    /// has no capital letter because CloudEvents permits none.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub bookid: uuid::Uuid,
    /// The payload, depending on the type.
    #[schema(value_type = EventData)]
    pub data: Value,
}

/// The row of an event.
#[derive(Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(Pg))]
pub struct EventRow {
    sequence: i64,
    id: uuid::Uuid,
    type_: String,
    subject: String,
    occurred_at: DateTime<Utc>,
    data: Value,
}

impl CloudEvent {
    /// Creates the event in the history with this identity.
    #[must_use]
    pub fn new(row: EventRow, book_id: uuid::Uuid) -> Self {
        let EventRow { sequence, id, type_, subject, occurred_at, data } = row;
        Self {
            specversion: SPECVERSION,
            id,
            source: SOURCE,
            type_,
            subject,
            time: occurred_at,
            datacontenttype: CONTENT_TYPE,
            sequence,
            bookid: book_id,
            data,
        }
    }
}

/// A page of events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used; pages are written by http::list")]
pub struct EventPage {
    /// The events.
    #[schema(max_items = 1000)]
    value: Vec<CloudEvent>,
    /// The link to the next page; absent on the last page. Opaque.
    #[schema(
        max_length = 16384,
        example = "/v1/events?after=1041&cursor=eyJrIjpbIjEwNDIiXX0.c2ln"
    )]
    next_link: Option<String>,
    /// Number of events that the filter leaves; only with `count=true`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1042)]
    count: Option<i64>,
}

/// Handles `GET` on the events.
async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
    latest: web::Data<LatestEvent>,
) -> Result<ApiResponse, Problem> {
    let own = &["after", "type", WAIT_PARAM, BOOK_ID_PARAM];
    let list = ListQuery::parse_with(
        request.path(),
        request.query_string(),
        own,
        &LIST,
        &cursor_key,
        calendar.today(),
    )?;
    let wanted = Wanted::parse(&list)?;
    // Before the first query, so that no event between the two is missed.
    let mut news = latest.news();
    let deadline = Instant::now() + wanted.wait;
    let mut page = page(&database, &list, &wanted).await?;
    if page.value.is_empty() && !wanted.wait.is_zero() {
        let _slot = latest.wait_slot()?;
        while page.value.is_empty() && news.arrive_until(deadline).await {
            page = self::page(&database, &list, &wanted).await?;
        }
    }
    ApiResponse::json(StatusCode::OK, &page)
}

/// Queries a page. The session is returned afterwards, so that a request that waits needs none.
async fn page(database: &Database, list: &ListQuery, wanted: &Wanted) -> Result<Page, Problem> {
    let mut conn = database.list(list).await?;
    let (_, book_id) = reader::latest(&mut conn).await?;
    require_history(list.param(BOOK_ID_PARAM), book_id)?;
    let mut query = events::table
        .select(EventRow::as_select())
        .filter(events::sequence.gt(wanted.after))
        .into_boxed::<Pg>();
    let mut counting =
        events::table.count().filter(events::sequence.gt(wanted.after)).into_boxed::<Pg>();
    if let Some(type_) = wanted.type_ {
        query = query.filter(events::type_.eq(type_));
        counting = counting.filter(events::type_.eq(type_));
    }
    let query = query
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset());
    let rows: Vec<EventRow> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(counting.filter(list.filter_condition()).get_result(&mut conn).await?)
    } else {
        None
    };
    let rows: Result<Vec<Value>, _> =
        rows.into_iter().map(|row| serde_json::to_value(CloudEvent::new(row, book_id))).collect();
    Ok(list.page(rows.map_err(Problem::internal)?, count))
}

/// The list's own parameters.
struct Wanted {
    /// The last known sequence.
    after: i64,
    type_: Option<EventType>,
    /// The longest wait for an event.
    wait: Duration,
}

impl Wanted {
    fn parse(list: &ListQuery) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        // The largest integer that JSON numbers represent exactly, as the API documentation says.
        let exact = 0..=9_007_199_254_740_991_i64;
        let after = list.param("after").unwrap_or("0").parse::<i64>().ok();
        let after = after.filter(|sequence| exact.contains(sequence)).unwrap_or_else(|| {
            errors.push(FieldError::new(
                "?after",
                FieldCode::InvalidType,
                "has to be the sequence of an event, or 0",
            ));
            0
        });
        let type_ = list.param("type").map(EventType::parse).transpose();
        let type_ = type_.unwrap_or_else(|invalid| {
            errors.push(FieldError::new("?type", FieldCode::InvalidValue, invalid.detail));
            None
        });
        let wait = list.param(WAIT_PARAM).unwrap_or("0").parse::<u64>().ok();
        let wait = wait.filter(|seconds| *seconds <= MAX_WAIT_SECONDS).unwrap_or_else(|| {
            let detail = format!("has to be a number of seconds from 0 to {MAX_WAIT_SECONDS}");
            errors.push(FieldError::new("?wait", FieldCode::InvalidType, detail));
            0
        });
        if errors.is_empty() {
            Ok(Self { after, type_, wait: Duration::from_secs(wait) })
        } else {
            Err(Problem::from_errors(errors))
        }
    }
}
