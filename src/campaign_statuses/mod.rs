//! Campaign statuses: the user's labels for the phases of a campaign, in order. The *state* of a
//! campaign is something else and is derived.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Reference, Text};

use crate::platform::db::schema::campaign_statuses;
use crate::platform::http::constraints::Dependent;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::Problem;
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;

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
    const HOLDERS: &'static [Dependent] = &[Dependent {
        what: "campaigns",
        count: "SELECT count(*) AS count FROM campaigns WHERE status_code = $1",
    }];
    type Scope = ();
    type Write = CampaignStatusWrite;
    type View = CampaignStatusView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = campaign_statuses::table.select(CampaignStatusView::as_select()).into_boxed();
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
        Ok(campaign_statuses::table
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
        use campaign_statuses as t;
        let named = t::id.nullable().eq(reference.id()).or(t::code.nullable().eq(reference.key()));
        let query = t::table.filter(named).select(CampaignStatusView::as_select());
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
        writes: &[CampaignStatusWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let codes: Vec<&Key> = writes.iter().filter_map(|write| write.code.as_ref()).collect();
        let query = campaign_statuses::table.filter(campaign_statuses::code.eq_any(codes));
        let known =
            query.select((campaign_statuses::code, campaign_statuses::id)).load(conn).await?;
        Ok(ids_of(writes.iter().map(Self::key).collect(), known))
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<CampaignStatusWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use campaign_statuses as t;
        let values: Vec<_> = rows
            .iter()
            .map(
                |RowWrite {
                     id,
                     write:
                         CampaignStatusWrite {
                             code,
                             description,
                             sequence,
                             allows_activation,
                             is_final,
                         },
                 }| {
                    (
                        t::id.eq(*id),
                        code.as_ref().map(|code| t::code.eq(code)),
                        t::description.eq(description),
                        t::sequence.eq(*sequence),
                        t::allows_activation.eq(*allows_activation),
                        t::is_final.eq(*is_final),
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
                        t::sequence.eq(excluded(t::sequence)),
                        t::allows_activation.eq(excluded(t::allows_activation)),
                        t::is_final.eq(excluded(t::is_final)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(campaign_statuses::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> CampaignStatusWrite {
        CampaignStatusWrite {
            code: Some(view.code.clone()),
            description: view.description.clone(),
            sequence: view.sequence,
            allows_activation: view.allows_activation,
            is_final: view.is_final,
        }
    }

    fn key(write: &CampaignStatusWrite) -> Option<Key> {
        write.code.clone()
    }

    fn set_key(write: &mut CampaignStatusWrite, key: Key) {
        write.code = Some(key);
    }
}
