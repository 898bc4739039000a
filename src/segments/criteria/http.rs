//! Criteria actions over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};

use super::history::{self, CriteriaActionView, CriteriaPreview};
use super::{CriteriaKind, Criterion, saved};
use crate::platform::clock::Calendar;
use crate::platform::db::schema::criteria_actions;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::mount::{list_description, list_operation, page_of, path_parameter};
use crate::platform::http::problem::Problem;
use crate::platform::http::resource::{Scope, require, with_etag};
use crate::platform::http::routes::Routes;
use crate::platform::unit_of_work::{Database, UnitOfWork};
use crate::segments::lines::OfSegment;
use crate::values::Key;

const PATH: &str = "/v1/segments/{segment}/criteria-actions";
const PAGE: &str = "CriteriaActionPage";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Uuid, "criteria_actions.id").not_null(),
        Field::new("position", FieldKind::Integer, "criteria_actions.position").not_null(),
        Field::new("action", FieldKind::Enum(CriteriaKind::TEXTS), "criteria_actions.action")
            .not_null(),
        Field::new("performedAt", FieldKind::Instant, "criteria_actions.performed_at").not_null(),
        Field::new("performedBy", FieldKind::Text, "criteria_actions.performed_by").not_null(),
    ],
    default_order: "position",
    tie: "position",
};

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.named_schema(PAGE, page_of(CriteriaActionView::name()));
    let parameters =
        OfSegment::PARAMETERS.iter().map(|(name, description)| path_parameter(name, description));
    let listing = OperationBuilder::new()
        .operation_id(Some("list_criteria_actions"))
        .tag("Segments")
        .summary(Some("List a segment's criteria actions"))
        .description(Some(list_description(&LIST)))
        .parameters(Some(parameters));
    routes.operation(
        HttpMethod::Get,
        PATH,
        list_operation(listing, &LIST, "criteria actions", PAGE.into()),
        list,
    );
    routes.add(__path_create_criteria_action, create_criteria_action);
    routes.add(__path_get_latest_criteria_action, get_latest_criteria_action);
    routes.add(__path_delete_latest_criteria_action, delete_latest_criteria_action);
    routes.add(__path_create_criteria_preview, create_criteria_preview);
    routes.add(__path_create_criteria_replay, create_criteria_replay);
}

/// `GET`: the history.
async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    use criteria_actions as t;
    let list = ListQuery::parse(
        request.path(),
        request.query_string(),
        &LIST,
        &cursor_key,
        calendar.today(),
    )?;
    let mut conn = database.list(&list).await?;
    let scope = OfSegment::find(&request, &mut conn).await?;
    let actions = t::table.filter(t::segment_number.eq(&scope.number));
    let query = actions.select(CriteriaActionView::as_select()).into_boxed();
    let query = query
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset());
    let rows: Vec<CriteriaActionView> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(
            actions
                .count()
                .into_boxed()
                .filter(list.filter_condition())
                .get_result(&mut conn)
                .await?,
        )
    } else {
        None
    };
    let rows = rows.iter().map(with_etag).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// The segment of the path, held alone, its campaign noted as changed.
async fn hold(request: &HttpRequest, work: &mut UnitOfWork) -> Result<OfSegment, Problem> {
    let scope = OfSegment::find(request, &mut work.conn).await?;
    let campaign = scope.hold_alone(&mut work.conn).await?;
    work.changed_keys.campaigns.extend(campaign.as_ref().map(Key::to_string));
    Ok(scope)
}

/// Select lines of a segment by criteria
///
/// ADD adds the contacts that match the filter, REDUCE removes the lines of those that match,
/// REFINE keeps only these. Contacts that are privacy blocked are never added, those that are
/// excluded from segments only with `ignoreExclusion`, and neither by an expansion. The action
/// stands in the segment's history and can be undone.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/criteria-actions",
    operation_id = "create_criteria_action",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.", min_length = 1,
        max_length = 50, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    request_body(content = Criterion, description = "What is to be done."),
    responses((status = 201, description = "Done.", body = CriteriaActionView))
)]
async fn create_criteria_action(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let criterion: Criterion = call.json()?;
    let filter = criterion.requested(calendar.today())?;
    database
        .transact(&call, async |work| {
            let scope = hold(&request, work).await?;
            let action = history::perform(work, &scope, &criterion, &filter).await?;
            ApiResponse::resource(StatusCode::CREATED, &action)
        })
        .await
}

