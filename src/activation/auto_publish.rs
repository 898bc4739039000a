//! Automatic publication: what a unit of work changed is published in its own transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use diesel::dsl::not;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use roaring::RoaringBitmap;
use serde_json::json;
use uuid::Uuid;
use values::Key;
use values::enums::{ApprovalRequired, Publishing};

use super::activate::{desired_state, limit_per_code, publish, refusal};
use super::draft::{Campaign, Draft, Scope};
use super::findings::{Finding, FindingCode};
use super::guardrails::{self, Checked, VersionRange};
use super::rules::Trigger;
use super::targeting::Named;
use super::{approval, draft, golden, rules, targeting};
use crate::golden_quotes;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::problem::Problem;
use crate::publication::audience::AudienceDifference;
use crate::publication::difference::Difference;
use crate::publication::published_campaign::PublishedCampaign;
use crate::publication::reader::Lines;
use crate::publication::writer::PublicationKind;
use crate::publication::{reader, writer};
use crate::schema::{campaign_statuses, campaigns, contacts};
use crate::segments::rule;
use crate::unit_of_work::{ChangedKeys, Publisher, UnitOfWork};

/// Time limit for the wait after a commit for the in-memory book, so that a client reads its own
/// write.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Publishes the changes of active campaigns and base data.
#[derive(Clone)]
pub struct AutoPublisher {
    book: LiveBook,
    calendar: Calendar,
}

impl AutoPublisher {
    /// Creates a publisher that waits for this in-memory book after a commit.
    #[must_use]
    pub const fn new(book: LiveBook, calendar: Calendar) -> Self {
        Self { book, calendar }
    }

    async fn publish_changes(&self, work: &mut UnitOfWork) -> Result<(), Problem> {
        rule::follow(work, self.calendar.today()).await?;
        let changed_keys = std::mem::take(&mut work.changed_keys);
        let campaigns = lock_campaigns(work, &changed_keys).await?;
        approval::follow(work, &changed_keys, &campaigns).await?;
        let active: Vec<Campaign> = campaigns
            .into_iter()
            .filter(|campaign| campaign.publication_version.is_some())
            .collect();
        // Must precede the publication of base data: the book still has the contacts' previous
        // accounts.
        let moved_accounts = if active.is_empty() || changed_keys.contacts.is_empty() {
            RoaringBitmap::new()
        } else {
            targeting::accounts_of(&mut work.conn, &changed_keys.contacts).await?
        };
        if changed_keys.has_base_data()
            && let Some(publication) =
                writer::publish_base_data(&mut work.conn, &changed_keys, &work.author).await?
        {
            work.record_version(publication.version, publication.book_id);
        }
        let mut range = VersionRange::extend(None, work.version());
        let mut checked = Checked::default();
        let holding = holding_statuses(work, &active).await?;
        let approval_required = match active.as_slice() {
            [] => ApprovalRequired::Never,
            _ => approval::required(&mut work.conn).await?,
        };
        let (automatic, waiting): (Vec<_>, Vec<_>) = active.into_iter().partition(|campaign| {
            campaign.publishing == Publishing::Automatic
                && !is_held(campaign, &holding)
                && approval_required != ApprovalRequired::Always
        });
        let mut waiting: Vec<(Campaign, Hold)> = waiting
            .into_iter()
            .map(|campaign| {
                let hold = Hold::of(&campaign, &holding);
                (campaign, hold)
            })
            .collect();
        let with_changes = automatic.into_iter().map(|campaign| {
            let mut changes = CampaignChanges::of(&campaign, &changed_keys, &moved_accounts);
            // Its status held earlier changes.
            changes.whole |= campaign.has_unpublished_changes;
            (changes, campaign)
        });
        let (changed, audience_only): (Vec<_>, Vec<_>) =
            with_changes.partition(|(changes, _)| changes.has_own_changes());
        for (changes, campaign) in changed {
            if approval_required == ApprovalRequired::Breach
                && self.breaches(work, &campaign, &changes).await?
            {
                waiting.push((campaign, Hold::Approval));
                continue;
            }
            self.publish(work, &campaign, &changes).await?;
            range = VersionRange::extend(range, work.version());
            checked.gains.extend(changes.gains(&campaign));
        }
        // Only contacts in the audiences of these campaigns changed. That affects audiences alone,
        // so the lines, which may be many, are not read. Errors in a campaign do not refuse the
        // contact's change.
        let numbers: Vec<&str> =
            audience_only.iter().map(|(_, campaign)| campaign.number.as_str()).collect();
        let mut moves =
            targeting::audience_changes(&mut work.conn, &numbers, &moved_accounts).await?;
        for (_, campaign) in &audience_only {
            let audience = moves.remove(campaign.number.as_str()).unwrap_or_default();
            warn_of_losses(work, campaign, &audience.left).await?;
            let difference = Difference { audience, ..Difference::default() }.with_hash();
            publish(work, campaign, PublicationKind::Change, &difference).await?;
            range = VersionRange::extend(range, work.version());
            checked.unchecked_audiences.insert(campaign.number.to_string());
        }
        // Last, because a line that moved to an automatic campaign must have left the others'
        // published lines.
        for (campaign, hold) in waiting {
            checked.unchecked_audiences.insert(campaign.number.to_string());
            defer(work, campaign, hold, &changed_keys, &moved_accounts).await?;
            range = VersionRange::extend(range, work.version());
        }
        match range.filter(|_| changed_keys.affects_guardrails()) {
            Some(range) => {
                let today = self.calendar.today();
                guardrails::check_published(work, &self.book, today, range, checked).await
            }
            None => Ok(()),
        }
    }

