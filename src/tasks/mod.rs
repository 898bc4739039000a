//! Tasks of salespeople and teams for a campaign, due on a date.
//!
//! A task is *closed* exactly while its state is `COMPLETED`, so setting either closes it. Closing
//! a recurring task creates the next one in the same transaction.

mod enums;

use std::collections::HashMap;

use actix_web::web;
use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Date, Key, Text, TimeOfDay};

pub use enums::{Recurrence, RecurrenceFrom, RecurrenceUnit, TaskPriority, TaskState};

use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::{table_rows, upsert, write_of_view};
use crate::resource::{IfExists, Names, Origin, Resource, RowWrite, SaveError, Scope};
use crate::salespeople::SALESPERSON_BLOCKED;
use crate::schema::tasks;
use crate::unit_of_work::UnitOfWork;

/// The writable fields of a task.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = TaskWrite, example = json!({
    "campaignNumber": "CP0001", "contactNumber": "CT000001", "salespersonCode": "PB",
    "type": "CALL", "description": "Ask what they thought of the fair", "date": "2031-05-15",
    "startingTime": "14:30", "priority": "HIGH",
    "recurrence": {"interval": 2, "unit": "WEEKS", "from": "DUE_DATE"}
}))]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct TaskWrite {
    /// The campaign of the task.
    pub campaign_number: Key,
    /// The contact that the task concerns.
    #[deserr(default)]
    pub contact_number: Option<Key>,
    /// The salesperson who does the task; exactly one of this and `teamCode` is required.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The team that does the task.
    #[deserr(default)]
    pub team_code: Option<Key>,
    /// The type of the task, a free code: call, meeting, letter.
    #[deserr(default, rename = "type")]
    #[serde(rename = "type")]
    pub type_: Option<Key>,
    /// A short description of the work.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The day on which the task is due.
    pub date: Date,
    /// The time at which it starts on that day.
    #[deserr(default)]
    pub starting_time: Option<TimeOfDay>,
    /// The priority.
    #[deserr(default = TaskPriority::Normal)]
    #[schema(default = "NORMAL", required = false, example = "HIGH")]
    pub priority: TaskPriority,
    /// The progress. If absent, it is `COMPLETED` if `closed` is true, else `NOT_STARTED`.
    /// `COMPLETED` closes the task.
    #[deserr(default)]
    #[schema(example = "IN_PROGRESS")]
    pub state: Option<TaskState>,
    /// True if the task is done. Closing sets the state to `COMPLETED`. To reopen a closed task,
    /// send `false` and another state.
    #[deserr(default)]
    #[schema(example = false)]
    pub closed: Option<bool>,
    /// The recurrence: closing the task creates the next one.
    #[deserr(default)]
    pub recurrence: Option<Recurrence>,
}

/// A task.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Task)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The campaign of the task.
    pub campaign_number: Key,
    /// The contact that the task concerns.
    pub contact_number: Option<Key>,
    /// The salesperson who does the task; null if a team does.
    pub salesperson_code: Option<Key>,
    /// The team that does the task; null if a salesperson does.
    pub team_code: Option<Key>,
    /// The type of the task, a free code.
    #[serde(rename = "type")]
    pub type_: Option<Key>,
    /// A short description of the work.
    pub description: Text<100>,
    /// The day on which the task is due.
    pub date: Date,
    /// The time at which it starts on that day.
    pub starting_time: Option<TimeOfDay>,
    /// The priority.
    #[schema(example = "HIGH")]
    pub priority: TaskPriority,
    /// The progress.
    #[schema(example = "IN_PROGRESS")]
    pub state: TaskState,
    /// True if the task is done.
    #[schema(example = false)]
    pub closed: bool,
    /// The time at which it was closed; null while it is open.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub closed_at: Option<DateTime<Utc>>,
    /// The recurrence; null if the task does not recur.
    pub recurrence: Option<Recurrence>,
    /// The activity that the task was created from, if any.
    pub activity_code: Option<Key>,
    /// The task that was created when this one was closed. Null if there is none, or if it was
    /// deleted.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000002")]
    pub next_task_id: Option<Uuid>,
}

