//! The price book follows the drafts: what an effect touched is published in the effect's own transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::json;

use super::activate::{bounded, publish, refusal};
use super::draft::{self, Campaign};
use super::golden;
use super::rules::{self, Occasion};
use super::targeting::{self, AUDIENCE};
use crate::golden_quotes;
use crate::platform::clock::Calendar;
use crate::platform::db::schema::{campaigns, contacts};
use crate::platform::effect::{Effect, Publisher, Touched};
use crate::platform::http::problem::Problem;
use crate::publication::live::LiveBook;
use crate::publication::writer::{self, PublicationKind, Wished};
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
        if touched.has_base_data() {
            let kind = PublicationKind::BaseData;
            let wished = Wished::BaseData(&touched);
            if let Some(publication) = writer::publish(&mut effect.conn, kind, wished, &effect.author).await? {
                effect.version = Some(publication.version);
            }
        }
        let active = campaigns.into_iter().filter(|campaign| campaign.publication_version.is_some());
        let (at_once, by_hand): (Vec<_>, Vec<_>) =
            active.partition(|campaign| campaign.publishing == Publishing::Automatic);
        for campaign in at_once {
            self.publish(effect, campaign, &touched).await?;
        }
        // Last: a line that moved to a campaign that publishes at once has left the others' part of the book by now.
        for campaign in by_hand {
            wait(effect, campaign, &touched).await?;
        }
        Ok(())
    }

    /// Publishes what changed of an active campaign.
    async fn publish(&self, effect: &mut Effect, campaign: Campaign, touched: &Touched) -> Result<(), Problem> {
        let number = campaign.number.clone();
        if !touched.campaigns.contains(number.as_str()) {
            // A contact somewhere in its audience changed. That can change the audience only, so the lines are not looked at, of
            // which a campaign may have many; and the contact's change is not refused for what is wrong with the campaign.
            let wished = Wished::Audience { number: number.as_str(), audience: AUDIENCE };
            publish(effect, &campaign, PublicationKind::Change, wished).await?;
            return Ok(());
        }
        let draft = draft::gather(&mut effect.conn, campaign, self.calendar.today()).await?;
        let findings = bounded(rules::check(&draft, Occasion::Change));
        if findings.iter().any(super::findings::Finding::is_error) {
            return Err(refusal(&findings));
        }
        effect.warnings.extend(findings.iter().map(|finding| json!(finding)));
        let wished = Wished::Campaign { number: number.as_str(), audience: AUDIENCE };
        let publication = publish(effect, &draft.campaign, PublicationKind::Change, wished).await?;
        match (publication, rules::day_of_comparison(&draft)) {
            (Some(publication), Some(day)) => self.ask_golden_quotes(effect, &number, day, publication.version).await,
            _ => Ok(()),
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

/// Locks every campaign that the effect may concern, active or not: one that is being activated by somebody else at this moment
/// has to be seen as active afterwards.
async fn lock(effect: &mut Effect, touched: &Touched) -> Result<Vec<Campaign>, Problem> {
    let mut numbers = touched.campaigns.clone();
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
async fn wait(effect: &mut Effect, campaign: Campaign, touched: &Touched) -> Result<(), Problem> {
    let number = campaign.number.as_str();
    let leaving = objecting(effect, number, &touched.contacts).await?;
    if !leaving.is_empty() {
        let wished = Wished::Without { number, accounts: &leaving };
        let publication = writer::publish(&mut effect.conn, PublicationKind::Change, wished, &effect.author).await?;
        if let Some(publication) = publication {
            diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
                .set(campaigns::publication_version.eq(publication.version))
                .execute(&mut effect.conn)
                .await?;
            effect.version = Some(publication.version);
        }
    }
    let has_changes = !writer::compare(&mut effect.conn, number, AUDIENCE).await?.is_none();
    if has_changes != campaign.has_unpublished_changes {
        diesel::update(campaigns::table.filter(campaigns::number.eq(&campaign.number)))
            .set(campaigns::has_unpublished_changes.eq(has_changes))
            .execute(&mut effect.conn)
            .await?;
    }
    Ok(())
}

/// The accounts of touched contacts that are privacy blocked now and that nobody else holds in the audience.
async fn objecting(effect: &mut Effect, campaign: &str, touched: &BTreeSet<String>) -> Result<Vec<String>, Problem> {
    let accounts: Vec<(String, Option<String>)> = contacts::table
        .filter(contacts::number.eq_any(touched))
        .filter(contacts::privacy_blocked)
        .select((contacts::number, contacts::company_number))
        .load(&mut effect.conn)
        .await?;
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let accounts: Vec<String> = accounts.into_iter().map(|(number, company)| company.unwrap_or(number)).collect();
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        account: String,
    }
    let question = format!(
        "SELECT account FROM unnest($2) AS account WHERE account NOT IN (SELECT account FROM ({AUDIENCE}) AS targeted)"
    );
    let rows: Vec<Row> = diesel::sql_query(question)
        .bind::<diesel::sql_types::Text, _>(campaign)
        .bind::<diesel::sql_types::Array<diesel::sql_types::Text>, _>(accounts)
        .load(&mut effect.conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.account).collect())
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
