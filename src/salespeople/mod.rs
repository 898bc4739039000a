//! Salespeople, who are in charge of contacts, campaigns, segments, tasks and opportunities. The
//! database function `refuse_blocked_salesperson` refuses new assignments to blocked ones.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Text};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::FieldCode;
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::table_resource;
use crate::resource::{Names, Resource};
use crate::schema::salespeople;

/// The writable fields of a salesperson.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = SalespersonWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct SalespersonWrite {
    /// The code that contacts, campaigns and segments refer to.
    #[deserr(default)]
    pub code: Option<Key>,
    /// The name.
    #[deserr(default)]
    #[serde(default)]
    pub name: Text<100>,
    /// The e-mail address. Its form is not checked.
    #[deserr(default)]
    #[serde(default)]
    pub email: Text<254>,
    /// True if nothing new can be assigned to the salesperson: no contact, campaign, segment, task
    /// or opportunity. Existing assignments stay.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub blocked: bool,
}

/// A salesperson.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Salesperson)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = salespeople, check_for_backend(Pg))]
pub struct SalespersonView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code that contacts, campaigns and segments refer to.
    pub code: Key,
    /// The name.
    pub name: Text<100>,
    /// The e-mail address. Its form is not checked.
    pub email: Text<254>,
    /// True if nothing new can be assigned to the salesperson.
    #[schema(example = false)]
    pub blocked: bool,
}

/// The constraint that the triggers of all tables with a salesperson raise.
pub const SALESPERSON_BLOCKED: Constraint = Constraint::rule(
    "salesperson_blocked",
    "/salespersonCode",
    FieldCode::SalespersonBlocked,
    "the salesperson is blocked and can be given nothing new",
);

/// The resource `/v1/salespeople`.
pub struct Salespeople;

impl Resource for Salespeople {
    const NAMES: Names = Names {
        path: "/v1/salespeople",
        singular: "salesperson",
        plural: "salespeople",
        one: "a salesperson",
        tag: "Reference data",
        area: Area::Catalog,
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "salespeople.id").not_null(),
            Field::new("code", FieldKind::Key, "salespeople.code").not_null(),
            Field::new("name", FieldKind::Text, "salespeople.name").not_null(),
            Field::new("email", FieldKind::Text, "salespeople.email").not_null(),
            Field::new("blocked", FieldKind::Boolean, "salespeople.blocked").not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("salespeople_code_key", "/code")];
    const DEPENDENTS: &'static [Dependent] = &[
        Dependent::new("contacts", "contacts WHERE salesperson_code = $1"),
        Dependent::new("campaigns", "campaigns WHERE salesperson_code = $1"),
        Dependent::new("segments", "segments WHERE salesperson_code = $1"),
        Dependent::new("teams", "team_members WHERE salesperson_code = $1"),
        Dependent::new("tasks", "tasks WHERE salesperson_code = $1"),
        Dependent::new("opportunities", "opportunities WHERE salesperson_code = $1"),
        Dependent::new("logged segments", "logged_segments WHERE salesperson_code = $1"),
        Dependent::new("interactions", "interactions WHERE salesperson_code = $1"),
    ];
    type Scope = ();
    type Write = SalespersonWrite;
    type View = SalespersonView;

    // No changed keys are recorded, since no price depends on a salesperson.
    table_resource! { salespeople by code: name, email, blocked }
}
