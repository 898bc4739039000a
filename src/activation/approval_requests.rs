//! Requests for approval over HTTP.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;
use values::{Key, Text};

use super::activate::{self, ActivationOptions};
use super::approval::{self, Approvable, ApprovalState};
use super::book_view::book_view;
use super::findings::Finding;
use super::{draft, rollback};
use crate::campaigns::OfCampaign;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope as AccessScope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{
    list_description, list_operation, page_of, path_parameter,
};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::publication::difference::hash_of;
use crate::resource::{Scope as _, reference, with_etag};
use crate::schema::{approval_requests, campaign_editors};
use crate::unit_of_work::{Database, UnitOfWork};

const PATH: &str = "/v1/campaigns/{campaign}/approval-requests";
const PATH_OF_ALL: &str = "/v1/approval-requests";
const PAGE: &str = "ApprovalRequestPage";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Uuid, "approval_requests.id").not_null(),
        Field::new("campaignNumber", FieldKind::Key, "approval_requests.campaign_number")
            .not_null(),
        Field::new("state", FieldKind::Enum(ApprovalState::TEXTS), "approval_requests.state")
            .not_null(),
        Field::new("planHash", FieldKind::Text, "approval_requests.plan_hash").not_null(),
        Field::new("requestedBy", FieldKind::Text, "approval_requests.requested_by").not_null(),
        Field::new("requestedAt", FieldKind::Instant, "approval_requests.requested_at").not_null(),
        Field::new("decidedBy", FieldKind::Text, "approval_requests.decided_by"),
        Field::new("decidedAt", FieldKind::Instant, "approval_requests.decided_at"),
        Field::new(
            "publicationVersion",
            FieldKind::Integer,
            "approval_requests.publication_version",
        ),
    ],
    default_order: "requestedAt desc,id desc",
    tie: "id",
};

/// Adds the operations.
pub(super) fn mount(routes: &mut Routes) {
    routes.schema::<ApprovalRequestView>();
    routes.named_schema(PAGE, page_of(ApprovalRequestView::name()));
    let listing = |id: &str, summary: &str| {
        OperationBuilder::new()
            .operation_id(Some(id))
            .tag("Activation")
            .summary(Some(summary))
            .description(Some(list_description(&LIST)))
    };
    let of_campaign =
        listing("list_campaign_approval_requests", "List a campaign's approval requests")
            .parameters(Some(
                OfCampaign::PARAMETERS
                    .iter()
                    .map(|(name, description)| path_parameter(name, description)),
            ));
    let all = listing("list_approval_requests", "List the approval requests of all campaigns");
    routes.operation(
        AccessScope::CampaignsRead,
        HttpMethod::Get,
        PATH,
        list_operation(of_campaign, &LIST, "approval requests", PAGE.into()),
        list_of_campaign,
    );
    routes.operation(
        AccessScope::CampaignsRead,
        HttpMethod::Get,
        PATH_OF_ALL,
        list_operation(all, &LIST, "approval requests", PAGE.into()),
        list_all,
    );
    routes.add(AccessScope::CampaignsWrite, __path_request_approval, request_approval);
    routes.add(AccessScope::CampaignsRead, __path_get_approval_request, get_approval_request);
    routes.add(AccessScope::CampaignsApprove, __path_approve_request, approve_request);
    routes.add(AccessScope::CampaignsApprove, __path_reject_request, reject_request);
}

/// A request for approval.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(
    rename_all = "camelCase",
    example = json!({"comment": "As agreed with the vendor of the chairs."})
)]
pub struct ApprovalRequestWrite {
    /// A comment for the approver.
    #[deserr(default)]
    #[schema(required = false)]
    pub comment: Text<1000>,
    /// The version of an earlier publication of the campaign that a rollback is to restore. Without
    /// it the approval is for the drafts.
    #[deserr(default)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub restores_version: Option<u64>,
}

/// A decision on a request.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct ApprovalDecision {
    /// The reason.
    #[deserr(default)]
    #[schema(required = false)]
    pub comment: Text<1000>,
}

/// A request for the approval of a plan.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = ApprovalRequest)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = approval_requests, check_for_backend(Pg))]
pub struct ApprovalRequestView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The campaign.
    pub campaign_number: Key,
    /// The state.
    #[schema(example = "PENDING")]
    pub state: ApprovalState,
    /// The hash of the plan that is to be approved, as in a validated activation.
    #[schema(max_length = 64, example = "1679091c5a880faf6fb5e6087eb1b2dc")]
    pub plan_hash: String,
    /// The version that a rollback is to restore; null for the publication of the drafts.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub restores_version: Option<i64>,
    /// The comment for the approver.
    pub comment: Text<1000>,
    /// The findings of the plan at the time of the request; empty for a rollback.
    #[schema(value_type = Vec<Finding>, max_items = 1000)]
    pub findings: Value,
    /// The caller that requested the approval.
    #[schema(max_length = 200, example = "user:kari")]
    pub requested_by: String,
    /// The time of the request.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub requested_at: DateTime<Utc>,
    /// The caller that approved or rejected it; null before.
    #[schema(max_length = 200, example = "user:ola")]
    pub decided_by: Option<String>,
    /// The time of the decision; null before.
    #[schema(max_length = 35, example = "2031-05-15T09:30:00.123456Z")]
    pub decided_at: Option<DateTime<Utc>>,
    /// The reason of the decision.
    pub decision_comment: Text<1000>,
    /// The version that used up the approval; null before. Another publication needs another one.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: Option<i64>,
}