/// A task as stored.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = tasks, check_for_backend(Pg))]
struct TaskRow {
    id: Uuid,
    campaign_number: Key,
    contact_number: Option<Key>,
    salesperson_code: Option<Key>,
    team_code: Option<Key>,
    type_: Option<Key>,
    description: Text<100>,
    date: Date,
    starting_time: Option<TimeOfDay>,
    priority: TaskPriority,
    state: TaskState,
    closed_at: Option<DateTime<Utc>>,
    recurrence_interval: Option<i32>,
    recurrence_unit: Option<RecurrenceUnit>,
    recurrence_from: Option<RecurrenceFrom>,
    activity_code: Option<Key>,
    next_task_id: Option<Uuid>,
}

impl From<TaskRow> for TaskView {
    fn from(row: TaskRow) -> Self {
        let recurrence = match (row.recurrence_interval, row.recurrence_unit, row.recurrence_from) {
            (Some(interval), Some(unit), Some(from)) => Some(Recurrence { interval, unit, from }),
            _ => None,
        };
        Self {
            id: row.id,
            campaign_number: row.campaign_number,
            contact_number: row.contact_number,
            salesperson_code: row.salesperson_code,
            team_code: row.team_code,
            type_: row.type_,
            description: row.description,
            date: row.date,
            starting_time: row.starting_time,
            priority: row.priority,
            state: row.state,
            closed: row.closed_at.is_some(),
            closed_at: row.closed_at,
            recurrence,
            activity_code: row.activity_code,
            next_task_id: row.next_task_id,
        }
    }
}

/// The time of the request, and the company's date at that time.
#[derive(Debug, Clone, Copy)]
pub struct RequestTime {
    now: DateTime<Utc>,
    today: Date,
}

impl Scope for RequestTime {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[];

    async fn find_from(origin: &Origin<'_>, _: &mut AsyncPgConnection) -> Result<Self, Problem> {
        let calendar = origin.state::<web::Data<Calendar>>();
        calendar
            .map(|calendar| Self { now: calendar.now(), today: calendar.today().into() })
            .ok_or_else(|| Problem::internal("the service has no calendar"))
    }
}

/// The resource `/v1/tasks`.
pub struct Tasks;

