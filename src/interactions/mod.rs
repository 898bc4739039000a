//! Interactions with contacts: single ones, and those of logged segments.
//!
//! ```text
//! mod.rs      single interactions, `/v1/interactions`
//! logging.rs  logging of a segment, with an interaction for each of its lines
//! logged.rs   logged segments and campaign entries
//! reuse.rs    a new segment with the contacts of a logged one
//! ```
//!
//! An interaction is not rewritten: only its description, evaluation and cancellation can change. A
//! mistake is canceled and recorded again.

mod logged;
mod logging;
mod reuse;

use std::collections::{BTreeSet, HashMap};

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, Date, Key, Reference, Text, text_enum};

pub use logged::{CampaignEntries, LoggedSegments, mount_logged};
pub use logging::mount_logging;
pub use reuse::mount_reuses;

use crate::campaigns::Today;
use crate::interaction_templates::{InteractionTemplateView, duration_error};
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::table::{table_rows, upsert, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError, checked};
use crate::schema::{interaction_templates, interactions, logged_segments};
use crate::unit_of_work::UnitOfWork;

text_enum! {
    /// The outcome of an interaction.
    Evaluation {
        /// A very good outcome.
        VeryPositive = "VERY_POSITIVE",
        /// A good outcome.
        Positive = "POSITIVE",
        /// Neither good nor bad.
        Neutral = "NEUTRAL",
        /// A bad outcome.
        Negative = "NEGATIVE",
        /// A very bad outcome.
        VeryNegative = "VERY_NEGATIVE",
    }
}

/// The writable fields of an interaction. After creation only `description`, `evaluation` and
/// `canceled` can be changed.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = InteractionWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct InteractionWrite {
    /// The date; today if absent.
    #[deserr(default)]
    pub date: Option<Date>,
    /// The contact; required on creation.
    #[deserr(default)]
    pub contact_number: Option<Key>,
    /// The campaign that it belongs to.
    #[deserr(default)]
    pub campaign_number: Option<Key>,
    /// The template that provides description, cost and duration if they are absent.
    #[deserr(default)]
    pub interaction_template_code: Option<Key>,
    /// The salesperson who carried it out.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// True if the contact was a target of the campaign. It counts in the campaign's figures, but
    /// grants no prices; only segments do.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub campaign_target: bool,
    /// True if the contact responded to the campaign.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = true)]
    pub campaign_response: bool,
    /// The cost in local currency. If absent, the template's, else 0.
    #[deserr(default)]
    #[schema(example = "2.5")]
    pub cost: Option<Amount>,
    /// The duration in minutes. If absent, the template's, else 0.
    #[deserr(default)]
    #[schema(minimum = 0, maximum = 1_000_000, example = 15)]
    pub duration_minutes: Option<i32>,
    /// The description. If absent, the template's.
    #[deserr(default)]
    pub description: Option<Text<100>>,
    /// The outcome.
    #[deserr(default)]
    #[schema(example = "POSITIVE")]
    pub evaluation: Option<Evaluation>,
    /// True to cancel the interaction. It then counts in no figure and no audience.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub canceled: bool,
}

/// An interaction.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Interaction)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = interactions, check_for_backend(Pg))]
pub struct InteractionView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The date.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub date: Date,
    /// The contact; null after the contact was deleted.
    pub contact_number: Option<Key>,
    /// The campaign that it belongs to.
    pub campaign_number: Option<Key>,
    /// The logged segment that it comes from; null for a single interaction.
    pub segment_number: Option<Key>,
    /// The interaction template.
    pub interaction_template_code: Option<Key>,
    /// The salesperson who carried it out.
    pub salesperson_code: Option<Key>,
    /// True if the contact was a target of the campaign.
    #[schema(example = true)]
    pub campaign_target: bool,
    /// True if the contact responded to the campaign.
    #[schema(example = false)]
    pub campaign_response: bool,
    /// The cost in local currency.
    #[schema(example = "2.5")]
    pub cost: Amount,
    /// The duration in minutes.
    #[schema(minimum = 0, maximum = 1_000_000, example = 15)]
    pub duration_minutes: i32,
    /// The description.
    pub description: Text<100>,
    /// The outcome.
    #[schema(example = "POSITIVE")]
    pub evaluation: Option<Evaluation>,
    /// True if it is canceled and counts in no figure and no audience.
    #[schema(example = false)]
    pub canceled: bool,
}

