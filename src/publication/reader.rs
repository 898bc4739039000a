//! Reads the book's rows as the changes from one version to a later one. Rows are never changed but
//! for the version they end with, and versions commit in their order, so what is read for a version
//! is the same whenever it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use diesel::prelude::*;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::difference::Entry;
use super::facts::{Change, DiscountLineFact, Fact, FactKind, ItemFact, PriceLineFact};
use super::line_drafts::{self, Which};
use super::snapshot::Snapshot;
use super::{audience, facts_sql};
use crate::platform::db::schema::book;
use crate::platform::http::problem::Problem;

/// Rows after which other tasks of the thread have their turn: some hundred microseconds.
const ROWS_BETWEEN_YIELDS: usize = 100;

/// A step from one version to another, in four queries of which `$1` is the version one comes from
/// and `$2` the one one goes to.
struct Step {
    /// The facts in force at `$2` that are not at `$1`.
    came: &'static str,
    /// The facts in force at `$1` of which nothing is at `$2`.
    went: &'static str,
    /// The chunks of audiences that are otherwise at `$2`, as they are there and as they are at
    /// `$1`.
    chunks: &'static str,
}

/// The step of which `$came` holds for the rows that are in force at `$2` only, and `$went` for
/// those that are at `$1` only; `$next` holds for a row `next` of the same fact that is in force at
/// `$2`; where it can, it says on which side of the row that went that one lies, so that not all
/// there ever were are looked at.
macro_rules! step {
    (came: $came:literal, went: $went:literal, next: $next:literal) => {
        Step {
            came: concat!("SELECT kind, key, facts::text, from_version FROM book_entries WHERE ", $came),
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
                ") AS went ON went.campaign_number = came.campaign_number AND went.chunk = came.chunk"
            ),
        }
    };
}

/// To a later version: what came begins after `$1`, what went ends after it.
const FORWARD: Step = step! {
    came: "from_version > $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)",
    went: "to_version > $1 AND to_version <= $2 AND from_version <= $1",
    next: "next.from_version >= gone.to_version AND next.from_version <= $2
        AND (next.to_version IS NULL OR next.to_version > $2)"
};

/// To an earlier version: what comes back has ended since, what goes has begun since.
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

/// Why the book could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database failed.
    #[error("the price book could not be read: {0}")]
    Database(#[from] diesel::result::Error),
    /// A row is not of this build's making.
    #[error("the price book holds {kind} {key}, which this build cannot read: {cause}")]
    Unknown {
        /// The row's kind.
        kind: String,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error) => error.into(),
            error @ ReadError::Unknown { .. } => Self::internal(error),
        }
    }
}

/// The newest version.
pub(crate) async fn latest(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    book::table.select(book::version).first(conn).await
}

/// What tells one history of the book from another that has the same versions, as after a restore
/// from a backup.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(super) struct Fingerprints {
    /// The newest version.
    #[diesel(sql_type = BigInt)]
    pub latest: i64,
    /// When the newest version was published, and its hash.
    #[diesel(sql_type = Nullable<Text>)]
    pub of_latest: Option<String>,
    /// The same of the version that was asked for.
    #[diesel(sql_type = Nullable<Text>)]
    pub of_known: Option<String>,
}

/// The newest version, and the marks of it and of a version that is known already.
pub(super) async fn fingerprints(
    conn: &mut AsyncPgConnection,
    known: i64,
) -> QueryResult<Fingerprints> {
    let query = "SELECT book.version AS latest, extract(epoch FROM newest.published_at) || ' ' || newest.content_hash AS of_latest,
            extract(epoch FROM known.published_at) || ' ' || known.content_hash AS of_known
        FROM book LEFT JOIN publications AS newest ON newest.version = book.version
        LEFT JOIN publications AS known ON known.version = $1";
    diesel::sql_query(query).bind::<BigInt, _>(known).get_result(conn).await
}

/// Hands out the changes that lead from one version to another, which may be an earlier one, as
/// they come from the database. From 0 on: the whole book. Their number is that of the differences
/// between the two. Whoever takes a change says how long to rest then.
///
/// # Errors
/// When the database fails, or a row is not of this build's making.
pub(super) async fn changes(
    conn: &mut AsyncPgConnection,
    from: i64,
    to: i64,
    mut take: impl FnMut(Change) -> Duration,
) -> Result<(), ReadError> {
    let step = if from <= to { FORWARD } else { BACKWARD };
    let mut pace = Pace::default();
    let range = |query: &'static str| {
        diesel::sql_query(query).bind::<BigInt, _>(from).bind::<BigInt, _>(to)
    };
    if from > 0 {
        for Went { kind, key } in range(step.went).load(conn).await? {
            let kind = known(&kind, &key)?;
            pace.rest(take(Change::Remove { kind, key })).await;
        }
    }
    let mut rows = range(step.came).load_stream::<Came>(conn).await?;
    while let Some(Came { kind, key, facts, from_version }) = rows.try_next().await? {
        let fact = read(&kind, &key, &facts)?;
        pace.rest(take(Change::Put { key, fact, version: from_version })).await;
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
        pace.rest(take(Change::AudienceRemove { campaign: campaign.clone(), accounts: left }))
            .await;
        pace.rest(take(Change::AudienceAdd { campaign, accounts: joined })).await;
    }
    Ok(())
}

/// Lets others go on: after each row for as long as its taker says, and from time to time in any
/// case. Rows that have arrived are read without a pause, and a replay of an early version reads
/// most of the book.
#[derive(Default)]
struct Pace {
    rows: usize,
}

