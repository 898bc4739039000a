//! Activates and deactivates a campaign, inside the transaction of an effect.

use std::sync::Arc;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::caught_up::CaughtUp;
use super::draft::{self, Campaign, Draft, Scope};
use super::findings::{Finding, FindingCode};
use super::plan::{self, Hypothesis, Plan};
use super::rules::{self, Occasion};
use super::targeting;
use crate::golden_quotes::{self, GoldenQuoteView};
use crate::platform::background::background;
use crate::platform::db::schema::{campaigns, publications};
use crate::platform::effect::Effect;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::publication::difference::{Entry, Sealed, hash_of};
use crate::publication::live::LiveBook;
use crate::publication::reader::{self, Lines, ReadError};
use crate::publication::snapshot::Snapshot;
use crate::publication::state::CampaignState;
use crate::publication::writer::{self, Publication, PublicationKind};

/// At most so many findings of one code are listed; the last one tells how many more there are.
const MOST_OF_A_CODE: usize = 50;

/// What an activation is asked to do.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    pub acknowledged: Acknowledged,
    pub validate_only: bool,
    pub plan_hash: Option<String>,
}

/// Which warnings are known and accepted.
#[derive(Debug, Clone)]
pub(super) enum Acknowledged {
    All,
    These(Vec<FindingCode>),
}

impl Default for Acknowledged {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Acknowledged {
    fn covers(&self, finding: &Finding) -> bool {
        !finding.is_error()
            && match self {
                Self::All => true,
                Self::These(codes) => codes.contains(&finding.code),
            }
    }
}

/// What an activation came to.
pub(super) struct Outcome {
    /// The publication: the new one, or the standing one. None when it was only validated.
    pub publication: Option<Publication>,
    /// Whether the publication is new.
    pub is_new: bool,
    pub findings: Vec<Finding>,
    pub plan_hash: String,
    /// What would change; only when it was only validated.
    pub plan: Option<Plan>,
}

/// Validates a locked campaign and, if it may be, publishes it.
pub(super) async fn activate(
    effect: &mut Effect,
    campaign: Campaign,
    order: &Order,
    live: &LiveBook,
    copy: CaughtUp,
    today: NaiveDate,
) -> Result<Outcome, Problem> {
    let number = campaign.number.clone();
    let standing = campaign.publication_version;
    let conn = &mut effect.conn;
    let draft = draft::gather(conn, campaign, Scope::Whole, copy.up_to_date(), today).await?;
    let held = held(conn, &draft.campaign, &draft.entries, copy.up_to_date()).await?;
    let golden = golden_quotes::of_campaign(conn, &number).await?;
    let validate_only = order.validate_only;
    let copied = copy.clone();
    let reckoned = background(move || reckon(&copied, draft, held, &golden, validate_only)).await;
    let Reckoned { campaign, sealed, next, findings, plan_hash, plan } = reckoned;
    if let Some(plan) = plan {
        return Ok(Outcome { publication: None, is_new: false, findings, plan_hash, plan: Some(plan) });
    }
    if let Some(expected) = order.plan_hash.as_ref().filter(|expected| **expected != plan_hash) {
        let detail = format!("the plan {expected} is no longer what would be published; validate again");
        return Err(Problem::new(ProblemCode::PlanChanged, detail));
    }
    if let Some(version) = standing.filter(|_| sealed.difference.is_none()) {
        settle(&mut effect.conn, &campaign, None).await?;
        let publication = find(&mut effect.conn, version).await?;
        return Ok(Outcome { publication: Some(publication), is_new: false, findings, plan_hash, plan: None });
    }
    if findings.iter().any(|finding| !order.acknowledged.covers(finding)) {
        return Err(refusal(&findings));
    }
    let publication = publish(effect, &campaign, PublicationKind::Activation, &sealed).await?;
    let publication = publication.ok_or_else(|| Problem::internal("a plan that differs published nothing"))?;
    if let Some(next) = next {
        live.prepare(&mut effect.conn, copy.book, next).await?;
    }
    Ok(Outcome { publication: Some(publication), is_new: true, findings, plan_hash, plan: None })
}

/// What comes of an activation before anything is written.
struct Reckoned {
    campaign: Campaign,
    sealed: Sealed,
    /// The next version of the book as it was reckoned with, if it was reckoned with the newest.
    next: Option<Arc<Snapshot>>,
    findings: Vec<Finding>,
    plan_hash: String,
    /// Only when it is only validated.
    plan: Option<Plan>,
}

/// Everything about an activation that needs no database. It may take a tenth of a second.
fn reckon(
    copy: &CaughtUp,
    mut draft: Draft,
    held: CampaignState,
    golden: &[GoldenQuoteView],
    validate_only: bool,
) -> Reckoned {
    let mut findings = rules::check(&draft, Occasion::Activation);
    let plan_hash = hash_of(&draft.entries, &draft.targeting.accounts);
    let difference = held.difference(draft.wished());
    let hypothesis = Hypothesis::new(copy, &draft, &difference);
    let conflicts = hypothesis.as_ref().map(|hypothesis| hypothesis.conflicts(&draft)).unwrap_or_default();
    findings.extend(conflicts.iter().map(plan::Conflict::finding));
    findings.extend(hypothesis.iter().flat_map(|hypothesis| hypothesis.golden_differences(&draft, golden)));
    let plan = validate_only.then(|| match &hypothesis {
        Some(hypothesis) => hypothesis.plan(&copy.book, &draft, &difference, conflicts),
        None => plan::counted(&copy.book, &draft, &difference),
    });
    let sealed = difference.sealed();
    let next = hypothesis.filter(|_| copy.is_up_to_date).map(|hypothesis| Arc::new(hypothesis.snapshot));
    Reckoned { campaign: draft.campaign, sealed, next, findings: bounded(findings), plan_hash, plan }
}

/// What the book carries of a campaign, and of lines among the wished ones that count for somebody else.
pub(super) async fn held(
    conn: &mut AsyncPgConnection,
    campaign: &Campaign,
    wished: &[Entry],
    book: Option<&Snapshot>,
) -> Result<CampaignState, ReadError> {
    match campaign.publication_version {
        Some(_) => CampaignState::in_force(conn, campaign.number.as_str(), wished, book).await,
        // Its history is not looked through for what cannot be there.
        None => CampaignState::while_inactive(conn, campaign.number.as_str(), wished, book).await,
    }
}

/// What is to count of a campaign, as the drafts say.
pub(super) async fn in_draft(conn: &mut AsyncPgConnection, campaign: &str) -> Result<CampaignState, Problem> {
    Ok(CampaignState {
        entries: reader::campaign_in_draft(conn, campaign, Lines::All).await?.entries,
        accounts: targeting::find(conn, campaign, None).await?.accounts,
    })
}

/// Publishes all that differs of a campaign: from then on the book carries what the drafts say.
pub(super) async fn publish(
    effect: &mut Effect,
    campaign: &Campaign,
    kind: PublicationKind,
    sealed: &Sealed,
) -> Result<Option<Publication>, Problem> {
    let number = Some(campaign.number.as_str());
    let publication = writer::publish(&mut effect.conn, kind, number, sealed, &effect.author).await?;
    settle(&mut effect.conn, campaign, publication.as_ref()).await?;
    if let Some(publication) = &publication {
        effect.version = Some(publication.version);
    }
    Ok(publication)
}

/// Notes on the campaign what the book carries of it.
async fn settle(
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
                .await?
        }
        None if campaign.has_unpublished_changes => {
            diesel::update(row).set(campaigns::has_unpublished_changes.eq(false)).execute(conn).await?
        }
        None => 0,
    };
    Ok(())
}

