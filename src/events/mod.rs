//! What happened, for others to hear of: the events of the outbox as a list, and those that time
//! brings.
//!
//! Who changes something writes its event in the change's own transaction
//! ([`outbox`](crate::platform::outbox)); nobody changes anything when a day begins, so [`turns`]
//! looks for it.

pub mod lifecycle;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::platform::clock::Calendar;
use crate::platform::db::schema::events;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::mount::{
    list_description, list_operation, query_parameter, whole_number,
};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::platform::outbox::{EventData, EventType};
use crate::platform::unit_of_work::Database;

const PATH: &str = "/v1/events";
/// The version of CloudEvents that the events keep to.
const SPECVERSION: &str = "1.0";
/// Whose events they are; the subjects are paths below it.
const SOURCE: &str = "/v1";
/// Of what kind `data` is.
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
        "What happened, in the order in which it was committed, without a gap. Whoever has seen the event with sequence N reads on with \
         `after=N` and misses none. {}",
        list_description(&LIST)
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("list_events"))
        .tag("Events")
        .summary(Some("List events"))
        .description(Some(description))
        .parameter(after_parameter())
        .parameter(type_parameter());
    routes.operation(
        HttpMethod::Get,
        PATH,
        list_operation(operation, &LIST, "events", EventPage::name()),
        list,
    );
}

fn after_parameter() -> Parameter {
    let schema = whole_number(0).default(Some(0.into()));
    query_parameter("after", "The sequence of the last event that is known; 0: none yet.", schema)
}

fn type_parameter() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(EventType::TEXTS.iter().copied()));
    query_parameter("type", "Only events of this type.", schema)
}

/// Something that happened, as a CloudEvent 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CloudEvent {
    /// The version of CloudEvents.
    #[schema(max_length = 5, example = "1.0")]
    pub specversion: &'static str,
    /// The id: the same wherever and however often the event is delivered.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: uuid::Uuid,
    /// Whose event it is. `subject` is a path below it.
    #[schema(max_length = 20, example = "/v1")]
    pub source: &'static str,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = EventType, example = "kampanje.publication.created")]
    pub type_: String,
    /// To what it happened: a campaign, or the publication of base data.
    #[schema(max_length = 100, example = "campaigns/CP0001")]
    pub subject: String,
    /// When it was written.
    #[schema(max_length = 35, example = "2031-05-01T08:30:00.123456Z")]
    pub time: DateTime<Utc>,
    /// Of what kind `data` is.
    #[schema(max_length = 50, example = "application/json")]
    pub datacontenttype: &'static str,
    /// The place in the order of all events: one more than that of the event before it.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1042)]
    pub sequence: i64,
    /// What there is to tell, by the type.
    #[schema(value_type = EventData)]
    pub data: Value,
}

/// An event as it is stored.
#[derive(Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(Pg))]
struct EventRow {
    sequence: i64,
    id: uuid::Uuid,
    type_: String,
    subject: String,
    occurred_at: DateTime<Utc>,
    data: Value,
}

impl From<EventRow> for CloudEvent {
    fn from(EventRow { sequence, id, type_, subject, occurred_at, data }: EventRow) -> Self {
        Self {
            specversion: SPECVERSION,
            id,
            source: SOURCE,
            type_,
            subject,
            time: occurred_at,
            datacontenttype: CONTENT_TYPE,
            sequence,
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
    /// Where the next page is; absent on the last. Opaque.
    #[schema(
        max_length = 16384,
        example = "/v1/events?after=1041&cursor=eyJrIjpbIjEwNDIiXX0.c2ln"
    )]
    next_link: Option<String>,
    /// How many the filter leaves; only with `count=true`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1042)]
    count: Option<i64>,
}

/// `GET`: the events.
async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let own = &["after", "type"];
    let list = ListQuery::parse_with(
        request.path(),
        request.query_string(),
        own,
        &LIST,
        &cursor_key,
        calendar.today(),
    )?;
    let (after, type_) = wanted(&list)?;
    let mut conn = database.list(&list).await?;
    let mut query = events::table
        .select(EventRow::as_select())
        .filter(events::sequence.gt(after))
        .into_boxed::<Pg>();
    let mut counting = events::table.count().filter(events::sequence.gt(after)).into_boxed::<Pg>();
    if let Some(type_) = type_ {
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
        rows.into_iter().map(|row| serde_json::to_value(CloudEvent::from(row))).collect();
    ApiResponse::json(StatusCode::OK, &list.page(rows.map_err(Problem::internal)?, count))
}

/// The list's own parameters: after which event, and of which type.
fn wanted(list: &ListQuery) -> Result<(i64, Option<EventType>), Problem> {
    let mut errors = Vec::new();
    // No further than JSON numbers are exact, as the document says.
    let exact = 0..=9_007_199_254_740_991_i64;
    let after = list
        .own("after")
        .map_or(Some(0), |text| text.parse().ok().filter(|sequence| exact.contains(sequence)));
    if after.is_none() {
        errors.push(FieldError::new(
            "?after",
            FieldCode::InvalidType,
            "has to be the sequence of an event, or 0",
        ));
    }
    let type_ = list.own("type").map(EventType::parse).transpose().unwrap_or_else(|invalid| {
        errors.push(FieldError::new("?type", FieldCode::InvalidValue, invalid.detail));
        None
    });
    match after {
        Some(after) if errors.is_empty() => Ok((after, type_)),
        _ => Err(Problem::from_errors(errors)),
    }
}
