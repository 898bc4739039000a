//! Writes the price book: brings what it carries to what the drafts say, as one new version.
//!
//! The difference is made by the database, set by set: rows that no longer say what the drafts say end with the new version, and
//! what the drafts say anew begins with it. Where nothing differs there is no version. The row of the counter is locked before
//! the first row of the book is looked at, and until the transaction ends; so versions have no gap, and they are in the order of
//! the commits.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::announce;
use super::facts::FactKind;
use super::facts_sql;
use crate::platform::db::schema::{book, publications};
use crate::platform::effect::Touched;
use crate::values::wire::text_enum;

text_enum! {
    /// What a publication does.
    PublicationKind {
        /// A campaign is activated, or activated again.
        Activation = "ACTIVATION",
        /// A change of an active campaign.
        Change = "CHANGE",
        /// A campaign's prices are withdrawn.
        Deactivation = "DEACTIVATION",
        /// Settings, currencies, rates, items, contacts or lines that belong to no campaign.
        BaseData = "BASE_DATA",
    }
}

/// What the book is to carry.
#[derive(Debug, Clone, Copy)]
pub enum Wished<'a> {
    /// What was touched, campaigns aside, as the drafts say.
    BaseData(&'a Touched),
    /// A campaign as the drafts say: dates, lines, and the audience that the targeting query finds.
    Campaign {
        /// Its number.
        number: &'a str,
        /// The query for the accounts (`account`); `$1` is the campaign's number.
        audience: &'a str,
    },
    /// A campaign as it is published, save for its audience, which is to be as the targeting query finds it.
    Audience {
        /// Its number.
        number: &'a str,
        /// The query for the accounts, as above.
        audience: &'a str,
    },
    /// A campaign as it is published, without these accounts.
    Without {
        /// Its number.
        number: &'a str,
        /// The contact numbers of the accounts that leave.
        accounts: &'a [String],
    },
    /// Nothing of a campaign.
    Nothing {
        /// Its number.
        number: &'a str,
    },
}

/// One version of the price book, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = publications, check_for_backend(diesel::pg::Pg))]
pub struct Publication {
    /// The version.
    pub version: i64,
    /// What it does.
    pub kind: PublicationKind,
    /// The campaign; none for base data.
    pub campaign_number: Option<String>,
    /// Who made it.
    pub author: String,
    /// When.
    pub published_at: DateTime<Utc>,
    /// Facts and accounts that came.
    pub added: i64,
    /// Facts that took the place of others.
    pub changed: i64,
    /// Facts and accounts that went.
    pub removed: i64,
    /// A hash of all that came and went, whatever the order.
    pub content_hash: String,
}

/// Brings the book to what is wished, if it differs: the new version. The caller has locked the campaign.
///
/// # Errors
/// When the database fails.
pub async fn publish(
    conn: &mut AsyncPgConnection,
    kind: PublicationKind,
    wished: Wished<'_>,
    author: &str,
) -> QueryResult<Option<Publication>> {
    let current: i64 = book::table.select(book::version).for_update().first(conn).await?;
    let version = current.saturating_add(1);
    let campaign = match wished {
        Wished::BaseData(touched) => {
            for (kind, keys) in base_data(touched) {
                write_standing(conn, version, kind, &keys).await?;
            }
            None
        }
        Wished::Campaign { number, audience } => {
            write_entries(conn, version, number, facts_sql::OF_CAMPAIGN).await?;
            write_audience(conn, version, number, audience).await?;
            Some(number)
        }
        Wished::Audience { number, audience } => {
            write_audience(conn, version, number, audience).await?;
            Some(number)
        }
        Wished::Without { number, accounts } => {
            let leave = "UPDATE book_audience SET to_version = $1
                WHERE campaign_number = $2 AND to_version IS NULL AND account_number = ANY($3)";
            let leave = diesel::sql_query(leave).bind::<BigInt, _>(version).bind::<Text, _>(number);
            leave.bind::<Array<Text>, _>(accounts).execute(conn).await?;
            Some(number)
        }
        Wished::Nothing { number } => {
            for end in [
                "UPDATE book_entries SET to_version = $1 WHERE campaign_number = $2 AND to_version IS NULL",
                "UPDATE book_audience SET to_version = $1 WHERE campaign_number = $2 AND to_version IS NULL",
            ] {
                diesel::sql_query(end).bind::<BigInt, _>(version).bind::<Text, _>(number).execute(conn).await?;
            }
            Some(number)
        }
    };
    let written = diesel::sql_query(WRITTEN).bind::<BigInt, _>(version).get_result::<Written>(conn).await?;
    if written.added == 0 && written.changed == 0 && written.removed == 0 {
        return Ok(None);
    }
    diesel::update(book::table).set(book::version.eq(version)).execute(conn).await?;
    let publication = diesel::insert_into(publications::table)
        .values((
            publications::version.eq(version),
            publications::kind.eq(kind),
            publications::campaign_number.eq(campaign),
            publications::author.eq(author),
            publications::added.eq(written.added),
            publications::changed.eq(written.changed),
            publications::removed.eq(written.removed),
            publications::content_hash.eq(written.content_hash),
        ))
        .returning(Publication::as_returning())
        .get_result(conn)
        .await?;
    announce::created(conn, &publication).await?;
    Ok(Some(publication))
}

