//! Activities: templates of dated steps, such as the work around a trade fair. Applied to a
//! campaign, each step becomes a task.

mod of_campaign;

use std::collections::HashMap;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Nullable, Text as SqlText};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
pub use of_campaign::mount_campaign_activities;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Reference, Text};

use crate::platform::db::schema::{activities, activity_steps};
use crate::platform::http::constraints::Dependent;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;
use crate::tasks::TaskPriority;

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

/// The resource `/v1/activities`.
pub struct Activities;

impl Resource for Activities {
    const NAMES: Names = Names {
        path: "/v1/activities",
        singular: "activity",
        plural: "activities",
        one: "an activity",
        tag: "Tasks and opportunities",
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
    const HOLDERS: &'static [Dependent] = &[Dependent {
        what: "tasks",
        count: "SELECT count(*) AS count FROM tasks WHERE activity_code = $1",
    }];
    type Scope = ();
    type Write = ActivityWrite;
    type View = ActivityView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = activities::table.into_boxed();
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        let rows = query.load(conn).await?;
        Ok(views(conn, rows).await?)
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        Ok(activities::table
            .count()
            .into_boxed()
            .filter(list.filter_condition())
            .get_result(conn)
            .await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        (): &(),
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        let by_id = activities::id.nullable().eq(reference.id());
        let query =
            activities::table.filter(by_id.or(activities::code.nullable().eq(reference.key())));
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        let rows = found.optional()?.into_iter().collect();
        Ok(views(conn, rows).await?.pop())
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[ActivityWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let codes: Vec<Option<Key>> = writes.iter().map(Self::key).collect();
        let query = activities::table.filter(activities::code.eq_any(codes.iter().flatten()));
        let known = query.select((activities::code, activities::id)).load(conn).await?;
        Ok(ids_of(codes, known))
    }

    // No changed keys are recorded, since no price depends on an activity.
    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ActivityWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use activities as t;
        let conn = &mut *work.conn;
        // One order everywhere prevents deadlocks between concurrent batches.
        let mut rows: Vec<&RowWrite<ActivityWrite>> = rows.iter().collect();
        rows.sort_by_key(|row| &row.write.code);
        let values: Vec<_> = rows
            .iter()
            .map(|RowWrite { id, write }| {
                (
                    t::id.eq(*id),
                    write.code.as_ref().map(|code| t::code.eq(code)),
                    t::description.eq(&write.description),
                )
            })
            .collect();
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(conn).await?,
            IfExists::Replace => {
                let change = insert.on_conflict(t::code).do_update();
                change.set(t::description.eq(excluded(t::description))).execute(conn).await?
            }
        };
        save_steps(conn, &rows).await?;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(activities::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> ActivityWrite {
        let view = view.clone();
        ActivityWrite { code: Some(view.code), description: view.description, steps: view.steps }
    }

    fn key(write: &ActivityWrite) -> Option<Key> {
        write.code.clone()
    }

    fn set_key(write: &mut ActivityWrite, key: Key) {
        write.code = Some(key);
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
    rows: &[&RowWrite<ActivityWrite>],
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
    rows: Vec<(Uuid, Key, Text<100>)>,
) -> Result<Vec<ActivityView>, diesel::result::Error> {
    use activity_steps as t;
    let steps: Vec<(Key, ActivityStep)> = t::table
        .filter(t::activity_code.eq_any(rows.iter().map(|(_, code, _)| code)))
        .order((t::activity_code, t::position))
        .select((t::activity_code, ActivityStep::as_select()))
        .load(conn)
        .await?;
    let mut of_activity: HashMap<Key, Vec<ActivityStep>> = HashMap::new();
    for (activity, step) in steps {
        of_activity.entry(activity).or_default().push(step);
    }
    let view = |(id, code, description): (Uuid, Key, Text<100>)| {
        let steps = of_activity.remove(&code).unwrap_or_default();
        ActivityView { id, code, description, steps }
    };
    Ok(rows.into_iter().map(view).collect())
}
