//! `/v1/webhook-subscriptions`. A secret is in the responses to its creation only: no list, event,
//! log or audit entry contains it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use chrono::{DateTime, TimeDelta, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use reqwest::Url;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Reference, Text};

use super::delivery_state::cancel_pending;
use super::secret::Secret;
use crate::outbox::{EventType, WebhookDisabled, WebhookDisabledReason};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::resource::mount::mount_without_create;
use crate::resource::table::table_rows;
use crate::resource::{
    IfExists, Names, Origin, Resource, RowWrite, SaveError, Scope, checked, reference,
};
use crate::schema::webhook_subscriptions;
use crate::unit_of_work::{Database, UnitOfWork};

/// The path of the collection.
const PATH: &str = "/v1/webhook-subscriptions";
/// Maximum number of subscriptions. Each event can make a delivery for every one.
const MAX_SUBSCRIPTIONS: i64 = 100;
/// The time in seconds for which a replaced secret stays valid by default: a day.
const DEFAULT_OVERLAP_SECONDS: i32 = 86_400;
/// The longest such time: a week.
const MAX_OVERLAP_SECONDS: i32 = 604_800;
/// The time of failures after which a subscription is disabled.
pub const MAX_FAILING: TimeDelta = TimeDelta::days(7);
/// The author of changes that the service makes.
const AUTHOR: &str = "webhooks";

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    let write = Area::Administration.write();
    mount_without_create::<WebhookSubscriptions>(routes);
    routes.add(write, __path_create_webhook_subscription, create_webhook_subscription);
    routes.add(write, __path_rotate_webhook_secret, rotate_webhook_secret);
}

/// The writable fields of a webhook subscription.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = WebhookSubscriptionWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSubscriptionWrite {
    /// The URL that events are sent to. `https`, or `http` for networks that the operator permits
    /// with `KAMPANJE_WEBHOOK_NETWORKS`.
    #[schema(example = "https://shop.example/hooks/kampanje")]
    pub url: Text<2048>,
    /// The types of events to send; empty for all.
    #[deserr(default)]
    #[serde(default)]
    #[schema(max_items = 20, required = false, example = json!(["kampanje.publication.created"]))]
    pub types: Vec<EventType>,
    /// The description.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<250>,
    /// False to send nothing. Disabling cancels the pending deliveries; events that are written
    /// while a subscription is disabled are not sent to it later.
    #[deserr(default = true)]
    #[schema(default = true, required = false, example = true)]
    pub enabled: bool,
}

/// A webhook subscription, without its secret.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = WebhookSubscription)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = webhook_subscriptions, check_for_backend(Pg))]
pub struct WebhookSubscriptionView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The URL that events are sent to.
    #[schema(example = "https://shop.example/hooks/kampanje")]
    pub url: Text<2048>,
    /// The types of events to send; empty for all.
    #[schema(max_items = 20, example = json!(["kampanje.publication.created"]))]
    pub types: Vec<EventType>,
    /// The description.
    pub description: Text<250>,
    /// False if nothing is sent.
    #[schema(example = true)]
    pub enabled: bool,
    /// The reason for which the service disabled the subscription; null if it did not.
    pub disabled_reason: Option<WebhookDisabledReason>,
    /// The time of the first failed attempt since the last successful one; null if the latest
    /// attempt succeeded. After seven days of failures the service disables the subscription.
    #[schema(example = json!(null))]
    pub failing_since: Option<DateTime<Utc>>,
    /// The time until which messages are signed with the previous secret too; null if the secret
    /// was never replaced.
    #[schema(example = json!(null))]
    pub previous_secret_expires_at: Option<DateTime<Utc>>,
    /// The time of the creation.
    #[schema(example = "2031-05-01T08:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// The caller that created the subscription.
    #[schema(max_length = 200, example = "local")]
    pub created_by: String,
}

/// A webhook subscription with its new secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewWebhookSecret {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: WebhookSubscriptionView,
    /// The secret, with which the receiver verifies signatures. This is the only answer that
    /// contains it.
    #[schema(max_length = 50, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub secret: String,
}

