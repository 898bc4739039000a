//! The price book follows the drafts: what an effect touched is published in the effect's own
//! transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use roaring::RoaringBitmap;
use serde_json::json;
use uuid::Uuid;

use super::activate::{bounded, in_draft, publish, refusal};
use super::draft::{self, Campaign, Draft, Scope};
use super::golden;
use super::rules::{self, Occasion};
use super::targeting;
use crate::golden_quotes;
use crate::platform::clock::Calendar;
use crate::platform::db::schema::{campaigns, contacts};
use crate::platform::http::problem::Problem;
use crate::platform::unit_of_work::{ChangedKeys, Publisher, UnitOfWork};
use crate::publication::audience::AudienceDifference;
use crate::publication::difference::Difference;
use crate::publication::live::LiveBook;
use crate::publication::published_campaign::PublishedCampaign;
use crate::publication::reader::{self, Lines};
use crate::publication::writer::{self, PublicationKind};
use crate::values::Key;
use crate::values::enums::Publishing;

/// How long a change waits for the copy in memory after its commit, so that whoever made it reads
/// it.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Brings what was touched into the book.
#[derive(Clone)]
pub struct AutoPublisher {
    book: LiveBook,
    calendar: Calendar,
}

impl AutoPublisher {
    /// A follower that waits for this copy of the book.
    #[must_use]
    pub const fn new(book: LiveBook, calendar: Calendar) -> Self {
        Self { book, calendar }
    }

    async fn follow(&self, work: &mut UnitOfWork) -> Result<(), Problem> {
        let changed_keys = std::mem::take(&mut work.changed_keys);
        let campaigns = lock(work, &changed_keys).await?;
        let active: Vec<Campaign> = campaigns
            .into_iter()
            .filter(|campaign| campaign.publication_version.is_some())
            .collect();
        // Before the contacts' new facts reach the book, which still knows their accounts so far.
        let moved = if active.is_empty() || changed_keys.contacts.is_empty() {
            RoaringBitmap::new()
        } else {
            targeting::accounts_of(&mut work.conn, &changed_keys.contacts).await?
        };
        if changed_keys.has_base_data()
            && let Some(publication) =
                writer::publish_base_data(&mut work.conn, &changed_keys, &work.author).await?
        {
            work.version = Some(publication.version);
        }
        let (at_once, by_hand): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|campaign| campaign.publishing == Publishing::Automatic);
        let parts = at_once
            .into_iter()
            .map(|campaign| (Part::of(&campaign, &changed_keys, &moved), campaign));
        let (changed, met): (Vec<_>, Vec<_>) =
            parts.partition(|(part, _)| part.is_changed_itself());
        for (part, campaign) in changed {
            self.publish(work, &campaign, &part).await?;
        }
        // A contact somewhere in their audiences changed. That can change the audiences only, so
        // the lines are not looked at, of which a campaign may have many; and the contact's change
        // is not refused for what is wrong with a campaign.
        let numbers: Vec<&str> = met.iter().map(|(_, campaign)| campaign.number.as_str()).collect();
        let mut moves = targeting::moves(&mut work.conn, &numbers, &moved).await?;
        for (_, campaign) in &met {
            let audience = moves.remove(campaign.number.as_str()).unwrap_or_default();
            let difference = Difference { audience, ..Difference::default() }.with_hash();
            publish(work, campaign, PublicationKind::Change, &difference).await?;
        }
        // Last: a line that moved to a campaign that publishes at once has left the others' part of
        // the book by now.
        for campaign in by_hand {
            wait(work, campaign, &changed_keys, &moved).await?;
        }
        Ok(())
    }

    /// Publishes what changed of an active campaign.
    async fn publish(
        &self,
        work: &mut UnitOfWork,
        campaign: &Campaign,
        part: &Part<'_>,
    ) -> Result<(), Problem> {
        let draft = draft::gather(
            &mut work.conn,
            campaign.clone(),
            part.scope(),
            None,
            self.calendar.today(),
        )
        .await?;
        let findings = bounded(rules::check(&draft, Occasion::Change));
        if findings.iter().any(super::findings::Finding::is_error) {
            return Err(refusal(&findings));
        }
        work.warnings.extend(findings.iter().map(|finding| json!(finding)));
        let day = rules::day_of_comparison(&draft);
        let difference = part.difference(work, campaign, Some(draft)).await?.with_hash();
        let publication = publish(work, campaign, PublicationKind::Change, &difference).await?;
        match publication.zip(day) {
            Some((publication, day)) => {
                self.ask_golden_quotes(work, &campaign.number, day, publication.version).await
            }
            None => Ok(()),
        }
    }

    /// Refuses what was just published of a campaign when its golden quotes are answered otherwise
    /// than expected. They are asked of the book as this transaction has written it, which nobody
    /// else has seen yet.
    async fn ask_golden_quotes(
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
        let findings = bounded(golden::differences(&book, number, day, &golden));
        if findings.is_empty() { Ok(()) } else { Err(refusal(&findings)) }
    }
}