impl Resource for Tasks {
    const NAMES: Names = Names {
        path: "/v1/tasks",
        singular: "task",
        plural: "tasks",
        one: "a task",
        tag: "Tasks and opportunities",
        area: Area::Campaigns,
        key_field: None,
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "tasks.id").not_null(),
            Field::new("campaignNumber", FieldKind::Key, "tasks.campaign_number").not_null(),
            Field::new("contactNumber", FieldKind::Key, "tasks.contact_number"),
            Field::new("salespersonCode", FieldKind::Key, "tasks.salesperson_code"),
            Field::new("teamCode", FieldKind::Key, "tasks.team_code"),
            Field::new("type", FieldKind::Key, "tasks.type"),
            Field::new("description", FieldKind::Text, "tasks.description").not_null(),
            Field::new("date", FieldKind::Date, "tasks.date").not_null(),
            Field::new("startingTime", FieldKind::Text, "to_char(tasks.starting_time, 'HH24:MI')"),
            Field::new("priority", FieldKind::Enum(TaskPriority::TEXTS), "tasks.priority")
                .not_null(),
            Field::new("state", FieldKind::Enum(TaskState::TEXTS), "tasks.state").not_null(),
            Field::new("closed", FieldKind::Boolean, "tasks.closed_at IS NOT NULL").not_null(),
            Field::new("closedAt", FieldKind::Instant, "tasks.closed_at"),
            Field::new("activityCode", FieldKind::Key, "tasks.activity_code"),
        ],
        default_order: "date,id",
        tie: "id",
    };
    const CONSTRAINTS: &'static [Constraint] = &[SALESPERSON_BLOCKED];
    type Scope = RequestTime;
    type Write = TaskWrite;
    type View = TaskView;

    table_rows! {
        tasks by id,
        from TaskRow: |_conn, _time, rows| rows.into_iter().map(TaskView::from).collect()
    }

    // No changed keys are recorded, since no price depends on a task.
    async fn save(
        work: &mut UnitOfWork,
        time: &RequestTime,
        rows: &[RowWrite<TaskWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let mut before = match if_exists {
            IfExists::Refuse => HashMap::new(),
            IfExists::Replace => lock_existing(&mut work.conn, rows).await?,
        };
        let mut to_write = Vec::new();
        for RowWrite { id, write } in rows {
            to_write.extend(task_rows(*id, write, before.remove(id), time)?);
        }
        upsert(&mut work.conn, &to_write).await?;
        Ok(())
    }

    async fn delete(
        work: &mut UnitOfWork,
        _: &RequestTime,
        view: &Self::View,
    ) -> Result<(), SaveError> {
        diesel::delete(tasks::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    write_of_view! {
        campaign_number, contact_number, salesperson_code, team_code, type_, description, date,
        starting_time, priority, state, closed, recurrence,
    }

    fn rules(write: &TaskWrite, _: &RequestTime) -> Vec<FieldError> {
        let assignee = assignee_error(write.salesperson_code.as_ref(), write.team_code.as_ref());
        assignee.into_iter().chain(write.recurrence.and_then(Recurrence::rule)).collect()
    }

    fn references(write: &TaskWrite) -> Vec<NamedReference> {
        [
            named("/campaignNumber", ReferenceKind::Campaign, Some(&write.campaign_number)),
            named("/contactNumber", ReferenceKind::Contact, write.contact_number.as_ref()),
        ]
        .into_iter()
        .flatten()
        .chain(assignee(write.salesperson_code.as_ref(), write.team_code.as_ref()))
        .collect()
    }
}

/// Returns an error unless exactly one of salesperson and team is given.
#[must_use]
pub fn assignee_error(salesperson: Option<&Key>, team: Option<&Key>) -> Option<FieldError> {
    match (salesperson, team) {
        (None, None) => {
            let detail = "salespersonCode or teamCode must be given";
            Some(FieldError::new("/salespersonCode", FieldCode::Missing, detail))
        }
        (Some(_), Some(_)) => {
            let detail = "a task is for a salesperson or for a team, not for both";
            Some(FieldError::new("/teamCode", FieldCode::NotAllowed, detail))
        }
        _ => None,
    }
}

/// Returns salesperson and team as references.
pub fn assignee(
    salesperson: Option<&Key>,
    team: Option<&Key>,
) -> impl Iterator<Item = NamedReference> {
    let salesperson = named("/salespersonCode", ReferenceKind::Salesperson, salesperson);
    salesperson.into_iter().chain(named("/teamCode", ReferenceKind::Team, team))
}

/// Loads the existing tasks of the rows, locked until the transaction ends.
async fn lock_existing(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<TaskWrite>],
) -> Result<HashMap<Uuid, TaskRow>, diesel::result::Error> {
    let query =
        tasks::table.filter(tasks::id.eq_any(rows.iter().map(|row| row.id))).order(tasks::id);
    let rows: Vec<TaskRow> =
        query.select(TaskRow::as_select()).for_no_key_update().load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the row to store, and the next task if the write closes a recurring task.
fn task_rows(
    id: Uuid,
    write: &TaskWrite,
    before: Option<TaskRow>,
    time: &RequestTime,
) -> Result<impl Iterator<Item = TaskRow>, Problem> {
    let closed_at = before.as_ref().and_then(|before| before.closed_at);
    let closed = is_closed(write, closed_at.is_some())?;
    let state =
        if closed { TaskState::Completed } else { write.state.unwrap_or(TaskState::NotStarted) };
    let recurrence = write.recurrence;
    let mut row = TaskRow {
        id,
        campaign_number: write.campaign_number.clone(),
        contact_number: write.contact_number.clone(),
        salesperson_code: write.salesperson_code.clone(),
        team_code: write.team_code.clone(),
        type_: write.type_.clone(),
        description: write.description.clone(),
        date: write.date,
        starting_time: write.starting_time,
        priority: write.priority,
        state,
        closed_at: closed.then(|| closed_at.unwrap_or(time.now)),
        recurrence_interval: recurrence.map(|recurrence| recurrence.interval),
        recurrence_unit: recurrence.map(|recurrence| recurrence.unit),
        recurrence_from: recurrence.map(|recurrence| recurrence.from),
        activity_code: before.as_ref().and_then(|before| before.activity_code.clone()),
        next_task_id: before.and_then(|before| before.next_task_id),
    };
    let mut next = None;
    if closed
        && closed_at.is_none()
        && row.next_task_id.is_none()
        && let Some(recurrence) = recurrence
    {
        let date = recurrence.next(row.date, time.today).ok_or_else(|| {
            let detail = "the next task would be beyond the end of the calendar";
            Problem::rule("/recurrence/interval", FieldCode::OutOfRange, detail)
        })?;
        let id = Uuid::now_v7();
        row.next_task_id = Some(id);
        let state = TaskState::NotStarted;
        next =
            Some(TaskRow { id, date, state, closed_at: None, next_task_id: None, ..row.clone() });
    }
    Ok([Some(row), next].into_iter().flatten())
}

/// Returns whether the task is closed after a write, given whether it was `closed` before. Either
/// field closes an open task. Reopening requires both, since a patch of one alone contradicts the
/// other.
fn is_closed(write: &TaskWrite, closed: bool) -> Result<bool, Problem> {
    let completed = write.state.map(|state| state == TaskState::Completed);
    let (by_closed, by_state) = match (write.closed, completed) {
        (Some(closed), completed) => (closed, completed.unwrap_or(closed)),
        (None, completed) => (completed.unwrap_or(false), completed.unwrap_or(false)),
    };
    if closed && by_closed != by_state {
        let detail =
            "a closed task is COMPLETED; to open it again, give closed false and another state";
        return Err(Problem::rule("/state", FieldCode::NotAllowed, detail));
    }
    Ok(by_closed || by_state)
}

/// Creates open tasks for the steps of an activity in one statement, and returns them in the order
/// of the rows.
///
/// # Errors
/// When the database refuses or fails.
pub async fn create_of_activity(
    work: &mut UnitOfWork,
    time: &RequestTime,
    activity: &Key,
    rows: &[RowWrite<TaskWrite>],
) -> Result<Vec<TaskView>, SaveError> {
    let mut to_write = Vec::new();
    for RowWrite { id, write } in rows {
        to_write.extend(task_rows(*id, write, None, time)?);
    }
    for row in &mut to_write {
        row.activity_code = Some(activity.clone());
    }
    upsert(&mut work.conn, &to_write).await?;
    Ok(to_write.into_iter().map(TaskView::from).collect())
}

/// Upserts rows in one statement. A row may name another as its next task, since the foreign key is
/// checked at the end.
async fn upsert(
    conn: &mut AsyncPgConnection,
    rows: &[TaskRow],
) -> Result<(), diesel::result::Error> {
    use tasks as t;
    upsert!(
        conn, rows, IfExists::Replace, t by id:
        campaign_number, contact_number, salesperson_code, team_code, type_, description, date,
        starting_time, priority, state, closed_at, recurrence_interval, recurrence_unit,
        recurrence_from, activity_code, next_task_id
    )?;
    Ok(())
}
