//! Writes the price book: publishes the difference between drafts and book as one new version.
//!
//! Rows that are no longer desired end with the new version, and new rows begin with it
//! ([`Difference`]). Without a difference there is no version. The counter is locked before the
//! first row is written and until the transaction ends. So versions have no gaps, and they are in
//! the order of the commits.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::dsl::{AssumeNotNull, Select, SingleValue};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use futures_util::stream::FuturesOrdered;
use price_book::facts::FactKind;
use uuid::Uuid;
use values::text_enum;
use xxhash_rust::xxh3::xxh3_64;

use super::difference::{Difference, Entry, HashedDifference};
use super::reader::ReadError;
use super::{audience, reader};
use crate::outbox::{PublicationCreated, record};
use crate::schema::{book, currencies, publications};
use crate::unit_of_work::ChangedKeys;

/// The maximum number of rows of one statement. A connection keeps a buffer as large as its largest
/// message.
const MAX_ROWS_PER_STATEMENT: usize = 1_000;
/// The maximum number of statements in flight, so that the server always has the next one.
const MAX_STATEMENTS_IN_FLIGHT: usize = 2;

/// The number of advisory locks that the keys of base data share.
const KEY_LOCKS: u64 = 256;
/// The first key of these locks, which tells them from others.
const KEY_LOCK_SPACE: i32 = 0x6b65_7973;

/// The notification channel on which each publication is announced, with its version.
pub const NOTIFICATION_CHANNEL: &str = "kampanje_publications";

/// The metric that counts new identities of the history that this process has given.
pub const HISTORIES_RENEWED_TOTAL: &str = "kampanje_book_histories_renewed_total";

text_enum! {
    /// The kind of a publication.
    PublicationKind {
        /// The activation of a campaign, or its repetition.
        Activation = "ACTIVATION",
        /// A change of an active campaign.
        Change = "CHANGE",
        /// The withdrawal of a campaign's prices.
        Deactivation = "DEACTIVATION",
        /// The return to an earlier publication of a campaign.
        Rollback = "ROLLBACK",
        /// A change of settings, currencies, rates, items, contacts or lines of no campaign.
        BaseData = "BASE_DATA",
    }
}

/// A version of the price book, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = publications, check_for_backend(diesel::pg::Pg))]
pub struct Publication {
    /// The version.
    pub version: i64,
    /// The kind of the publication.
    pub kind: PublicationKind,
    /// The campaign's number. `None` for base data.
    pub campaign_number: Option<String>,
    /// The caller that made the publication.
    pub author: String,
    /// The time of the publication.
    pub published_at: DateTime<Utc>,
    /// The number of facts and accounts that were added.
    pub added: i64,
    /// The number of facts that replaced others.
    pub changed: i64,
    /// The number of facts and accounts that were removed.
    pub removed: i64,
    /// A hash of everything that was added and removed, independent of its order.
    pub content_hash: String,
    /// The identity of the history that the version belongs to.
    #[diesel(
        select_expression = book::table.select(book::book_id).single_value().assume_not_null(),
        select_expression_type = AssumeNotNull<SingleValue<Select<book::table, book::book_id>>>
    )]
    pub book_id: Uuid,
}

/// Publishes the changed base data, if it differs from the book. Returns the new version, if there
/// is one.
///
/// # Errors
/// If the database fails.
pub async fn publish_base_data(
    conn: &mut AsyncPgConnection,
    changed_keys: &ChangedKeys,
    author: &str,
) -> Result<Option<Publication>, ReadError> {
    // Most changes of a description or an address publish nothing, so they must not wait for the
    // counter of the book. The keys stay locked until the transaction ends: the next change
    // of them sees this one, and compares again.
    lock_keys(conn, changed_keys).await?;
    if base_data_difference(conn, changed_keys).await?.is_none() {
        return Ok(None);
    }
    // Compared again under the lock of the counter. Otherwise another transaction could publish a
    // change that this one does not see.
    lock_counter(conn).await?;
    let difference = base_data_difference(conn, changed_keys).await?.with_hash();
    Ok(publish(conn, PublicationKind::BaseData, None, &difference, author).await?)
}

/// Returns the difference between the changed base data and the book.
async fn base_data_difference(
    conn: &mut AsyncPgConnection,
    changed_keys: &ChangedKeys,
) -> Result<Difference, ReadError> {
    let (mut current, mut desired) = (Vec::new(), Vec::new());
    for (kind, keys) in base_data(changed_keys) {
        desired.extend(reader::standing_in_draft(conn, kind, &keys).await?);
        current.extend(reader::standing_in_force(conn, kind, &keys).await?);
    }
    Ok(Difference::between(current, desired))
}

/// Publishes a difference as a new version, unless it is empty. The caller has to lock the campaign
/// before it computes the difference.
///
/// # Errors
/// If the database fails.
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
    announce(conn, version).await?;
    write_event(conn, &publication).await?;
    Ok(Some(publication))
}

