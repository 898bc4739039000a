//! One transaction per effect.
//!
//! A handler describes its change as a function on an [`UnitOfWork`]; [`Database::effect`] gives it
//! the transaction, lets the price book follow what was touched, and keeps the answer under its
//! idempotency key, all in the same commit. Nothing else opens a writing transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::db::pool::{Connection, Pool, PoolError, Pools};
use super::db::schema::idempotency_records;
use super::http::call::{ApiRequest, ApiResponse};
use super::http::list::ListQuery;
use super::http::problem::{Problem, ProblemCode};
use super::outbox::{self, Event};

/// How long an answer is kept under its idempotency key.
const KEPT_HOURS: i64 = 72;
/// Says that the answer is the stored one.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The version of the price book that holds the change.
pub const PUBLICATION_VERSION: HeaderName = HeaderName::from_static("publication-version");

/// Everything that an effect changed and that may count for prices, by key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ChangedKeys {
    /// The settings.
    pub settings: bool,
    /// Currencies by code.
    pub currencies: BTreeSet<String>,
    /// Currencies whose exchange rates changed, by code.
    pub exchange_rates: BTreeSet<String>,
    /// Items by number.
    pub items: BTreeSet<String>,
    /// Contacts by number.
    pub contacts: BTreeSet<String>,
    /// Price lines by id.
    pub price_lines: BTreeSet<Uuid>,
    /// Discount lines by id.
    pub discount_lines: BTreeSet<Uuid>,
    /// Campaigns of which more changed than the next two say (dates, whole segments), by number.
    pub campaigns: BTreeSet<String>,
    /// Campaigns of which only some lines changed: the lines' ids by the campaign's number.
    pub campaign_lines: BTreeMap<String, BTreeSet<Uuid>>,
    /// Campaigns of which only some lines of segments changed: the numbers of the contacts on these
    /// by the campaign's number.
    pub targets: BTreeMap<String, BTreeSet<String>>,
}

impl ChangedKeys {
    /// Whether anything is touched that belongs to no campaign.
    #[must_use]
    pub fn has_base_data(&self) -> bool {
        let Self {
            settings,
            currencies,
            exchange_rates,
            items,
            contacts,
            price_lines,
            discount_lines,
            ..
        } = self;
        let lines = !price_lines.is_empty() || !discount_lines.is_empty();
        *settings
            || lines
            || [currencies, exchange_rates, items, contacts]
                .into_iter()
                .any(|changed_keys| !changed_keys.is_empty())
    }
}

/// A change under way: the transaction and what it touches.
pub struct UnitOfWork {
    /// The connection, inside the transaction.
    pub conn: Connection,
    /// What the change touches; the publisher brings it into the price book before the commit.
    pub changed_keys: ChangedKeys,
    /// Who makes the change.
    pub author: String,
    /// What others are to hear of, once the work is done; what is published says so itself.
    pub events: Vec<Event>,
    /// Findings that do not refuse the change; they go into the answer.
    pub warnings: Vec<Value>,
    /// The version of the price book that the change made, if it made one.
    pub version: Option<i64>,
}

impl UnitOfWork {
    /// Runs a part of the change that may fail and be undone alone.
    ///
    /// # Errors
    /// What the part answers; its changes are gone then. Also when the database cannot set or leave
    /// the savepoint.
    pub async fn savepoint<T, E: From<diesel::result::Error>>(
        &mut self,
        change: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        Transactions::begin_transaction(&mut *self.conn).await?;
        let changed_keys = self.changed_keys.clone();
        let events = self.events.len();
        match change(self).await {
            Ok(done) => {
                Transactions::commit_transaction(&mut *self.conn).await?;
                Ok(done)
            }
            Err(error) => {
                Transactions::rollback_transaction(&mut *self.conn).await?;
                self.changed_keys = changed_keys;
                self.events.truncate(events);
                Err(error)
            }
        }
    }
}

