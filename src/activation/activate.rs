//! Activates and deactivates a campaign, inside the transaction of a unit of work.

use std::sync::Arc;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::snapshot::Snapshot;

use super::approval::{self, Approvable};
use super::book_view::BookView;
use super::draft::{self, Campaign, Draft, Scope};
use super::findings::{Finding, FindingCode};
use super::guardrails::{self, Checked, GuardrailCheck, GuardrailSet, VersionRange};
use super::overlaps;
use super::plan::{self, Hypothesis, Plan};
use super::rules::{self, Trigger};
use super::targeting;
use crate::golden_quotes::{self, GoldenQuoteView};
use crate::live_book::LiveBook;
use crate::platform::background::background;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::publication::difference::{Entry, HashedDifference, hash_of};
use crate::publication::published_campaign::PublishedCampaign;
use crate::publication::reader::{self, Lines, ReadError};
use crate::publication::writer::{self, Publication, PublicationKind};
use crate::schema::{campaigns, publications};
use crate::unit_of_work::UnitOfWork;

/// Maximum number of listed findings per code. The last one says how many are not listed.
const MAX_FINDINGS_PER_CODE: usize = 50;

/// The options of an activation.
#[derive(Debug, Clone, Default)]
pub(super) struct ActivationOptions {
    pub acknowledged: Acknowledged,
    pub validate_only: bool,
    pub plan_hash: Option<String>,
}

/// The warnings that the caller accepts.
#[derive(Debug, Clone)]
pub(super) enum Acknowledged {
    All,
    Some {
        codes: Vec<FindingCode>,
        /// Ids of findings.
        ids: Vec<String>,
    },
}

impl Default for Acknowledged {
    fn default() -> Self {
        Self::Some { codes: Vec::new(), ids: Vec::new() }
    }
}

impl Acknowledged {
    fn covers(&self, finding: &Finding) -> bool {
        !finding.is_error()
            && match self {
                Self::All => true,
                Self::Some { codes, ids } => {
                    codes.contains(&finding.code) || ids.contains(&finding.finding_id)
                }
            }
    }
}

/// The result of an activation.
pub(super) struct Outcome {
    /// The new publication, or the current one if nothing differs. `None` with `validate_only`.
    pub publication: Option<Publication>,
    /// True if the publication is new.
    pub is_new: bool,
    pub findings: Vec<Finding>,
    pub plan_hash: String,
    /// True if the publication needs, or needed, an approval.
    pub needs_approval: bool,
    /// The planned changes; only with `validate_only`.
    pub plan: Option<Plan>,
}

/// Validates a locked campaign and publishes it, unless findings or the options prevent it.
pub(super) async fn activate(
    work: &mut UnitOfWork,
    campaign: Campaign,
    options: &ActivationOptions,
    live: &LiveBook,
    view: BookView,
    today: NaiveDate,
) -> Result<Outcome, Problem> {
    let number = campaign.number.clone();
    let current_version = campaign.publication_version;
    let conn = &mut work.conn;
    let draft = draft::gather(conn, campaign, Scope::Whole, view.up_to_date(), today).await?;
    let current = current_state(conn, &draft.campaign, &draft.entries, view.up_to_date()).await?;
    let golden = golden_quotes::of_campaign(conn, &number).await?;
    let guardrails = GuardrailSet::load(conn).await?;
    let approval_required = approval::required(conn).await?;
    let validate_only = options.validate_only;
    let own_view = view.clone();
    let evaluated = background(move || {
        evaluate(&own_view, draft, current, &golden, &guardrails, validate_only)
    })
    .await;
    let Evaluation { campaign, hashed, next, findings, plan_hash, plan } = evaluated;
    let needs_approval = approval::is_required(approval_required, &findings);
    if let Some(plan) = plan {
        return Ok(Outcome {
            publication: None,
            is_new: false,
            findings,
            plan_hash,
            needs_approval,
            plan: Some(plan),
        });
    }
    if let Some(expected) = options.plan_hash.as_ref().filter(|expected| **expected != plan_hash) {
        let detail =
            format!("the plan {expected} is no longer what would be published; validate again");
        return Err(Problem::new(ProblemCode::PlanChanged, detail));
    }
    if let Some(version) = current_version.filter(|_| hashed.difference.is_none()) {
        record_publication(&mut work.conn, &campaign, None).await?;
        let publication = find(&mut work.conn, version).await?;
        return Ok(Outcome {
            publication: Some(publication),
            is_new: false,
            findings,
            plan_hash,
            needs_approval: false,
            plan: None,
        });
    }
    if findings.iter().any(|finding| !options.acknowledged.covers(finding)) {
        return Err(refusal(&findings));
    }
    let publication = publish(work, &campaign, PublicationKind::Activation, &hashed).await?;
    let publication =
        publication.ok_or_else(|| Problem::internal("a plan that differs published nothing"))?;
    if needs_approval {
        let approvable =
            Approvable { campaign: &number, plan_hash: &plan_hash, restores_version: None };
        approval::consume(&mut work.conn, approvable, publication.version).await?;
    }
    // Another transaction may have published since the view was taken.
    if !view.is_current || publication.version != view.book.version().saturating_add(1) {
        let range = VersionRange::of(publication.version);
        guardrails::check_published(work, live, today, range, Checked::default()).await?;
    }
    if let Some(next) = next {
        live.prepare(&mut work.conn, view.book, next).await?;
    }
    Ok(Outcome {
        publication: Some(publication),
        is_new: true,
        findings,
        plan_hash,
        needs_approval,
        plan: None,
    })
}