/// Publishes the settings as they are, if the book does not carry them yet: quotes need them from the beginning.
///
/// # Errors
/// When the database fails.
pub async fn begin(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    conn.transaction(async |conn| {
        let touched = Touched { settings: true, ..Touched::default() };
        publish(conn, PublicationKind::BaseData, Wished::BaseData(&touched), "system").await.map(drop)
    })
    .await
}

/// The kinds of base data with the keys that were touched.
fn base_data(touched: &Touched) -> Vec<(FactKind, Vec<String>)> {
    let texts = |keys: &BTreeSet<String>| keys.iter().cloned().collect::<Vec<_>>();
    let ids = |keys: &BTreeSet<Uuid>| keys.iter().map(Uuid::to_string).collect::<Vec<_>>();
    let settings = if touched.settings { vec![String::new()] } else { Vec::new() };
    [
        (FactKind::Settings, settings),
        (FactKind::Currency, texts(&touched.currencies)),
        (FactKind::ExchangeRate, texts(&touched.exchange_rates)),
        (FactKind::Item, texts(&touched.items)),
        (FactKind::Contact, texts(&touched.contacts)),
        (FactKind::PriceLine, ids(&touched.price_lines)),
        (FactKind::DiscountLine, ids(&touched.discount_lines)),
    ]
    .into_iter()
    .filter(|(_, keys)| !keys.is_empty())
    .collect()
}

/// Facts of one kind that belong to no campaign.
async fn write_standing(
    conn: &mut AsyncPgConnection,
    version: i64,
    kind: FactKind,
    keys: &[String],
) -> QueryResult<()> {
    let wished = facts_sql::standing(kind);
    // A currency's rates are told apart by the date behind its code.
    let concerned =
        if kind == FactKind::ExchangeRate { "split_part(book.key, '|', 1) = ANY($1)" } else { "book.key = ANY($1)" };
    let end = format!(
        "WITH wished AS MATERIALIZED ({wished})
        UPDATE book_entries AS book SET to_version = $2
        WHERE kind = $3 AND to_version IS NULL AND {concerned}
            AND NOT EXISTS (SELECT FROM wished WHERE wished.key = book.key AND wished.facts = book.facts)"
    );
    let begin = format!(
        "WITH wished AS MATERIALIZED ({wished})
        INSERT INTO book_entries (kind, key, campaign_number, facts, from_version)
        SELECT $3, key, campaign_number, facts, $2 FROM wished
        WHERE NOT EXISTS (SELECT FROM book_entries AS book
            WHERE book.kind = $3 AND book.key = wished.key AND book.to_version IS NULL)"
    );
    for statement in [end, begin] {
        let statement = diesel::sql_query(statement).bind::<Array<Text>, _>(keys).bind::<BigInt, _>(version);
        statement.bind::<Text, _>(kind.text()).execute(conn).await?;
    }
    Ok(())
}

