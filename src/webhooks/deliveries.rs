//! The deliveries of a subscription: their list, tests, and further attempts at the request of a
//! caller.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;

use super::delivery_state::DeliveryState;
use super::subscriptions::{OfSubscription, locked, require_enabled};
use crate::outbox::{self, EventType, WebhookTest};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::{Area, Scope as AccessScope};
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{list_description, list_operation, path_parameter};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::resource::{Scope, reference};
use crate::schema::{event_counter, events, webhook_deliveries};
use crate::unit_of_work::Database;

/// The path of the collection.
const PATH: &str = "/v1/webhook-subscriptions/{webhook_subscription}/deliveries";
/// The time for which finished deliveries are kept.
const RETENTION: TimeDelta = TimeDelta::days(30);

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Uuid, "webhook_deliveries.id").not_null(),
        Field::new("eventSequence", FieldKind::Integer, "webhook_deliveries.event_sequence")
            .not_null(),
        Field::new("eventType", FieldKind::Enum(EventType::TEXTS), "events.type").not_null(),
        Field::new("state", FieldKind::Enum(DeliveryState::TEXTS), "webhook_deliveries.state")
            .not_null(),
        Field::new("attempts", FieldKind::Integer, "webhook_deliveries.attempts").not_null(),
        Field::new("nextAttemptAt", FieldKind::Instant, "webhook_deliveries.next_attempt_at"),
        Field::new("attemptedAt", FieldKind::Instant, "webhook_deliveries.attempted_at"),
        Field::new("responseStatus", FieldKind::Integer, "webhook_deliveries.response_status"),
        Field::new("createdAt", FieldKind::Instant, "webhook_deliveries.created_at").not_null(),
    ],
    default_order: "createdAt desc,id desc",
    tie: "id",
};

/// A delivery of an event to a webhook subscription.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = webhook_deliveries, check_for_backend(Pg))]
pub struct DeliveryView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The id of the event, which is the header `webhook-id`.
    #[diesel(select_expression = events::id, select_expression_type = events::id)]
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub event_id: Uuid,
    /// The sequence of the event.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1042)]
    pub event_sequence: i64,
    /// The type of the event.
    #[diesel(select_expression = events::type_, select_expression_type = events::type_)]
    #[schema(example = "kampanje.publication.created")]
    pub event_type: EventType,
    /// The state.
    #[schema(example = "SUCCEEDED")]
    pub state: DeliveryState,
    /// The number of finished attempts.
    #[schema(minimum = 0, maximum = 1_000_000, example = 1)]
    pub attempts: i32,
    /// The time of the next attempt; null if there is none. During an attempt it is the time at
    /// which another replica would repeat it.
    #[schema(example = json!(null))]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The time of the latest attempt; null before the first.
    #[schema(example = "2031-05-01T08:30:01Z")]
    pub attempted_at: Option<DateTime<Utc>>,
    /// The status of the response to it; null without a response.
    #[schema(minimum = 100, maximum = 999, example = 204)]
    pub response_status: Option<i16>,
    /// Its duration in milliseconds.
    #[schema(minimum = 0, maximum = 2_147_483_647, example = 85)]
    pub duration_milliseconds: Option<i32>,
    /// The reason why it failed; null if it succeeded.
    #[schema(max_length = 1000, example = json!(null))]
    pub error: Option<String>,
    /// The time of the creation.
    #[schema(example = "2031-05-01T08:30:00Z")]
    pub created_at: DateTime<Utc>,
}

/// A page of deliveries.
#[derive(ToSchema)]
#[schema(as = WebhookDeliveryPage, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the page for the API document")]
struct DeliveryPage {
    /// The deliveries, in the requested order.
    #[schema(max_items = 1000)]
    value: Vec<DeliveryView>,
    /// The next page; absent on the last one.
    #[schema(
        max_length = 8192,
        example = "/v1/webhook-subscriptions/0190b5c2-7d5e-7000-8000-000000000001/deliveries?\
            cursor=Zm9v"
    )]
    next_link: Option<String>,
    /// The number of all deliveries that match, if it was requested.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1)]
    count: Option<i64>,
}

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.schema::<DeliveryPage>();
    let description = format!(
        "Lists the deliveries of a subscription, the newest first. Finished ones are deleted after \
         {} days. {}",
        RETENTION.num_days(),
        list_description(&LIST)
    );
    let parameters = OfSubscription::PARAMETERS
        .iter()
        .map(|(name, description)| path_parameter(name, description));
    let listing = OperationBuilder::new()
        .operation_id(Some("list_webhook_deliveries"))
        .tag("Webhooks")
        .summary(Some("List the deliveries of a webhook subscription"))
        .description(Some(description))
        .parameters(Some(parameters));
    let listing = list_operation(listing, &LIST, "deliveries", DeliveryPage::name());
    routes.operation(AccessScope::Admin, HttpMethod::Get, PATH, listing, list);
    let write = Area::Administration.write();
    routes.add(write, __path_test_webhook_subscription, test_webhook_subscription);
    routes.add(write, __path_retry_webhook_delivery, retry_webhook_delivery);
}