/// What an effect touched of one campaign.
struct Part<'a> {
    whole: bool,
    lines: BTreeSet<Uuid>,
    /// Contacts on its segments' lines that changed.
    contacts: BTreeSet<String>,
    /// The accounts of contacts that changed themselves.
    moved: &'a RoaringBitmap,
}

impl<'a> Part<'a> {
    fn of(campaign: &Campaign, changed_keys: &ChangedKeys, moved: &'a RoaringBitmap) -> Self {
        let number = campaign.number.as_str();
        Self {
            whole: changed_keys.campaigns.contains(number),
            lines: changed_keys.campaign_lines.get(number).cloned().unwrap_or_default(),
            contacts: changed_keys.targets.get(number).cloned().unwrap_or_default(),
            moved,
        }
    }

    /// Whether anything of the campaign's own changed, and not only contacts that it targets.
    fn is_changed_itself(&self) -> bool {
        self.whole || !self.lines.is_empty() || !self.contacts.is_empty()
    }

    fn scope(&self) -> Scope<'_> {
        if self.whole {
            Scope::Whole
        } else {
            Scope::Part { lines: &self.lines, contacts: &self.contacts }
        }
    }

    /// How the drafts of the part differ from the book. A draft that was gathered already is not
    /// read again.
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
                None => in_draft(conn, number).await?,
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
        let accounts = targeting::accounts_of(conn, &self.contacts).await? | self.moved;
        difference.audience =
            targeting::moves(conn, &[number], &accounts).await?.remove(number).unwrap_or_default();
        Ok(difference)
    }
}

/// Locks every campaign that the effect may concern, active or not: one that is being activated by
/// somebody else at this moment has to be seen as active afterwards.
async fn lock(work: &mut UnitOfWork, changed_keys: &ChangedKeys) -> Result<Vec<Campaign>, Problem> {
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

/// A campaign that publishes by hand notes that there is something to publish; only contacts that
/// object leave at once.
async fn wait(
    work: &mut UnitOfWork,
    campaign: Campaign,
    changed_keys: &ChangedKeys,
    moved: &RoaringBitmap,
) -> Result<(), Problem> {
    let number = campaign.number.as_str();
    let left = objecting(work, number, &changed_keys.contacts).await?;
    let audience = AudienceDifference { left, ..AudienceDifference::default() };
    let leaving = Difference { audience, ..Difference::default() }.with_hash();
    let kind = PublicationKind::Change;
    if let Some(publication) =
        writer::publish(&mut work.conn, kind, Some(number), &leaving, &work.author).await?
    {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::publication_version.eq(publication.version))
            .execute(&mut work.conn)
            .await?;
        work.version = Some(publication.version);
    }
    let part = Part::of(&campaign, changed_keys, moved);
    let mut has_changes = !part.difference(work, &campaign, None).await?.is_none();
    if !has_changes && campaign.has_unpublished_changes && !part.whole {
        // What was touched is as published; the rest may still wait.
        let all = Part { whole: true, ..part };
        has_changes = !all.difference(work, &campaign, None).await?.is_none();
    }
    if has_changes != campaign.has_unpublished_changes {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::has_unpublished_changes.eq(has_changes))
            .execute(&mut work.conn)
            .await?;
    }
    Ok(())
}

/// The accounts of touched contacts that are privacy blocked now and that nobody else holds in the
/// audience.
async fn objecting(
    work: &mut UnitOfWork,
    campaign: &str,
    changed_keys: &BTreeSet<String>,
) -> Result<RoaringBitmap, Problem> {
    let blocked: Vec<String> = contacts::table
        .filter(contacts::number.eq_any(changed_keys))
        .filter(contacts::privacy_blocked)
        .select(contacts::number)
        .load(&mut work.conn)
        .await?;
    if blocked.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    let accounts = targeting::accounts_of(&mut work.conn, &blocked.into_iter().collect()).await?;
    let moves = targeting::moves(&mut work.conn, &[campaign], &accounts).await?.remove(campaign);
    Ok(moves.unwrap_or_default().left)
}

impl Publisher for AutoPublisher {
    fn publish<'a>(&'a self, work: &'a mut UnitOfWork) -> LocalBoxFuture<'a, Result<(), Problem>> {
        self.follow(work).boxed_local()
    }

    fn wait_for_version(&self, version: i64) -> LocalBoxFuture<'_, ()> {
        async move {
            self.book.wait_for_version(version, WAIT_TIMEOUT).await;
        }
        .boxed_local()
    }
}