/// Withdraws a locked campaign: the publication, and whether it is new. None when the campaign was never active.
pub(super) async fn deactivate(
    effect: &mut Effect,
    campaign: &Campaign,
) -> Result<Option<(Publication, bool)>, Problem> {
    let number = campaign.number.as_str();
    if campaign.publication_version.is_none() {
        let last = publications::table
            .filter(publications::campaign_number.eq(number))
            .filter(publications::kind.eq(PublicationKind::Deactivation))
            .order(publications::version.desc())
            .select(Publication::as_select())
            .first(&mut effect.conn)
            .await
            .optional()?;
        return Ok(last.map(|publication| (publication, false)));
    }
    let held = CampaignState::in_force(&mut effect.conn, number, &[], None).await?;
    let sealed = background(move || held.difference(CampaignState::default()).sealed()).await;
    let kind = PublicationKind::Deactivation;
    let publication = writer::publish(&mut effect.conn, kind, Some(number), &sealed, &effect.author).await?;
    let publication = publication.ok_or_else(|| Problem::internal("an active campaign has nothing in the book"))?;
    diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
        .set((
            campaigns::publication_version.eq(None::<i64>),
            campaigns::published_starting_date.eq(None::<NaiveDate>),
            campaigns::published_ending_date.eq(None::<NaiveDate>),
            campaigns::has_unpublished_changes.eq(false),
        ))
        .execute(&mut effect.conn)
        .await?;
    effect.version = Some(publication.version);
    Ok(Some((publication, true)))
}

/// The publication with a version.
async fn find(conn: &mut AsyncPgConnection, version: i64) -> Result<Publication, Problem> {
    Ok(publications::table.find(version).select(Publication::as_select()).first(conn).await?)
}

/// The refusal that lists everything that was found.
pub(super) fn refusal(findings: &[Finding]) -> Problem {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = findings.len().saturating_sub(errors);
    let detail = if errors > 0 {
        format!("{errors} errors and {warnings} warnings stand against it; all are in findings")
    } else {
        format!("{warnings} warnings stand against it; name their codes in acknowledge to go on")
    };
    let mut problem = Problem::new(ProblemCode::ActivationRefused, detail);
    problem.extensions.insert("findings".to_owned(), serde_json::json!(findings));
    problem
}

/// Not more findings of each code than anybody reads; the last one of a code tells how many were left out.
pub(super) fn bounded(findings: Vec<Finding>) -> Vec<Finding> {
    let mut listed: Vec<Finding> = Vec::new();
    let mut counts = std::collections::HashMap::<FindingCode, usize>::new();
    for finding in findings {
        let count = counts.entry(finding.code).or_default();
        *count = count.saturating_add(1);
        if *count <= MOST_OF_A_CODE {
            listed.push(finding);
        }
    }
    for (code, count) in counts {
        let more = count.saturating_sub(MOST_OF_A_CODE);
        if let Some(last) = listed.iter_mut().rfind(|finding| finding.code == code && more > 0) {
            last.params.insert("notListed".to_owned(), more.into());
        }
    }
    listed
}