/// The replacement of a secret.
#[derive(Debug, Clone, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct WebhookSecretRotationWrite {
    /// The number of seconds for which messages are signed with the previous secret too; 0 to
    /// invalidate it immediately.
    #[deserr(default = DEFAULT_OVERLAP_SECONDS)]
    #[schema(minimum = 0, maximum = 604_800, default = 86_400, required = false, example = 86_400)]
    pub overlap_seconds: i32,
}

impl Default for WebhookSecretRotationWrite {
    fn default() -> Self {
        Self { overlap_seconds: DEFAULT_OVERLAP_SECONDS }
    }
}

/// The resource `/v1/webhook-subscriptions`.
pub struct WebhookSubscriptions;

impl Resource for WebhookSubscriptions {
    const NAMES: Names = Names {
        path: PATH,
        singular: "webhook_subscription",
        plural: "webhook_subscriptions",
        one: "a webhook subscription",
        tag: "Webhooks",
        area: Area::Administration,
        key_field: None,
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "webhook_subscriptions.id").not_null(),
            Field::new("url", FieldKind::Text, "webhook_subscriptions.url").not_null(),
            Field::new("description", FieldKind::Text, "webhook_subscriptions.description")
                .not_null(),
            Field::new("enabled", FieldKind::Boolean, "webhook_subscriptions.enabled").not_null(),
            Field::new(
                "disabledReason",
                FieldKind::Enum(WebhookDisabledReason::TEXTS),
                "webhook_subscriptions.disabled_reason",
            ),
            Field::new("failingSince", FieldKind::Instant, "webhook_subscriptions.failing_since"),
            Field::new("createdAt", FieldKind::Instant, "webhook_subscriptions.created_at")
                .not_null(),
            Field::new("createdBy", FieldKind::Text, "webhook_subscriptions.created_by").not_null(),
        ],
        default_order: "id",
        tie: "id",
    };
    const HAS_DERIVED_FIELDS: bool = true;
    const DELETION: &'static str = "Deletes the subscription with its deliveries.";
    type Scope = ();
    type Write = WebhookSubscriptionWrite;
    type View = WebhookSubscriptionView;

    table_rows! { webhook_subscriptions by id }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<WebhookSubscriptionWrite>],
        _: IfExists,
    ) -> Result<(), SaveError> {
        use webhook_subscriptions as t;
        for RowWrite { id, write } in rows {
            let write = normalized(write);
            let before: bool = t::table.find(id).select(t::enabled).first(&mut work.conn).await?;
            if before != write.enabled {
                // First, since an enabled subscription has no reason.
                let reset = (
                    t::disabled_reason.eq(None::<WebhookDisabledReason>),
                    t::failing_since.eq(None::<DateTime<Utc>>),
                );
                diesel::update(t::table.find(id)).set(reset).execute(&mut work.conn).await?;
                // When it is enabled too: an event that was written while it was being disabled may
                // have left a delivery.
                cancel_pending(&mut work.conn, *id).await?;
            }
            diesel::update(t::table.find(id))
                .set((
                    t::url.eq(&write.url),
                    t::types.eq(&write.types),
                    t::description.eq(&write.description),
                    t::enabled.eq(write.enabled),
                ))
                .execute(&mut work.conn)
                .await?;
        }
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(webhook_subscriptions::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn write_of(view: &Self::View) -> WebhookSubscriptionWrite {
        let WebhookSubscriptionView { url, types, description, enabled, .. } = view.clone();
        WebhookSubscriptionWrite { url, types, description, enabled }
    }

    fn rules(write: &WebhookSubscriptionWrite, (): &()) -> Vec<FieldError> {
        url_error(write.url.as_str())
            .map(|detail| FieldError::new("/url", FieldCode::InvalidValue, detail))
            .into_iter()
            .collect()
    }
}

/// Returns the reason why a URL cannot be used. Addresses are checked when they are connected to.
fn url_error(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else { return Some("has to be a URL") };
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Some("has to be an https or http URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("contains credentials; the receiver verifies the signature instead");
    }
    url.fragment().map(|_| "has a fragment, which is not sent")
}

/// Returns the write with its types as a set.
fn normalized(write: &WebhookSubscriptionWrite) -> WebhookSubscriptionWrite {
    let mut write = write.clone();
    write.types.sort_unstable();
    write.types.dedup();
    write
}

/// The scope of one subscription's deliveries.
#[derive(Debug, Clone, Copy)]
pub struct OfSubscription {
    /// The id of the subscription.
    pub id: Uuid,
}

impl Scope for OfSubscription {
    const PARAMETERS: &'static [(&'static str, &'static str)] =
        &[("webhook_subscription", "The id of the subscription.")];

    async fn find_from(origin: &Origin<'_>, conn: &mut AsyncPgConnection) -> Result<Self, Problem> {
        let reference = origin.parent(WebhookSubscriptions::NAMES.singular)?;
        let found = WebhookSubscriptions::find(conn, &(), &reference, false).await?;
        found.map(|view| Self { id: view.id }).ok_or_else(|| not_found(&reference))
    }
}

fn not_found(reference: &Reference) -> Problem {
    Problem::not_found("webhook subscription", &reference.to_string())
}

/// Finds the subscription of a path, and locks it.
pub(super) async fn locked(
    request: &HttpRequest,
    work: &mut UnitOfWork,
) -> Result<WebhookSubscriptionView, Problem> {
    let reference = reference(request, WebhookSubscriptions::NAMES.singular)?;
    let found = WebhookSubscriptions::find(&mut work.conn, &(), &reference, true).await?;
    found.ok_or_else(|| not_found(&reference))
}

/// Checks that something can be sent to a subscription.
///
/// # Errors
/// 409 if it is disabled.
pub(super) fn require_enabled(subscription: &WebhookSubscriptionView) -> Result<(), Problem> {
    if subscription.enabled {
        return Ok(());
    }
    let detail = "the subscription is disabled, so nothing is sent; enable it first";
    Err(Problem::new(ProblemCode::Conflict, detail))
}

/// Checks that the answer of a request is not to be stored, since it contains a secret.
///
/// # Errors
/// 400 if the request has an idempotency key.
fn refuse_idempotency_key(request: &ApiRequest) -> Result<(), Problem> {
    if request.idempotency_key.is_none() {
        return Ok(());
    }
    let detail = "the answer contains a secret, which is not stored for a repetition; leave out \
        Idempotency-Key, and replace a secret whose answer was lost";
    Err(Problem::new(ProblemCode::MalformedRequest, detail))
}

/// Create a webhook subscription
///
/// Events that are written from now on are sent to the URL by `POST`. Answers with the subscription
/// and, only here, its secret. The answer is not stored under an idempotency key, so
/// `Idempotency-Key` is refused.
///
/// The body is the event, as in `/v1/events`. `webhook-id` is its id, `webhook-timestamp` the time
/// of the attempt, and `webhook-signature` the signature of both with the body by the scheme of
/// [Standard Webhooks](https://www.standardwebhooks.com). A response with a status of 200 to 299
/// within 15 s confirms the delivery. Others are repeated after 5 s, 1 min, 5 min, 30 min, 2 h, 6
/// h, 12 h, 24 h and 24 h. A status of 410 disables the subscription. An event can arrive more than
/// once, and in another order.
#[utoipa::path(
    post,
    path = "/v1/webhook-subscriptions",
    operation_id = "create_webhook_subscription",
    tag = "Webhooks",
    request_body(content = WebhookSubscriptionWrite, description = "The subscription to create."),
    responses((status = 201, description = "Created.", body = NewWebhookSecret))
)]
async fn create_webhook_subscription(
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    use webhook_subscriptions as t;
    request.query(&[])?;
    refuse_idempotency_key(&request)?;
    let write: WebhookSubscriptionWrite = request.json().await?;
    checked(WebhookSubscriptions::rules(&write, &()))?;
    let write = normalized(&write);
    database
        .transact(&request, async |work| {
            let (id, secret) = (Uuid::now_v7(), Secret::generate());
            let subscription: WebhookSubscriptionView = diesel::insert_into(t::table)
                .values((
                    t::id.eq(id),
                    t::url.eq(&write.url),
                    t::types.eq(&write.types),
                    t::description.eq(&write.description),
                    t::enabled.eq(write.enabled),
                    t::secret.eq(secret.bytes()),
                    t::created_by.eq(work.author.clone()),
                ))
                .returning(WebhookSubscriptionView::as_returning())
                .get_result(&mut work.conn)
                .await?;
            let count: i64 = t::table.count().get_result(&mut work.conn).await?;
            if count > MAX_SUBSCRIPTIONS {
                let detail = format!("there can be at most {MAX_SUBSCRIPTIONS} subscriptions");
                return Err(Problem::new(ProblemCode::Conflict, detail));
            }
            answer(subscription, &secret)
                .map(|answer| answer.header(header::LOCATION, &format!("{PATH}/{id}")))
        })
        .await
}