    /// Returns whether the publication of a campaign's changes would violate a guardrail. It is
    /// made for that, and rolled back.
    async fn breaches(
        &self,
        work: &mut UnitOfWork,
        campaign: &Campaign,
        changes: &CampaignChanges<'_>,
    ) -> Result<bool, Problem> {
        let tried = work.savepoint(async |work| {
            let before = work.version();
            self.publish(work, campaign, changes).await.map_err(Tried::Refused)?;
            let version = work.version().filter(|version| Some(*version) != before);
            let Some(version) = version else { return Err::<(), _>(Tried::Done(false)) };
            let range = VersionRange::of(version);
            let today = self.calendar.today();
            guardrails::check_published(work, &self.book, today, range, Checked::default())
                .await
                .map_err(Tried::Refused)?;
            Err(Tried::Done(approval::has_breach(&work.warnings)))
        });
        match tried.await {
            Ok(()) => Ok(false),
            Err(Tried::Done(breaches)) => Ok(breaches),
            Err(Tried::Refused(problem)) => Err(problem),
        }
    }

    /// Publishes the changes of one active campaign.
    async fn publish(
        &self,
        work: &mut UnitOfWork,
        campaign: &Campaign,
        changes: &CampaignChanges<'_>,
    ) -> Result<(), Problem> {
        let draft = draft::gather(
            &mut work.conn,
            campaign.clone(),
            changes.scope(),
            None,
            self.calendar.today(),
        )
        .await?;
        let findings = limit_per_code(rules::check(&draft, Trigger::Change));
        if findings.iter().any(Finding::is_error) {
            return Err(refusal(&findings));
        }
        work.warnings.extend(findings.iter().map(|finding| json!(finding)));
        let day = rules::day_of_comparison(&draft);
        let difference = changes.difference(work, campaign, Some(draft)).await?;
        if changes.has_changed_contacts {
            // A rule has let their contacts out.
            warn_of_losses(work, campaign, &difference.audience.left).await?;
        }
        let difference = difference.with_hash();
        let publication = publish(work, campaign, PublicationKind::Change, &difference).await?;
        match publication.zip(day) {
            Some((publication, day)) => {
                self.check_golden_quotes(work, &campaign.number, day, publication.version).await
            }
            None => Ok(()),
        }
    }