async fn list_of_campaign(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let list = parse(&request, &calendar, &cursor_key)?;
    let mut conn = database.list(&list).await?;
    let OfCampaign { number } = OfCampaign::find(&request, &mut conn).await?;
    page(&mut conn, &list, Some(&number)).await
}

async fn list_all(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let list = parse(&request, &calendar, &cursor_key)?;
    let mut conn = database.list(&list).await?;
    page(&mut conn, &list, None).await
}

fn parse(
    request: &HttpRequest,
    calendar: &Calendar,
    cursor_key: &CursorKey,
) -> Result<ListQuery, Problem> {
    ListQuery::parse(request.path(), request.query_string(), &LIST, cursor_key, calendar.today())
}

async fn page(
    conn: &mut AsyncPgConnection,
    list: &ListQuery,
    campaign: Option<&Key>,
) -> Result<ApiResponse, Problem> {
    use approval_requests as t;
    let mut query = t::table.select(ApprovalRequestView::as_select()).into_boxed();
    let mut matching = t::table.count().into_boxed();
    if let Some(campaign) = campaign {
        query = query.filter(t::campaign_number.eq(campaign));
        matching = matching.filter(t::campaign_number.eq(campaign));
    }
    let rows: Vec<ApprovalRequestView> = query
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset())
        .load(conn)
        .await?;
    let count = if list.wants_count() {
        Some(matching.filter(list.filter_condition()).get_result(conn).await?)
    } else {
        None
    };
    let rows = rows.iter().map(with_etag).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// Request an approval
///
/// Freezes the plan of the campaign's drafts, or that of a rollback to `restoresVersion`, for
/// somebody else to approve. A change of the plan makes the request `VOID`. Refused with 422 and
/// all findings if errors prevent the publication, and with 409 while another request of the
/// campaign is pending or the plan is approved already.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/approval-requests",
    operation_id = "request_approval",
    tag = "Activation",
    params(("campaign" = String, Path, description = "The id or the number.", min_length = 1,
        max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = Option<ApprovalRequestWrite>, description = "The comment; optional."),
    responses((status = 201, description = "Requested.", body = ApprovalRequestView))
)]
async fn request_approval(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
) -> Result<ApiResponse, Problem> {
    use approval_requests as t;
    request.query(&[])?;
    let write: ApprovalRequestWrite = request.json_or_default().await?;
    let campaign = reference(&http_request, "campaign")?;
    database
        .transact(&request, async |work| {
            let campaign = draft::find_for_update(&mut work.conn, &campaign).await?;
            let number = campaign.number.clone();
            let restores_version = write.restores_version.map(i64::try_from).transpose();
            let restores_version = restores_version.unwrap_or(Some(i64::MAX));
            let (plan_hash, findings) = match restores_version {
                Some(version) => {
                    let restored =
                        rollback::restored(&mut work.conn, &campaign, version).await?.desired;
                    (hash_of(&restored.entries, &restored.accounts), Vec::new())
                }
                None => {
                    let view = book_view(&mut work.conn, &book).await?;
                    let options =
                        ActivationOptions { validate_only: true, ..ActivationOptions::default() };
                    let today = calendar.today();
                    let outcome =
                        activate::activate(work, campaign, &options, &book, view, today).await?;
                    (outcome.plan_hash, outcome.findings)
                }
            };
            if findings.iter().any(Finding::is_error) {
                return Err(activate::refusal(&findings));
            }
            let plan = Approvable { campaign: &number, plan_hash: &plan_hash, restores_version };
            refuse_second_request(&mut work.conn, plan).await?;
            let row = (
                t::id.eq(Uuid::now_v7()),
                t::campaign_number.eq(&number),
                t::state.eq(ApprovalState::Pending),
                t::plan_hash.eq(&plan_hash),
                t::restores_version.eq(restores_version),
                t::comment.eq(&write.comment),
                t::findings.eq(json!(findings)),
                t::requested_by.eq(&work.author),
            );
            let insert = diesel::insert_into(t::table).values(row);
            let view: ApprovalRequestView = insert
                .returning(ApprovalRequestView::as_returning())
                .get_result(&mut work.conn)
                .await?;
            let location = format!("/v1/campaigns/{number}/approval-requests/{}", view.id);
            Ok(ApiResponse::resource(StatusCode::CREATED, &view)?
                .header(header::LOCATION, &location))
        })
        .await
}