/// Get the latest criteria action of a segment
///
/// The one that going back would undo; its ETag is what that asks for. Answers 304 when
/// `If-None-Match` names it.
#[utoipa::path(
    get,
    path = "/v1/segments/{segment}/criteria-actions/latest",
    operation_id = "get_latest_criteria_action",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.", min_length = 1,
        max_length = 50, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    responses(
        (status = 200, description = "The latest action.", body = CriteriaActionView),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_latest_criteria_action(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    let mut conn = database.read().await?;
    let scope = OfSegment::find(&request, &mut conn).await?;
    let action = history::latest(&mut conn, &scope).await?;
    let action =
        action.ok_or_else(|| Problem::not_found("criteria action of", scope.number.as_str()))?;
    Ok(ApiResponse::resource(StatusCode::OK, &action)?.unless_known(call.if_none_match.as_ref()))
}

/// Go back: undo the latest criteria action of a segment
///
/// The lines that it added go; the lines that it removed come back, with their ids and flags. Lines
/// that were added by hand stay as they are. Answers 409 `NO_CRITERIA_ACTION` when no action is
/// left. `If-Match` is required, so that two who go back at once do not undo two actions.
#[utoipa::path(
    delete,
    path = "/v1/segments/{segment}/criteria-actions/latest",
    operation_id = "delete_latest_criteria_action",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.", min_length = 1,
        max_length = 50, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    responses((status = 204, description = "Undone."))
)]
async fn delete_latest_criteria_action(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    database
        .transact(&call, async |work| {
            let scope = hold(&request, work).await?;
            let latest = history::latest(&mut work.conn, &scope).await?;
            let latest = latest.ok_or_else(|| history::nothing_to_undo(&scope))?;
            require(&call, &ApiResponse::resource(StatusCode::OK, &latest)?)?;
            history::undo(&mut work.conn, &scope, &latest).await?;
            Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Preview a criteria action
///
/// Says how many lines the action would add or remove. Nothing changes.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/criteria-previews",
    operation_id = "create_criteria_preview",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.", min_length = 1,
        max_length = 50, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    request_body(content = Criterion, description = "The action in question."),
    responses((status = 200, description = "What it would do.", body = CriteriaPreview))
)]
async fn create_criteria_preview(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let criterion: Criterion = call.json()?;
    let filter = criterion.requested(calendar.today())?;
    // A transaction without change, so that an idempotency key is honoured as on every POST.
    database
        .preview(&call, async |work| {
            let scope = OfSegment::find(&request, &mut work.conn).await?;
            let preview = history::preview(&mut work.conn, &scope, &criterion, &filter).await?;
            ApiResponse::json(StatusCode::OK, &preview)
        })
        .await
}

/// Which saved criteria are to be replayed.
#[derive(Debug, Deserr, ToSchema)]
#[schema(as = CriteriaReplayWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
pub struct ReplayWrite {
    /// The code of the saved criteria.
    pub code: Key,
}

/// The actions of a replay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CriteriaReplay)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// What was done, in order; each can be undone by itself.
    #[schema(max_items = 100)]
    pub actions: Vec<CriteriaActionView>,
}

/// Replay saved criteria in a segment
///
/// Performs the actions that are kept under the code, one after the other, with the same options
/// and over the contacts as they are now. All of them are done or none. Each is an action of the
/// segment's own and is undone by itself.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/criteria-replays",
    operation_id = "create_criteria_replay",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.", min_length = 1,
        max_length = 50, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    request_body(content = ReplayWrite, description = "Which saved criteria."),
    responses((status = 201, description = "Done.", body = ReplayView))
)]
async fn create_criteria_replay(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let ReplayWrite { code } = call.json()?;
    database
        .transact(&call, async |work| {
            let scope = hold(&request, work).await?;
            let criteria = saved::replayed(&mut work.conn, &code, calendar.today()).await?;
            let mut actions = Vec::new();
            for (criterion, filter) in criteria {
                actions.push(history::perform(work, &scope, &criterion, &filter).await?);
            }
            ApiResponse::json(StatusCode::CREATED, &ReplayView { actions })
        })
        .await
}
