//! Changes of a campaign's status, and their history.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;
use values::{Key, Reference};

use super::{CampaignWrite, Campaigns, OfCampaign, Today};
use crate::outbox::{CampaignStatusChanged, Event};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{
    json_body, json_response, list_description, list_operation, page_of, path_parameter,
};
use crate::platform::http::problem::{FieldCode, Problem};
use crate::platform::http::routes::Routes;
use crate::resource::{Resource, SaveError, Scope, reference, refusal, with_etag};
use crate::schema::{campaign_status_changes, campaigns};
use crate::unit_of_work::{Database, UnitOfWork};

const PATH: &str = "/v1/campaigns/{campaign}/status-changes";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Uuid, "campaign_status_changes.id").not_null(),
        Field::new("fromStatusCode", FieldKind::Key, "campaign_status_changes.from_status_code"),
        Field::new("toStatusCode", FieldKind::Key, "campaign_status_changes.to_status_code"),
        Field::new("changedAt", FieldKind::Instant, "campaign_status_changes.changed_at")
            .not_null(),
        Field::new("changedBy", FieldKind::Text, "campaign_status_changes.changed_by").not_null(),
    ],
    default_order: "changedAt,id",
    tie: "id",
};

/// The status to move a campaign to.
#[derive(Debug, Default, Deserr, ToSchema)]
#[schema(as = CampaignStatusChangeWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct StatusChangeWrite {
    /// The code of the new status. If absent, the next status is taken.
    #[deserr(default)]
    pub status_code: Option<Key>,
}

/// A change of a campaign's status.
#[derive(Debug, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = CampaignStatusChange)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = campaign_status_changes, check_for_backend(Pg))]
pub struct StatusChangeView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code of the previous status; null if there was none.
    pub from_status_code: Option<Key>,
    /// The code of the new status; null if it was removed.
    pub to_status_code: Option<Key>,
    /// The time of the change.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub changed_at: DateTime<Utc>,
    /// The author of the change.
    #[schema(max_length = 200, example = "local")]
    pub changed_by: String,
}

/// A change of status to record.
#[derive(Debug)]
pub(super) struct StatusChange {
    pub(super) campaign_number: Key,
    pub(super) from: Option<Key>,
    pub(super) to: Option<Key>,
}

impl From<&StatusChange> for Event {
    fn from(StatusChange { campaign_number, from, to }: &StatusChange) -> Self {
        let code = |status: &Option<Key>| status.as_ref().map(ToString::to_string);
        let campaign_number = campaign_number.to_string();
        CampaignStatusChanged {
            campaign_number,
            from_status_code: code(from),
            to_status_code: code(to),
        }
        .into()
    }
}

/// Records changes of locked campaigns. The time is that of the statement, not of the transaction's
/// start, so that the times have the order of the changes.
pub(super) async fn record(
    work: &mut UnitOfWork,
    changes: &[StatusChange],
) -> Result<Vec<StatusChangeView>, diesel::result::Error> {
    use campaign_status_changes as t;
    let values: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                t::id.eq(Uuid::now_v7()),
                t::campaign_number.eq(&change.campaign_number),
                t::from_status_code.eq(change.from.as_ref()),
                t::to_status_code.eq(change.to.as_ref()),
                t::changed_at.eq(sql::<Timestamptz>("clock_timestamp()")),
                t::changed_by.eq(&work.author),
            )
        })
        .collect();
    if values.is_empty() {
        return Ok(Vec::new());
    }
    work.events.extend(changes.iter().map(Event::from));
    let insert =
        diesel::insert_into(t::table).values(values).returning(StatusChangeView::as_returning());
    insert.get_results(&mut work.conn).await
}