    /// Refuses the publication if the campaign's golden quotes differ from the expected answers.
    /// They are computed on the book as this transaction has written it, which is not visible to
    /// others yet.
    async fn check_golden_quotes(
        &self,
        work: &mut UnitOfWork,
        number: &Key,
        day: NaiveDate,
        version: i64,
    ) -> Result<(), Problem> {
        let golden = golden_quotes::of_campaign(&mut work.conn, number).await?;
        if golden.is_empty() {
            return Ok(());
        }
        let book = self.book.as_of(&mut work.conn, version).await?;
        let book = book
            .ok_or_else(|| Problem::internal("a version that was just published is not there"))?;
        let findings = limit_per_code(golden::differences(&book, number, day, &golden));
        if findings.is_empty() { Ok(()) } else { Err(refusal(&findings)) }
    }
}

/// The end of a publication that is rolled back in any case.
enum Tried {
    /// It was made; true if it violated a guardrail.
    Done(bool),
    Refused(Problem),
}

impl From<diesel::result::Error> for Tried {
    fn from(error: diesel::result::Error) -> Self {
        Self::Refused(error.into())
    }
}

/// The reason why changes of an active campaign wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Its publishing is manual.
    Manual,
    /// Its status is final or forbids activation.
    Status,
    /// A second person has to approve them.
    Approval,
}

impl Hold {
    fn of(campaign: &Campaign, holding: &BTreeSet<Key>) -> Self {
        if campaign.publishing == Publishing::Manual {
            Self::Manual
        } else if is_held(campaign, holding) {
            Self::Status
        } else {
            Self::Approval
        }
    }
}

/// The keys of one campaign that a unit of work changed.
struct CampaignChanges<'a> {
    whole: bool,
    lines: BTreeSet<Uuid>,
    /// Contacts of changed lines of its segments.
    contacts: BTreeSet<String>,
    /// True if contacts changed themselves, on this campaign's segments or not.
    has_changed_contacts: bool,
    /// The accounts of contacts that changed themselves.
    moved_accounts: &'a RoaringBitmap,
}

impl<'a> CampaignChanges<'a> {
    fn of(
        campaign: &Campaign,
        changed_keys: &ChangedKeys,
        moved_accounts: &'a RoaringBitmap,
    ) -> Self {
        let number = campaign.number.as_str();
        Self {
            whole: changed_keys.campaigns.contains(number),
            lines: changed_keys.campaign_lines.get(number).cloned().unwrap_or_default(),
            contacts: changed_keys.targets.get(number).cloned().unwrap_or_default(),
            has_changed_contacts: !changed_keys.contacts.is_empty(),
            moved_accounts,
        }
    }

    /// Returns whether the campaign itself changed, and not only contacts that it targets.
    fn has_own_changes(&self) -> bool {
        self.whole || !self.lines.is_empty() || !self.contacts.is_empty()
    }

    /// Returns the lines that are checked for gain: all if the campaign changed as a whole.
    fn gains(&self, campaign: &Campaign) -> Option<(String, Option<BTreeSet<Uuid>>)> {
        let lines = (!self.whole).then(|| self.lines.clone());
        let has_lines = lines.as_ref().is_none_or(|lines| !lines.is_empty());
        has_lines.then(|| (campaign.number.to_string(), lines))
    }

