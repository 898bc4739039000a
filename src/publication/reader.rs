//! Reads the rows of the book as changes from one version to another. Only the end version of a row
//! is ever updated, and versions commit in order. So a version always reads the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use diesel::prelude::*;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use price_book::facts::{Change, DiscountLineFact, Fact, FactKind, ItemFact, PriceLineFact};
use price_book::snapshot::Snapshot;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::difference::Entry;
use super::line_drafts::{self, LineSelection};
pub use super::read_error::ReadError;
use super::read_error::unreadable;
use super::{audience, facts_sql};
use crate::schema::book;

/// The number of rows after which other tasks of the thread run: a few hundred microseconds.
const ROWS_BETWEEN_YIELDS: usize = 100;

/// The queries for the changes from version `$1` to version `$2`.
struct Step {
    /// Selects the facts in force at `$2` that are not in force at `$1`.
    came: &'static str,
    /// Selects the facts in force at `$1` that have no successor at `$2`.
    went: &'static str,
    /// Selects the chunks of audiences that differ, as they are at `$2` and at `$1`.
    chunks: &'static str,
}

/// Builds a step from three conditions. `$came` selects rows in force only at `$2`, `$went` rows in
/// force only at `$1`. `$next` selects the row `next` of the same fact at `$2`. It restricts the
/// versions of `next` where it can, so that not all rows of the fact are read.
macro_rules! step {
    (came: $came:literal, went: $went:literal, next: $next:literal) => {
        Step {
            came: concat!(
                "SELECT kind, key, facts::text, from_version FROM book_entries WHERE ",
                $came
            ),
            went: concat!(
                "SELECT kind, key FROM book_entries AS gone WHERE ",
                $went,
                " AND NOT EXISTS (SELECT FROM book_entries AS next
                    WHERE next.kind = gone.kind AND next.key = gone.key AND ",
                $next,
                ")"
            ),
            chunks: concat!(
                "SELECT coalesce(came.campaign_number, went.campaign_number) AS campaign_number,
                    coalesce(came.ordinals, '{}') AS came, coalesce(went.ordinals, '{}') AS went
                FROM (SELECT * FROM book_audience WHERE ",
                $came,
                ") AS came FULL JOIN (SELECT * FROM book_audience WHERE ",
                $went,
                ") AS went ON went.campaign_number = came.campaign_number
                    AND went.chunk = came.chunk"
            ),
        }
    };
}

/// To a later version: new rows begin after `$1`, old rows end after it.
const FORWARD: Step = step! {
    came: "from_version > $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)",
    went: "to_version > $1 AND to_version <= $2 AND from_version <= $1",
    next: "next.from_version >= gone.to_version AND next.from_version <= $2
        AND (next.to_version IS NULL OR next.to_version > $2)"
};

/// To an earlier version: rows to restore have ended since, rows to remove have begun since.
const BACKWARD: Step = step! {
    came: "to_version > $2 AND to_version <= $1 AND from_version <= $2",
    went: "from_version > $2 AND from_version <= $1 AND (to_version IS NULL OR to_version > $1)",
    next: "next.from_version <= $2 AND next.to_version > $2"
};

#[derive(QueryableByName)]
struct Came {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    facts: String,
    #[diesel(sql_type = BigInt)]
    from_version: i64,
}

#[derive(QueryableByName)]
struct Went {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
}

#[derive(QueryableByName)]
struct Chunk {
    #[diesel(sql_type = Text)]
    campaign_number: String,
    #[diesel(sql_type = Array<Integer>)]
    came: Vec<i32>,
    #[diesel(sql_type = Array<Integer>)]
    went: Vec<i32>,
}

/// Returns the newest version, and the identity of its history.
pub(crate) async fn latest(conn: &mut AsyncPgConnection) -> QueryResult<(i64, Uuid)> {
    book::table.select((book::version, book::book_id)).first(conn).await
}

/// The fingerprints that distinguish histories with the same versions, as after a restore from a
/// backup.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Fingerprints {
    /// The identity of the history.
    #[diesel(sql_type = SqlUuid)]
    pub book_id: Uuid,
    /// The newest version.
    #[diesel(sql_type = BigInt)]
    pub latest: i64,
    /// The publication time and hash of the newest version.
    #[diesel(sql_type = Nullable<Text>)]
    pub of_latest: Option<String>,
    /// The same for the requested version.
    #[diesel(sql_type = Nullable<Text>)]
    pub of_known: Option<String>,
}

