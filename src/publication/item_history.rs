//! What the book said of one item and one account, version by version: its past without the rest of
//! it.
//!
//! Only rows that can matter are read, of all versions from one to another. Their changes, applied
//! one after the other to the empty book, make a small snapshot of each version in which something
//! of them changed; the resolver does not know the difference.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::audience;
use super::facts::{Change, Fact, FactKind, SourceFact};
use super::reader::{ReadError, read};
use super::snapshot::Snapshot;
use crate::platform::db::schema::publications;

/// Which part of the book is meant.
#[derive(Debug, Clone, Copy)]
pub struct HistoryScope<'a> {
    /// The item.
    pub item_number: &'a str,
    /// The contact that asks; none: only what is offered to everybody.
    pub contact_number: Option<&'a str>,
    /// The currency that is asked for; none: whichever the contact, its account and the company
    /// have.
    pub currency_code: Option<&'a str>,
}

/// The part as it was from a version on.
#[derive(Debug)]
pub struct HistoryStep {
    /// The version.
    pub version: i64,
    /// When it came into force; none for the first step, which has been in force before.
    pub since: Option<DateTime<Utc>>,
    changes: Vec<Change>,
}

impl HistoryStep {
    /// The part in this version, made of the part in the version of the step before; of the empty
    /// book for the first step.
    #[must_use]
    pub fn after(&self, before: &Snapshot) -> Snapshot {
        before.advanced(self.version, self.changes.iter().cloned())
    }
}

/// The part after all steps, at once.
#[must_use]
pub fn after_all(steps: &[HistoryStep]) -> Snapshot {
    let version = steps.last().map_or(0, |step| step.version);
    Snapshot::empty().advanced(version, steps.iter().flat_map(|step| step.changes.iter().cloned()))
}

/// The version that was in force at an instant; 0 before the first.
///
/// # Errors
/// When the database fails.
pub async fn version_at(conn: &mut AsyncPgConnection, instant: DateTime<Utc>) -> QueryResult<i64> {
    let published = publications::table.filter(publications::published_at.le(instant));
    let newest = published.order((publications::published_at.desc(), publications::version.desc()));
    newest.select(publications::version).first(conn).await.optional().map(Option::unwrap_or_default)
}

/// The steps of a part: first the version `from`, then each later one up to `to` in which something
/// of the part changed.
///
/// # Errors
/// When the database fails, or a row is not of this build's making.
pub async fn steps(
    conn: &mut AsyncPgConnection,
    part: HistoryScope<'_>,
    from: i64,
    to: i64,
) -> Result<Vec<HistoryStep>, ReadError> {
    let mut reading = HistoryReader { conn, from, to, changes: BTreeMap::new() };
    reading.read(part).await?;
    let HistoryReader { conn, changes, .. } = reading;
    let versions: Vec<i64> = changes.keys().copied().collect();
    let instants = publications::table.filter(publications::version.eq_any(&versions));
    let instants: HashMap<i64, DateTime<Utc>> = instants
        .select((publications::version, publications::published_at))
        .load(conn)
        .await?
        .into_iter()
        .collect();
    let mut since = None;
    let step = |(version, changes): (i64, Changes)| {
        if version > from {
            // Versions follow each other even where a clock was set back.
            since = since.max(instants.get(&version).copied());
        }
        HistoryStep {
            version,
            since,
            changes: changes.went.into_iter().chain(changes.came).collect(),
        }
    };
    Ok(changes.into_iter().map(step).collect())
}

/// What goes and what comes with a version. What goes is said first, since a successor has its
/// predecessor's key.
#[derive(Debug, Default)]
struct Changes {
    went: Vec<Change>,
    came: Vec<Change>,
}

/// Steps on their way out of the database.
struct HistoryReader<'c> {
    conn: &'c mut AsyncPgConnection,
    from: i64,
    to: i64,
    changes: BTreeMap<i64, Changes>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    facts: String,
    #[diesel(sql_type = BigInt)]
    from_version: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    to_version: Option<i64>,
}

/// Rows that were in force in one of the versions from `$1` to `$2`.
const ROWS: &str =
    "SELECT kind, key, facts::text, from_version, to_version FROM book_entries AS entry
    WHERE from_version <= $2 AND (to_version IS NULL OR to_version > $1) AND ";

/// The rows of a kind (`$3`) with one of the keys (`$4`).
const BY_KEY: &str = "kind = $3 AND key = ANY($4)";

/// The exchange rates of a currency (`$3`); `}` comes after the `|` behind the currency's code.
const RATES: &str = "kind = 'EXCHANGE_RATE' AND key > $3 || '|' AND key < $3 || '}'";