/// The part of an activation that is known before anything is written.
struct Evaluation {
    campaign: Campaign,
    hashed: HashedDifference,
    /// The next version of the book, if it was computed from the newest one.
    next: Option<Arc<Snapshot>>,
    findings: Vec<Finding>,
    plan_hash: String,
    /// The planned changes; only with `validate_only`.
    plan: Option<Plan>,
}

/// Evaluates an activation without the database. It may take a tenth of a second.
fn evaluate(
    view: &BookView,
    mut draft: Draft,
    current: PublishedCampaign,
    golden: &[GoldenQuoteView],
    guardrails: &GuardrailSet,
    validate_only: bool,
) -> Evaluation {
    let mut findings = rules::check(&draft, Trigger::Activation);
    let plan_hash = hash_of(&draft.entries, &draft.targeting.accounts);
    let difference = current.difference(draft.desired());
    let hypothesis = Hypothesis::new(view, &draft, &difference);
    let conflicts =
        hypothesis.as_ref().map(|it| overlaps::conflicts(it, &draft)).unwrap_or_default();
    findings.extend(conflicts.iter().map(overlaps::Conflict::finding));
    findings.extend(
        hypothesis.iter().flat_map(|hypothesis| hypothesis.golden_differences(&draft, golden)),
    );
    let plan = match &hypothesis {
        Some(hypothesis) => {
            let mut check = GuardrailCheck::new(guardrails);
            let plan = hypothesis.evaluate_prices(
                &view.book,
                &draft,
                &difference,
                &mut check,
                validate_only,
            );
            findings.extend(check.findings());
            findings.extend(hypothesis.lines_without_gain(&draft, guardrails));
            validate_only.then_some(Plan { conflicts, ..plan })
        }
        None => validate_only.then(|| plan::counted(&view.book, &draft, &difference)),
    };
    sort(&mut findings);
    let hashed = difference.with_hash();
    let next =
        hypothesis.filter(|_| view.is_current).map(|hypothesis| Arc::new(hypothesis.snapshot));
    Evaluation {
        campaign: draft.campaign,
        hashed,
        next,
        findings: limit_per_code(findings),
        plan_hash,
        plan,
    }
}

/// Returns what the book contains of a campaign. Desired lines that currently belong to another
/// source are included.
pub(super) async fn current_state(
    conn: &mut AsyncPgConnection,
    campaign: &Campaign,
    desired: &[Entry],
    book: Option<&Snapshot>,
) -> Result<PublishedCampaign, ReadError> {
    match campaign.publication_version {
        Some(_) => PublishedCampaign::in_force(conn, campaign.number.as_str(), desired, book).await,
        // A campaign that is not active has nothing in force, so its history is not searched.
        None => {
            PublishedCampaign::while_inactive(conn, campaign.number.as_str(), desired, book).await
        }
    }
}

/// Returns the state that a campaign's drafts describe.
pub(super) async fn desired_state(
    conn: &mut AsyncPgConnection,
    campaign: &str,
) -> Result<PublishedCampaign, Problem> {
    Ok(PublishedCampaign {
        entries: reader::campaign_in_draft(conn, campaign, Lines::All).await?.entries,
        accounts: targeting::find(conn, campaign, None).await?.accounts,
    })
}

/// Publishes a campaign's difference, so that the book agrees with the drafts.
pub(super) async fn publish(
    work: &mut UnitOfWork,
    campaign: &Campaign,
    kind: PublicationKind,
    hashed: &HashedDifference,
) -> Result<Option<Publication>, Problem> {
    let number = Some(campaign.number.as_str());
    let publication = writer::publish(&mut work.conn, kind, number, hashed, &work.author).await?;
    record_publication(&mut work.conn, campaign, publication.as_ref()).await?;
    if let Some(publication) = &publication {
        work.record_version(publication.version, publication.book_id);
    }
    Ok(publication)
}