/// The facts of a campaign. A line that came from elsewhere ends there first.
async fn write_entries(conn: &mut AsyncPgConnection, version: i64, number: &str, wished: &str) -> QueryResult<()> {
    let end = format!(
        "WITH wished AS MATERIALIZED ({wished})
        UPDATE book_entries AS book SET to_version = $2
        WHERE to_version IS NULL
            AND (campaign_number = $1
                OR (kind, key) IN (SELECT wished.kind, wished.key FROM wished WHERE wished.kind <> 'CAMPAIGN'))
            AND NOT EXISTS (SELECT FROM wished
                WHERE wished.kind = book.kind AND wished.key = book.key AND wished.facts = book.facts)"
    );
    let begin = format!(
        "WITH wished AS MATERIALIZED ({wished})
        INSERT INTO book_entries (kind, key, campaign_number, facts, from_version)
        SELECT kind, key, campaign_number, facts, $2 FROM wished
        WHERE NOT EXISTS (SELECT FROM book_entries AS book
            WHERE book.kind = wished.kind AND book.key = wished.key AND book.to_version IS NULL)"
    );
    for statement in [end, begin] {
        diesel::sql_query(statement).bind::<Text, _>(number).bind::<BigInt, _>(version).execute(conn).await?;
    }
    Ok(())
}

/// The audience of a campaign, in the order of its key, which makes the index cheap to write.
async fn write_audience(conn: &mut AsyncPgConnection, version: i64, number: &str, audience: &str) -> QueryResult<()> {
    let end = format!(
        "WITH targeted AS MATERIALIZED ({audience})
        UPDATE book_audience SET to_version = $2
        WHERE campaign_number = $1 AND to_version IS NULL AND account_number NOT IN (SELECT account FROM targeted)"
    );
    let begin = format!(
        "WITH targeted AS MATERIALIZED ({audience})
        INSERT INTO book_audience (campaign_number, account_number, from_version)
        SELECT $1, account, $2 FROM targeted
        WHERE account NOT IN (
            SELECT account_number FROM book_audience WHERE campaign_number = $1 AND to_version IS NULL)
        ORDER BY account"
    );
    for statement in [end, begin] {
        diesel::sql_query(statement).bind::<Text, _>(number).bind::<BigInt, _>(version).execute(conn).await?;
    }
    Ok(())
}

/// What a version wrote, counted and hashed. XOR makes the hash the same in whatever order.
const WRITTEN: &str = "
    WITH entries AS (
        SELECT kind, key, bool_or(from_version = $1) AS came,
            coalesce(bool_or(to_version = $1), false) AS went,
            bit_xor(hashtextextended((from_version = $1) || '|' || kind || '|' || key || '|' || facts, 1)) AS one,
            bit_xor(hashtextextended((from_version = $1) || '|' || kind || '|' || key || '|' || facts, 2)) AS two
        FROM book_entries WHERE from_version = $1 OR to_version = $1 GROUP BY kind, key),
    accounts AS (
        SELECT from_version = $1 AS came,
            hashtextextended((from_version = $1) || '|' || campaign_number || '|' || account_number, 1) AS one,
            hashtextextended((from_version = $1) || '|' || campaign_number || '|' || account_number, 2) AS two
        FROM book_audience WHERE from_version = $1 OR to_version = $1),
    counted AS (
        SELECT count(*) FILTER (WHERE came AND NOT went) AS added, count(*) FILTER (WHERE came AND went) AS changed,
            count(*) FILTER (WHERE NOT came) AS removed, bit_xor(one) AS one, bit_xor(two) AS two FROM entries
        UNION ALL
        SELECT count(*) FILTER (WHERE came), 0, count(*) FILTER (WHERE NOT came), bit_xor(one), bit_xor(two)
        FROM accounts)
    SELECT sum(added)::bigint AS added, sum(changed)::bigint AS changed, sum(removed)::bigint AS removed,
        lpad(to_hex(coalesce(bit_xor(one), 0)), 16, '0') || lpad(to_hex(coalesce(bit_xor(two), 0)), 16, '0')
            AS content_hash
    FROM counted";

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = BigInt)]
    added: i64,
    #[diesel(sql_type = BigInt)]
    changed: i64,
    #[diesel(sql_type = BigInt)]
    removed: i64,
    #[diesel(sql_type = Text)]
    content_hash: String,
}