/// What brings touched things into the price book: the activation room, put in by `app`.
pub trait Publisher: Send + Sync {
    /// Publishes what the effect touched, inside its transaction.
    fn publish<'a>(&'a self, work: &'a mut UnitOfWork) -> LocalBoxFuture<'a, Result<(), Problem>>;

    /// Waits until this process answers from the version, or a little while at most.
    fn wait_for_version(&self, version: i64) -> LocalBoxFuture<'_, ()>;
}

type Transactions = AnsiTransactionManager;

/// The database as the rooms use it: reading connections and effects.
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    publisher: Arc<dyn Publisher>,
    /// Whether the schema is known to be this build's.
    open: Arc<AtomicBool>,
}

impl Database {
    /// Creates the database behind the pools, with what follows each effect. It is closed until
    /// [`Database::open`].
    #[must_use]
    pub fn new(pools: Pools, publisher: Arc<dyn Publisher>) -> Self {
        Self { pools, publisher, open: Arc::default() }
    }

    /// From now on the database is read and written: it was reached, and its schema is up to date.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Lends a session for a read that takes milliseconds.
    ///
    /// # Errors
    /// 503 when the database is out of reach, was not reached since the start, or has no session
    /// free for such work.
    pub async fn read(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.reads).await
    }

    /// Lends a session for a list: a plain page is a read like any other; with a filter, an order
    /// or a count it is a search.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn list(&self, list: &ListQuery) -> Result<Connection, Problem> {
        self.session(if list.is_plain() { &self.pools.reads } else { &self.pools.searches }).await
    }

    /// Lends a session for a read that computes, and may take long by its nature.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn report(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.reports).await
    }

    async fn session(&self, pool: &Pool) -> Result<Connection, Problem> {
        if !AtomicBool::load(&self.open, Ordering::Acquire) {
            return Err(Problem::unavailable("the database was not reached since the start"));
        }
        pool.get().await.map_err(|error| match error {
            PoolError::Exhausted(_) => Problem::overloaded(error),
            _ => Problem::unavailable(error),
        })
    }

    /// Makes a change: all of it, with its publication and its record, or nothing.
    ///
    /// # Errors
    /// What `work` or the publisher refuse, 409 and 422 of the idempotency key, 503 when the
    /// database is out of reach.
    pub async fn transact(
        &self,
        call: &ApiRequest,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        self.run(&self.pools.writes, call, change).await
    }

    /// Does the same for work that changes nothing but the record under its idempotency key: its
    /// session is one for reports.
    ///
    /// # Errors
    /// As [`Database::effect`].
    pub async fn preview(
        &self,
        call: &ApiRequest,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        self.run(&self.pools.reports, call, change).await
    }

    async fn run(
        &self,
        pool: &Pool,
        call: &ApiRequest,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        let mut work = UnitOfWork {
            conn: self.session(pool).await?,
            changed_keys: ChangedKeys::default(),
            author: call.author.clone(),
            events: Vec::new(),
            warnings: Vec::new(),
            version: None,
        };
        Transactions::begin_transaction(&mut *work.conn).await.map_err(Problem::from)?;
        match self.inside(call, &mut work, change).await {
            Ok(answer) => {
                Transactions::commit_transaction(&mut *work.conn).await.map_err(Problem::from)?;
                if let Some(version) = work.version {
                    drop(work);
                    self.publisher.wait_for_version(version).await;
                }
                Ok(answer)
            }
            Err(problem) => {
                if let Err(error) = Transactions::rollback_transaction(&mut *work.conn).await {
                    // The connection is thrown away with its transaction; nothing was committed.
                    tracing::warn!(%error, "a transaction could not be rolled back");
                }
                Err(problem)
            }
        }
    }

    async fn inside(
        &self,
        call: &ApiRequest,
        work: &mut UnitOfWork,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        if let Some(key) = &call.idempotency_key
            && let Some(stored) = stored_answer(&mut work.conn, key, &call.request_hash()).await?
        {
            return Ok(stored);
        }
        let mut answer = change(work).await?;
        if work.changed_keys != ChangedKeys::default() {
            self.publisher.publish(work).await?;
        }
        // After the book: the counter of the events is the last lock.
        outbox::record(&mut work.conn, &work.events).await?;
        if let Some(version) = work.version {
            answer = answer.header(PUBLICATION_VERSION, &version.to_string());
        }
        if !work.warnings.is_empty() {
            add_warnings(&mut answer, std::mem::take(&mut work.warnings))?;
        }
        if let Some(key) = &call.idempotency_key {
            keep_answer(&mut work.conn, key, call.request_hash(), &answer).await?;
        }
        Ok(answer)
    }
}