/// Records on the campaign's row what is published of it.
async fn record_publication(
    conn: &mut AsyncPgConnection,
    campaign: &Campaign,
    publication: Option<&Publication>,
) -> Result<(), Problem> {
    let row = campaigns::table.filter(campaigns::number.eq(&campaign.number));
    match publication {
        Some(publication) => {
            diesel::update(row)
                .set((
                    campaigns::publication_version.eq(publication.version),
                    campaigns::published_starting_date.eq(campaign.starting_date),
                    campaigns::published_ending_date.eq(campaign.ending_date),
                    campaigns::has_unpublished_changes.eq(false),
                ))
                .execute(conn)
                .await?;
            approval::forget_editors(conn, &campaign.number).await?;
        }
        None if campaign.has_unpublished_changes => {
            diesel::update(row)
                .set(campaigns::has_unpublished_changes.eq(false))
                .execute(conn)
                .await?;
        }
        None => {}
    }
    Ok(())
}

/// Withdraws a locked campaign. Returns the publication and whether it is new, or `None` if the
/// campaign was never active.
pub(super) async fn deactivate(
    work: &mut UnitOfWork,
    campaign: &Campaign,
) -> Result<Option<(Publication, bool)>, Problem> {
    let number = campaign.number.as_str();
    if campaign.publication_version.is_none() {
        let last = publications::table
            .filter(publications::campaign_number.eq(number))
            .filter(publications::kind.eq(PublicationKind::Deactivation))
            .order(publications::version.desc())
            .select(Publication::as_select())
            .first(&mut work.conn)
            .await
            .optional()?;
        return Ok(last.map(|publication| (publication, false)));
    }
    let current = PublishedCampaign::in_force(&mut work.conn, number, &[], None).await?;
    let hashed =
        background(move || current.difference(PublishedCampaign::default()).with_hash()).await;
    let kind = PublicationKind::Deactivation;
    let publication =
        writer::publish(&mut work.conn, kind, Some(number), &hashed, &work.author).await?;
    let publication = publication
        .ok_or_else(|| Problem::internal("an active campaign has nothing in the book"))?;
    diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
        .set((
            campaigns::publication_version.eq(None::<i64>),
            campaigns::published_starting_date.eq(None::<NaiveDate>),
            campaigns::published_ending_date.eq(None::<NaiveDate>),
            campaigns::has_unpublished_changes.eq(false),
        ))
        .execute(&mut work.conn)
        .await?;
    work.record_version(publication.version, publication.book_id);
    Ok(Some((publication, true)))
}

/// Returns the publication with a version.
async fn find(conn: &mut AsyncPgConnection, version: i64) -> Result<Publication, Problem> {
    Ok(publications::table.find(version).select(Publication::as_select()).first(conn).await?)
}

/// Returns the problem that refuses an activation, with all findings.
pub(super) fn refusal(findings: &[Finding]) -> Problem {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = findings.len().saturating_sub(errors);
    let detail = if errors > 0 {
        format!("{errors} errors and {warnings} warnings refuse it; all are in findings")
    } else {
        format!("{warnings} warnings refuse it; name their codes or ids in acknowledge to go on")
    };
    let mut problem = Problem::new(ProblemCode::ActivationRefused, detail);
    problem.extensions.insert("findings".to_owned(), serde_json::json!(findings));
    problem
}

/// Sorts findings: errors first, then in the order of their codes.
pub(super) fn sort(findings: &mut [Finding]) {
    let key = |finding: &Finding| (!finding.is_error(), finding.code, finding.pointer.clone());
    findings.sort_by_cached_key(key);
}

/// Identifies the findings, and limits them to [`MAX_FINDINGS_PER_CODE`] of each code. The
/// parameter `notListed` of the last one of a code has the number of those left out.
pub(super) fn limit_per_code(findings: Vec<Finding>) -> Vec<Finding> {
    let mut listed: Vec<Finding> = Vec::new();
    let mut counts = std::collections::HashMap::<FindingCode, usize>::new();
    for finding in findings {
        let count = counts.entry(finding.code).or_default();
        *count = count.saturating_add(1);
        if *count <= MAX_FINDINGS_PER_CODE {
            listed.push(finding.identified());
        }
    }
    for (code, count) in counts {
        let more = count.saturating_sub(MAX_FINDINGS_PER_CODE);
        if let Some(last) = listed.iter_mut().rfind(|finding| finding.code == code && more > 0) {
            last.params.insert("notListed".to_owned(), more.into());
        }
    }
    listed
}