/// Lines that are granted to one of the accounts (`$3`), or to more than one: a line for a contact
/// counts for the company that the contact belongs to. That is asked of the line's own contact;
/// with EXISTS the planner would rather read all contacts there are.
const GRANTED: &str = "kind IN ('PRICE_LINE', 'DISCOUNT_LINE')
    AND (facts -> 'source' ->> 'type' <> 'CONTACT' OR facts -> 'source' ->> 'contactNumber' = ANY($3)
        OR (SELECT bool_or(person.facts ->> 'companyNumber' = ANY($3)) FROM book_entries AS person
            WHERE person.kind = 'CONTACT' AND person.key = entry.facts -> 'source' ->> 'contactNumber'))";

/// Of these the lines of an item (`$4`).
const OF_ITEM: &str = " AND facts ->> 'itemNumber' = $4";

/// Of these the lines of item discount groups (`$4`), and those for all items.
const OF_GROUPS: &str = " AND facts ->> 'itemNumber' IS NULL
    AND (facts ->> 'itemDiscountGroupCode' IS NULL OR facts ->> 'itemDiscountGroupCode' = ANY($4))";

impl HistoryReader<'_> {
    async fn read(&mut self, part: HistoryScope<'_>) -> Result<(), ReadError> {
        // There is a first step even if it brings nothing.
        self.changes.entry(self.from).or_default();
        let mut currencies: BTreeSet<String> =
            part.currency_code.map(str::to_owned).into_iter().collect();
        for fact in self.keyed(FactKind::Settings, vec![String::new()]).await? {
            if let Fact::Settings(settings) = fact {
                currencies
                    .extend(part.currency_code.is_none().then_some(settings.local_currency_code));
            }
        }
        let mut groups = BTreeSet::new();
        for fact in self.keyed(FactKind::Item, vec![part.item_number.to_owned()]).await? {
            if let Fact::Item(item) = fact {
                groups.extend(item.item_discount_group_code);
            }
        }
        let asking: BTreeSet<String> = part.contact_number.map(str::to_owned).into_iter().collect();
        let companies = self.contacts(&asking, &mut currencies).await?;
        self.contacts(&(&companies - &asking), &mut currencies).await?;
        let accounts: Vec<String> = asking.union(&companies).cloned().collect();

        let groups: Vec<String> = groups.into_iter().collect();
        let granted = |which: &str| format!("{ROWS}{GRANTED}{which}");
        let of_item = self
            .bound(granted(OF_ITEM))
            .bind::<Array<Text>, _>(&accounts)
            .bind::<Text, _>(part.item_number);
        let mut lines: Vec<Row> = of_item.load(self.conn).await?;
        let of_groups = self
            .bound(granted(OF_GROUPS))
            .bind::<Array<Text>, _>(&accounts)
            .bind::<Array<Text>, _>(groups);
        lines.extend(of_groups.load::<Row>(self.conn).await?);
        let (mut campaigns, mut persons) = (BTreeSet::new(), BTreeSet::new());
        for fact in self.add(lines)? {
            let source = match fact {
                Fact::PriceLine(line) => line.source,
                Fact::DiscountLine(line) => line.source,
                _ => continue,
            };
            match source {
                SourceFact::Campaign { campaign_number } => drop(campaigns.insert(campaign_number)),
                SourceFact::Contact { contact_number } => drop(persons.insert(contact_number)),
                _ => {}
            }
        }
        for account in &accounts {
            persons.remove(account);
        }
        self.keyed(FactKind::Contact, persons.into_iter().collect()).await?;
        let campaigns: Vec<String> = campaigns.into_iter().collect();
        self.keyed(FactKind::Campaign, campaigns.clone()).await?;
        for (version, change) in
            membership(self.conn, &campaigns, &accounts, self.from, self.to).await?
        {
            self.note(version, change);
        }
        self.keyed(FactKind::Currency, currencies.iter().cloned().collect()).await?;
        for currency in &currencies {
            let rates = self
                .bound(format!("{ROWS}{RATES}"))
                .bind::<Text, _>(currency)
                .load(self.conn)
                .await?;
            self.add(rates)?;
        }
        Ok(())
    }

    /// A query with the two versions bound.
    fn bound(&self, query: String) -> BoundVersions {
        diesel::sql_query(query)
            .into_boxed()
            .bind::<BigInt, _>(self.from)
            .bind::<BigInt, _>(self.to)
    }

    /// Reads contacts by their numbers, and notes their currencies: the companies they belonged to.
    async fn contacts(
        &mut self,
        numbers: &BTreeSet<String>,
        currencies: &mut BTreeSet<String>,
    ) -> Result<BTreeSet<String>, ReadError> {
        let mut companies = BTreeSet::new();
        for fact in self.keyed(FactKind::Contact, numbers.iter().cloned().collect()).await? {
            if let Fact::Contact(contact) = fact {
                currencies.extend(contact.currency_code);
                companies.extend(contact.company_number);
            }
        }
        Ok(companies)
    }

    async fn keyed(&mut self, kind: FactKind, keys: Vec<String>) -> Result<Vec<Fact>, ReadError> {
        let query = self.bound(format!("{ROWS}{BY_KEY}"));
        let rows =
            query.bind::<Text, _>(kind.text()).bind::<Array<Text>, _>(keys).load(self.conn).await?;
        self.add(rows)
    }

    /// Notes when each row came and went; gives back what the rows say.
    fn add(&mut self, rows: Vec<Row>) -> Result<Vec<Fact>, ReadError> {
        let mut facts = Vec::with_capacity(rows.len());
        for Row { kind, key, facts: json, from_version, to_version } in rows {
            let fact = read(&kind, &key, &json)?;
            facts.push(fact.clone());
            if let Some(version) = to_version {
                self.note(version, Change::Remove { kind: fact.kind(), key: key.clone() });
            }
            self.note(from_version, Change::Put { key, fact, version: from_version });
        }
        Ok(facts)
    }

    /// Notes a change; what has come before the first version is there in it, and what goes after
    /// the last is none of ours.
    fn note(&mut self, version: i64, change: Change) {
        if version > self.to {
            return;
        }
        let Changes { went, came } = self.changes.entry(version.max(self.from)).or_default();
        match change {
            Change::Remove { .. } | Change::AudienceRemove { .. } => went.push(change),
            Change::Put { .. } | Change::AudienceAdd { .. } => came.push(change),
        }
    }
}

