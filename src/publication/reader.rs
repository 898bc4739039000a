//! Reads the book's rows as the changes from one version to a later one. Rows are never changed but for the version they end
//! with, and versions commit in their order, so what is read for a version is the same whenever it is read.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use serde_json::Value;

use super::facts::{Change, Fact, FactKind, ItemFact};
use super::facts_sql;
use crate::platform::db::schema::book;
use crate::platform::http::problem::Problem;

/// A step from one version to another, in four queries of which `$1` is the version one comes from and `$2` the one one goes to.
struct Step {
    /// The facts in force at `$2` that are not at `$1`.
    came: &'static str,
    /// The facts in force at `$1` of which nothing is at `$2`.
    went: &'static str,
    /// The accounts in an audience at `$2` that are not at `$1`.
    joined: &'static str,
    /// The accounts in an audience at `$1` that are not at `$2`.
    left: &'static str,
}

/// To a later version: what came begins after `$1`, what went ends after it.
const FORWARD: Step = Step {
    came: "SELECT kind, key, facts, from_version FROM book_entries
        WHERE from_version > $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)",
    went: "SELECT kind, key FROM book_entries AS gone
        WHERE to_version > $1 AND to_version <= $2 AND from_version <= $1
            AND NOT EXISTS (SELECT FROM book_entries AS next
                WHERE next.kind = gone.kind AND next.key = gone.key
                    AND next.from_version <= $2 AND (next.to_version IS NULL OR next.to_version > $2))",
    joined: "SELECT campaign_number, array_agg(account_number) AS accounts FROM book_audience
        WHERE from_version > $1 AND from_version <= $2 AND (to_version IS NULL OR to_version > $2)
        GROUP BY campaign_number",
    left: "SELECT campaign_number, array_agg(account_number) AS accounts FROM book_audience AS gone
        WHERE to_version > $1 AND to_version <= $2 AND from_version <= $1
            AND NOT EXISTS (SELECT FROM book_audience AS next
                WHERE next.campaign_number = gone.campaign_number AND next.account_number = gone.account_number
                    AND next.from_version <= $2 AND (next.to_version IS NULL OR next.to_version > $2))
        GROUP BY campaign_number",
};

/// To an earlier version: what comes back has ended since, what goes has begun since.
const BACKWARD: Step = Step {
    came: "SELECT kind, key, facts, from_version FROM book_entries
        WHERE to_version > $2 AND to_version <= $1 AND from_version <= $2",
    went: "SELECT kind, key FROM book_entries AS new
        WHERE from_version > $2 AND from_version <= $1 AND (to_version IS NULL OR to_version > $1)
            AND NOT EXISTS (SELECT FROM book_entries AS old
                WHERE old.kind = new.kind AND old.key = new.key AND old.from_version <= $2 AND old.to_version > $2)",
    joined: "SELECT campaign_number, array_agg(account_number) AS accounts FROM book_audience
        WHERE to_version > $2 AND to_version <= $1 AND from_version <= $2 GROUP BY campaign_number",
    left: "SELECT campaign_number, array_agg(account_number) AS accounts FROM book_audience AS new
        WHERE from_version > $2 AND from_version <= $1 AND (to_version IS NULL OR to_version > $1)
            AND NOT EXISTS (SELECT FROM book_audience AS old
                WHERE old.campaign_number = new.campaign_number AND old.account_number = new.account_number
                    AND old.from_version <= $2 AND old.to_version > $2)
        GROUP BY campaign_number",
};

#[derive(QueryableByName)]
struct Came {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Jsonb)]
    facts: JsonText,
    #[diesel(sql_type = BigInt)]
    from_version: i64,
}

/// A column of JSON as it was sent: read straight into a fact, it needs no tree of values.
#[derive(Debug)]
struct JsonText(String);

impl FromSql<Jsonb, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The first byte is the version of the form.
        match value.as_bytes() {
            [1, text @ ..] => Ok(Self(str::from_utf8(text)?.to_owned())),
            _ => Err("JSON of an unknown form".into()),
        }
    }
}

#[derive(QueryableByName)]
struct Went {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    key: String,
}

