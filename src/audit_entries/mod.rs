//! The audit log over HTTP, and the entries of refused requests.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;

use crate::audit_log::{self, AuditEntry};
use crate::platform::clock::Calendar;
use crate::platform::http::access::caller::{Caller, CallerKind};
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{list_description, list_operation};
use crate::platform::http::problem::Problem;
use crate::platform::http::request_ids::{OperationId, TraceId};
use crate::platform::http::routes::Routes;
use crate::schema::audit_entries;
use crate::unit_of_work::Database;

const PATH: &str = "/v1/audit-entries";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Uuid, "audit_entries.id").not_null(),
        Field::new("at", FieldKind::Instant, "audit_entries.at").not_null(),
        Field::new("subject", FieldKind::Text, "audit_entries.subject").not_null(),
        Field::new("operationId", FieldKind::Text, "audit_entries.operation_id").not_null(),
        Field::new("path", FieldKind::Text, "audit_entries.path").not_null(),
        Field::new("status", FieldKind::Integer, "audit_entries.status").not_null(),
        Field::new("traceId", FieldKind::Text, "audit_entries.trace_id").not_null(),
        Field::new("publicationVersion", FieldKind::Integer, "audit_entries.publication_version"),
    ],
    default_order: "at desc,id desc",
    tie: "id",
};

/// Adds the operation.
pub fn mount(routes: &mut Routes) {
    routes.schema::<AuditEntryPage>();
    let description = format!(
        "Lists effects and refusals, the newest first: one entry for each change, written in its \
         transaction, and one for each request that was refused with 403 because the caller may \
         not do it. Entries are kept for `KAMPANJE_AUDIT_DAYS`. {}",
        list_description(&LIST)
    );
    let listing = OperationBuilder::new()
        .operation_id(Some("list_audit_entries"))
        .tag("Access")
        .summary(Some("List audit entries"))
        .description(Some(description));
    let listing = list_operation(listing, &LIST, "audit entries", AuditEntryPage::name());
    routes.operation(Scope::Admin, HttpMethod::Get, PATH, listing, list);
}

/// An entry of the audit log.
#[derive(Debug, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = audit_entries, check_for_backend(Pg))]
pub struct AuditEntryView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The time of the effect or the refusal.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub at: DateTime<Utc>,
    /// The identity of the caller, as in `/v1/me`.
    #[schema(max_length = 200, example = "key:0190b5c2-7d5e-7000-8000-000000000001")]
    pub subject: String,
    /// The operation in the OpenAPI document; `background` for work of the service itself.
    #[schema(max_length = 100, example = "create_activation")]
    pub operation_id: String,
    /// The path of the request, without its query; empty for work of the service itself.
    #[schema(max_length = 1024, example = "/v1/campaigns/SPRING/activations")]
    pub path: String,
    /// The status of the response; 0 for work of the service itself.
    #[schema(minimum = 0, maximum = 599, example = 201)]
    pub status: i16,
    /// The trace id of the request, which leads to the log lines.
    #[schema(max_length = 32, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: String,
    /// The version of the price book that the effect published; null without one.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub publication_version: Option<i64>,
}

/// A page of audit entries.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the page for the API document")]
struct AuditEntryPage {
    /// The entries, in the requested order.
    #[schema(max_items = 1000)]
    value: Vec<AuditEntryView>,
    /// The next page; absent on the last one.
    #[schema(max_length = 8192, example = "/v1/audit-entries?top=50&cursor=Zm9v")]
    next_link: Option<String>,
    /// The number of all entries that match, if it was requested.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1)]
    count: Option<i64>,
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
    let query = audit_entries::table
        .select(AuditEntryView::as_select())
        .into_boxed()
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset());
    let entries: Vec<AuditEntryView> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        let matching = audit_entries::table.count().into_boxed().filter(list.filter_condition());
        Some(matching.get_result(&mut conn).await?)
    } else {
        None
    };
    let rows = entries.iter().map(|entry| json!(entry)).collect();
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// Middleware that records requests of known callers that were refused with 403. A refusal whose
/// entry cannot be written stays a refusal, and the log has it.
///
/// # Errors
/// Those of the request.
pub async fn record_refusals(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody + 'static>, actix_web::Error> {
    let response = next.call(request).await?;
    if response.status() == StatusCode::FORBIDDEN {
        record_refusal(response.request()).await;
    }
    Ok(response)
}

async fn record_refusal(request: &HttpRequest) {
    let caller = request.extensions().get::<Caller>().cloned();
    let operation = request.extensions().get::<OperationId>().cloned();
    let trace_id = request.extensions().get::<TraceId>().copied();
    let Some(((caller, operation), trace_id)) = caller.zip(operation).zip(trace_id) else { return };
    let Some(database) = request.app_data::<web::Data<Database>>() else { return };
    let identity = caller.identity();
    if identity.kind == CallerKind::Anonymous {
        return;
    }
    let entry = AuditEntry {
        subject: &identity.subject,
        operation_id: operation.text(),
        path: request.path(),
        status: StatusCode::FORBIDDEN.as_u16(),
        trace_id: trace_id.text(),
        publication_version: None,
    };
    let recorded = match database.record().await {
        Ok(mut conn) => audit_log::record(&mut conn, entry).await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    if let Err(problem) = recorded {
        tracing::error!(?entry, %problem, "failed to record a refused request");
    }
}