/// Returns the newest version, with its fingerprint and that of a known version.
pub async fn fingerprints(conn: &mut AsyncPgConnection, known: i64) -> QueryResult<Fingerprints> {
    let query = "SELECT book.book_id, book.version AS latest,
            extract(epoch FROM newest.published_at) || ' ' || newest.content_hash AS of_latest,
            extract(epoch FROM known.published_at) || ' ' || known.content_hash AS of_known
        FROM book LEFT JOIN publications AS newest ON newest.version = book.version
        LEFT JOIN publications AS known ON known.version = $1";
    diesel::sql_query(query).bind::<BigInt, _>(known).get_result(conn).await
}

/// Passes the changes from one version to another to `apply`, as they arrive from the database.
/// `to` can be the earlier version. From 0 on they are the whole book. Their number is that of the
/// differences between the two versions. `apply` returns the pause that follows the change.
///
/// # Errors
/// If the database fails, or a row is not readable by this build.
pub async fn changes(
    conn: &mut AsyncPgConnection,
    from: i64,
    to: i64,
    mut apply: impl FnMut(Change) -> Duration,
) -> Result<(), ReadError> {
    let step = if from <= to { FORWARD } else { BACKWARD };
    let mut throttle = Throttle::default();
    let range = |query: &'static str| {
        diesel::sql_query(query).bind::<BigInt, _>(from).bind::<BigInt, _>(to)
    };
    if from > 0 {
        for Went { kind, key } in range(step.went).load(conn).await? {
            let kind = known(&kind, &key)?;
            throttle.pause(apply(Change::Remove { kind, key })).await;
        }
    }
    let mut rows = range(step.came).load_stream::<Came>(conn).await?;
    while let Some(Came { kind, key, facts, from_version }) = rows.try_next().await? {
        let fact = read(&kind, &key, &facts)?;
        throttle.pause(apply(Change::Put { key, fact, version: from_version })).await;
    }
    drop(rows);
    let mut audiences: BTreeMap<String, (RoaringBitmap, RoaringBitmap)> = BTreeMap::new();
    let mut chunks = range(step.chunks).load_stream::<Chunk>(conn).await?;
    while let Some(Chunk { campaign_number, came, went }) = chunks.try_next().await? {
        let (came, went) = (audience::ordinals(came), audience::ordinals(went));
        let (joined, left) = audiences.entry(campaign_number).or_default();
        *joined |= &came - &went;
        *left |= went - came;
    }
    for (campaign, (joined, left)) in audiences {
        throttle
            .pause(apply(Change::AudienceRemove { campaign: campaign.clone(), accounts: left }))
            .await;
        throttle.pause(apply(Change::AudienceAdd { campaign, accounts: joined })).await;
    }
    Ok(())
}

/// Yields to other tasks: after each row for the requested pause, and regularly in any case.
/// Buffered rows are read without waiting, and a replay of an early version reads most of the book.
#[derive(Default)]
struct Throttle {
    rows: usize,
}

impl Throttle {
    async fn pause(&mut self, time: Duration) {
        self.rows = self.rows.saturating_add(1);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        } else if self.rows.is_multiple_of(ROWS_BETWEEN_YIELDS) {
            tokio::task::yield_now().await;
        }
    }
}

fn known(kind: &str, key: &str) -> Result<FactKind, ReadError> {
    kind.parse().map_err(|error: price_book::facts::UnknownKind| unreadable(kind, key, &error))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Nullable<Text>)]
    campaign_number: Option<String>,
    #[diesel(sql_type = Text)]
    facts: String,
}

impl Row {
    fn entry(self) -> Result<Entry, ReadError> {
        let kind = known(&self.kind, &self.key)?;
        Ok(Entry { kind, key: self.key, campaign_number: self.campaign_number, facts: self.facts })
    }
}