    fn scope(&self) -> Scope<'_> {
        if self.whole {
            Scope::Whole
        } else {
            Scope::Part { lines: &self.lines, contacts: &self.contacts }
        }
    }

    /// Returns the difference between the changed drafts and the book. A draft that is passed in is
    /// not read again.
    async fn difference(
        &self,
        work: &mut UnitOfWork,
        campaign: &Campaign,
        draft: Option<Draft>,
    ) -> Result<Difference, Problem> {
        let conn = &mut work.conn;
        let number = campaign.number.as_str();
        if self.whole {
            let desired = match draft {
                Some(draft) => {
                    PublishedCampaign { entries: draft.entries, accounts: draft.targeting.accounts }
                }
                None => desired_state(conn, number).await?,
            };
            return Ok(PublishedCampaign::in_force(conn, number, &desired.entries, None)
                .await?
                .difference(desired));
        }
        let mut difference = Difference::default();
        if !self.lines.is_empty() {
            let lines = Lines::These(&self.lines);
            let desired = match draft {
                Some(draft) => draft.entries,
                None => reader::campaign_in_draft(conn, number, lines).await?.entries,
            };
            let current = reader::campaign_in_force(conn, number, lines, &desired, None).await?;
            difference = Difference::between(current, desired);
        }
        let accounts = targeting::accounts_of(conn, &self.contacts).await? | self.moved_accounts;
        difference.audience = targeting::audience_changes(conn, &[number], &accounts)
            .await?
            .remove(number)
            .unwrap_or_default();
        Ok(difference)
    }
}

/// Locks every campaign that the unit of work may affect, active or not. A concurrent activation is
/// therefore finished, and visible, before the campaign's state is read.
async fn lock_campaigns(
    work: &mut UnitOfWork,
    changed_keys: &ChangedKeys,
) -> Result<Vec<Campaign>, Problem> {
    let mut numbers = changed_keys.campaigns.clone();
    numbers.extend(changed_keys.campaign_lines.keys().chain(changed_keys.targets.keys()).cloned());
    if !changed_keys.contacts.is_empty() {
        let contacts: Vec<String> = changed_keys.contacts.iter().cloned().collect();
        numbers.extend(targeting::campaigns_of(&mut work.conn, &contacts).await?);
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    Ok(draft::lock(&mut work.conn, &numbers).await?)
}

/// Returns the statuses of the campaigns that stop automatic publication: final ones, and those
/// that forbid activation.
async fn holding_statuses(
    work: &mut UnitOfWork,
    campaigns: &[Campaign],
) -> Result<BTreeSet<Key>, Problem> {
    let codes: BTreeSet<&Key> =
        campaigns.iter().filter_map(|campaign| campaign.status_code.as_ref()).collect();
    if codes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let holding = campaign_statuses::table
        .filter(campaign_statuses::code.eq_any(codes))
        .filter(campaign_statuses::is_final.or(not(campaign_statuses::allows_activation)))
        .select(campaign_statuses::code);
    Ok(holding.load(&mut work.conn).await?.into_iter().collect())
}

fn is_held(campaign: &Campaign, holding: &BTreeSet<Key>) -> bool {
    campaign.status_code.as_ref().is_some_and(|code| holding.contains(code))
}

/// Records whether a campaign whose changes wait has unpublished changes. Changes of a manual
/// campaign wait for its activation, those of an automatic one for another status or an approval.
/// Only contacts that have become privacy blocked leave the published audience immediately.
async fn defer(
    work: &mut UnitOfWork,
    campaign: Campaign,
    hold: Hold,
    changed_keys: &ChangedKeys,
    moved_accounts: &RoaringBitmap,
) -> Result<(), Problem> {
    let number = campaign.number.as_str();
    let left = newly_blocked(work, number, &changed_keys.contacts).await?;
    warn_of_losses(work, &campaign, &left).await?;
    let audience = AudienceDifference { left, ..AudienceDifference::default() };
    let withdrawal = Difference { audience, ..Difference::default() }.with_hash();
    let kind = PublicationKind::Change;
    if let Some(publication) =
        writer::publish(&mut work.conn, kind, Some(number), &withdrawal, &work.author).await?
    {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::publication_version.eq(publication.version))
            .execute(&mut work.conn)
            .await?;
        work.record_version(publication.version, publication.book_id);
    }
    let changes = CampaignChanges::of(&campaign, changed_keys, moved_accounts);
    let mut has_changes = !changes.difference(work, &campaign, None).await?.is_none();
    if !has_changes && campaign.has_unpublished_changes && !changes.whole {
        // The changed drafts agrees with the book, but other drafts may still differ.
        let whole = CampaignChanges { whole: true, ..changes };
        has_changes = !whole.difference(work, &campaign, None).await?.is_none();
    }
    let warning = match hold {
        Hold::Manual => None,
        Hold::Status => Some(status_holds_changes(&campaign)),
        Hold::Approval => Some(approval_holds_changes(&campaign)),
    };
    work.warnings.extend(warning.filter(|_| has_changes).map(|finding| json!(finding)));
    if has_changes != campaign.has_unpublished_changes {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::has_unpublished_changes.eq(has_changes))
            .execute(&mut work.conn)
            .await?;
    }
    Ok(())
}