/// Gives the history a new identity, unless another replica has done so. Returns the identity that
/// the history has now.
///
/// # Errors
/// If the database fails.
pub async fn renew_book_id(conn: &mut AsyncPgConnection, known: Uuid) -> QueryResult<Uuid> {
    let renewed = diesel::update(book::table.filter(book::book_id.eq(known)))
        .set(book::book_id.eq(Uuid::new_v4()))
        .execute(conn)
        .await?;
    if renewed > 0 {
        metrics::counter!(HISTORIES_RENEWED_TOTAL).increment(1);
    }
    book::table.select(book::book_id).first(conn).await
}

/// Announces a version to all replicas. They are notified when the transaction commits.
async fn announce(conn: &mut AsyncPgConnection, version: i64) -> QueryResult<()> {
    let notify = diesel::sql_query("SELECT pg_notify($1, $2)");
    let notify = notify.bind::<Text, _>(NOTIFICATION_CHANNEL);
    notify.bind::<Text, _>(version.to_string()).execute(conn).await.map(drop)
}

/// Locks the counter until the transaction ends, and returns the newest version.
async fn lock_counter(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    book::table.select(book::version).for_update().first(conn).await
}

/// Locks the changed base data until the transaction ends, in the order of the locks. Keys share
/// [`KEY_LOCKS`] advisory locks, so that a large batch needs no more of the server's lock table.
async fn lock_keys(conn: &mut AsyncPgConnection, changed_keys: &ChangedKeys) -> QueryResult<()> {
    let locks: BTreeSet<i32> = base_data(changed_keys)
        .iter()
        .flat_map(|(kind, keys)| keys.iter().map(|key| key_lock(*kind, key)))
        .collect();
    diesel::sql_query("SELECT pg_advisory_xact_lock($1, lock) FROM unnest($2) AS locks (lock)")
        .bind::<Integer, _>(KEY_LOCK_SPACE)
        .bind::<Array<Integer>, _>(locks.into_iter().collect::<Vec<_>>())
        .execute(conn)
        .await
        .map(drop)
}

/// Returns the lock of a key. All replicas and releases must agree on it.
fn key_lock(kind: FactKind, key: &str) -> i32 {
    let hash = xxh3_64(format!("{}|{key}", kind.text()).as_bytes());
    i32::try_from(hash % KEY_LOCKS).unwrap_or_default()
}

async fn write_entries(
    conn: &mut AsyncPgConnection,
    version: i64,
    difference: &Difference,
) -> QueryResult<()> {
    if !difference.end.is_empty() {
        let end = "UPDATE book_entries SET to_version = $1
            WHERE to_version IS NULL AND (kind, key) IN (
                SELECT kind, key FROM unnest($2, $3) AS ended (kind, key))";
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
    // The server writes rows fastest in the order of their keys.
    let mut begun: Vec<&Entry> = difference.begin.iter().collect();
    begun.sort_unstable_by(|one, other| {
        (one.kind.text(), &one.key).cmp(&(other.kind.text(), &other.key))
    });
    let mut in_flight = FuturesOrdered::new();
    for rows in begun.chunks(MAX_ROWS_PER_STATEMENT) {
        if in_flight.len() == MAX_STATEMENTS_IN_FLIGHT {
            in_flight.try_next().await?;
        }
        in_flight.push_back(insert_entries(conn, version, rows));
    }
    while in_flight.try_next().await?.is_some() {}
    Ok(())
}

/// Inserts rows. The connection is shared, so that several statements can be in flight.
async fn insert_entries(
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

/// Publishes the settings and currencies that the schema comes with, if the book does not contain
/// them yet. Quotes need them from the start.
///
/// # Errors
/// If the database fails.
pub async fn ensure_initial_version(conn: &mut AsyncPgConnection) -> Result<(), ReadError> {
    conn.transaction(async |conn| {
        let currencies =
            currencies::table.select(currencies::code).load(conn).await?.into_iter().collect();
        let changed_keys = ChangedKeys { settings: true, currencies, ..ChangedKeys::default() };
        publish_base_data(conn, &changed_keys, "system").await.map(drop)
    })
    .await
}

/// Returns the kinds of base data with the keys that were changed.
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

/// Writes the event of a publication, in its transaction. The caller holds the lock of the book,
/// which comes before that of the events.
async fn write_event(conn: &mut AsyncPgConnection, publication: &Publication) -> QueryResult<()> {
    let created = PublicationCreated {
        version: publication.version,
        book_id: publication.book_id,
        kind: publication.kind.to_string(),
        campaign_number: publication.campaign_number.clone(),
        added: publication.added,
        changed: publication.changed,
        removed: publication.removed,
    };
    record(conn, &[created.into()]).await
}
