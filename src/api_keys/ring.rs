//! Keeps the API keys in memory equal to those in the database.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::ApiKeyView;
use crate::platform::db::pool::{PollError, Pool};
use crate::platform::http::access::caller::{Caller, CallerKind, Identity};
use crate::platform::http::access::keys::{ApiKey, KeyRing};
use crate::platform::http::access::scope::Scopes;
use crate::schema::api_keys;

/// The interval at which the database is polled. A revoked key is refused within a second.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The number of polls between two writes of the times of the latest requests.
const POLLS_BETWEEN_WRITES: u32 = 120;

/// Polls the database for as long as the process lives. While it is unavailable the known keys stay
/// valid until they expire.
pub async fn run(pool: Pool, keys: KeyRing) {
    let mut failed = false;
    let mut polls: u32 = 0;
    loop {
        polls = polls.wrapping_add(1);
        let polled = poll(&pool, &keys, polls.is_multiple_of(POLLS_BETWEEN_WRITES)).await;
        match polled {
            Ok(()) => failed = false,
            Err(error) if !failed => {
                failed = true;
                tracing::warn!(%error, "API keys cannot be refreshed; the known ones stay valid");
            }
            Err(_) => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn poll(pool: &Pool, keys: &KeyRing, writes: bool) -> Result<(), PollError> {
    let mut conn = pool.get().await?;
    refresh(&mut conn, keys).await?;
    if writes {
        record_use(&mut conn, keys).await?;
    }
    Ok(())
}

/// Adds new keys and removes revoked ones. A key never changes, so its id is sufficient to know it.
///
/// # Errors
/// If the database fails.
pub async fn refresh(conn: &mut AsyncPgConnection, keys: &KeyRing) -> QueryResult<()> {
    let ids: Vec<Uuid> = api_keys::table.select(api_keys::id).load(conn).await?;
    let known = keys.ids();
    let new: Vec<Uuid> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
    if new.is_empty() && ids.len() == known.len() {
        return Ok(());
    }
    let rows: Vec<(ApiKeyView, Vec<u8>)> = api_keys::table
        .filter(api_keys::id.eq_any(&new))
        .select((ApiKeyView::as_select(), api_keys::hash))
        .load(conn)
        .await?;
    keys.update(
        &ids,
        rows.into_iter().map(|(view, hash)| (view.id, api_key(view, hash))).collect(),
    );
    Ok(())
}

fn api_key(view: ApiKeyView, hash: Vec<u8>) -> ApiKey {
    let limit = view.requests_per_second.and_then(|limit| u32::try_from(limit).ok());
    let caller = Caller::new(Identity {
        kind: CallerKind::ApiKey,
        subject: format!("key:{}", view.id),
        name: view.name.to_string(),
        scopes: Scopes::granted(&view.roles, &view.scopes),
        roles: view.roles,
        restricted_to_contact_number: view
            .restricted_to_contact_number
            .map(|number| number.to_string()),
    });
    ApiKey::new(caller, hash, view.expires_at, limit.and_then(NonZeroU32::new))
}

/// Writes the times of the latest requests.
async fn record_use(conn: &mut AsyncPgConnection, keys: &KeyRing) -> QueryResult<()> {
    let (ids, times): (Vec<Uuid>, Vec<DateTime<Utc>>) = keys.used().into_iter().unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let query = "UPDATE api_keys SET last_used_at = used.at
        FROM unnest($1, $2) AS used (id, at)
        WHERE api_keys.id = used.id
            AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at < used.at)";
    diesel::sql_query(query)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Timestamptz>, _>(times)
        .execute(conn)
        .await
        .map(drop)
}