/// Returns the query for the rows of the book that fulfil a condition.
fn current(condition: &str) -> SqlQuery {
    diesel::sql_query(format!(
        "SELECT kind, key, campaign_number, facts::text FROM book_entries WHERE {condition}"
    ))
}

/// Converts rows of the book, or of the drafts.
async fn entries(
    rows: impl Future<Output = QueryResult<Vec<Row>>>,
) -> Result<Vec<Entry>, ReadError> {
    rows.await?.into_iter().map(Row::entry).collect()
}

impl Entry {
    /// Returns the fact of the row.
    ///
    /// # Errors
    /// If the row is not readable by this build.
    pub fn fact(&self) -> Result<Fact, ReadError> {
        Fact::from_text(self.kind, &self.facts)
            .map_err(|error| unreadable(self.kind.text(), &self.key, &error))
    }
}

/// A selection of a campaign's lines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lines<'a> {
    /// All lines, and the campaign's dates.
    All,
    /// The lines with these ids.
    These(&'a BTreeSet<Uuid>),
}

/// Rows built from the drafts, with the facts of the lines among them.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    /// The rows.
    pub entries: Vec<Entry>,
    /// The price lines, with their keys.
    pub prices: Vec<(String, PriceLineFact)>,
    /// The discount lines, with their keys.
    pub discounts: Vec<(String, DiscountLineFact)>,
}

impl Drafted {
    async fn lines(
        conn: &mut AsyncPgConnection,
        which: LineSelection<'_>,
    ) -> Result<Self, ReadError> {
        let mut drafted = Self::default();
        for (entry, fact) in line_drafts::prices(conn, which).await? {
            drafted.prices.push((entry.key.clone(), fact));
            drafted.entries.push(entry);
        }
        for (entry, fact) in line_drafts::discounts(conn, which).await? {
            drafted.discounts.push((entry.key.clone(), fact));
            drafted.entries.push(entry);
        }
        Ok(drafted)
    }
}

/// Returns the rows of a campaign, built from the drafts.
pub(crate) async fn campaign_in_draft(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    lines: Lines<'_>,
) -> Result<Drafted, ReadError> {
    match lines {
        Lines::All => {
            let mut drafted = Drafted::lines(conn, LineSelection::OfCampaign(campaign)).await?;
            let dates = standing_in_draft(conn, FactKind::Campaign, &[campaign.to_owned()]).await?;
            drafted.entries.extend(dates);
            Ok(drafted)
        }
        Lines::These(ids) => {
            let ids: Vec<Uuid> = ids.iter().copied().collect();
            Drafted::lines(conn, LineSelection::These(campaign, &ids)).await
        }
    }
}

/// Returns the draft lines of a campaign that can duplicate some of its lines: those for the same
/// items, groups, or for all items.
pub(crate) async fn lines_beside(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    ids: &BTreeSet<Uuid>,
) -> Result<Drafted, ReadError> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    Drafted::lines(conn, LineSelection::SameTargets(campaign, &ids)).await
}

/// Returns lines in force with another source that are to become lines of the campaign. If `book`
/// is current, only lines that it contains are queried: none for a new campaign.
pub(crate) async fn elsewhere_in_force(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    desired: &[Entry],
    book: Option<&Snapshot>,
) -> Result<Vec<Entry>, ReadError> {
    let may_count =
        |key: &str| book.is_none_or(|book| key.parse().is_ok_and(|id| book.has_line(id)));
    let mut found = Vec::new();
    for kind in [FactKind::PriceLine, FactKind::DiscountLine] {
        let keys =
            desired.iter().filter(|entry| entry.kind == kind).map(|entry| entry.key.as_str());
        let keys: Vec<&str> = keys.filter(|key| may_count(key)).collect();
        if !keys.is_empty() {
            let moved = current(
                "to_version IS NULL AND kind = $2 AND key = ANY($3)
                    AND campaign_number IS DISTINCT FROM $1",
            );
            let moved = moved
                .bind::<Text, _>(campaign)
                .bind::<Text, _>(kind.text())
                .bind::<Array<Text>, _>(keys);
            found.extend(entries(moved.load(conn)).await?);
        }
    }
    Ok(found)
}