impl Pace {
    async fn rest(&mut self, time: Duration) {
        self.rows = self.rows.saturating_add(1);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        } else if self.rows.is_multiple_of(ROWS_BETWEEN_YIELDS) {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn unreadable(kind: &str, key: &str, cause: &impl ToString) -> ReadError {
    ReadError::Unknown { kind: kind.to_owned(), key: key.to_owned(), cause: cause.to_string() }
}

fn known(kind: &str, key: &str) -> Result<FactKind, ReadError> {
    kind.parse().map_err(|error: super::facts::UnknownKind| unreadable(kind, key, &error))
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

/// The question for the rows of the book that a condition leaves.
fn current(condition: &str) -> SqlQuery {
    diesel::sql_query(format!(
        "SELECT kind, key, campaign_number, facts::text FROM book_entries WHERE {condition}"
    ))
}

/// Rows of the book, or of what it is to carry.
async fn entries(
    rows: impl Future<Output = QueryResult<Vec<Row>>>,
) -> Result<Vec<Entry>, ReadError> {
    rows.await?.into_iter().map(Row::entry).collect()
}

impl Entry {
    /// The facts of the row.
    ///
    /// # Errors
    /// When they are not of this build's making.
    pub fn fact(&self) -> Result<Fact, ReadError> {
        Fact::from_text(self.kind, &self.facts)
            .map_err(|error| unreadable(self.kind.text(), &self.key, &error))
    }
}

/// Which lines of a campaign.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lines<'a> {
    /// All, and its dates.
    All,
    /// Some, by their ids.
    These(&'a BTreeSet<Uuid>),
}

/// Rows as the drafts say, with the facts of the lines among them.
#[derive(Debug, Default)]
pub(crate) struct Drafted {
    /// The rows.
    pub entries: Vec<Entry>,
    /// The price lines by their keys.
    pub prices: Vec<(String, PriceLineFact)>,
    /// The discount lines by their keys.
    pub discounts: Vec<(String, DiscountLineFact)>,
}

impl Drafted {
    async fn lines(conn: &mut AsyncPgConnection, which: Which<'_>) -> Result<Self, ReadError> {
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

/// What is to count of a campaign, as the drafts say.
pub(crate) async fn campaign_in_draft(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    lines: Lines<'_>,
) -> Result<Drafted, ReadError> {
    match lines {
        Lines::All => {
            let mut drafted = Drafted::lines(conn, Which::OfCampaign(campaign)).await?;
            let dates = standing_in_draft(conn, FactKind::Campaign, &[campaign.to_owned()]).await?;
            drafted.entries.extend(dates);
            Ok(drafted)
        }
        Lines::These(ids) => {
            let ids: Vec<Uuid> = ids.iter().copied().collect();
            Drafted::lines(conn, Which::These(campaign, &ids)).await
        }
    }
}

/// The lines of a campaign in draft that may be alike to some of its lines: those of the same items
/// or groups, or for all items.
pub(crate) async fn lines_beside(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    ids: &BTreeSet<Uuid>,
) -> Result<Drafted, ReadError> {
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    Drafted::lines(conn, Which::Beside(campaign, &ids)).await
}

/// Lines that are to be a campaign's own but count for somebody else. With a copy of the book that
/// is up to date, only those are asked for that it has: of a campaign that is new, none.
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
                "to_version IS NULL AND kind = $2 AND key = ANY($3) AND campaign_number IS DISTINCT FROM $1",
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

/// What counts of a campaign, and of lines that are to be its own but count for somebody else.
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
                "to_version IS NULL AND campaign_number = $1 AND kind IN ('PRICE_LINE', 'DISCOUNT_LINE')
                    AND key = ANY($2)",
            );
            let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            entries(some.bind::<Text, _>(campaign).bind::<Array<Text>, _>(ids).load(conn)).await?
        }
    });
    Ok(found)
}

/// What counted of a campaign as of a version.
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

/// Facts of one kind, as the drafts say; lines only if they belong to no campaign.
pub(super) async fn standing_in_draft(
    conn: &mut AsyncPgConnection,
    kind: FactKind,
    keys: &[String],
) -> Result<Vec<Entry>, ReadError> {
    let Some(facts) = facts_sql::of(kind) else {
        let ids: Vec<Uuid> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        let which = Which::Standing(&ids);
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

/// Facts of one kind that count, whether they belong to a campaign or not.
pub(super) async fn standing_in_force(
    conn: &mut AsyncPgConnection,
    kind: FactKind,
    keys: &[String],
) -> Result<Vec<Entry>, ReadError> {
    // A currency's rates are told apart by the date behind its code.
    let concerned = if kind == FactKind::ExchangeRate {
        "split_part(key, '|', 1) = ANY($1)"
    } else {
        "key = ANY($1)"
    };
    let query = current(&format!("kind = $2 AND to_version IS NULL AND {concerned}"));
    let query = query.bind::<Array<Text>, _>(keys).bind::<Text, _>(kind.text());
    entries(query.load(conn)).await
}

/// The items that count, by their numbers. Items reach the book in the transaction that changes
/// them, so these are the drafts too.
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

/// What a row of the book says.
pub(super) fn read(kind: &str, key: &str, facts: &str) -> Result<Fact, ReadError> {
    Fact::from_text(known(kind, key)?, facts).map_err(|error| unreadable(kind, key, &error))
}
