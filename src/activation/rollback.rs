//! Rollback: publishes an earlier publication of a campaign again, as a new version.
//!
//! The drafts stay as they are. If they differ from the restored publication, the campaign's
//! publishing becomes manual; otherwise the next change would publish the drafts and undo the
//! rollback.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::facts::{CampaignFact, Fact};
use roaring::RoaringBitmap;
use serde::Serialize;
use utoipa::ToSchema;
use values::enums::{ApprovalRequired, Publishing};

use super::activate::{current_state, desired_state};
use super::approval::{self, Approvable};
use super::draft::Campaign;
use super::guardrails::{self, Checked, VersionRange};
use super::{draft, targeting};
use crate::live_book::LiveBook;
use crate::platform::background::background;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, Problem};
use crate::platform::http::routes::Routes;
use crate::publication::difference::{Entry, hash_of};
use crate::publication::http::PublicationView;
use crate::publication::published_campaign::PublishedCampaign;
use crate::publication::writer::{Publication, PublicationKind};
use crate::publication::{audience, writer};
use crate::resource::reference;
use crate::schema::{campaigns, publications};
use crate::unit_of_work::{Database, UnitOfWork};

/// Maximum number of lines that a refusal names.
const MAX_NAMED_LINES: usize = 10;

/// Adds the operation.
pub(super) fn mount(routes: &mut Routes) {
    routes.add(Scope::CampaignsActivate, __path_roll_back_campaign, roll_back_campaign);
}

/// The publication to restore.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct RollbackRequest {
    /// The version of one of this campaign's publications.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub version: u64,
}

/// The result of a rollback.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackResult {
    /// The publication that restores the earlier one, or the current one if it has the same
    /// content.
    #[serde(flatten)]
    pub publication: PublicationView,
    /// The version that was restored.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub restored_version: i64,
    /// Number of accounts that were not restored, because their contact was deleted or one of their
    /// contacts is privacy blocked.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub accounts_left_out: u64,
    /// True if the drafts differ from the restored publication. `publishing` is then `MANUAL`.
    #[schema(example = true)]
    pub has_unpublished_changes: bool,
}

/// Restore an earlier publication of a campaign
///
/// Publishes the campaign's dates, lines and audience as of `version` as a new version of the price
/// book. The campaign may have been deactivated since. Contacts that were deleted or privacy
/// blocked since are not restored.
///
/// The drafts stay as they are. If they differ, the campaign's `publishing` becomes `MANUAL`,
/// because the next change would otherwise undo the rollback.
///
/// If the settings require an approval, an approved request with the same `restoresVersion` has to
/// exist; otherwise the answer is 422 `APPROVAL_REQUIRED`.
///
/// The guardrails are checked: violations refuse the rollback with 422 if `guardrailMode` is
/// `BLOCK`, else they are in `warnings`.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/rollbacks",
    operation_id = "roll_back_campaign",
    tag = "Activation",
    params(("campaign" = String, Path, description = "The id or the number.", min_length = 1,
        max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = RollbackRequest, description = "The publication to restore."),
    responses(
        (status = 201, description = "Restored: a new version of the price book.",
            body = RollbackResult),
        (status = 200, description = "The price book has this content already.",
            body = RollbackResult),
    )
)]
async fn roll_back_campaign(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let body: RollbackRequest = request.json().await?;
    let campaign = reference(&http_request, "campaign")?;
    database
        .transact(&request, async |work| {
            let campaign = draft::find_for_update(&mut work.conn, &campaign).await?;
            let version = i64::try_from(body.version).unwrap_or(i64::MAX);
            let (result, is_new, plan_hash) = roll_back(work, &campaign, version).await?;
            if let Some(published) = work.version() {
                let (range, today) = (VersionRange::of(published), calendar.today());
                guardrails::check_published(work, &book, today, range, Checked::default()).await?;
                let needs_approval = match approval::required(&mut work.conn).await? {
                    ApprovalRequired::Never => false,
                    ApprovalRequired::Always => true,
                    ApprovalRequired::Breach => approval::has_breach(&work.warnings),
                };
                if needs_approval {
                    let approvable = Approvable {
                        campaign: &campaign.number,
                        plan_hash: &plan_hash,
                        restores_version: Some(version),
                    };
                    approval::consume(&mut work.conn, approvable, published).await?;
                }
            }
            ApiResponse::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &result)
        })
        .await
}

fn invalid_version(detail: String) -> Problem {
    Problem::rule("/version", FieldCode::ReferenceNotFound, detail)
}

/// An earlier state of a campaign, as a rollback would publish it.
pub(super) struct Restored {
    /// The state, without accounts that cannot be restored.
    pub desired: PublishedCampaign,
    dates: CampaignFact,
    accounts_left_out: u64,
}