/// Returns the rows in force of a campaign, and those of other sources that are to become its own.
pub(crate) async fn campaign_in_force(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    lines: Lines<'_>,
    desired: &[Entry],
    book: Option<&Snapshot>,
) -> Result<Vec<Entry>, ReadError> {
    let mut found = elsewhere_in_force(conn, campaign, desired, book).await?;
    found.extend(match lines {
        Lines::All => {
            let own = current("to_version IS NULL AND campaign_number = $1");
            entries(own.bind::<Text, _>(campaign).load(conn)).await?
        }
        Lines::These(ids) => {
            let some = current(
                "to_version IS NULL AND campaign_number = $1
                    AND kind IN ('PRICE_LINE', 'DISCOUNT_LINE') AND key = ANY($2)",
            );
            let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            entries(some.bind::<Text, _>(campaign).bind::<Array<Text>, _>(ids).load(conn)).await?
        }
    });
    Ok(found)
}

/// Returns the rows of a campaign that were in force at a version.
pub(super) async fn campaign_as_of(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    version: i64,
) -> Result<Vec<Entry>, ReadError> {
    let then = current(
        "campaign_number = $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)",
    );
    entries(then.bind::<Text, _>(campaign).bind::<BigInt, _>(version).load(conn)).await
}

/// Returns facts of one kind, built from the drafts. Lines are only included if they belong to no
/// campaign.
pub(super) async fn standing_in_draft(
    conn: &mut AsyncPgConnection,
    kind: FactKind,
    keys: &[String],
) -> Result<Vec<Entry>, ReadError> {
    let Some(facts) = facts_sql::of(kind) else {
        let ids: Vec<Uuid> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let which = LineSelection::Standing(&ids);
        return Ok(if kind == FactKind::PriceLine {
            line_drafts::prices(conn, which).await?.into_iter().map(|(entry, _)| entry).collect()
        } else {
            line_drafts::discounts(conn, which).await?.into_iter().map(|(entry, _)| entry).collect()
        });
    };
    let query =
        format!("SELECT $2 AS kind, key, campaign_number, facts::text FROM ({facts}) AS facts");
    let query = diesel::sql_query(query).bind::<Array<Text>, _>(keys).bind::<Text, _>(kind.text());
    entries(query.load(conn)).await
}

/// Returns facts of one kind that are in force, in a campaign or not.
pub(super) async fn standing_in_force(
    conn: &mut AsyncPgConnection,
    kind: FactKind,
    keys: &[String],
) -> Result<Vec<Entry>, ReadError> {
    // The rates of a currency have the date after the currency code in their key.
    let concerned = if kind == FactKind::ExchangeRate {
        "split_part(key, '|', 1) = ANY($1)"
    } else {
        "key = ANY($1)"
    };
    let query = current(&format!("kind = $2 AND to_version IS NULL AND {concerned}"));
    let query = query.bind::<Array<Text>, _>(keys).bind::<Text, _>(kind.text());
    entries(query.load(conn)).await
}

/// Returns the items in force, by number. Items are published in the transaction that changes them,
/// so these are the drafts as well.
pub(crate) async fn items_in_force(
    conn: &mut AsyncPgConnection,
    numbers: &BTreeSet<String>,
) -> Result<HashMap<String, ItemFact>, ReadError> {
    let numbers: Vec<String> = numbers.iter().cloned().collect();
    let mut items = HashMap::new();
    for entry in standing_in_force(conn, FactKind::Item, &numbers).await? {
        if let Fact::Item(item) = entry.fact()? {
            items.insert(entry.key, item);
        }
    }
    Ok(items)
}

/// Parses a row of the book.
pub(super) fn read(kind: &str, key: &str, facts: &str) -> Result<Fact, ReadError> {
    Fact::from_text(known(kind, key)?, facts).map_err(|error| unreadable(kind, key, &error))
}
