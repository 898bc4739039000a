//! Interaction templates: the name, cost and duration of one kind of interaction.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, Key, Reference, Text};

use crate::platform::db::schema::interaction_templates;
use crate::platform::http::constraints::Dependent;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;

/// The maximum duration of an interaction, in minutes.
const MAX_DURATION_MINUTES: i32 = 1_000_000;

/// Returns an error if the duration is outside its bounds.
#[must_use]
pub fn duration_error(minutes: i32) -> Option<FieldError> {
    let detail = format!("has to be between 0 and {MAX_DURATION_MINUTES} minutes");
    let fits = (0..=MAX_DURATION_MINUTES).contains(&minutes);
    (!fits).then(|| FieldError::new("/durationMinutes", FieldCode::OutOfRange, detail))
}

/// The writable fields of an interaction template.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = InteractionTemplateWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct InteractionTemplateWrite {
    /// The code that segments and interactions refer to.
    #[deserr(default)]
    pub code: Option<Key>,
    /// The description of its interactions. Logging a segment requires a template with a
    /// description.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The cost of one interaction, in local currency.
    #[deserr(default)]
    #[serde(default)]
    #[schema(example = "2.5")]
    pub cost: Amount,
    /// The duration of one interaction, in minutes.
    #[deserr(default)]
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000, default = 0, example = 15)]
    pub duration_minutes: i32,
}

/// An interaction template.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = InteractionTemplate)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = interaction_templates, check_for_backend(Pg))]
pub struct InteractionTemplateView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code that segments and interactions refer to.
    pub code: Key,
    /// The description of its interactions.
    pub description: Text<100>,
    /// The cost of one interaction, in local currency.
    #[schema(example = "2.5")]
    pub cost: Amount,
    /// The duration of one interaction, in minutes.
    #[schema(minimum = 0, maximum = 1_000_000, example = 15)]
    pub duration_minutes: i32,
}

/// The resource `/v1/interaction-templates`.
pub struct InteractionTemplates;

impl Resource for InteractionTemplates {
    const NAMES: Names = Names {
        path: "/v1/interaction-templates",
        singular: "interaction_template",
        plural: "interaction_templates",
        one: "an interaction template",
        tag: "Interactions",
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "interaction_templates.id").not_null(),
            Field::new("code", FieldKind::Key, "interaction_templates.code").not_null(),
            Field::new("description", FieldKind::Text, "interaction_templates.description")
                .not_null(),
            Field::new("cost", FieldKind::Decimal, "interaction_templates.cost").not_null(),
            Field::new(
                "durationMinutes",
                FieldKind::Integer,
                "interaction_templates.duration_minutes",
            )
            .not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const HOLDERS: &'static [Dependent] = &[
        Dependent {
            what: "segments",
            count: "SELECT count(*) AS count FROM segments WHERE interaction_template_code = $1",
        },
        Dependent {
            what: "logged segments",
            count: "SELECT count(*) AS count FROM logged_segments \
                    WHERE interaction_template_code = $1",
        },
        Dependent {
            what: "interactions",
            count: "SELECT count(*) AS count FROM interactions \
                    WHERE interaction_template_code = $1",
        },
    ];
    type Scope = ();
    type Write = InteractionTemplateWrite;
    type View = InteractionTemplateView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query =
            interaction_templates::table.select(InteractionTemplateView::as_select()).into_boxed();
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        Ok(query.load(conn).await?)
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        let query = interaction_templates::table.count().into_boxed();
        Ok(query.filter(list.filter_condition()).get_result(conn).await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        (): &(),
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        use interaction_templates as t;
        let named = t::id.nullable().eq(reference.id()).or(t::code.nullable().eq(reference.key()));
        let query = t::table.filter(named).select(InteractionTemplateView::as_select());
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        Ok(found.optional()?)
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[InteractionTemplateWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        use interaction_templates as t;
        let codes: Vec<&Key> = writes.iter().filter_map(|write| write.code.as_ref()).collect();
        let known =
            t::table.filter(t::code.eq_any(codes)).select((t::code, t::id)).load(conn).await?;
        Ok(ids_of(writes.iter().map(Self::key).collect(), known))
    }

    // No changed keys are recorded, since no price depends on a template.
    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<InteractionTemplateWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use interaction_templates as t;
        // One order everywhere prevents deadlocks between concurrent batches.
        let mut rows: Vec<&RowWrite<InteractionTemplateWrite>> = rows.iter().collect();
        rows.sort_by_key(|row| &row.write.code);
        let values: Vec<_> = rows
            .into_iter()
            .map(
                |RowWrite {
                     id,
                     write: InteractionTemplateWrite { code, description, cost, duration_minutes },
                 }| {
                    (
                        t::id.eq(*id),
                        code.as_ref().map(|code| t::code.eq(code)),
                        t::description.eq(description),
                        t::cost.eq(*cost),
                        t::duration_minutes.eq(*duration_minutes),
                    )
                },
            )
            .collect();
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(&mut work.conn).await?,
            IfExists::Replace => {
                insert
                    .on_conflict(t::code)
                    .do_update()
                    .set((
                        t::description.eq(excluded(t::description)),
                        t::cost.eq(excluded(t::cost)),
                        t::duration_minutes.eq(excluded(t::duration_minutes)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(interaction_templates::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> InteractionTemplateWrite {
        InteractionTemplateWrite {
            code: Some(view.code.clone()),
            description: view.description.clone(),
            cost: view.cost,
            duration_minutes: view.duration_minutes,
        }
    }

    fn key(write: &InteractionTemplateWrite) -> Option<Key> {
        write.code.clone()
    }

    fn set_key(write: &mut InteractionTemplateWrite, key: Key) {
        write.code = Some(key);
    }

    fn rules(write: &InteractionTemplateWrite, (): &()) -> Vec<FieldError> {
        duration_error(write.duration_minutes).into_iter().collect()
    }
}
