//! The representation of a campaign: its row, its current and next status, and its state today.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::{CampaignState, Combination, GuardrailMode, Publishing};
use values::{Date, Key, Percent, Text};

use crate::campaign_statuses::CampaignStatusView;
use crate::platform::http::problem::Problem;
use crate::schema::{campaign_statuses, campaigns};

/// A campaign.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Campaign)]
#[serde(rename_all = "camelCase")]
pub struct CampaignView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number.
    pub number: Key,
    /// A short description of the campaign.
    pub description: Text<100>,
    /// A free code for the kind of campaign.
    #[serde(rename = "type")]
    pub type_: Option<Key>,
    /// The code of the salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The code of the status.
    pub status_code: Option<Key>,
    /// The status.
    pub status: Option<CampaignStatusView>,
    /// The next status by sequence and code. Without a status it is the first; null after a final
    /// or the last status.
    pub next_status: Option<CampaignStatusView>,
    /// The first day on which its prices apply.
    pub starting_date: Option<Date>,
    /// The last day on which its prices apply; open if null.
    pub ending_date: Option<Date>,
    /// The way in which changes of the active campaign reach the price book.
    #[schema(example = "AUTOMATIC")]
    pub publishing: Publishing,
    /// The lines that its prices and discounts combine with: `ANY`, or `OWN` for only those of the
    /// campaign itself.
    #[schema(example = "ANY")]
    pub combination: Combination,
    /// The lowest permitted margin of the campaign's net prices over the items' unit costs, in
    /// percent of the net price; that of the settings if null.
    #[schema(example = "10")]
    pub margin_floor_percent: Option<Percent>,
    /// The largest permitted reduction of the campaign's net prices from the list prices, in
    /// percent; that of the settings if null.
    #[schema(example = "70")]
    pub max_discount_percent: Option<Percent>,
    /// The effect of a violated guardrail; that of the settings if null.
    #[schema(example = "BLOCK")]
    pub guardrail_mode: Option<GuardrailMode>,
    /// The state today, derived from the publication and its dates.
    #[schema(example = "RUNNING")]
    pub state: CampaignState,
    /// True if the drafts differ from what is published.
    #[schema(example = false)]
    pub has_unpublished_changes: bool,
    /// The version of the price book of the current publication; null if the campaign is not
    /// active.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub publication_version: Option<i64>,
    /// The published first day.
    pub published_starting_date: Option<Date>,
    /// The published last day.
    pub published_ending_date: Option<Date>,
    /// The caller that created the campaign.
    #[schema(max_length = 200, example = "local")]
    pub created_by: String,
    /// The caller that changed the campaign last.
    #[schema(max_length = 200, example = "local")]
    pub updated_by: String,
    /// The time of the last change.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub updated_at: DateTime<Utc>,
}

/// The row of a campaign.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(Pg))]
pub(super) struct CampaignRow {
    id: Uuid,
    number: Key,
    description: Text<100>,
    type_: Option<Key>,
    salesperson_code: Option<Key>,
    status_code: Option<Key>,
    starting_date: Option<Date>,
    ending_date: Option<Date>,
    publishing: Publishing,
    combination: Combination,
    margin_floor_percent: Option<Percent>,
    max_discount_percent: Option<Percent>,
    guardrail_mode: Option<GuardrailMode>,
    has_unpublished_changes: bool,
    publication_version: Option<i64>,
    published_starting_date: Option<Date>,
    published_ending_date: Option<Date>,
    created_by: String,
    updated_by: String,
    updated_at: DateTime<Utc>,
}

/// Returns the representations of rows on a day. All statuses are read, since there are few.
pub(super) async fn views(
    conn: &mut AsyncPgConnection,
    today: NaiveDate,
    rows: Vec<CampaignRow>,
) -> Result<Vec<CampaignView>, Problem> {
    let statuses: Vec<CampaignStatusView> = campaign_statuses::table
        .order((campaign_statuses::sequence, campaign_statuses::code))
        .select(CampaignStatusView::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| view(row, today, &statuses)).collect())
}

fn view(row: CampaignRow, today: NaiveDate, statuses: &[CampaignStatusView]) -> CampaignView {
    let at = row
        .status_code
        .as_ref()
        .and_then(|code| statuses.iter().position(|status| status.code == *code));
    let status = at.and_then(|at| statuses.get(at));
    let following = if status.is_some_and(|status| status.is_final) {
        None
    } else {
        statuses.get(at.map_or(0, |at| at.saturating_add(1)))
    };
    CampaignView {
        status: status.cloned(),
        next_status: following.cloned(),
        state: state(&row, Date::from(today)),
        id: row.id,
        number: row.number,
        description: row.description,
        type_: row.type_,
        salesperson_code: row.salesperson_code,
        status_code: row.status_code,
        starting_date: row.starting_date,
        ending_date: row.ending_date,
        publishing: row.publishing,
        combination: row.combination,
        margin_floor_percent: row.margin_floor_percent,
        max_discount_percent: row.max_discount_percent,
        guardrail_mode: row.guardrail_mode,
        has_unpublished_changes: row.has_unpublished_changes,
        publication_version: row.publication_version,
        published_starting_date: row.published_starting_date,
        published_ending_date: row.published_ending_date,
        created_by: row.created_by,
        updated_by: row.updated_by,
        updated_at: row.updated_at,
    }
}

/// Returns the state, as the list's field `state` derives it in SQL.
fn state(row: &CampaignRow, today: Date) -> CampaignState {
    if row.publication_version.is_none() {
        CampaignState::Draft
    } else if row.published_starting_date.is_some_and(|start| today < start) {
        CampaignState::Scheduled
    } else if row.published_ending_date.is_some_and(|end| today > end) {
        CampaignState::Ended
    } else {
        CampaignState::Running
    }
}
