//! A campaign as clients see it: its row, its status and the one that follows, its state today.

use chrono::NaiveDate;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::campaign_statuses::CampaignStatusView;
use crate::platform::db::schema::{campaign_statuses, campaigns};
use crate::platform::http::problem::Problem;
use crate::values::enums::{CampaignState, Publishing};
use crate::values::{Date, Key, Text};

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
    /// What it is about.
    pub description: Text<100>,
    /// What kind of campaign it is, a code of the user's own.
    #[serde(rename = "type")]
    pub type_: Option<Key>,
    /// Who is responsible.
    pub salesperson_code: Option<Key>,
    /// The status it is at.
    pub status_code: Option<Key>,
    /// The status it is at, in full.
    pub status: Option<CampaignStatusView>,
    /// The status that follows, by sequence and code; without a status the first, after a final or
    /// the last status none.
    pub next_status: Option<CampaignStatusView>,
    /// The first day on which its prices hold.
    pub starting_date: Option<Date>,
    /// The last day on which they hold; open if null.
    pub ending_date: Option<Date>,
    /// When changes reach the price book, once it is active.
    #[schema(example = "AUTOMATIC")]
    pub publishing: Publishing,
    /// Where it stands today, by what is published of it.
    #[schema(example = "RUNNING")]
    pub state: CampaignState,
    /// Whether it differs from what is published of it.
    #[schema(example = false)]
    pub has_unpublished_changes: bool,
    /// The version of the price book that its present publication made; null while it is not
    /// active.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub publication_version: Option<i64>,
    /// The first day as it is published.
    pub published_starting_date: Option<Date>,
    /// The last day as it is published.
    pub published_ending_date: Option<Date>,
}

/// A campaign as it is stored.
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
    has_unpublished_changes: bool,
    publication_version: Option<i64>,
    published_starting_date: Option<Date>,
    published_ending_date: Option<Date>,
}

/// The rows as clients see them on a day. The statuses are few, so they are read as a whole.
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
        has_unpublished_changes: row.has_unpublished_changes,
        publication_version: row.publication_version,
        published_starting_date: row.published_starting_date,
        published_ending_date: row.published_ending_date,
    }
}

/// The state, as the list's field `state` derives it in SQL.
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