/// Returns the query for the deliveries of a subscription.
#[diesel::dsl::auto_type(no_type_alias)]
fn of_subscription(id: Uuid) -> _ {
    let event = events::sequence.eq(webhook_deliveries::event_sequence);
    webhook_deliveries::table
        .inner_join(events::table.on(event))
        .filter(webhook_deliveries::subscription_id.eq(id))
}

/// Handles `GET` on the collection.
async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let today = calendar.today();
    let list = ListQuery::parse(request.path(), request.query_string(), &LIST, &cursor_key, today)?;
    let mut conn = database.list(&list).await?;
    let OfSubscription { id } = OfSubscription::find(&request, &mut conn).await?;
    let rows: Vec<DeliveryView> = of_subscription(id)
        .select(DeliveryView::as_select())
        .into_boxed()
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset())
        .load(&mut conn)
        .await?;
    let count = if list.wants_count() {
        let matching = of_subscription(id).count().into_boxed().filter(list.filter_condition());
        Some(matching.get_result(&mut conn).await?)
    } else {
        None
    };
    let rows = rows.iter().map(|row| json!(row)).collect();
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// Returns the delivery of an event to a subscription.
///
/// # Errors
/// If there is none, or the database fails.
async fn of_event(
    conn: &mut AsyncPgConnection,
    subscription: Uuid,
    sequence: i64,
) -> QueryResult<DeliveryView> {
    of_subscription(subscription)
        .filter(webhook_deliveries::event_sequence.eq(sequence))
        .select(DeliveryView::as_select())
        .first(conn)
        .await
}

/// Send a test to a webhook subscription
///
/// Writes an event of the type `kampanje.webhook.test`, which is sent to this subscription only,
/// whatever its types are. Answers with its delivery; the list of deliveries has the result. 409 if
/// the subscription is disabled.
#[utoipa::path(
    post,
    path = "/v1/webhook-subscriptions/{webhook_subscription}/tests",
    operation_id = "test_webhook_subscription",
    tag = "Webhooks",
    params(("webhook_subscription" = String, Path, description = "The id of the subscription.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    responses((status = 201, description = "Written.", body = DeliveryView))
)]
async fn test_webhook_subscription(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    database
        .transact(&request, async |work| {
            let subscription = locked(&http_request, work).await?;
            require_enabled(&subscription)?;
            // Written here, not at the end of the unit of work, since the answer needs the delivery
            // that the database makes. The unit of work locks nothing else.
            let event = WebhookTest { subscription_id: subscription.id }.into();
            outbox::record(&mut work.conn, &[event]).await?;
            let sequence: i64 =
                event_counter::table.select(event_counter::sequence).first(&mut work.conn).await?;
            let delivery = of_event(&mut work.conn, subscription.id, sequence).await?;
            ApiResponse::json(StatusCode::CREATED, &delivery)
        })
        .await
}

/// Retry a delivery of a webhook subscription
///
/// Sends the event again now, whatever the state of the delivery is. If this attempt fails too, the
/// next one follows by the schedule, unless it has ended. 409 if the subscription is disabled.
#[utoipa::path(
    post,
    path = "/v1/webhook-subscriptions/{webhook_subscription}/deliveries/{webhook_delivery}/retries",
    operation_id = "retry_webhook_delivery",
    tag = "Webhooks",
    params(
        ("webhook_subscription" = String, Path, description = "The id of the subscription.",
            min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("webhook_delivery" = String, Path, description = "The id of the delivery.",
            min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")
    ),
    responses((status = 201, description = "The delivery is due.", body = DeliveryView))
)]
async fn retry_webhook_delivery(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    use webhook_deliveries as t;
    request.expect_empty()?;
    let delivery = reference(&http_request, "webhook_delivery")?;
    let now = calendar.now();
    database
        .transact(&request, async |work| {
            let subscription = locked(&http_request, work).await?;
            require_enabled(&subscription)?;
            let due = t::table
                .filter(t::subscription_id.eq(subscription.id))
                .filter(t::id.nullable().eq(delivery.id()));
            let sequence: Option<i64> = diesel::update(due)
                .set((t::state.eq(DeliveryState::Pending), t::next_attempt_at.eq(now)))
                .returning(t::event_sequence)
                .get_result(&mut work.conn)
                .await
                .optional()?;
            let sequence =
                sequence.ok_or_else(|| Problem::not_found("delivery", &delivery.to_string()))?;
            let delivery = of_event(&mut work.conn, subscription.id, sequence).await?;
            ApiResponse::json(StatusCode::CREATED, &delivery)
        })
        .await
}

/// Deletes the finished deliveries whose retention time is over.
///
/// # Errors
/// If the database fails.
pub async fn delete_expired(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use webhook_deliveries as t;
    let expired = t::table
        .filter(t::created_at.lt(now - RETENTION))
        .filter(t::state.ne(DeliveryState::Pending));
    diesel::delete(expired).execute(conn).await
}
