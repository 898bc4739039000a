//! Criteria actions over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use values::Key;

use super::history::{CriteriaActionView, CriteriaPreview};
use super::{CriteriaKind, Criterion, history, saved};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{
    list_description, list_operation, page_of, path_parameter,
};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::resource::{Scope, require, with_etag};
use crate::schema::criteria_actions;
use crate::segments::lines::OfSegment;
use crate::unit_of_work::{Database, UnitOfWork};

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
        Area::Contacts.read(),
        HttpMethod::Get,
        PATH,
        list_operation(listing, &LIST, "criteria actions", PAGE.into()),
        list,
    );
    routes.add(Area::Contacts.write(), __path_create_criteria_action, create_criteria_action);
    routes.add(
        Area::Contacts.read(),
        __path_get_latest_criteria_action,
        get_latest_criteria_action,
    );
    routes.add(
        Area::Contacts.write(),
        __path_delete_latest_criteria_action,
        delete_latest_criteria_action,
    );
    routes.add(Area::Contacts.read(), __path_create_criteria_preview, create_criteria_preview);
    routes.add(Area::Contacts.write(), __path_create_criteria_replay, create_criteria_replay);
}

/// Handles `GET` on the history.
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

/// Locks the segment of the path exclusively, and records it and its campaign as changed.
async fn lock_segment(request: &HttpRequest, work: &mut UnitOfWork) -> Result<OfSegment, Problem> {
    let scope = OfSegment::find(request, &mut work.conn).await?;
    let segment = scope.hold_alone(&mut work.conn).await?;
    segment.refuse_rule()?;
    work.changed_keys.campaigns.extend(segment.campaign_number.as_ref().map(Key::to_string));
    work.segment_changed(&scope.number);
    Ok(scope)
}

/// Select lines of a segment by criteria
///
/// ADD adds lines for the contacts that match the filter. REDUCE removes the lines of matching
/// contacts. REFINE removes all other lines.
///
/// Privacy-blocked contacts are never added. Contacts that are excluded from segments are added
/// only with `ignoreExclusion`, and never by an expansion. The action is recorded in the segment's
/// history and can be undone.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/criteria-actions",
    operation_id = "create_criteria_action",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = Criterion, description = "The action to perform."),
    responses((status = 201, description = "Performed.", body = CriteriaActionView))
)]
async fn create_criteria_action(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let criterion: Criterion = request.json().await?;
    let filter = criterion.requested(calendar.today())?;
    database
        .transact(&request, async |work| {
            let scope = lock_segment(&http_request, work).await?;
            let action = history::perform(work, &scope, &criterion, &filter).await?;
            ApiResponse::resource(StatusCode::CREATED, &action)
        })
        .await
}

/// Get the latest criteria action of a segment
///
/// Returns the action that an undo would revert. Its ETag is the `If-Match` of that request.
/// Answers 304 if `If-None-Match` has the current ETag.
#[utoipa::path(
    get,
    path = "/v1/segments/{segment}/criteria-actions/latest",
    operation_id = "get_latest_criteria_action",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    responses(
        (status = 200, description = "The latest action.", body = CriteriaActionView),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_latest_criteria_action(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let mut conn = database.read().await?;
    let scope = OfSegment::find(&http_request, &mut conn).await?;
    let action = history::latest(&mut conn, &scope).await?;
    let action =
        action.ok_or_else(|| Problem::not_found("criteria action of", scope.number.as_str()))?;
    Ok(ApiResponse::resource(StatusCode::OK, &action)?
        .not_modified_if_known(request.if_none_match.as_ref()))
}

/// Undo the latest criteria action of a segment
///
/// Removes the lines that the action added, and restores the lines that it removed, with their ids
/// and flags. Lines that were added by hand do not change.
///
/// `If-Match` is required, so that two concurrent requests do not undo two actions. Answers 409
/// `NO_CRITERIA_ACTION` if no action is left.
#[utoipa::path(
    delete,
    path = "/v1/segments/{segment}/criteria-actions/latest",
    operation_id = "delete_latest_criteria_action",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    responses((status = 204, description = "Undone."))
)]
async fn delete_latest_criteria_action(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    database
        .transact(&request, async |work| {
            let scope = lock_segment(&http_request, work).await?;
            let latest = history::latest(&mut work.conn, &scope).await?;
            let latest = latest.ok_or_else(|| history::nothing_to_undo(&scope))?;
            require(&request, &ApiResponse::resource(StatusCode::OK, &latest)?)?;
            history::undo(&mut work.conn, &scope, &latest).await?;
            Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Preview a criteria action
///
/// Returns the numbers of lines that the action would add and remove. Nothing changes.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/criteria-previews",
    operation_id = "create_criteria_preview",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = Criterion, description = "The action to preview."),
    responses((status = 200, description = "The effect of the action.", body = CriteriaPreview))
)]
async fn create_criteria_preview(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let criterion: Criterion = request.json().await?;
    let filter = criterion.requested(calendar.today())?;
    // A transaction without changes, so that an idempotency key is honoured as on every POST.
    database
        .preview(&request, async |work| {
            let scope = OfSegment::find(&http_request, &mut work.conn).await?;
            let preview = history::preview(&mut work.conn, &scope, &criterion, &filter).await?;
            ApiResponse::json(StatusCode::OK, &preview)
        })
        .await
}

/// The saved criteria to replay.
#[derive(Debug, Deserr, ToSchema)]
#[schema(as = CriteriaReplayWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
pub struct ReplayWrite {
    /// The code of the saved criteria.
    pub code: Key,
}

/// The actions that a replay performed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CriteriaReplay)]
#[serde(rename_all = "camelCase")]
pub struct ReplayView {
    /// The actions in order; each can be undone by itself.
    #[schema(max_items = 100)]
    pub actions: Vec<CriteriaActionView>,
}

/// Replay saved criteria in a segment
///
/// Performs the actions that are saved under the code, one after the other, with their options and
/// over the current contacts. Either all are performed or none. Each becomes an action of the
/// segment and can be undone by itself.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/criteria-replays",
    operation_id = "create_criteria_replay",
    tag = "Segments",
    params(("segment" = String, Path, description = "The id or the number of the segment.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = ReplayWrite, description = "The saved criteria to replay."),
    responses((status = 201, description = "Performed.", body = ReplayView))
)]
async fn create_criteria_replay(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let ReplayWrite { code } = request.json().await?;
    database
        .transact(&request, async |work| {
            let scope = lock_segment(&http_request, work).await?;
            let criteria = saved::find_for_replay(&mut work.conn, &code, calendar.today()).await?;
            let mut actions = Vec::new();
            for (criterion, filter) in criteria {
                actions.push(history::perform(work, &scope, &criterion, &filter).await?);
            }
            ApiResponse::json(StatusCode::CREATED, &ReplayView { actions })
        })
        .await
}
