//! Interaction templates: the name, cost and duration of one kind of interaction.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, Key, Text};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::table_resource;
use crate::resource::{Names, Resource};
use crate::schema::interaction_templates;

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
        area: Area::Contacts,
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
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("interaction_templates_code_key", "/code")];
    const DEPENDENTS: &'static [Dependent] = &[
        Dependent::new("segments", "segments WHERE interaction_template_code = $1"),
        Dependent::new("logged segments", "logged_segments WHERE interaction_template_code = $1"),
        Dependent::new("interactions", "interactions WHERE interaction_template_code = $1"),
    ];
    type Scope = ();
    type Write = InteractionTemplateWrite;
    type View = InteractionTemplateView;

    // No changed keys are recorded, since no price depends on a template.
    table_resource! { interaction_templates by code: description, cost, duration_minutes }

    fn rules(write: &InteractionTemplateWrite, (): &()) -> Vec<FieldError> {
        duration_error(write.duration_minutes).into_iter().collect()
    }
}