/// Refuses a request while another one of the campaign is pending, or one for the same plan is
/// approved and not used.
async fn refuse_second_request(
    conn: &mut AsyncPgConnection,
    plan: Approvable<'_>,
) -> Result<(), Problem> {
    use approval_requests as t;
    let pending = t::table
        .filter(t::campaign_number.eq(plan.campaign))
        .filter(t::state.eq(ApprovalState::Pending))
        .count();
    let detail = if pending.get_result::<i64>(conn).await? > 0 {
        "another request of the campaign is pending; decide it first"
    } else if approval::find_approved(conn, plan).await?.is_some() {
        "the plan is approved already; activate the campaign"
    } else {
        return Ok(());
    };
    Err(Problem::new(ProblemCode::Conflict, detail))
}

/// Get an approval request
///
/// Answers 304 when `If-None-Match` names the current ETag.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/approval-requests/{approval_request}",
    operation_id = "get_approval_request",
    tag = "Activation",
    params(
        ("campaign" = String, Path, description = "The id or the number.", min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("approval_request" = Uuid, Path, description = "The id."),
    ),
    responses(
        (status = 200, description = "The request.", body = ApprovalRequestView),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_approval_request(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let mut conn = database.read().await?;
    let OfCampaign { number } = OfCampaign::find(&http_request, &mut conn).await?;
    let view = find(&mut conn, &http_request, &number).await?;
    Ok(ApiResponse::resource(StatusCode::OK, &view)?
        .not_modified_if_known(request.if_none_match.as_ref()))
}

/// Approve a plan
///
/// Permits one publication of the plan. Refused with 403 `SAME_PERSON` for the caller that
/// requested it or that has changed the campaign since its last publication, and with 409 if the
/// request is not pending.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/approval-requests/{approval_request}/approvals",
    operation_id = "approve_request",
    tag = "Activation",
    params(
        ("campaign" = String, Path, description = "The id or the number.", min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("approval_request" = Uuid, Path, description = "The id."),
    ),
    request_body(content = Option<ApprovalDecision>, description = "The reason; optional."),
    responses((status = 201, description = "Approved.", body = ApprovalRequestView))
)]
async fn approve_request(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    decide(&http_request, &request, &database, ApprovalState::Approved).await
}

/// Reject a plan
///
/// Refused with 409 if the request is not pending.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/approval-requests/{approval_request}/rejections",
    operation_id = "reject_request",
    tag = "Activation",
    params(
        ("campaign" = String, Path, description = "The id or the number.", min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("approval_request" = Uuid, Path, description = "The id."),
    ),
    request_body(content = Option<ApprovalDecision>, description = "The reason; optional."),
    responses((status = 201, description = "Rejected.", body = ApprovalRequestView))
)]
async fn reject_request(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    decide(&http_request, &request, &database, ApprovalState::Rejected).await
}

/// Records a decision. The lock of the campaign orders it with changes of the drafts.
async fn decide(
    http_request: &HttpRequest,
    request: &ApiRequest,
    database: &Database,
    state: ApprovalState,
) -> Result<ApiResponse, Problem> {
    use approval_requests as t;
    request.query(&[])?;
    let decision: ApprovalDecision = request.json_or_default().await?;
    let campaign = reference(http_request, "campaign")?;
    database
        .transact(request, async |work| {
            let campaign = draft::find_for_update(&mut work.conn, &campaign).await?;
            let current = find(&mut work.conn, http_request, &campaign.number).await?;
            if current.state != ApprovalState::Pending {
                let detail = format!("the request is {}, not PENDING", current.state);
                return Err(Problem::new(ProblemCode::Conflict, detail));
            }
            if state == ApprovalState::Approved {
                refuse_same_person(work, &current).await?;
            }
            let decided = diesel::update(t::table.find(current.id)).set((
                t::state.eq(state),
                t::decided_by.eq(&work.author),
                t::decided_at.eq(diesel::dsl::now),
                t::decision_comment.eq(&decision.comment),
            ));
            let view: ApprovalRequestView = decided
                .returning(ApprovalRequestView::as_returning())
                .get_result(&mut work.conn)
                .await?;
            ApiResponse::resource(StatusCode::CREATED, &view)
        })
        .await
}

async fn refuse_same_person(
    work: &mut UnitOfWork,
    request: &ApprovalRequestView,
) -> Result<(), Problem> {
    let edited = campaign_editors::table
        .find((&request.campaign_number, &work.author))
        .count()
        .get_result::<i64>(&mut work.conn)
        .await?;
    if edited == 0 && request.requested_by != work.author {
        return Ok(());
    }
    let detail = "the approver must not have requested the approval, nor have changed the campaign \
        since its last publication";
    Err(Problem::new(ProblemCode::SamePerson, detail))
}

async fn find(
    conn: &mut AsyncPgConnection,
    http_request: &HttpRequest,
    campaign: &Key,
) -> Result<ApprovalRequestView, Problem> {
    use approval_requests as t;
    let reference = reference(http_request, "approval_request")?;
    let not_found = || Problem::not_found("approval_request", &reference.to_string());
    let id = reference.id().ok_or_else(not_found)?;
    let query = t::table.find(id).filter(t::campaign_number.eq(campaign));
    let found = query.select(ApprovalRequestView::as_select()).first(conn).await.optional()?;
    found.ok_or_else(not_found)
}