#[derive(QueryableByName)]
struct Accounts {
    #[diesel(sql_type = Text)]
    campaign_number: String,
    #[diesel(sql_type = Array<Text>)]
    accounts: Vec<String>,
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

/// What tells one history of the book from another that has the same versions, as after a restore from a backup.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(super) struct Marks {
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
pub(super) async fn marks(conn: &mut AsyncPgConnection, known: i64) -> QueryResult<Marks> {
    let question = "SELECT book.version AS latest, extract(epoch FROM newest.published_at) || ' ' || newest.content_hash AS of_latest,
            extract(epoch FROM known.published_at) || ' ' || known.content_hash AS of_known
        FROM book LEFT JOIN publications AS newest ON newest.version = book.version
        LEFT JOIN publications AS known ON known.version = $1";
    diesel::sql_query(question).bind::<BigInt, _>(known).get_result(conn).await
}

/// Hands out the changes that lead from one version to another, which may be an earlier one, as they come from the database. From 0
/// on: the whole book. Their number is that of the differences between the two. Whoever takes a change says how long to rest then.
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
    let range = |query: &'static str| diesel::sql_query(query).bind::<BigInt, _>(from).bind::<BigInt, _>(to);
    if from > 0 {
        for Went { kind, key } in range(step.went).load(conn).await? {
            let kind = known(&kind, &key)?;
            rest(take(Change::Remove { kind, key })).await;
        }
        for Accounts { campaign_number, accounts } in range(step.left).load(conn).await? {
            rest(take(Change::AudienceRemove { campaign: campaign_number, accounts })).await;
        }
    }
    let mut rows = range(step.came).load_stream::<Came>(conn).await?;
    while let Some(Came { kind, key, facts: JsonText(facts), from_version }) = rows.try_next().await? {
        let fact = Fact::read(known(&kind, &key)?, &mut serde_json::Deserializer::from_str(&facts));
        let fact = fact.map_err(|error| unreadable(&kind, &key, &error))?;
        rest(take(Change::Put { key, fact, version: from_version })).await;
    }
    drop(rows);
    let mut rows = range(step.joined).load_stream::<Accounts>(conn).await?;
    while let Some(Accounts { campaign_number, accounts }) = rows.try_next().await? {
        rest(take(Change::AudienceAdd { campaign: campaign_number, accounts })).await;
    }
    Ok(())
}

async fn rest(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn unreadable(kind: &str, key: &str, cause: &impl ToString) -> ReadError {
    ReadError::Unknown { kind: kind.to_owned(), key: key.to_owned(), cause: cause.to_string() }
}

fn known(kind: &str, key: &str) -> Result<FactKind, ReadError> {
    kind.parse().map_err(|error: super::facts::UnknownKind| unreadable(kind, key, &error))
}

/// The lines of a campaign as the drafts say, as facts by their keys.
pub(crate) async fn lines_in_draft(
    conn: &mut AsyncPgConnection,
    campaign: &str,
) -> Result<Vec<(String, Fact)>, ReadError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = Jsonb)]
        facts: Value,
    }
    let question = format!("SELECT * FROM ({}) AS facts WHERE kind <> 'CAMPAIGN' ORDER BY key", facts_sql::OF_CAMPAIGN);
    let rows: Vec<Row> = diesel::sql_query(question).bind::<Text, _>(campaign).load(conn).await?;
    rows.into_iter().map(|row| Ok((row.key.clone(), read(&row.kind, &row.key, row.facts)?))).collect()
}

/// Items as the drafts say, as facts by their numbers.
pub(crate) async fn items_in_draft(
    conn: &mut AsyncPgConnection,
    numbers: &BTreeSet<String>,
) -> Result<HashMap<String, ItemFact>, ReadError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = Jsonb)]
        facts: Value,
    }
    let numbers: Vec<&String> = numbers.iter().collect();
    let question = diesel::sql_query(facts_sql::standing(FactKind::Item)).bind::<Array<Text>, _>(numbers);
    let mut items = HashMap::new();
    for Row { key, facts } in question.load::<Row>(conn).await? {
        if let Fact::Item(item) = read(FactKind::Item.text(), &key, facts)? {
            items.insert(key, item);
        }
    }
    Ok(items)
}

/// The keys of a campaign's facts in force.
pub(crate) async fn in_force(conn: &mut AsyncPgConnection, campaign: &str) -> Result<Vec<Change>, ReadError> {
    let question = "SELECT kind, key FROM book_entries WHERE campaign_number = $1 AND to_version IS NULL";
    let rows: Vec<Went> = diesel::sql_query(question).bind::<Text, _>(campaign).load(conn).await?;
    rows.into_iter().map(|Went { kind, key }| Ok(Change::Remove { kind: known(&kind, &key)?, key })).collect()
}

fn read(kind: &str, key: &str, facts: Value) -> Result<Fact, ReadError> {
    Fact::from_json(known(kind, key)?, facts).map_err(|error| unreadable(kind, key, &error))
}
