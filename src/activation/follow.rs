//! The price book follows the drafts: what an effect touched is published in the effect's own transaction.

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
use crate::platform::effect::{Effect, Publisher, Touched};
use crate::platform::http::problem::Problem;
use crate::publication::audience::AudienceDifference;
use crate::publication::difference::Difference;
use crate::publication::live::LiveBook;
use crate::publication::reader::{self, Lines};
use crate::publication::state::CampaignState;
use crate::publication::writer::{self, PublicationKind};
use crate::values::Key;
use crate::values::words::Publishing;

/// How long a change waits for the copy in memory after its commit, so that whoever made it reads it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Brings what was touched into the book.
#[derive(Clone)]
pub struct Follower {
    book: LiveBook,
    calendar: Calendar,
}

impl Follower {
    /// A follower that waits for this copy of the book.
    #[must_use]
    pub const fn new(book: LiveBook, calendar: Calendar) -> Self {
        Self { book, calendar }
    }

    async fn follow(&self, effect: &mut Effect) -> Result<(), Problem> {
        let touched = std::mem::take(&mut effect.touched);
        let campaigns = lock(effect, &touched).await?;
        let active: Vec<Campaign> =
            campaigns.into_iter().filter(|campaign| campaign.publication_version.is_some()).collect();
        // Before the contacts' new facts reach the book, which still knows their accounts so far.
        let moved = if active.is_empty() || touched.contacts.is_empty() {
            RoaringBitmap::new()
        } else {
            targeting::accounts_of(&mut effect.conn, &touched.contacts).await?
        };
        if touched.has_base_data()
            && let Some(publication) = writer::publish_base_data(&mut effect.conn, &touched, &effect.author).await?
        {
            effect.version = Some(publication.version);
        }
        let (at_once, by_hand): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|campaign| campaign.publishing == Publishing::Automatic);
        let parts = at_once.into_iter().map(|campaign| (Part::of(&campaign, &touched, &moved), campaign));
        let (changed, met): (Vec<_>, Vec<_>) = parts.partition(|(part, _)| part.is_changed_itself());
        for (part, campaign) in changed {
            self.publish(effect, &campaign, &part).await?;
        }
        // A contact somewhere in their audiences changed. That can change the audiences only, so the lines are not looked at, of which a
        // campaign may have many; and the contact's change is not refused for what is wrong with a campaign.
        let numbers: Vec<&str> = met.iter().map(|(_, campaign)| campaign.number.as_str()).collect();
        let mut moves = targeting::moves(&mut effect.conn, &numbers, &moved).await?;
        for (_, campaign) in &met {
            let audience = moves.remove(campaign.number.as_str()).unwrap_or_default();
            let difference = Difference { audience, ..Difference::default() }.sealed();
            publish(effect, campaign, PublicationKind::Change, &difference).await?;
        }
        // Last: a line that moved to a campaign that publishes at once has left the others' part of the book by now.
        for campaign in by_hand {
            wait(effect, campaign, &touched, &moved).await?;
        }
        Ok(())
    }

    /// Publishes what changed of an active campaign.
    async fn publish(&self, effect: &mut Effect, campaign: &Campaign, part: &Part<'_>) -> Result<(), Problem> {
        let draft =
            draft::gather(&mut effect.conn, campaign.clone(), part.scope(), None, self.calendar.today()).await?;
        let findings = bounded(rules::check(&draft, Occasion::Change));
        if findings.iter().any(super::findings::Finding::is_error) {
            return Err(refusal(&findings));
        }
        effect.warnings.extend(findings.iter().map(|finding| json!(finding)));
        let day = rules::day_of_comparison(&draft);
        let difference = part.difference(effect, campaign, Some(draft)).await?.sealed();
        let publication = publish(effect, campaign, PublicationKind::Change, &difference).await?;
        match publication.zip(day) {
            Some((publication, day)) => {
                self.ask_golden_quotes(effect, &campaign.number, day, publication.version).await
            }
            None => Ok(()),
        }
    }

    /// Refuses what was just published of a campaign when its golden quotes are answered otherwise than expected. They are asked of the
    /// book as this transaction has written it, which nobody else has seen yet.
    async fn ask_golden_quotes(
        &self,
        effect: &mut Effect,
        number: &Key,
        day: NaiveDate,
        version: i64,
    ) -> Result<(), Problem> {
        let golden = golden_quotes::of_campaign(&mut effect.conn, number).await?;
        if golden.is_empty() {
            return Ok(());
        }
        let book = self.book.as_of(&mut effect.conn, version).await?;
        let book = book.ok_or_else(|| Problem::internal("a version that was just published is not there"))?;
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
    fn of(campaign: &Campaign, touched: &Touched, moved: &'a RoaringBitmap) -> Self {
        let number = campaign.number.as_str();
        Self {
            whole: touched.campaigns.contains(number),
            lines: touched.campaign_lines.get(number).cloned().unwrap_or_default(),
            contacts: touched.targets.get(number).cloned().unwrap_or_default(),
            moved,
        }
    }

    /// Whether anything of the campaign's own changed, and not only contacts that it targets.
    fn is_changed_itself(&self) -> bool {
        self.whole || !self.lines.is_empty() || !self.contacts.is_empty()
    }

    fn scope(&self) -> Scope<'_> {
        if self.whole { Scope::Whole } else { Scope::Part { lines: &self.lines, contacts: &self.contacts } }
    }

    /// How the drafts of the part differ from the book. A draft that was gathered already is not read again.
    async fn difference(
        &self,
        effect: &mut Effect,
        campaign: &Campaign,
        draft: Option<Draft>,
    ) -> Result<Difference, Problem> {
        let conn = &mut effect.conn;
        let number = campaign.number.as_str();
        if self.whole {
            let wished = match draft {
                Some(draft) => CampaignState { entries: draft.entries, accounts: draft.targeting.accounts },
                None => in_draft(conn, number).await?,
            };
            return Ok(CampaignState::in_force(conn, number, &wished.entries, None).await?.difference(wished));
        }
        let mut difference = Difference::default();
        if !self.lines.is_empty() {
            let lines = Lines::These(&self.lines);
            let wished = match draft {
                Some(draft) => draft.entries,
                None => reader::campaign_in_draft(conn, number, lines).await?.entries,
            };
            let held = reader::campaign_in_force(conn, number, lines, &wished, None).await?;
            difference = Difference::between(held, wished);
        }
        let accounts = targeting::accounts_of(conn, &self.contacts).await? | self.moved;
        difference.audience = targeting::moves(conn, &[number], &accounts).await?.remove(number).unwrap_or_default();
        Ok(difference)
    }
}

