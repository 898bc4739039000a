//! Application of an activity to a campaign, which creates all of its tasks or none.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;
use values::{Date, Key, Reference};

use super::{Activities, ActivityView};
use crate::campaigns::OfCampaign;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::operations::{json_body, json_response, path_parameter};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::references::{self, ReferenceKind, named};
use crate::resource::{Resource, RowWrite, Scope, checked, refusal, with_etag};
use crate::tasks::{RequestTime, TaskWrite, Tasks, assignee, assignee_error, create_of_activity};
use crate::unit_of_work::{Database, UnitOfWork};

const PATH: &str = "/v1/campaigns/{campaign}/activities";

/// An application of an activity: the activity, its date, and the assignee.
#[derive(Debug, Clone, Deserr, ToSchema)]
#[schema(as = CampaignActivityWrite, example = json!({
    "code": "FAIR", "date": "2031-05-15", "teamCode": "NORTH"
}))]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct CampaignActivityWrite {
    /// The code of the activity.
    pub code: Key,
    /// The date from which the offsets of the steps are counted.
    pub date: Date,
    /// The salesperson who does all tasks; exactly one of this and `teamCode` is required.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The team that does all tasks.
    #[deserr(default)]
    pub team_code: Option<Key>,
}

/// Adds the operation to the route table.
pub fn mount_campaign_activities(routes: &mut Routes) {
    routes.schema::<CampaignActivityWrite>();
    let parameters =
        OfCampaign::PARAMETERS.iter().map(|(name, description)| path_parameter(name, description));
    let operation = OperationBuilder::new()
        .operation_id(Some("create_campaign_activity"))
        .tag(Tasks::NAMES.tag)
        .summary(Some("Apply an activity to a campaign"))
        .description(Some(
            "Creates a task for each step, all or none, and returns the tasks in the order of the \
             steps.",
        ))
        .parameters(Some(parameters))
        .request_body(Some(json_body(
            "The activity, its date and the assignee.",
            CampaignActivityWrite::name(),
        )))
        .response("201", json_response("The tasks.", "TaskPage".into()))
        .build();
    routes.operation(Area::Campaigns.write(), HttpMethod::Post, PATH, operation, create);
}

/// Handles `POST`: creates the tasks.
async fn create(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let application: CampaignActivityWrite = request.json().await?;
    database.transact(&request, async |work| apply(work, &http_request, &application).await).await
}

async fn apply(
    work: &mut UnitOfWork,
    request: &HttpRequest,
    application: &CampaignActivityWrite,
) -> Result<ApiResponse, Problem> {
    let campaign = OfCampaign::find(request, &mut work.conn).await?;
    let time = RequestTime::find(request, &mut work.conn).await?;
    let (salesperson, team) =
        (application.salesperson_code.as_ref(), application.team_code.as_ref());
    // The lock keeps the activity from being changed or deleted before its tasks exist.
    let activity =
        Activities::find(&mut work.conn, &(), &Reference::Key(application.code.clone()), true)
            .await?;
    let mut errors: Vec<FieldError> = assignee_error(salesperson, team).into_iter().collect();
    let task_rows = match &activity {
        Some(activity) => {
            task_rows(&campaign.number, activity, application).unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            })
        }
        None => Vec::new(),
    };
    if activity.is_none() || !errors.is_empty() {
        let activity = named("/code", ReferenceKind::Activity, Some(&application.code));
        let references: Vec<_> = activity.into_iter().chain(assignee(salesperson, team)).collect();
        errors.extend(references::missing(&mut work.conn, &references).await?);
    }
    checked(errors)?;
    let created = work
        .savepoint(async |work| {
            create_of_activity(work, &time, &application.code, &task_rows).await
        })
        .await;
    match (created, task_rows.first()) {
        (Ok(tasks), _) => {
            let rows = tasks.iter().map(with_etag).collect::<Result<Vec<_>, _>>()?;
            ApiResponse::json(StatusCode::CREATED, &json!({ "value": rows }))
        }
        // The tasks can be refused only for properties that they share, so the first one represents
        // all.
        (Err(error), Some(first)) => {
            Err(refusal::<Tasks>(work, error, &first.write, first.id).await?)
        }
        (Err(_), None) => Err(Problem::concurrent_change()),
    }
}

/// Returns a task for each step, or the error of a step outside the calendar.
fn task_rows(
    campaign: &Key,
    activity: &ActivityView,
    application: &CampaignActivityWrite,
) -> Result<Vec<RowWrite<TaskWrite>>, FieldError> {
    let task_row = |step: &super::ActivityStep| {
        let date = application.date.plus_days(i64::from(step.offset_days)).ok_or_else(|| {
            let detail =
                format!("a step {} days from this date is beyond the calendar", step.offset_days);
            FieldError::new("/date", FieldCode::OutOfRange, detail)
        })?;
        let write = TaskWrite {
            campaign_number: campaign.clone(),
            contact_number: None,
            salesperson_code: application.salesperson_code.clone(),
            team_code: application.team_code.clone(),
            type_: step.type_.clone(),
            description: step.description.clone(),
            date,
            starting_time: None,
            priority: step.priority,
            state: None,
            closed: None,
            recurrence: None,
        };
        Ok(RowWrite { id: Uuid::now_v7(), write })
    };
    activity.steps.iter().map(task_row).collect()
}