/// Warns that a changed contact takes a campaign's prices away from accounts.
async fn warn_of_losses(
    work: &mut UnitOfWork,
    campaign: &Campaign,
    accounts: &RoaringBitmap,
) -> Result<(), Problem> {
    let Named { count, numbers } = targeting::named(&mut work.conn, accounts).await?;
    if count > 0 {
        let detail = format!("{count} accounts lose the prices of campaign {}", campaign.number);
        let finding = Finding::new(FindingCode::AccountsLosePrices, "/segments", detail)
            .param("campaignNumber", campaign.number.as_str())
            .param("numberOfAccounts", count)
            .param("accountNumbers", numbers);
        work.warnings.push(json!(finding));
    }
    Ok(())
}

fn status_holds_changes(campaign: &Campaign) -> Finding {
    let status = campaign.status_code.as_ref().map_or("", Key::as_str);
    let number = &campaign.number;
    let detail = format!(
        "the status {status} of campaign {number} is final or forbids activation, so its changes \
         are not published; the published prices stay in force"
    );
    Finding::new(FindingCode::StatusHoldsChanges, "/statusCode", detail)
        .param("campaignNumber", number.as_str())
        .param("statusCode", status)
}

fn approval_holds_changes(campaign: &Campaign) -> Finding {
    let number = &campaign.number;
    let detail = format!(
        "changes of campaign {number} need an approval, so they are not published; request it, and \
         activate the campaign then; the published prices stay in force"
    );
    Finding::new(FindingCode::ApprovalHoldsChanges, "", detail)
        .param("campaignNumber", number.as_str())
}

/// Returns the accounts of changed, privacy-blocked contacts that no other contact keeps in the
/// audience.
async fn newly_blocked(
    work: &mut UnitOfWork,
    campaign: &str,
    contacts_changed: &BTreeSet<String>,
) -> Result<RoaringBitmap, Problem> {
    let blocked: Vec<String> = contacts::table
        .filter(contacts::number.eq_any(contacts_changed))
        .filter(contacts::privacy_blocked)
        .select(contacts::number)
        .load(&mut work.conn)
        .await?;
    if blocked.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    let accounts = targeting::accounts_of(&mut work.conn, &blocked.into_iter().collect()).await?;
    let moves =
        targeting::audience_changes(&mut work.conn, &[campaign], &accounts).await?.remove(campaign);
    Ok(moves.unwrap_or_default().left)
}

impl Publisher for AutoPublisher {
    fn publish<'a>(&'a self, work: &'a mut UnitOfWork) -> LocalBoxFuture<'a, Result<(), Problem>> {
        self.publish_changes(work).boxed_local()
    }

    fn wait_for_version(&self, version: i64) -> LocalBoxFuture<'_, ()> {
        async move {
            self.book.wait_for_version(version, WAIT_TIMEOUT).await;
        }
        .boxed_local()
    }
}
