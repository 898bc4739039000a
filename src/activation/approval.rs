//! Approval of publications by a second person: which publications need it, and the records that it
//! is decided by.
//!
//! An approval is for one plan hash, and is used up by one publication. A change of the drafts
//! makes open requests void in its own transaction.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Array, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;
use values::enums::ApprovalRequired;
use values::{Key, text_enum};

use super::activate::desired_state;
use super::draft::Campaign;
use super::findings::{Finding, FindingCode};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::publication::difference::hash_of;
use crate::schema::{approval_requests, campaign_editors, settings};
use crate::unit_of_work::{ChangedKeys, UnitOfWork};

text_enum! {
    /// The state of a request for approval.
    ApprovalState {
        /// Nobody has decided yet.
        Pending = "PENDING",
        /// The plan may be published once.
        Approved = "APPROVED",
        /// The plan must not be published.
        Rejected = "REJECTED",
        /// The plan has changed since the request.
        Void = "VOID",
    }
}

/// Returns which publications need an approval.
pub(super) async fn required(conn: &mut AsyncPgConnection) -> QueryResult<ApprovalRequired> {
    settings::table.select(settings::approval_required).first(conn).await
}

/// Returns whether a publication with these findings needs an approval.
pub(super) fn is_required(required: ApprovalRequired, findings: &[Finding]) -> bool {
    match required {
        ApprovalRequired::Never => false,
        ApprovalRequired::Always => true,
        ApprovalRequired::Breach => findings.iter().any(|finding| is_breach(finding.code)),
    }
}

/// Returns whether findings of a publication, as the response has them, contain a breach.
pub(super) fn has_breach(warnings: &[Value]) -> bool {
    let code = |warning: &Value| {
        let code = warning.get("code")?.as_str()?;
        FindingCode::ALL.iter().copied().find(|known| known.text() == code)
    };
    warnings.iter().filter_map(code).any(is_breach)
}

/// Returns whether a finding says that a guardrail is violated, or could not be checked.
const fn is_breach(code: FindingCode) -> bool {
    matches!(
        code,
        FindingCode::BelowMarginFloor
            | FindingCode::NetBelowCost
            | FindingCode::DiscountTooDeep
            | FindingCode::PlanTooLarge
    )
}

/// The plan that a publication brings into force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Approvable<'a> {
    pub campaign: &'a Key,
    pub plan_hash: &'a str,
    /// The version that a rollback restores.
    pub restores_version: Option<i64>,
}

/// Returns the approval of a plan that is not used up.
pub(super) async fn find_approved(
    conn: &mut AsyncPgConnection,
    Approvable { campaign, plan_hash, restores_version }: Approvable<'_>,
) -> QueryResult<Option<Uuid>> {
    use approval_requests as t;
    let approved = t::table
        .filter(t::campaign_number.eq(campaign))
        .filter(t::state.eq(ApprovalState::Approved))
        .filter(t::plan_hash.eq(plan_hash))
        .filter(t::restores_version.is_not_distinct_from(restores_version))
        .filter(t::publication_version.is_null());
    approved.select(t::id).first(conn).await.optional()
}

/// Uses up the approval of what was just published.
///
/// # Errors
/// 422 if there is none.
pub(super) async fn consume(
    conn: &mut AsyncPgConnection,
    plan: Approvable<'_>,
    version: i64,
) -> Result<(), Problem> {
    use approval_requests as t;
    let Some(id) = find_approved(conn, plan).await? else {
        let Approvable { campaign, plan_hash, .. } = plan;
        let detail = format!(
            "the publication of {campaign} needs an approval of the plan {plan_hash} by somebody \
             who has not changed it; request one at approval-requests"
        );
        return Err(Problem::new(ProblemCode::ApprovalRequired, detail));
    };
    diesel::update(t::table.find(id)).set(t::publication_version.eq(version)).execute(conn).await?;
    Ok(())
}

/// Forgets the editors of a campaign, whose drafts were published.
pub(super) async fn forget_editors(
    conn: &mut AsyncPgConnection,
    campaign: &Key,
) -> QueryResult<()> {
    let editors = campaign_editors::table.filter(campaign_editors::campaign_number.eq(campaign));
    diesel::delete(editors).execute(conn).await.map(drop)
}

/// Records the author of a unit of work as an editor of the locked campaigns whose drafts it
/// changed, and makes requests void whose plan is no longer that of the drafts.
pub(super) async fn follow(
    work: &mut UnitOfWork,
    changed_keys: &ChangedKeys,
    locked: &[Campaign],
) -> Result<(), Problem> {
    if locked.is_empty() {
        return Ok(());
    }
    let edited: Vec<&str> = locked
        .iter()
        .map(|campaign| campaign.number.as_str())
        .filter(|number| {
            changed_keys.campaigns.contains(*number)
                || changed_keys.campaign_lines.contains_key(*number)
                || changed_keys.targets.contains_key(*number)
        })
        .collect();
    if !edited.is_empty() {
        let query = "INSERT INTO campaign_editors (campaign_number, subject)
            SELECT number, $2 FROM unnest($1) AS number ON CONFLICT DO NOTHING";
        diesel::sql_query(query)
            .bind::<Array<SqlText>, _>(edited)
            .bind::<SqlText, _>(&work.author)
            .execute(&mut work.conn)
            .await?;
    }
    void_changed(&mut work.conn, locked).await
}

async fn void_changed(conn: &mut AsyncPgConnection, locked: &[Campaign]) -> Result<(), Problem> {
    use approval_requests as t;
    let open: Vec<(Uuid, Key, String)> = t::table
        .filter(t::campaign_number.eq_any(locked.iter().map(|campaign| &campaign.number)))
        .filter(t::state.eq_any([ApprovalState::Pending, ApprovalState::Approved]))
        .filter(t::publication_version.is_null())
        .filter(t::restores_version.is_null())
        .order(t::campaign_number)
        .select((t::id, t::campaign_number, t::plan_hash))
        .load(conn)
        .await?;
    let mut void = Vec::new();
    for campaign in open.iter().map(|(_, campaign, _)| campaign).collect::<BTreeSet<_>>() {
        let current = draft_hash(conn, campaign).await?;
        let changed = open.iter().filter(|(_, of, hash)| of == campaign && *hash != current);
        void.extend(changed.map(|(id, _, _)| *id));
    }
    if !void.is_empty() {
        diesel::update(t::table.filter(t::id.eq_any(void)))
            .set(t::state.eq(ApprovalState::Void))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Returns the plan hash of a campaign's drafts.
async fn draft_hash(conn: &mut AsyncPgConnection, campaign: &Key) -> Result<String, Problem> {
    let desired = desired_state(conn, campaign.as_str()).await?;
    Ok(hash_of(&desired.entries, &desired.accounts))
}