/// Adds the operations to the route table.
pub fn mount_status_changes(routes: &mut Routes) {
    let page = "CampaignStatusChangePage";
    routes.schema::<StatusChangeWrite>();
    routes.schema::<StatusChangeView>();
    routes.named_schema(page, page_of(StatusChangeView::name()));
    let operation = |id: &str, summary: &str, description: &str| {
        let parameters = OfCampaign::PARAMETERS
            .iter()
            .map(|(name, description)| path_parameter(name, description));
        OperationBuilder::new()
            .operation_id(Some(id))
            .tag(Campaigns::NAMES.tag)
            .summary(Some(summary))
            .description(Some(description))
            .parameters(Some(parameters))
    };
    let listing = operation(
        "list_campaign_status_changes",
        "List a campaign's status changes",
        &list_description(&LIST),
    );
    routes.operation(
        Area::Campaigns.read(),
        HttpMethod::Get,
        PATH,
        list_operation(listing, &LIST, "status changes", page.into()),
        list,
    );
    let mut body = json_body("The new status; optional.", StatusChangeWrite::name());
    body.required = Some(Required::False);
    let moving = operation(
        "create_campaign_status_change",
        "Move a campaign to a status",
        "Moves the campaign to the named status, or to the next one if none is named. Refused \
         with 422 if there is no next status, or if the campaign has the status already. Published \
         prices stay in force. While the status is final or forbids activation, changes of an \
         active campaign are not published; a status that permits them publishes what waits.",
    )
    .request_body(Some(body))
    .response("201", json_response("Moved.", StatusChangeView::name()))
    .build();
    routes.operation(Area::Campaigns.write(), HttpMethod::Post, PATH, moving, create);
}

/// Handles `GET` on the history.
async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    use campaign_status_changes as t;
    let list = ListQuery::parse(
        request.path(),
        request.query_string(),
        &LIST,
        &cursor_key,
        calendar.today(),
    )?;
    let mut conn = database.list(&list).await?;
    let OfCampaign { number } = OfCampaign::find(&request, &mut conn).await?;
    let changes = t::table.filter(t::campaign_number.eq(&number));
    let query = changes.select(StatusChangeView::as_select()).into_boxed();
    let query = query
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset());
    let rows: Vec<StatusChangeView> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(
            changes
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

/// Handles `POST`: moves the campaign.
async fn create(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let wanted: StatusChangeWrite = request.json_or_default().await?;
    let reference = reference(&http_request, Campaigns::NAMES.singular)?;
    database
        .transact(&request, async |work| {
            move_campaign(work, &http_request, &reference, wanted.status_code.clone()).await
        })
        .await
}

async fn move_campaign(
    work: &mut UnitOfWork,
    request: &HttpRequest,
    reference: &Reference,
    wanted: Option<Key>,
) -> Result<ApiResponse, Problem> {
    let today = Today::find(request, &mut work.conn).await?;
    let campaign = Campaigns::find(&mut work.conn, &today, reference, true).await?;
    let campaign =
        campaign.ok_or_else(|| Problem::not_found("campaign", &reference.to_string()))?;
    let next = || campaign.next_status.as_ref().map(|status| status.code.clone());
    let to = wanted.or_else(next).ok_or_else(|| {
        let detail = format!("no status follows that of {}; name one", campaign.number);
        Problem::rule("/statusCode", FieldCode::Required, detail)
    })?;
    if campaign.status_code.as_ref() == Some(&to) {
        let detail = format!("{} is at status {to} already", campaign.number);
        return Err(Problem::rule("/statusCode", FieldCode::NotAllowed, detail));
    }
    let write = CampaignWrite { status_code: Some(to.clone()), ..Campaigns::write_of(&campaign) };
    let number = campaign.number.to_string();
    let change =
        StatusChange { campaign_number: campaign.number, from: campaign.status_code, to: Some(to) };
    let moved = work
        .savepoint(async |work| {
            diesel::update(campaigns::table.find(campaign.id))
                .set((
                    campaigns::status_code.eq(change.to.as_ref()),
                    campaigns::updated_by.eq(&work.author),
                    campaigns::updated_at.eq(diesel::dsl::now),
                ))
                .execute(&mut work.conn)
                .await?;
            record(work, std::slice::from_ref(&change)).await.map_err(SaveError::from)
        })
        .await;
    if moved.is_ok() {
        work.campaign_changed(&number);
        if campaign.has_unpublished_changes {
            // The previous status may have held them.
            work.changed_keys.campaigns.insert(number);
        }
    }
    match moved {
        Ok(records) => ApiResponse::json(StatusCode::CREATED, &records.as_slice().first()),
        Err(error) => Err(refusal::<Campaigns>(work, error, &write, campaign.id).await?),
    }
}