/// Returns the state of a campaign as of one of its publications.
///
/// # Errors
/// 422 if the version is none of its publications, or withdrew it.
pub(super) async fn restored(
    conn: &mut AsyncPgConnection,
    campaign: &Campaign,
    version: i64,
) -> Result<Restored, Problem> {
    let number = campaign.number.as_str();
    let of_campaign =
        publications::table.find(version).filter(publications::campaign_number.eq(number));
    if of_campaign.count().get_result::<i64>(conn).await? == 0 {
        return Err(invalid_version(format!("{version} is no publication of campaign {number}")));
    }
    let earlier = PublishedCampaign::as_of(conn, number, version).await?;
    let Some(dates) = dates(&earlier.entries)? else {
        return Err(invalid_version(format!(
            "as of {version} nothing of campaign {number} is published"
        )));
    };
    let accounts = restorable(conn, number, &earlier.accounts).await?;
    let accounts_left_out = (&earlier.accounts - &accounts).len();
    Ok(Restored { desired: PublishedCampaign { accounts, ..earlier }, dates, accounts_left_out })
}

/// Publishes an earlier state. Returns the result, whether it is new, and the hash of the state.
async fn roll_back(
    work: &mut UnitOfWork,
    campaign: &Campaign,
    version: i64,
) -> Result<(RollbackResult, bool, String), Problem> {
    let number = campaign.number.as_str();
    let conn = &mut work.conn;
    let Restored { desired, dates, accounts_left_out } = restored(conn, campaign, version).await?;
    let current = current_state(conn, campaign, &desired.entries, None).await?;
    refuse_moved_lines(number, &current.entries)?;
    let plan_hash = hash_of(&desired.entries, &desired.accounts);
    let (hashed, desired) =
        background(move || (current.difference(desired.clone()).with_hash(), desired)).await;

    let kind = PublicationKind::Rollback;
    let new = writer::publish(conn, kind, Some(number), &hashed, &work.author).await?;
    let is_new = new.is_some();
    let publication = match (new, campaign.publication_version) {
        (Some(publication), _) => publication,
        (None, Some(current_version)) => {
            publications::table
                .find(current_version)
                .select(Publication::as_select())
                .first(conn)
                .await?
        }
        (None, None) => {
            return Err(Problem::internal("a campaign that is not active is as it was published"));
        }
    };
    let has_unpublished_changes = !desired.difference(desired_state(conn, number).await?).is_none();
    let publishing = if has_unpublished_changes { Publishing::Manual } else { campaign.publishing };
    diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
        .set((
            campaigns::publication_version.eq(publication.version),
            campaigns::published_starting_date.eq(dates.starting_date),
            campaigns::published_ending_date.eq(dates.ending_date),
            campaigns::has_unpublished_changes.eq(has_unpublished_changes),
            campaigns::publishing.eq(publishing),
        ))
        .execute(conn)
        .await?;
    if is_new {
        work.record_version(publication.version, publication.book_id);
    }
    let result = RollbackResult {
        publication: publication.into(),
        restored_version: version,
        accounts_left_out,
        has_unpublished_changes,
    };
    Ok((result, is_new, plan_hash))
}

/// Returns the dates among the entries of a campaign.
fn dates(entries: &[Entry]) -> Result<Option<CampaignFact>, Problem> {
    for entry in entries {
        if let Fact::Campaign(dates) = entry.fact()? {
            return Ok(Some(dates));
        }
    }
    Ok(None)
}

/// Refuses a rollback if some of the lines belong to another source by now.
fn refuse_moved_lines(number: &str, current: &[Entry]) -> Result<(), Problem> {
    let moved: Vec<&Entry> =
        current.iter().filter(|entry| entry.campaign_number.as_deref() != Some(number)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> =
        moved.iter().take(MAX_NAMED_LINES).map(|entry| entry.key.as_str()).collect();
    let detail =
        format!("{} of its lines belong to somebody else now: {}", moved.len(), named.join(", "));
    Err(Problem::rule("/version", FieldCode::NotAllowed, detail))
}

/// Returns those of the accounts that can be restored. Their contacts still exist, and none is
/// privacy blocked unless the drafts target the account by another contact.
async fn restorable(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    accounts: &RoaringBitmap,
) -> QueryResult<RoaringBitmap> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Array<Integer>)]
        existing: Vec<i32>,
        #[diesel(sql_type = Array<Integer>)]
        blocked: Vec<i32>,
    }
    let query = "WITH accounts AS MATERIALIZED (
            SELECT number, ordinal, privacy_blocked FROM contacts WHERE ordinal = ANY($1))
        SELECT ARRAY(SELECT ordinal FROM accounts) AS existing,
            ARRAY(SELECT ordinal FROM accounts WHERE privacy_blocked
                UNION SELECT accounts.ordinal FROM contacts
                    JOIN accounts ON accounts.number = contacts.company_number
                    WHERE contacts.privacy_blocked) AS blocked";
    let query = diesel::sql_query(query).bind::<Array<Integer>, _>(audience::array(accounts));
    let Row { existing, blocked } = query.get_result(conn).await?;
    let (existing, blocked) = (audience::ordinals(existing), audience::ordinals(blocked));
    let targeted = targeting::targeted_of(conn, &[campaign], &blocked).await?.remove(campaign);
    Ok(existing - (blocked - targeted.unwrap_or_default()))
}