/// Puts the findings of an automatic publication beside the resource that was changed.
fn add_warnings(answer: &mut ApiResponse, warnings: Vec<Value>) -> Result<(), Problem> {
    if answer.body.is_empty() {
        return Ok(());
    }
    let mut body: Map<String, Value> =
        serde_json::from_slice(&answer.body).map_err(Problem::internal)?;
    body.insert("warnings".to_owned(), Value::Array(warnings));
    answer.body = serde_json::to_vec(&body).map_err(Problem::internal)?;
    Ok(())
}

/// The stored answer of a key, if its request was done before; else the key is ours until the
/// transaction ends.
async fn stored_answer(
    conn: &mut AsyncPgConnection,
    key: &str,
    request_hash: &[u8],
) -> Result<Option<ApiResponse>, Problem> {
    let lock = diesel::dsl::sql::<Bool>("pg_try_advisory_xact_lock(hashtextextended(")
        .bind::<diesel::sql_types::Text, _>(key)
        .sql(", ")
        .bind::<BigInt, _>(0x6b61_6d70)
        .sql("))");
    if !diesel::select(lock).get_result::<bool>(conn).await? {
        return Err(Problem::new(
            ProblemCode::IdempotencyInProgress,
            "the first request with this key is still running",
        )
        .header(actix_web::http::header::RETRY_AFTER, HeaderValue::from_static("1")));
    }
    let kept_since = chrono::Utc::now() - chrono::Duration::hours(KEPT_HOURS);
    let stored = idempotency_records::table
        .find(key)
        .filter(idempotency_records::created_at.gt(kept_since))
        .select((
            idempotency_records::request_hash,
            idempotency_records::status,
            idempotency_records::headers,
            idempotency_records::body,
        ))
        .first::<(Vec<u8>, i16, Value, Vec<u8>)>(conn)
        .await
        .optional()?;
    let Some((hash, status, headers, body)) = stored else { return Ok(None) };
    if hash != request_hash {
        let detail = "this idempotency key was used for another request";
        return Err(Problem::new(ProblemCode::IdempotencyKeyReused, detail));
    }
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

async fn keep_answer(
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
        idempotency_records::key.eq(key),
        idempotency_records::request_hash.eq(request_hash),
        idempotency_records::status.eq(status),
        idempotency_records::headers.eq(serde_json::to_value(headers).map_err(Problem::internal)?),
        idempotency_records::body.eq(&answer.body),
        idempotency_records::created_at.eq(chrono::Utc::now()),
    );
    // A record that is older than it is kept for may still stand; it makes room.
    diesel::delete(idempotency_records::table.find(key)).execute(conn).await?;
    diesel::insert_into(idempotency_records::table).values(record).execute(conn).await?;
    Ok(())
}

/// Removes the answers that are no longer kept, once an hour, for as long as the process lives.
pub async fn purge_idempotency_records(pool: Pool) {
    let mut tick = tokio::time::interval(Duration::from_secs(3_600));
    loop {
        tick.tick().await;
        let Ok(mut conn) = pool.get().await else { continue };
        let kept_since = chrono::Utc::now() - chrono::Duration::hours(KEPT_HOURS);
        let old = idempotency_records::table.filter(idempotency_records::created_at.le(kept_since));
        if let Err(error) = diesel::delete(old).execute(&mut conn).await {
            tracing::warn!(%error, "old idempotency records could not be removed");
        }
    }
}
