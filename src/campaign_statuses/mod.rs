//! Campaign statuses: the user's labels for the phases of a campaign, in order. The *state* of a
//! campaign is something else and is derived.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Text};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::table_resource;
use crate::resource::{Names, Resource};
use crate::schema::campaign_statuses;

/// The writable fields of a campaign status.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = CampaignStatusWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct CampaignStatusWrite {
    /// The code by which campaigns refer to the status.
    #[deserr(default)]
    pub code: Option<Key>,
    /// The meaning of the status.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The position in the order of the phases. Statuses with equal positions are ordered by code.
    #[schema(minimum = -2_147_483_648, example = 3)]
    pub sequence: i32,
    /// True if campaigns with this status can be activated.
    #[deserr(default = true)]
    #[serde(default)]
    #[schema(default = true, example = true)]
    pub allows_activation: bool,
    /// True if no other status follows.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub is_final: bool,
}

/// A campaign status.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = CampaignStatus)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = campaign_statuses, check_for_backend(Pg))]
pub struct CampaignStatusView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code by which campaigns refer to the status.
    pub code: Key,
    /// The meaning of the status.
    pub description: Text<100>,
    /// The position in the order of the phases.
    #[schema(example = 3)]
    pub sequence: i32,
    /// True if campaigns with this status can be activated.
    #[schema(example = true)]
    pub allows_activation: bool,
    /// True if no other status follows.
    #[schema(example = false)]
    pub is_final: bool,
}

/// The resource `/v1/campaign-statuses`.
pub struct CampaignStatuses;

impl Resource for CampaignStatuses {
    const NAMES: Names = Names {
        path: "/v1/campaign-statuses",
        singular: "campaign_status",
        plural: "campaign_statuses",
        one: "a campaign status",
        tag: "Campaigns",
        area: Area::Campaigns,
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "campaign_statuses.id").not_null(),
            Field::new("code", FieldKind::Key, "campaign_statuses.code").not_null(),
            Field::new("description", FieldKind::Text, "campaign_statuses.description").not_null(),
            Field::new("sequence", FieldKind::Integer, "campaign_statuses.sequence").not_null(),
            Field::new(
                "allowsActivation",
                FieldKind::Boolean,
                "campaign_statuses.allows_activation",
            )
            .not_null(),
            Field::new("isFinal", FieldKind::Boolean, "campaign_statuses.is_final").not_null(),
        ],
        default_order: "sequence,code",
        tie: "code",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("campaign_statuses_code_key", "/code")];
    const DEPENDENTS: &'static [Dependent] =
        &[Dependent::new("campaigns", "campaigns WHERE status_code = $1")];
    type Scope = ();
    type Write = CampaignStatusWrite;
    type View = CampaignStatusView;

    // No changed keys are recorded, since no price depends on a status.
    table_resource! {
        campaign_statuses by code: description, sequence, allows_activation, is_final
    }

    fn placeholders() -> Value {
        json!({ "sequence": 0 })
    }
}