type BoundVersions =
    diesel::query_builder::BoxedSqlQuery<'static, diesel::pg::Pg, diesel::query_builder::SqlQuery>;

/// When accounts joined and left the audiences of campaigns, as changes with the versions that
/// brought them; of all memberships in force in one of the versions from `from` to `to`.
async fn membership(
    conn: &mut AsyncPgConnection,
    campaigns: &[String],
    accounts: &[String],
    from: i64,
    to: i64,
) -> QueryResult<Vec<(i64, Change)>> {
    #[derive(QueryableByName)]
    struct Stretch {
        #[diesel(sql_type = Text)]
        campaign_number: String,
        #[diesel(sql_type = Integer)]
        account: i32,
        #[diesel(sql_type = BigInt)]
        from_version: i64,
        #[diesel(sql_type = Nullable<BigInt>)]
        to_version: Option<i64>,
    }
    // A chunk also ends when others come or go; its successor goes on then.
    let query = "WITH accounts AS (
            SELECT DISTINCT (facts ->> 'ordinal')::integer AS account FROM book_entries
            WHERE kind = 'CONTACT' AND key = ANY($2))
        SELECT campaign_number, account, from_version, to_version FROM accounts
        JOIN book_audience ON campaign_number = ANY($1) AND chunk = account >> 9 AND account = ANY(ordinals)
        WHERE from_version <= $4 AND (to_version IS NULL OR to_version > $3)
        ORDER BY campaign_number, account, from_version";
    let query =
        diesel::sql_query(query).bind::<Array<Text>, _>(campaigns).bind::<Array<Text>, _>(accounts);
    let rows: Vec<Stretch> = query.bind::<BigInt, _>(from).bind::<BigInt, _>(to).load(conn).await?;
    let mut stretches: Vec<Stretch> = Vec::new();
    for row in rows {
        match stretches.last_mut() {
            Some(last)
                if last.campaign_number == row.campaign_number
                    && last.account == row.account
                    && last.to_version == Some(row.from_version) =>
            {
                last.to_version = row.to_version;
            }
            _ => stretches.push(row),
        }
    }
    let mut changes = Vec::new();
    for Stretch { campaign_number: campaign, account, from_version, to_version } in stretches {
        let accounts = audience::ordinals(vec![account]);
        if let Some(version) = to_version {
            let (campaign, accounts) = (campaign.clone(), accounts.clone());
            changes.push((version, Change::AudienceRemove { campaign, accounts }));
        }
        changes.push((from_version, Change::AudienceAdd { campaign, accounts }));
    }
    Ok(changes)
}