/// The resource `/v1/interactions`.
pub struct Interactions;

impl Resource for Interactions {
    const NAMES: Names = Names {
        path: "/v1/interactions",
        singular: "interaction",
        plural: "interactions",
        one: "an interaction",
        tag: "Interactions",
        area: Area::Contacts,
        key_field: None,
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "interactions.id").not_null(),
            Field::new("date", FieldKind::Date, "interactions.date").not_null(),
            Field::new("contactNumber", FieldKind::Key, "interactions.contact_number"),
            Field::new("campaignNumber", FieldKind::Key, "interactions.campaign_number"),
            Field::new("segmentNumber", FieldKind::Key, "interactions.segment_number"),
            Field::new(
                "interactionTemplateCode",
                FieldKind::Key,
                "interactions.interaction_template_code",
            ),
            Field::new("salespersonCode", FieldKind::Key, "interactions.salesperson_code"),
            Field::new("campaignTarget", FieldKind::Boolean, "interactions.campaign_target")
                .not_null(),
            Field::new("campaignResponse", FieldKind::Boolean, "interactions.campaign_response")
                .not_null(),
            Field::new("cost", FieldKind::Decimal, "interactions.cost").not_null(),
            Field::new("durationMinutes", FieldKind::Integer, "interactions.duration_minutes")
                .not_null(),
            Field::new("description", FieldKind::Text, "interactions.description").not_null(),
            Field::new("evaluation", FieldKind::Enum(Evaluation::TEXTS), "interactions.evaluation"),
            Field::new("canceled", FieldKind::Boolean, "interactions.canceled").not_null(),
        ],
        default_order: "date,id",
        tie: "id",
    };
    const DELETION: &'static str = "Refused with 409 `ENTRY_NOT_CANCELED` unless it is canceled.";
    type Scope = Today;
    type Write = InteractionWrite;
    type View = InteractionView;

    table_rows! { interactions by id }

    /// Locks the logged segment before the interaction, in the same order as the cancellation of a
    /// segment.
    async fn lock_first(
        conn: &mut AsyncPgConnection,
        _: &Today,
        references: &[Reference],
    ) -> Result<(), Problem> {
        let ids = references.iter().filter_map(Reference::id);
        let segments = interactions::table
            .filter(interactions::id.eq_any(ids))
            .select(interactions::segment_number);
        let segments: Vec<Option<Key>> = segments.load(conn).await?;
        let segments: Vec<Key> = segments.into_iter().flatten().collect();
        let segment = logged_segments::table
            .filter(logged_segments::number.eq_any(segments))
            .order(logged_segments::number);
        segment.select(logged_segments::id).for_share().load::<Uuid>(conn).await?;
        Ok(())
    }

    async fn save(
        work: &mut UnitOfWork,
        today: &Today,
        rows: &[RowWrite<InteractionWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use interactions as t;
        let previous = match if_exists {
            IfExists::Refuse => HashMap::new(),
            IfExists::Replace => load_previous(&mut work.conn, rows).await?,
        };
        checked(write_errors(rows, &previous))?;
        let templates = load_templates(&mut work.conn, rows).await?;
        let values: Vec<_> = rows
            .iter()
            .map(|RowWrite { id, write }| {
                let previous_view = previous.get(id).map(|previous| &previous.view);
                let template =
                    write.interaction_template_code.as_ref().and_then(|code| templates.get(code));
                let template_description = || template.map(|template| template.description.clone());
                let cost = write.cost.or(previous_view.map(|view| view.cost));
                let minutes =
                    write.duration_minutes.or(previous_view.map(|view| view.duration_minutes));
                (
                    t::id.eq(*id),
                    t::date.eq(write
                        .date
                        .or(previous_view.map(|view| view.date))
                        .unwrap_or_else(|| Date::from(today.0))),
                    t::contact_number.eq(&write.contact_number),
                    t::campaign_number.eq(&write.campaign_number),
                    t::interaction_template_code.eq(&write.interaction_template_code),
                    t::salesperson_code.eq(&write.salesperson_code),
                    t::campaign_target.eq(write.campaign_target),
                    t::campaign_response.eq(write.campaign_response),
                    t::cost.eq(cost.or(template.map(|template| template.cost)).unwrap_or_default()),
                    t::duration_minutes.eq(minutes
                        .or(template.map(|template| template.duration_minutes))
                        .unwrap_or_default()),
                    t::description.eq(write
                        .description
                        .clone()
                        .or_else(template_description)
                        .unwrap_or_default()),
                    t::evaluation.eq(write.evaluation),
                    t::canceled.eq(write.canceled),
                )
            })
            .collect();
        upsert!(
            &mut work.conn, values, IfExists::Replace, t by id: description, evaluation, canceled
        )?;
        work.changed_keys.campaigns.extend(affected_campaigns(rows, &previous));
        work.changed_keys.interactions = true;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, _: &Today, view: &Self::View) -> Result<(), SaveError> {
        // No changed keys are recorded, since canceled records are in no audience.
        check_deletable(view.canceled, "the interaction")?;
        diesel::delete(interactions::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    write_of_view! {
        date, contact_number, campaign_number, interaction_template_code, salesperson_code,
        campaign_target, campaign_response, cost, duration_minutes, description, evaluation,
        canceled,
    }

    fn rules(write: &InteractionWrite, _: &Today) -> Vec<FieldError> {
        let mut errors: Vec<_> =
            write.duration_minutes.and_then(duration_error).into_iter().collect();
        for (pointer, flag) in [
            ("/campaignTarget", write.campaign_target),
            ("/campaignResponse", write.campaign_response),
        ] {
            if flag && write.campaign_number.is_none() {
                errors.push(FieldError::new(
                    pointer,
                    FieldCode::NotAllowed,
                    "has no meaning without a campaign",
                ));
            }
        }
        errors
    }

    fn references(write: &InteractionWrite) -> Vec<NamedReference> {
        let template = write.interaction_template_code.as_ref();
        [
            named("/contactNumber", ReferenceKind::Contact, write.contact_number.as_ref()),
            named("/campaignNumber", ReferenceKind::Campaign, write.campaign_number.as_ref()),
            named("/interactionTemplateCode", ReferenceKind::InteractionTemplate, template),
            named("/salespersonCode", ReferenceKind::Salesperson, write.salesperson_code.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Refuses the deletion of records that are not canceled.
fn check_deletable(canceled: bool, what: &str) -> Result<(), Problem> {
    if canceled {
        return Ok(());
    }
    Err(Problem::new(
        ProblemCode::EntryNotCanceled,
        format!("{what} is not canceled; only what is canceled can be deleted"),
    ))
}

/// An interaction before a change.
struct PreviousInteraction {
    view: InteractionView,
    /// True if the logged segment of the interaction is canceled.
    segment_canceled: bool,
}

impl PreviousInteraction {
    /// Returns the errors of the changes that are not allowed.
    fn change_errors(&self, write: &InteractionWrite) -> Vec<FieldError> {
        let Self { view, segment_canceled } = self;
        let changes = [
            ("/date", write.date.is_some_and(|date| date != view.date)),
            ("/contactNumber", write.contact_number != view.contact_number),
            ("/campaignNumber", write.campaign_number != view.campaign_number),
            (
                "/interactionTemplateCode",
                write.interaction_template_code != view.interaction_template_code,
            ),
            ("/salespersonCode", write.salesperson_code != view.salesperson_code),
            ("/campaignTarget", write.campaign_target != view.campaign_target),
            ("/campaignResponse", write.campaign_response != view.campaign_response),
            ("/cost", write.cost.is_some_and(|cost| cost != view.cost)),
            (
                "/durationMinutes",
                write.duration_minutes.is_some_and(|minutes| minutes != view.duration_minutes),
            ),
        ];
        let detail = "what was done stays as it is: cancel the interaction, and register another";
        let immutable = |pointer| FieldError::new(pointer, FieldCode::Immutable, detail);
        let mut errors: Vec<_> = changes
            .into_iter()
            .filter(|(_, changes)| *changes)
            .map(|(pointer, _)| immutable(pointer))
            .collect();
        if *segment_canceled && !write.canceled {
            let detail = "the segment it was logged with is canceled; uncancel that";
            errors.push(FieldError::new("/canceled", FieldCode::NotAllowed, detail));
        }
        errors
    }
}

/// Returns the errors of new interactions without contact and of changes that are not allowed.
fn write_errors(
    rows: &[RowWrite<InteractionWrite>],
    previous: &HashMap<Uuid, PreviousInteraction>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for row in rows {
        match previous.get(&row.id) {
            Some(previous) => errors.extend(previous.change_errors(&row.write)),
            None if row.write.contact_number.is_none() => {
                let detail = "contactNumber must be given";
                errors.push(FieldError::new("/contactNumber", FieldCode::Missing, detail));
            }
            None => {}
        }
    }
    errors
}

/// Returns the campaigns whose audience the rows may change. Only interactions of logged segments
/// count for audiences.
fn affected_campaigns(
    rows: &[RowWrite<InteractionWrite>],
    previous: &HashMap<Uuid, PreviousInteraction>,
) -> Vec<String> {
    let affected = |row: &RowWrite<InteractionWrite>| {
        let PreviousInteraction { view, .. } = previous.get(&row.id)?;
        let counts = view.segment_number.is_some()
            && view.campaign_target
            && view.canceled != row.write.canceled;
        view.campaign_number.as_ref().filter(|_| counts).map(Key::to_string)
    };
    rows.iter().filter_map(affected).collect()
}

/// Loads the interactions of the rows as stored.
async fn load_previous(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<InteractionWrite>],
) -> QueryResult<HashMap<Uuid, PreviousInteraction>> {
    let found: Vec<(InteractionView, Option<bool>)> = interactions::table
        .left_join(
            logged_segments::table
                .on(logged_segments::number.nullable().eq(interactions::segment_number)),
        )
        .filter(interactions::id.eq_any(rows.iter().map(|row| row.id)))
        .select((InteractionView::as_select(), logged_segments::canceled.nullable()))
        .load(conn)
        .await?;
    let known = |(view, canceled): (InteractionView, Option<bool>)| {
        (view.id, PreviousInteraction { view, segment_canceled: canceled.unwrap_or_default() })
    };
    Ok(found.into_iter().map(known).collect())
}

/// Loads the interaction templates that the rows name.
async fn load_templates(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<InteractionWrite>],
) -> QueryResult<HashMap<Key, InteractionTemplateView>> {
    use interaction_templates as t;
    let codes: BTreeSet<&Key> =
        rows.iter().filter_map(|row| row.write.interaction_template_code.as_ref()).collect();
    if codes.is_empty() {
        return Ok(HashMap::new());
    }
    let query = t::table.filter(t::code.eq_any(codes)).select(InteractionTemplateView::as_select());
    let found: Vec<InteractionTemplateView> = query.load(conn).await?;
    Ok(found.into_iter().map(|template| (template.code.clone(), template)).collect())
}
