//! Idempotency keys: a request that is sent again has no second effect and gets the first response
//! (`docs/api-conventions.md` section 9).
//!
//! [`Database::transact`](crate::unit_of_work::Database::transact) asks for the stored response
//! before a change, and stores the response in the same transaction.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::platform::db::named_locks;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::schema::idempotency_records;

/// Hours for which a response is stored under its idempotency key.
const RETENTION_HOURS: i64 = 72;
/// Namespace of the advisory locks on keys.
const LOCK_SEED: i64 = 0x6b61_6d70;
/// Header that marks a response as the stored one.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Returns the stored response of a key. Without one, locks the key until the transaction ends.
///
/// # Errors
/// 409 while another request with the key is running, or if the response was erased; 422 if the key
/// belongs to another request; or when the database fails.
pub async fn stored_response(
    conn: &mut AsyncPgConnection,
    key: &str,
    request_hash: &[u8],
) -> Result<Option<ApiResponse>, Problem> {
    if !named_locks::try_lock(conn, LOCK_SEED, key).await? {
        return Err(Problem::new(
            ProblemCode::IdempotencyInProgress,
            "the first request with this key is still running",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("1")));
    }
    let oldest_kept = chrono::Utc::now() - chrono::Duration::hours(RETENTION_HOURS);
    let stored = idempotency_records::table
        .find(hash_of(key))
        .filter(idempotency_records::created_at.gt(oldest_kept))
        .select((
            idempotency_records::request_hash,
            idempotency_records::status,
            idempotency_records::headers,
            idempotency_records::body,
        ))
        .first::<(Vec<u8>, i16, Value, Option<Vec<u8>>)>(conn)
        .await
        .optional()?;
    let Some((hash, status, headers, body)) = stored else { return Ok(None) };
    if hash != request_hash {
        let detail = "this idempotency key was used for another request";
        return Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail));
    }
    let Some(body) = body else {
        let detail = "the first request with this key was executed; its response was erased, \
            together with the personal data in it";
        return Err(Problem::new(ProblemCode::IdempotencyResponseErased, detail));
    };
    let status = u16::try_from(status)
        .ok()
        .and_then(|s| StatusCode::from_u16(s).ok())
        .unwrap_or(StatusCode::OK);
    let headers: Vec<(String, String)> =
        serde_json::from_value(headers).map_err(Problem::internal)?;
    let mut answer = ApiResponse { status, headers: Vec::new(), body };
    for (name, value) in headers {
        if let Ok(name) = name.parse::<HeaderName>() {
            answer = answer.header(name, &value);
        }
    }
    Ok(Some(answer.header(REPLAYED, "true")))
}

/// Stores a response under its key.
///
/// # Errors
/// When the database fails.
pub async fn store(
    conn: &mut AsyncPgConnection,
    key: &str,
    request_hash: Vec<u8>,
    answer: &ApiResponse,
) -> Result<(), Problem> {
    let headers: Vec<(&str, &str)> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let status = i16::try_from(answer.status.as_u16()).map_err(Problem::internal)?;
    let record = (
        idempotency_records::key_hash.eq(hash_of(key)),
        idempotency_records::request_hash.eq(request_hash),
        idempotency_records::status.eq(status),
        idempotency_records::headers.eq(serde_json::to_value(headers).map_err(Problem::internal)?),
        idempotency_records::body.eq(Some(&answer.body)),
        idempotency_records::created_at.eq(chrono::Utc::now()),
    );
    // An expired record of the same key may still exist.
    diesel::delete(idempotency_records::table.find(hash_of(key))).execute(conn).await?;
    diesel::insert_into(idempotency_records::table).values(record).execute(conn).await?;
    Ok(())
}

/// Returns the hash under which the record of a key is stored.
fn hash_of(key: &str) -> Vec<u8> {
    Sha256::digest(key).to_vec()
}

/// Erases the responses whose body matches a regular expression, regardless of case. Their records
/// stay, so that a repeated request has no second effect.
///
/// # Errors
/// When the database fails.
pub async fn erase_responses(conn: &mut AsyncPgConnection, pattern: &str) -> QueryResult<usize> {
    let query = "UPDATE idempotency_records SET body = NULL, headers = '[]'
        WHERE convert_from(body, 'UTF8') ~* $1";
    diesel::sql_query(query).bind::<Text, _>(pattern).execute(conn).await
}

/// Deletes the records that are no longer answered from.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let oldest_kept = now - chrono::Duration::hours(RETENTION_HOURS);
    let old = idempotency_records::table.filter(idempotency_records::created_at.le(oldest_kept));
    diesel::delete(old).execute(conn).await
}
