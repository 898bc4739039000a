//! Writes the price book: brings what it carries to what the drafts say, as one new version.
//!
//! Rows that no longer say what is wished end with the new version, and what is wished anew begins
//! with it ([`Difference`]). Where nothing differs there is no version. The row of the counter is
//! locked before the first row is written, and until the transaction ends; so versions have no gap,
//! and they are in the order of the commits.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use futures_util::stream::FuturesOrdered;
use uuid::Uuid;

use super::difference::{Difference, Entry, HashedDifference};
use super::facts::FactKind;
use super::reader::ReadError;
use super::{announce, audience, live, reader};
use crate::platform::db::schema::{book, publications};
use crate::platform::unit_of_work::ChangedKeys;
use crate::values::wire::text_enum;

/// At most so many rows are sent at once: a connection keeps a buffer as large as the largest
/// message it has seen.
const ROWS_AT_ONCE: usize = 1_000;
/// While the server writes so many parts but one, the next is on its way.
const PARTS_UNDER_WAY: usize = 2;

text_enum! {
    /// What a publication does.
    PublicationKind {
        /// A campaign is activated, or activated again.
        Activation = "ACTIVATION",
        /// A change of an active campaign.
        Change = "CHANGE",
        /// A campaign's prices are withdrawn.
        Deactivation = "DEACTIVATION",
        /// An earlier publication of a campaign counts again.
        Rollback = "ROLLBACK",
        /// Settings, currencies, rates, items, contacts or lines that belong to no campaign.
        BaseData = "BASE_DATA",
    }
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

/// Publishes what touched base data says now, if the book says otherwise: the new version.
///
/// # Errors
/// When the database fails.
pub async fn publish_base_data(
    conn: &mut AsyncPgConnection,
    changed_keys: &ChangedKeys,
    author: &str,
) -> Result<Option<Publication>, ReadError> {
    // Before anything is read: nobody else publishes in between what this transaction does not see
    // yet.
    lock_counter(conn).await?;
    let (mut current, mut desired) = (Vec::new(), Vec::new());
    for (kind, keys) in base_data(changed_keys) {
        desired.extend(reader::standing_in_draft(conn, kind, &keys).await?);
        current.extend(reader::standing_in_force(conn, kind, &keys).await?);
    }
    let difference = Difference::between(current, desired).with_hash();
    Ok(publish(conn, PublicationKind::BaseData, None, &difference, author).await?)
}

/// Writes a difference as a new version, if it is one. The caller has locked the campaign since
/// before it made the difference.
///
/// # Errors
/// When the database fails.
pub async fn publish(
    conn: &mut AsyncPgConnection,
    kind: PublicationKind,
    campaign: Option<&str>,
    hashed: &HashedDifference,
    author: &str,
) -> QueryResult<Option<Publication>> {
    let HashedDifference { difference, counts, hash } = hashed;
    if difference.is_none() {
        return Ok(None);
    }
    let version = lock_counter(conn).await?.saturating_add(1);
    write_entries(conn, version, difference).await?;
    if let Some(campaign) = campaign {
        audience::write(conn, version, campaign, &difference.audience).await?;
    }
    diesel::update(book::table).set(book::version.eq(version)).execute(conn).await?;
    let publication = diesel::insert_into(publications::table)
        .values((
            publications::version.eq(version),
            publications::kind.eq(kind),
            publications::campaign_number.eq(campaign),
            publications::author.eq(author),
            publications::added.eq(counts.added),
            publications::changed.eq(counts.changed),
            publications::removed.eq(counts.removed),
            publications::content_hash.eq(hash),
        ))
        .returning(Publication::as_returning())
        .get_result(conn)
        .await?;
    live::announce(conn, version).await?;
    announce::created(conn, &publication).await?;
    Ok(Some(publication))
}

/// Locks the counter until the transaction ends: the newest version.
async fn lock_counter(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    book::table.select(book::version).for_update().first(conn).await
}

async fn write_entries(
    conn: &mut AsyncPgConnection,
    version: i64,
    difference: &Difference,
) -> QueryResult<()> {
    if !difference.end.is_empty() {
        let end = "UPDATE book_entries SET to_version = $1
            WHERE to_version IS NULL AND (kind, key) IN (SELECT kind, key FROM unnest($2, $3) AS ended (kind, key))";
        diesel::sql_query(end)
            .bind::<BigInt, _>(version)
            .bind::<Array<Text>, _>(
                difference.end.iter().map(|entry| entry.kind.text()).collect::<Vec<_>>(),
            )
            .bind::<Array<Text>, _>(
                difference.end.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(),
            )
            .execute(conn)
            .await?;
    }
    // In the order of the keys, which is how the server writes them fastest.
    let mut begun: Vec<&Entry> = difference.begin.iter().collect();
    begun.sort_unstable_by(|one, other| {
        (one.kind.text(), &one.key).cmp(&(other.kind.text(), &other.key))
    });
    let mut under_way = FuturesOrdered::new();
    for rows in begun.chunks(ROWS_AT_ONCE) {
        if under_way.len() == PARTS_UNDER_WAY {
            under_way.try_next().await?;
        }
        under_way.push_back(write_begun(conn, version, rows));
    }
    while under_way.try_next().await?.is_some() {}
    Ok(())
}

/// Writes rows that begin. The connection is shared, so that more than one such part can be under
/// way.
async fn write_begun(
    mut conn: &AsyncPgConnection,
    version: i64,
    rows: &[&Entry],
) -> QueryResult<usize> {
    let begin = "INSERT INTO book_entries (kind, key, campaign_number, facts, from_version)
        SELECT kind, key, campaign_number, facts::jsonb, $1
        FROM unnest($2, $3, $4, $5) AS begun (kind, key, campaign_number, facts)";
    diesel::sql_query(begin)
        .bind::<BigInt, _>(version)
        .bind::<Array<Text>, _>(rows.iter().map(|entry| entry.kind.text()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(rows.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(
            rows.iter().map(|entry| entry.campaign_number.as_deref()).collect::<Vec<_>>(),
        )
        .bind::<Array<Text>, _>(rows.iter().map(|entry| entry.facts.as_str()).collect::<Vec<_>>())
        .execute(&mut conn)
        .await
}

/// Publishes the settings as they are, if the book does not carry them yet: quotes need them from
/// the beginning.
///
/// # Errors
/// When the database fails.
pub async fn ensure_initial_version(conn: &mut AsyncPgConnection) -> Result<(), ReadError> {
    conn.transaction(async |conn| {
        let changed_keys = ChangedKeys { settings: true, ..ChangedKeys::default() };
        publish_base_data(conn, &changed_keys, "system").await.map(drop)
    })
    .await
}

/// The kinds of base data with the keys that were touched.
fn base_data(changed_keys: &ChangedKeys) -> Vec<(FactKind, Vec<String>)> {
    let texts = |keys: &BTreeSet<String>| keys.iter().cloned().collect::<Vec<_>>();
    let ids = |keys: &BTreeSet<Uuid>| keys.iter().map(Uuid::to_string).collect::<Vec<_>>();
    let settings = if changed_keys.settings { vec![String::new()] } else { Vec::new() };
    [
        (FactKind::Settings, settings),
        (FactKind::Currency, texts(&changed_keys.currencies)),
        (FactKind::ExchangeRate, texts(&changed_keys.exchange_rates)),
        (FactKind::Item, texts(&changed_keys.items)),
        (FactKind::Contact, texts(&changed_keys.contacts)),
        (FactKind::PriceLine, ids(&changed_keys.price_lines)),
        (FactKind::DiscountLine, ids(&changed_keys.discount_lines)),
    ]
    .into_iter()
    .filter(|(_, keys)| !keys.is_empty())
    .collect()
}