/// Locks every campaign that the effect may concern, active or not: one that is being activated by somebody else at this moment
/// has to be seen as active afterwards.
async fn lock(effect: &mut Effect, touched: &Touched) -> Result<Vec<Campaign>, Problem> {
    let mut numbers = touched.campaigns.clone();
    numbers.extend(touched.campaign_lines.keys().chain(touched.targets.keys()).cloned());
    if !touched.contacts.is_empty() {
        let contacts: Vec<String> = touched.contacts.iter().cloned().collect();
        numbers.extend(targeting::campaigns_of(&mut effect.conn, &contacts).await?);
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    Ok(draft::lock(&mut effect.conn, &numbers).await?)
}

/// A campaign that publishes by hand notes that there is something to publish; only contacts that object leave at once.
async fn wait(
    effect: &mut Effect,
    campaign: Campaign,
    touched: &Touched,
    moved: &RoaringBitmap,
) -> Result<(), Problem> {
    let number = campaign.number.as_str();
    let left = objecting(effect, number, &touched.contacts).await?;
    let audience = AudienceDifference { left, ..AudienceDifference::default() };
    let leaving = Difference { audience, ..Difference::default() }.sealed();
    let kind = PublicationKind::Change;
    if let Some(publication) = writer::publish(&mut effect.conn, kind, Some(number), &leaving, &effect.author).await? {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::publication_version.eq(publication.version))
            .execute(&mut effect.conn)
            .await?;
        effect.version = Some(publication.version);
    }
    let part = Part::of(&campaign, touched, moved);
    let mut has_changes = !part.difference(effect, &campaign, None).await?.is_none();
    if !has_changes && campaign.has_unpublished_changes && !part.whole {
        // What was touched is as published; the rest may still wait.
        let all = Part { whole: true, ..part };
        has_changes = !all.difference(effect, &campaign, None).await?.is_none();
    }
    if has_changes != campaign.has_unpublished_changes {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::has_unpublished_changes.eq(has_changes))
            .execute(&mut effect.conn)
            .await?;
    }
    Ok(())
}

/// The accounts of touched contacts that are privacy blocked now and that nobody else holds in the audience.
async fn objecting(effect: &mut Effect, campaign: &str, touched: &BTreeSet<String>) -> Result<RoaringBitmap, Problem> {
    let blocked: Vec<String> = contacts::table
        .filter(contacts::number.eq_any(touched))
        .filter(contacts::privacy_blocked)
        .select(contacts::number)
        .load(&mut effect.conn)
        .await?;
    if blocked.is_empty() {
        return Ok(RoaringBitmap::new());
    }
    let accounts = targeting::accounts_of(&mut effect.conn, &blocked.into_iter().collect()).await?;
    let moves = targeting::moves(&mut effect.conn, &[campaign], &accounts).await?.remove(campaign);
    Ok(moves.unwrap_or_default().left)
}

impl Publisher for Follower {
    fn publish<'a>(&'a self, effect: &'a mut Effect) -> LocalBoxFuture<'a, Result<(), Problem>> {
        self.follow(effect).boxed_local()
    }

    fn reached(&self, version: i64) -> LocalBoxFuture<'_, ()> {
        async move {
            self.book.reaches(version, PATIENCE).await;
        }
        .boxed_local()
    }
}
