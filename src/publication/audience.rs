//! Audiences in the database: chunks of 512 ordinals, each an ascending array (table
//! `book_audience`).
//!
//! A change ends the chunks that it affects and writes their successors, so its cost depends only
//! on these chunks. Rows per account were much slower to write and to end (docs/performance.md).

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use roaring::RoaringBitmap;

use crate::schema::book_audience;

/// The maximum number of chunks of one statement. A connection keeps a buffer as large as its
/// largest message.
const MAX_CHUNKS_PER_STATEMENT: usize = 128;

/// The change of an audience.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AudienceDifference {
    /// The accounts that join.
    pub joined: RoaringBitmap,
    /// The accounts that leave.
    pub left: RoaringBitmap,
}

impl AudienceDifference {
    /// Computes the change from one audience to another.
    #[must_use]
    pub fn between(current: &RoaringBitmap, desired: &RoaringBitmap) -> Self {
        Self { joined: desired - current, left: current - desired }
    }

    /// Returns whether no account joins or leaves.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }
}

/// Returns the number of the chunk that contains an ordinal.
fn chunk_of(ordinal: u32) -> i32 {
    i32::try_from(ordinal >> 9).unwrap_or(i32::MAX)
}

/// Converts a database array into ordinals.
pub(crate) fn ordinals(array: Vec<i32>) -> RoaringBitmap {
    unsigned(array).collect()
}

/// Adds the ordinals of a database array.
pub(crate) fn add(audience: &mut RoaringBitmap, array: Vec<i32>) {
    audience.extend(unsigned(array));
}

fn unsigned(array: Vec<i32>) -> impl Iterator<Item = u32> {
    array.into_iter().filter_map(|ordinal| u32::try_from(ordinal).ok())
}

/// Reads the ordinals of chunks as they arrive, because there can be two thousand chunks.
macro_rules! ordinals_of {
    ($chunks:expr, $conn:expr) => {{
        let mut chunks =
            $chunks.order(t::chunk).select(t::ordinals).load_stream::<Vec<i32>>($conn).await?;
        let mut audience = RoaringBitmap::new();
        while let Some(chunk) = chunks.try_next().await? {
            add(&mut audience, chunk);
        }
        Ok(audience)
    }};
}

/// Converts ordinals into a database array.
pub(crate) fn array(ordinals: &RoaringBitmap) -> Vec<i32> {
    ordinals.iter().filter_map(|ordinal| i32::try_from(ordinal).ok()).collect()
}

/// Returns the audience of a campaign that is in force.
///
/// # Errors
/// If the database fails.
pub async fn in_force(conn: &mut AsyncPgConnection, campaign: &str) -> QueryResult<RoaringBitmap> {
    use book_audience as t;
    let chunks = t::table.filter(t::campaign_number.eq(campaign)).filter(t::to_version.is_null());
    ordinals_of!(chunks, conn)
}

/// Returns the audience of a campaign as of a version.
///
/// # Errors
/// If the database fails.
pub async fn as_of(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    version: i64,
) -> QueryResult<RoaringBitmap> {
    use book_audience as t;
    let in_force =
        t::from_version.le(version).and(t::to_version.is_null().or(t::to_version.gt(version)));
    let chunks = t::table.filter(t::campaign_number.eq(campaign)).filter(in_force);
    ordinals_of!(chunks, conn)
}

/// Returns the given accounts that are in the audiences of campaigns in force, by campaign.
/// Campaigns with none of them are omitted.
///
/// # Errors
/// If the database fails.
pub async fn in_force_of(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    accounts: &RoaringBitmap,
) -> QueryResult<BTreeMap<String, RoaringBitmap>> {
    use book_audience as t;
    let chunks: BTreeSet<i32> = accounts.iter().map(chunk_of).collect();
    let current =
        t::table.filter(t::campaign_number.eq_any(campaigns)).filter(t::to_version.is_null());
    let current = current.filter(t::chunk.eq_any(chunks)).select((t::campaign_number, t::ordinals));
    let mut audiences: BTreeMap<String, RoaringBitmap> = BTreeMap::new();
    for (campaign, chunk) in current.load::<(String, Vec<i32>)>(conn).await? {
        *audiences.entry(campaign).or_default() |= accounts & ordinals(chunk);
    }
    Ok(audiences)
}

/// Returns the part of the audience in force that is in some chunks.
async fn in_force_chunks(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    chunks: &BTreeSet<i32>,
) -> QueryResult<RoaringBitmap> {
    use book_audience as t;
    let current = t::table.filter(t::campaign_number.eq(campaign)).filter(t::to_version.is_null());
    ordinals_of!(current.filter(t::chunk.eq_any(chunks)), conn)
}

/// Writes the change of a campaign's audience as of a version. The caller has to lock the campaign
/// before it computes the difference.
///
/// # Errors
/// If the database fails.
pub(super) async fn write(
    conn: &mut AsyncPgConnection,
    version: i64,
    campaign: &str,
    difference: &AudienceDifference,
) -> QueryResult<()> {
    if difference.is_none() {
        return Ok(());
    }
    let chunks: BTreeSet<i32> =
        (&difference.joined | &difference.left).iter().map(chunk_of).collect();
    let mut audience = in_force_chunks(conn, campaign, &chunks).await?;
    audience -= &difference.left;
    audience |= &difference.joined;
    let chunks: Vec<i32> = chunks.into_iter().collect();
    let end = "UPDATE book_audience SET to_version = $1
        WHERE campaign_number = $2 AND chunk = ANY($3) AND to_version IS NULL";
    let end = diesel::sql_query(end).bind::<BigInt, _>(version).bind::<Text, _>(campaign);
    end.bind::<Array<Integer>, _>(chunks).execute(conn).await?;
    // The ordinals are sorted, so they are split where a chunk ends. If the server grouped them, it
    // would sort a million of them again.
    let ordinals = array(&audience);
    let begun: Vec<&[i32]> = ordinals.chunk_by(|one, other| one >> 9 == other >> 9).collect();
    for begun in begun.chunks(MAX_CHUNKS_PER_STATEMENT) {
        let (mut chunks, mut firsts, mut lasts, mut last) =
            (Vec::new(), Vec::new(), Vec::new(), 0_i32);
        for &chunk in begun {
            chunks.extend(chunk.first().map(|ordinal| ordinal >> 9));
            firsts.push(last.saturating_add(1));
            last = last.saturating_add(i32::try_from(chunk.len()).unwrap_or(i32::MAX));
            lasts.push(last);
        }
        let begin = "INSERT INTO book_audience (campaign_number, chunk, ordinals, from_version)
            SELECT $2, chunk, ($3)[first:last], $1
            FROM unnest($4, $5, $6) AS chunks (chunk, first, last)";
        let begin = diesel::sql_query(begin).bind::<BigInt, _>(version).bind::<Text, _>(campaign);
        let begin =
            begin.bind::<Array<Integer>, _>(begun.concat()).bind::<Array<Integer>, _>(chunks);
        begin
            .bind::<Array<Integer>, _>(firsts)
            .bind::<Array<Integer>, _>(lasts)
            .execute(conn)
            .await?;
    }
    Ok(())
}
