//! The history of the price book for one item and one account.
//!
//! It reads only rows that can affect them, of all versions of a range. Their changes, applied to
//! the empty book one after the other, produce a small snapshot of each version that changed any of
//! them. The resolver uses it like any other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::facts::{Change, Fact, FactKind, SourceFact};
use price_book::snapshot::Snapshot;

use super::audience;
use super::reader::{ReadError, read};
use crate::schema::publications;

/// The item, account and currency of a history.
#[derive(Debug, Clone, Copy)]
pub struct HistoryScope<'a> {
    /// The item.
    pub item_number: &'a str,
    /// The contact. Without one, only lines for all customers are read.
    pub contact_number: Option<&'a str>,
    /// The requested currency. Without one, the currencies of the contact, its account and the
    /// company are read.
    pub currency_code: Option<&'a str>,
}

/// The history's part of the book from a version on.
#[derive(Debug)]
pub struct HistoryStep {
    /// The version.
    pub version: i64,
    /// The time at which the version came into force. `None` for the first step, which was in force
    /// before.
    pub since: Option<DateTime<Utc>>,
    changes: Vec<Change>,
}

impl HistoryStep {
    /// Returns the snapshot of this version. `before` is that of the previous step, or the empty
    /// book for the first step.
    #[must_use]
    pub fn after(&self, before: &Snapshot) -> Snapshot {
        before.advanced(self.version, self.changes.iter().cloned())
    }
}

/// Returns the snapshot after all steps.
#[must_use]
pub fn after_all(steps: &[HistoryStep]) -> Snapshot {
    let version = steps.last().map_or(0, |step| step.version);
    Snapshot::empty().advanced(version, steps.iter().flat_map(|step| step.changes.iter().cloned()))
}

/// Returns the version that was in force at a time, or 0 before the first version.
///
/// # Errors
/// If the database fails.
pub async fn version_at(conn: &mut AsyncPgConnection, instant: DateTime<Utc>) -> QueryResult<i64> {
    let published = publications::table.filter(publications::published_at.le(instant));
    let newest = published.order((publications::published_at.desc(), publications::version.desc()));
    newest.select(publications::version).first(conn).await.optional().map(Option::unwrap_or_default)
}

/// Returns the steps of a history: the version `from`, then each later version up to `to` that
/// changed a relevant row.
///
/// # Errors
/// If the database fails, or a row is not readable by this build.
pub async fn steps(
    conn: &mut AsyncPgConnection,
    scope: HistoryScope<'_>,
    from: i64,
    to: i64,
) -> Result<Vec<HistoryStep>, ReadError> {
    let mut reader = HistoryReader { conn, from, to, changes: BTreeMap::new() };
    reader.read(scope).await?;
    let HistoryReader { conn, changes, .. } = reader;
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
            // Versions stay in order even if a clock was set back.
            since = since.max(instants.get(&version).copied());
        }
        HistoryStep {
            version,
            since,
            changes: changes.removed.into_iter().chain(changes.added).collect(),
        }
    };
    Ok(changes.into_iter().map(step).collect())
}

/// The changes of a version. Removals come first, because a successor has its predecessor's key.
#[derive(Debug, Default)]
struct Changes {
    removed: Vec<Change>,
    added: Vec<Change>,
}

/// Reads the rows of a history.
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

/// Selects rows that were in force in one of the versions from `$1` to `$2`.
const ROWS: &str =
    "SELECT kind, key, facts::text, from_version, to_version FROM book_entries AS entry
    WHERE from_version <= $2 AND (to_version IS NULL OR to_version > $1) AND ";

/// Restricts rows to a kind (`$3`) and to keys (`$4`).
const BY_KEY: &str = "kind = $3 AND key = ANY($4)";

/// Restricts rows to the exchange rates of a currency (`$3`). The key has `|` after the currency
/// code, and `}` is the next character.
const RATES: &str = "kind = 'EXCHANGE_RATE' AND key > $3 || '|' AND key < $3 || '}'";