/// How what the drafts say of a campaign differs from what the book carries.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Difference {
    /// Lines that are not in the book.
    #[diesel(sql_type = BigInt)]
    pub lines_added: i64,
    /// Lines that are in the book otherwise.
    #[diesel(sql_type = BigInt)]
    pub lines_changed: i64,
    /// Lines in the book that the drafts no longer have.
    #[diesel(sql_type = BigInt)]
    pub lines_removed: i64,
    /// Whether the dates differ.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub dates_differ: bool,
    /// Accounts of the audience as the drafts say.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// Those that are not in the published audience.
    #[diesel(sql_type = BigInt)]
    pub accounts_gained: i64,
    /// Those of the published audience that the drafts no longer have.
    #[diesel(sql_type = BigInt)]
    pub accounts_lost: i64,
    /// Some of the accounts, those gained first.
    #[diesel(sql_type = Array<Text>)]
    pub some_accounts: Vec<String>,
    /// A hash of what the drafts say, in whatever order.
    #[diesel(sql_type = Text)]
    pub hash: String,
}

impl Difference {
    /// Whether the book carries just what the drafts say.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.lines_added == 0
            && self.lines_changed == 0
            && self.lines_removed == 0
            && !self.dates_differ
            && self.accounts_gained == 0
            && self.accounts_lost == 0
    }
}

/// Compares a campaign's drafts with the book, and writes nothing. The caller has locked the campaign.
///
/// # Errors
/// When the database fails.
pub async fn compare(conn: &mut AsyncPgConnection, number: &str, audience: &str) -> QueryResult<Difference> {
    let question = format!(
        "WITH wished AS MATERIALIZED ({entries}),
        standing AS MATERIALIZED (
            SELECT kind, key, facts FROM book_entries WHERE campaign_number = $1 AND to_version IS NULL),
        entries AS (
            SELECT kind, wished.facts IS NULL AS gone, standing.facts IS NULL AS new,
                wished.facts IS DISTINCT FROM standing.facts AS differs
            FROM wished FULL JOIN standing USING (kind, key)),
        targeted AS MATERIALIZED ({audience}),
        accounts AS MATERIALIZED (
            SELECT account, targeted.account IS NULL AS gone, held.account_number IS NULL AS new FROM targeted
            FULL JOIN (SELECT account_number FROM book_audience WHERE campaign_number = $1 AND to_version IS NULL)
                AS held ON held.account_number = targeted.account),
        hashes AS (
            SELECT hashtextextended(kind || '|' || key || '|' || facts, 1) AS one,
                hashtextextended(kind || '|' || key || '|' || facts, 2) AS two FROM wished
            UNION ALL SELECT hashtextextended(account, 1), hashtextextended(account, 2) FROM targeted)
        SELECT
            (SELECT count(*) FROM entries WHERE kind <> 'CAMPAIGN' AND new) AS lines_added,
            (SELECT count(*) FROM entries WHERE kind <> 'CAMPAIGN' AND differs AND NOT new AND NOT gone) AS lines_changed,
            (SELECT count(*) FROM entries WHERE kind <> 'CAMPAIGN' AND gone) AS lines_removed,
            EXISTS (SELECT FROM entries WHERE kind = 'CAMPAIGN' AND differs) AS dates_differ,
            (SELECT count(*) FROM targeted) AS accounts,
            (SELECT count(*) FROM accounts WHERE new) AS accounts_gained,
            (SELECT count(*) FROM accounts WHERE gone) AS accounts_lost,
            ARRAY(SELECT account FROM accounts WHERE NOT gone ORDER BY new DESC, account LIMIT 10) AS some_accounts,
            (SELECT lpad(to_hex(coalesce(bit_xor(one), 0)), 16, '0') || lpad(to_hex(coalesce(bit_xor(two), 0)), 16, '0')
                FROM hashes) AS hash",
        entries = facts_sql::OF_CAMPAIGN
    );
    diesel::sql_query(question).bind::<Text, _>(number).get_result(conn).await
}