/// Returns the answer with a new secret.
fn answer(subscription: WebhookSubscriptionView, secret: &Secret) -> Result<ApiResponse, Problem> {
    let body = NewWebhookSecret { subscription, secret: secret.text() };
    let answer = ApiResponse::json(StatusCode::CREATED, &body)?;
    Ok(answer.header(header::CACHE_CONTROL, "no-store"))
}

/// Replace the secret of a webhook subscription
///
/// Answers with a new secret, only here. For `overlapSeconds` messages are signed with both
/// secrets, so that the receiver can change to the new one at any time. The answer is not stored
/// under an idempotency key, so `Idempotency-Key` is refused.
#[utoipa::path(
    post,
    path = "/v1/webhook-subscriptions/{webhook_subscription}/secret-rotations",
    operation_id = "rotate_webhook_secret",
    tag = "Webhooks",
    params(("webhook_subscription" = String, Path, description = "The id of the subscription.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = Option<WebhookSecretRotationWrite>,
        description = "The validity of the previous secret; optional."),
    responses((status = 201, description = "Replaced.", body = NewWebhookSecret))
)]
async fn rotate_webhook_secret(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    use webhook_subscriptions as t;
    request.query(&[])?;
    refuse_idempotency_key(&request)?;
    let WebhookSecretRotationWrite { overlap_seconds } = request.json_or_default().await?;
    if !(0..=MAX_OVERLAP_SECONDS).contains(&overlap_seconds) {
        let detail = format!("has to be from 0 to {MAX_OVERLAP_SECONDS}");
        return Err(Problem::rule("/overlapSeconds", FieldCode::OutOfRange, detail));
    }
    let expires_at = calendar.now() + TimeDelta::seconds(overlap_seconds.into());
    database
        .transact(&request, async |work| {
            let subscription = locked(&http_request, work).await?;
            let secret = Secret::generate();
            let subscription = diesel::update(t::table.find(subscription.id))
                .set((
                    t::previous_secret.eq(t::secret.nullable()),
                    t::previous_secret_expires_at.eq(expires_at),
                    t::secret.eq(secret.bytes()),
                ))
                .returning(WebhookSubscriptionView::as_returning())
                .get_result(&mut work.conn)
                .await?;
            answer(subscription, &secret)
        })
        .await
}

/// Disables a subscription whose receiver does not want or accept events, and writes an event. A
/// subscription that was disabled before stays as it is.
///
/// # Errors
/// If the database fails.
pub(super) async fn disable(
    database: &Database,
    id: Uuid,
    reason: WebhookDisabledReason,
) -> Result<(), Problem> {
    use webhook_subscriptions as t;
    database
        .transact_as(AUTHOR, async |work| {
            let enabled = t::table.find(id).filter(t::enabled);
            let disabled = diesel::update(enabled)
                .set((t::enabled.eq(false), t::disabled_reason.eq(reason)))
                .execute(&mut work.conn)
                .await?;
            if disabled > 0 {
                cancel_pending(&mut work.conn, id).await?;
                work.events.push(WebhookDisabled { subscription_id: id, reason }.into());
            }
            Ok(())
        })
        .await
}