/// Restricts rows to lines that are granted to one of the accounts (`$3`), or to several accounts.
/// A line for a contact counts for the contact's company, which is looked up by the line's contact.
/// With EXISTS the planner would read all contacts.
const GRANTED: &str = "kind IN ('PRICE_LINE', 'DISCOUNT_LINE')
    AND (facts -> 'source' ->> 'type' <> 'CONTACT'
        OR facts -> 'source' ->> 'contactNumber' = ANY($3)
        OR (SELECT bool_or(person.facts ->> 'companyNumber' = ANY($3))
            FROM book_entries AS person
            WHERE person.kind = 'CONTACT'
                AND person.key = entry.facts -> 'source' ->> 'contactNumber'))";

/// Restricts these lines to those of an item (`$4`).
const OF_ITEM: &str = " AND facts ->> 'itemNumber' = $4";

/// Restricts these lines to those of item discount groups (`$4`) and for all items.
const OF_GROUPS: &str = " AND facts ->> 'itemNumber' IS NULL
    AND (facts ->> 'itemDiscountGroupCode' IS NULL OR facts ->> 'itemDiscountGroupCode' = ANY($4))";

impl HistoryReader<'_> {
    async fn read(&mut self, scope: HistoryScope<'_>) -> Result<(), ReadError> {
        // The first step exists even if it has no changes.
        self.changes.entry(self.from).or_default();
        let mut currencies: BTreeSet<String> =
            scope.currency_code.map(str::to_owned).into_iter().collect();
        for fact in self.read_by_key(FactKind::Settings, vec![String::new()]).await? {
            if let Fact::Settings(settings) = fact {
                currencies
                    .extend(scope.currency_code.is_none().then_some(settings.local_currency_code));
            }
        }
        let mut groups = BTreeSet::new();
        for fact in self.read_by_key(FactKind::Item, vec![scope.item_number.to_owned()]).await? {
            if let Fact::Item(item) = fact {
                groups.extend(item.item_discount_group_code);
            }
        }
        let contacts: BTreeSet<String> =
            scope.contact_number.map(str::to_owned).into_iter().collect();
        let companies = self.contacts(&contacts, &mut currencies).await?;
        self.contacts(&(&companies - &contacts), &mut currencies).await?;
        let accounts: Vec<String> = contacts.union(&companies).cloned().collect();

        let groups: Vec<String> = groups.into_iter().collect();
        let granted = |which: &str| format!("{ROWS}{GRANTED}{which}");
        let of_item = self
            .bound(granted(OF_ITEM))
            .bind::<Array<Text>, _>(&accounts)
            .bind::<Text, _>(scope.item_number);
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
        self.read_by_key(FactKind::Contact, persons.into_iter().collect()).await?;
        let campaigns: Vec<String> = campaigns.into_iter().collect();
        self.read_by_key(FactKind::Campaign, campaigns.clone()).await?;
        for (version, change) in
            audience_changes(self.conn, &campaigns, &accounts, self.from, self.to).await?
        {
            self.record(version, change);
        }
        self.read_by_key(FactKind::Currency, currencies.iter().cloned().collect()).await?;
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

    /// Returns a query with both versions bound.
    fn bound(&self, query: String) -> BoundVersions {
        diesel::sql_query(query)
            .into_boxed()
            .bind::<BigInt, _>(self.from)
            .bind::<BigInt, _>(self.to)
    }

    /// Reads contacts by number and collects their currencies. Returns the companies that they
    /// belonged to.
    async fn contacts(
        &mut self,
        numbers: &BTreeSet<String>,
        currencies: &mut BTreeSet<String>,
    ) -> Result<BTreeSet<String>, ReadError> {
        let mut companies = BTreeSet::new();
        for fact in self.read_by_key(FactKind::Contact, numbers.iter().cloned().collect()).await? {
            if let Fact::Contact(contact) = fact {
                currencies.extend(contact.currency_code);
                companies.extend(contact.company_number);
            }
        }
        Ok(companies)
    }

    async fn read_by_key(
        &mut self,
        kind: FactKind,
        keys: Vec<String>,
    ) -> Result<Vec<Fact>, ReadError> {
        let query = self.bound(format!("{ROWS}{BY_KEY}"));
        let rows =
            query.bind::<Text, _>(kind.text()).bind::<Array<Text>, _>(keys).load(self.conn).await?;
        self.add(rows)
    }

    /// Records the versions in which each row began and ended. Returns the facts of the rows.
    fn add(&mut self, rows: Vec<Row>) -> Result<Vec<Fact>, ReadError> {
        let mut facts = Vec::with_capacity(rows.len());
        for Row { kind, key, facts: json, from_version, to_version } in rows {
            let fact = read(&kind, &key, &json)?;
            facts.push(fact.clone());
            if let Some(version) = to_version {
                self.record(version, Change::Remove { kind: fact.kind(), key: key.clone() });
            }
            self.record(from_version, Change::Put { key, fact, version: from_version });
        }
        Ok(facts)
    }

    /// Records a change. Changes before the first version count as part of it, and those after the
    /// last version are ignored.
    fn record(&mut self, version: i64, change: Change) {
        if version > self.to {
            return;
        }
        let Changes { removed, added } = self.changes.entry(version.max(self.from)).or_default();
        match change {
            Change::Remove { .. } | Change::AudienceRemove { .. } => removed.push(change),
            Change::Put { .. } | Change::AudienceAdd { .. } => added.push(change),
        }
    }
}

