//! Activities: templates of dated steps, such as the work around a trade fair. Applied to a
//! campaign, each step becomes a task.

mod of_campaign;

use std::collections::HashMap;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Nullable, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Text};

pub use of_campaign::mount_campaign_activities;

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::{key_field, save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::{activities, activity_steps};
use crate::tasks::TaskPriority;
use crate::unit_of_work::UnitOfWork;

/// The maximum number of steps of an activity.
const MAX_STEPS: usize = 100;
/// The maximum distance of a step from the date of its activity, in days.
const MAX_OFFSET_DAYS: i32 = 3_650;

/// A step of an activity, which becomes a task.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema, Queryable, Selectable)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = activity_steps, check_for_backend(Pg))]
pub struct ActivityStep {
    /// The type of the task, a free code: call, meeting, letter.
    #[deserr(default, rename = "type")]
    #[serde(rename = "type")]
    pub type_: Option<Key>,
    /// A short description of the work.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The priority.
    #[deserr(default = TaskPriority::Normal)]
    #[schema(default = "NORMAL", required = false, example = "HIGH")]
    pub priority: TaskPriority,
    /// The number of days from the activity's date to the due date; negative before the date.
    #[deserr(default)]
    #[serde(default)]
    #[schema(minimum = -3650, maximum = 3650, default = 0, example = -14)]
    pub offset_days: i32,
}

/// The writable fields of an activity.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = ActivityWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct ActivityWrite {
    /// The code that identifies the activity.
    #[deserr(default)]
    pub code: Option<Key>,
    /// A short description.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The steps in display order. A write replaces the whole list.
    #[schema(min_items = 1, max_items = 100, example = json!([
        {"type": "LETTER", "description": "Invite", "priority": "HIGH", "offsetDays": -14}
    ]))]
    pub steps: Vec<ActivityStep>,
}

/// An activity.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Activity)]
#[serde(rename_all = "camelCase")]
pub struct ActivityView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code that identifies the activity.
    pub code: Key,
    /// A short description.
    pub description: Text<100>,
    /// The steps.
    #[schema(min_items = 1, max_items = 100, example = json!([
        {"type": "LETTER", "description": "Invite", "priority": "HIGH", "offsetDays": -14}
    ]))]
    pub steps: Vec<ActivityStep>,
}

/// The row of an activity, without steps.
#[derive(Queryable, Selectable)]
#[diesel(table_name = activities, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    code: Key,
    description: Text<100>,
}

/// The resource `/v1/activities`.
pub struct Activities;

impl Resource for Activities {
    const NAMES: Names = Names {
        path: "/v1/activities",
        singular: "activity",
        plural: "activities",
        one: "an activity",
        tag: "Tasks and opportunities",
        area: Area::Campaigns,
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "activities.id").not_null(),
            Field::new("code", FieldKind::Key, "activities.code").not_null(),
            Field::new("description", FieldKind::Text, "activities.description").not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const CONSTRAINTS: &'static [Constraint] = &[Constraint::taken("activities_code_key", "/code")];
    const DEPENDENTS: &'static [Dependent] =
        &[Dependent::new("tasks", "tasks WHERE activity_code = $1")];
    type Scope = ();
    type Write = ActivityWrite;
    type View = ActivityView;

    table_rows! { activities by code, from Row: |conn, _scope, rows| views(conn, rows).await? }
    key_field! { code }
    write_of_view! { code, description, steps }

    // No changed keys are recorded, since no price depends on an activity.
    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ActivityWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let conn = &mut *work.conn;
        save_rows!(&mut *conn, rows, if_exists, activities by code: description)?;
        save_steps(conn, rows).await?;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(activities::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn placeholders() -> Value {
        json!({ "steps": [] })
    }

    fn rules(write: &ActivityWrite, (): &()) -> Vec<FieldError> {
        let count = write.steps.len();
        if count == 0 || count > MAX_STEPS {
            let code = if count == 0 { FieldCode::TooShort } else { FieldCode::TooLong };
            let detail = format!("an activity has 1 to {MAX_STEPS} steps, not {count}");
            return vec![FieldError::new("/steps", code, detail)];
        }
        let out_of_bounds =
            |step: &ActivityStep| !(-MAX_OFFSET_DAYS..=MAX_OFFSET_DAYS).contains(&step.offset_days);
        let error = |(at, _)| {
            let detail =
                format!("a step has to be at most {MAX_OFFSET_DAYS} days before or after the date");
            FieldError::new(format!("/steps/{at}/offsetDays"), FieldCode::OutOfRange, detail)
        };
        write.steps.iter().enumerate().filter(|(_, step)| out_of_bounds(step)).map(error).collect()
    }
}

/// Replaces the steps of the rows' activities.
async fn save_steps(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<ActivityWrite>],
) -> Result<(), diesel::result::Error> {
    use activity_steps as t;
    let codes: Vec<&Key> = rows.iter().filter_map(|row| row.write.code.as_ref()).collect();
    diesel::delete(t::table.filter(t::activity_code.eq_any(&codes))).execute(conn).await?;
    // Steps are bound as columns. A batch may have more of them than a statement can have bound
    // parameters.
    let (mut activities, mut positions, mut types) = (Vec::new(), Vec::new(), Vec::new());
    let (mut descriptions, mut priorities, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
    for write in rows.iter().map(|row| &row.write) {
        for (position, step) in (0_i32..).zip(&write.steps) {
            activities.extend(&write.code);
            positions.push(position);
            types.push(&step.type_);
            descriptions.push(&step.description);
            priorities.push(step.priority);
            offsets.push(step.offset_days);
        }
    }
    diesel::sql_query(
        "INSERT INTO activity_steps (activity_code, position, type, description, priority, \
         offset_days) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6)",
    )
    .bind::<Array<SqlText>, _>(activities)
    .bind::<Array<Integer>, _>(positions)
    .bind::<Array<Nullable<SqlText>>, _>(types)
    .bind::<Array<SqlText>, _>(descriptions)
    .bind::<Array<SqlText>, _>(priorities)
    .bind::<Array<Integer>, _>(offsets)
    .execute(conn)
    .await?;
    Ok(())
}

/// Builds the views of rows, with their steps.
async fn views(
    conn: &mut AsyncPgConnection,
    rows: Vec<Row>,
) -> Result<Vec<ActivityView>, diesel::result::Error> {
    use activity_steps as t;
    let steps: Vec<(Key, ActivityStep)> = t::table
        .filter(t::activity_code.eq_any(rows.iter().map(|row| &row.code)))
        .order((t::activity_code, t::position))
        .select((t::activity_code, ActivityStep::as_select()))
        .load(conn)
        .await?;
    let mut of_activity: HashMap<Key, Vec<ActivityStep>> = HashMap::new();
    for (activity, step) in steps {
        of_activity.entry(activity).or_default().push(step);
    }
    let view = |Row { id, code, description }| {
        let steps = of_activity.remove(&code).unwrap_or_default();
        ActivityView { id, code, description, steps }
    };
    Ok(rows.into_iter().map(view).collect())
}