type BoundVersions =
    diesel::query_builder::BoxedSqlQuery<'static, diesel::pg::Pg, diesel::query_builder::SqlQuery>;

/// Returns the changes by which accounts joined and left the audiences of campaigns, with their
/// versions. It includes all memberships in force in one of the versions from `from` to `to`.
async fn audience_changes(
    conn: &mut AsyncPgConnection,
    campaigns: &[String],
    accounts: &[String],
    from: i64,
    to: i64,
) -> QueryResult<Vec<(i64, Change)>> {
    #[derive(QueryableByName)]
    struct Membership {
        #[diesel(sql_type = Text)]
        campaign_number: String,
        #[diesel(sql_type = Integer)]
        account: i32,
        #[diesel(sql_type = BigInt)]
        from_version: i64,
        #[diesel(sql_type = Nullable<BigInt>)]
        to_version: Option<i64>,
    }
    // A chunk also ends when other accounts join or leave. Its successor then continues the
    // membership.
    let query = "WITH accounts AS (
            SELECT DISTINCT (facts ->> 'ordinal')::integer AS account FROM book_entries
            WHERE kind = 'CONTACT' AND key = ANY($2))
        SELECT campaign_number, account, from_version, to_version FROM accounts
        JOIN book_audience ON campaign_number = ANY($1) AND chunk = account >> 9
            AND account = ANY(ordinals)
        WHERE from_version <= $4 AND (to_version IS NULL OR to_version > $3)
        ORDER BY campaign_number, account, from_version";
    let query =
        diesel::sql_query(query).bind::<Array<Text>, _>(campaigns).bind::<Array<Text>, _>(accounts);
    let rows: Vec<Membership> =
        query.bind::<BigInt, _>(from).bind::<BigInt, _>(to).load(conn).await?;
    let mut memberships: Vec<Membership> = Vec::new();
    for row in rows {
        match memberships.last_mut() {
            Some(last)
                if last.campaign_number == row.campaign_number
                    && last.account == row.account
                    && last.to_version == Some(row.from_version) =>
            {
                last.to_version = row.to_version;
            }
            _ => memberships.push(row),
        }
    }
    let mut changes = Vec::new();
    for Membership { campaign_number: campaign, account, from_version, to_version } in memberships {
        let accounts = audience::ordinals(vec![account]);
        if let Some(version) = to_version {
            let (campaign, accounts) = (campaign.clone(), accounts.clone());
            changes.push((version, Change::AudienceRemove { campaign, accounts }));
        }
        changes.push((from_version, Change::AudienceAdd { campaign, accounts }));
    }
    Ok(changes)
}
