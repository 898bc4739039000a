//! Units of work: one transaction for each change.
//!
//! A handler describes its change as a function on a [`UnitOfWork`]. [`Database::transact`] opens
//! the transaction, publishes the [`ChangedKeys`] to the price book, and stores the response under
//! its idempotency key, all in one commit. Nothing else opens a writing transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use diesel::QueryResult;
use diesel_async::{AnsiTransactionManager, TransactionManager};
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::audit_log::{self, AuditEntry};
use crate::idempotency;
use crate::outbox::{self, ChangedDraft, Event};
use crate::platform::db::pool::{Connection, Pool, PoolError, Pools};
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::ListQuery;
use crate::platform::http::problem::Problem;

/// Header with the version of the price book that contains the change.
pub const PUBLICATION_VERSION: HeaderName = HeaderName::from_static("publication-version");

/// Header with the identity of the history that the version belongs to.
pub const BOOK_ID: HeaderName = HeaderName::from_static("book-id");

/// The keys of everything that a unit of work changed and that can affect prices.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ChangedKeys {
    /// True if the settings changed.
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
    /// Campaigns with other changes than the next two fields list (dates, whole segments), by
    /// number.
    pub campaigns: BTreeSet<String>,
    /// Campaigns with changed lines only: the ids of the lines by the number of the campaign.
    pub campaign_lines: BTreeMap<String, BTreeSet<Uuid>>,
    /// Campaigns with changed segment lines only: the numbers of the contacts on them by the number
    /// of the campaign.
    pub targets: BTreeMap<String, BTreeSet<String>>,
    /// Segments whose rule changed, by number.
    pub rules: BTreeSet<String>,
    /// Posted sales by id. Rules of segments can depend on them.
    pub sales: BTreeSet<Uuid>,
    /// True if interactions changed. Rules of segments can depend on them.
    pub interactions: bool,
}

impl ChangedKeys {
    /// Returns whether anything changed that a publication's guardrails concern. Contacts,
    /// currencies, exchange rates and settings alone are not checked.
    #[must_use]
    pub fn affects_guardrails(&self) -> bool {
        !self.items.is_empty()
            || !self.price_lines.is_empty()
            || !self.discount_lines.is_empty()
            || !self.campaigns.is_empty()
            || !self.campaign_lines.is_empty()
            || !self.targets.is_empty()
    }

    /// Adds other changed keys.
    pub fn merge(&mut self, other: Self) {
        let Self {
            settings,
            currencies,
            exchange_rates,
            items,
            contacts,
            price_lines,
            discount_lines,
            campaigns,
            campaign_lines,
            targets,
            rules,
            sales,
            interactions,
        } = other;
        self.settings |= settings;
        self.currencies.extend(currencies);
        self.exchange_rates.extend(exchange_rates);
        self.items.extend(items);
        self.contacts.extend(contacts);
        self.price_lines.extend(price_lines);
        self.discount_lines.extend(discount_lines);
        self.campaigns.extend(campaigns);
        for (campaign, lines) in campaign_lines {
            self.campaign_lines.entry(campaign).or_default().extend(lines);
        }
        for (campaign, contacts) in targets {
            self.targets.entry(campaign).or_default().extend(contacts);
        }
        self.rules.extend(rules);
        self.sales.extend(sales);
        self.interactions |= interactions;
    }

    /// Returns whether anything changed that belongs to no campaign.
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

/// A change in progress: its transaction and its results so far.
pub struct UnitOfWork {
    /// The connection, inside the transaction.
    pub conn: Connection,
    /// The changed keys, which the publisher brings into the price book before the commit.
    pub changed_keys: ChangedKeys,
    /// The changed drafts, each of which gets an event.
    pub changed_drafts: BTreeSet<ChangedDraft>,
    /// The caller that makes the change.
    pub author: String,
    /// Events to write when the work is done. A publication writes its own event.
    pub events: Vec<Event>,
    /// Findings that do not refuse the change; the response contains them.
    pub warnings: Vec<Value>,
    /// The version of the price book that the change published last, and its history.
    published: Option<(i64, Uuid)>,
    publisher: Arc<dyn Publisher>,
    /// True to roll the change back when it is done: the response says what it would have been.
    pub validate_only: bool,
}

impl UnitOfWork {
    /// Records the version that the change has published, in the history with this identity.
    pub const fn record_version(&mut self, version: i64, book_id: Uuid) {
        self.published = Some((version, book_id));
    }

    /// Records a campaign whose draft changed, by number.
    pub fn campaign_changed(&mut self, number: impl ToString) {
        self.changed_drafts.insert(ChangedDraft::Campaign(number.to_string()));
    }

    /// Records a segment whose draft changed, by number.
    pub fn segment_changed(&mut self, number: impl ToString) {
        self.changed_drafts.insert(ChangedDraft::Segment(number.to_string()));
    }

    /// Writes the events. The counter of the events is the last lock, after that of the book.
    async fn record_events(&mut self) -> QueryResult<()> {
        self.events.extend(self.changed_drafts.iter().map(Event::from));
        outbox::record(&mut self.conn, &self.events).await
    }

    /// Returns the version of the price book that the change published, if it published one.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.published.map(|(version, _)| version)
    }

    /// Publishes what has changed so far. What is read afterwards is the state after the
    /// publication. Changes that follow are published when the work is done.
    ///
    /// # Errors
    /// The refusals of the publisher.
    pub async fn publish(&mut self) -> Result<(), Problem> {
        if self.changed_keys == ChangedKeys::default() {
            return Ok(());
        }
        let publisher = Arc::clone(&self.publisher);
        publisher.publish(self).await
    }

    /// Runs a part of the change inside a savepoint, so that it can fail alone.
    ///
    /// # Errors
    /// The error of the part, whose changes are rolled back. Also when the database cannot set or
    /// leave the savepoint.
    pub async fn savepoint<T, E: From<diesel::result::Error>>(
        &mut self,
        change: impl AsyncFnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        Transactions::begin_transaction(&mut *self.conn).await?;
        let (changed_keys, changed_drafts) =
            (self.changed_keys.clone(), self.changed_drafts.clone());
        let (events, warnings, published) =
            (self.events.len(), self.warnings.len(), self.published);
        match change(self).await {
            Ok(done) => {
                Transactions::commit_transaction(&mut *self.conn).await?;
                Ok(done)
            }
            Err(error) => {
                Transactions::rollback_transaction(&mut *self.conn).await?;
                self.changed_keys = changed_keys;
                self.changed_drafts = changed_drafts;
                self.events.truncate(events);
                self.warnings.truncate(warnings);
                self.published = published;
                Err(error)
            }
        }
    }
}

/// The publisher of changed keys to the price book. `app` supplies the implementation of
/// `activation`.
pub trait Publisher: Send + Sync {
    /// Takes the changed keys, and publishes them inside the transaction of the unit of work.
    fn publish<'a>(&'a self, work: &'a mut UnitOfWork) -> LocalBoxFuture<'a, Result<(), Problem>>;

    /// Waits until this process answers from the version, up to a timeout.
    fn wait_for_version(&self, version: i64) -> LocalBoxFuture<'_, ()>;
}

/// The choice whether the audit log records a unit of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audited {
    Yes,
    No,
}

type Transactions = AnsiTransactionManager;

/// The database as modules use it: reading sessions and units of work.
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    publisher: Arc<dyn Publisher>,
    /// True once the schema is known to match this build.
    open: Arc<AtomicBool>,
}

impl Database {
    /// Creates the database on its pools, with the publisher that follows each unit of work. It is
    /// closed until [`Database::open`].
    #[must_use]
    pub fn new(pools: Pools, publisher: Arc<dyn Publisher>) -> Self {
        Self { pools, publisher, open: Arc::default() }
    }

    /// Opens the database for reads and writes, once it was reached and its schema is up to date.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Lends a session for a read that takes milliseconds.
    ///
    /// # Errors
    /// 503 when the database is unavailable, was not reached since the start, or has no free
    /// session for this kind of work.
    pub async fn read(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.reads).await
    }

    /// Lends a session for the record of a request that was refused.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn record(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.writes).await
    }

    /// Lends a session for a list. A plain page counts as a read; a filter, an order or a count
    /// makes it a search.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn list(&self, list: &ListQuery) -> Result<Connection, Problem> {
        self.session(if list.is_plain() { &self.pools.reads } else { &self.pools.searches }).await
    }

    /// Lends a session for a search, whose statements are ended after seconds.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn search(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.searches).await
    }

    /// Lends a session for a read that computes and may take long.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn report(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.reports).await
    }

    /// Lends a session for work that no request waits for.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn background(&self) -> Result<Connection, Problem> {
        self.session(&self.pools.background).await
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

    /// Executes a change in one transaction, with its publication and its idempotency record.
    /// Commits all of it or nothing.
    ///
    /// # Errors
    /// The refusals of `change` and the publisher; 409 and 422 of the idempotency key; 503 when the
    /// database is unavailable.
    pub async fn transact(
        &self,
        request: &ApiRequest,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        self.run(&self.pools.writes, Audited::Yes, request, change).await
    }

    /// Executes work that writes nothing but its idempotency record, on a session for reports.
    ///
    /// # Errors
    /// As [`Database::transact`].
    pub async fn preview(
        &self,
        request: &ApiRequest,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        self.run(&self.pools.reports, Audited::No, request, change).await
    }

    /// Executes a change that no request asks for, in one transaction with its publication.
    ///
    /// # Errors
    /// As [`Database::transact`].
    pub async fn transact_as(
        &self,
        author: &str,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut work = self.begin(&self.pools.background, author).await?;
        let done = async {
            change(&mut work).await?;
            work.publish().await?;
            let publication_version = work.version();
            let entry = AuditEntry::of_background(author, publication_version);
            if work.validate_only {
                return Ok(());
            }
            audit_log::record(&mut work.conn, entry).await?;
            Ok(work.record_events().await?)
        };
        let done = done.await;
        self.end(work, done).await
    }

    async fn run(
        &self,
        pool: &Pool,
        audited: Audited,
        request: &ApiRequest,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        let mut work = self.begin(pool, &request.caller.identity().subject).await?;
        let done = self.run_in_transaction(request, &mut work, audited, change).await;
        self.end(work, done).await
    }

    async fn begin(&self, pool: &Pool, author: &str) -> Result<UnitOfWork, Problem> {
        let mut work = UnitOfWork {
            conn: self.session(pool).await?,
            changed_keys: ChangedKeys::default(),
            changed_drafts: BTreeSet::new(),
            author: author.to_owned(),
            events: Vec::new(),
            warnings: Vec::new(),
            published: None,
            publisher: Arc::clone(&self.publisher),
            validate_only: false,
        };
        Transactions::begin_transaction(&mut *work.conn).await.map_err(Problem::from)?;
        Ok(work)
    }

    /// Commits what was done, and rolls back what was refused or only validated.
    async fn end<T>(&self, mut work: UnitOfWork, done: Result<T, Problem>) -> Result<T, Problem> {
        match done {
            Ok(answer) if work.validate_only => {
                Transactions::rollback_transaction(&mut *work.conn).await.map_err(Problem::from)?;
                Ok(answer)
            }
            Ok(answer) => {
                Transactions::commit_transaction(&mut *work.conn).await.map_err(Problem::from)?;
                if let Some(version) = work.version() {
                    drop(work);
                    self.publisher.wait_for_version(version).await;
                }
                Ok(answer)
            }
            Err(problem) => {
                if let Err(error) = Transactions::rollback_transaction(&mut *work.conn).await {
                    // The connection is dropped together with its transaction, so nothing was
                    // committed.
                    tracing::warn!(%error, "failed to roll back a transaction");
                }
                Err(problem)
            }
        }
    }

    async fn run_in_transaction(
        &self,
        request: &ApiRequest,
        work: &mut UnitOfWork,
        audited: Audited,
        change: impl AsyncFnOnce(&mut UnitOfWork) -> Result<ApiResponse, Problem>,
    ) -> Result<ApiResponse, Problem> {
        // Each caller has its own keys.
        let key = request.idempotency_key.as_ref().map(|key| format!("{} {key}", work.author));
        if let Some(key) = &key
            && let Some(stored) =
                idempotency::stored_response(&mut work.conn, key, &request.request_hash()).await?
        {
            return Ok(stored);
        }
        let mut answer = change(work).await?;
        work.publish().await?;
        if work.validate_only {
            return validated(answer, std::mem::take(&mut work.warnings));
        }
        if audited == Audited::Yes {
            let entry = AuditEntry {
                subject: &work.author,
                operation_id: request.operation_id.text(),
                path: &request.path,
                status: answer.status.as_u16(),
                trace_id: request.trace_id.text(),
                publication_version: work.version(),
            };
            audit_log::record(&mut work.conn, entry).await?;
        }
        work.record_events().await?;
        if let Some((version, book_id)) = work.published {
            answer = answer
                .header(PUBLICATION_VERSION, &version.to_string())
                .header(BOOK_ID, &book_id.to_string());
        }
        if !work.warnings.is_empty() {
            add_warnings(&mut answer, std::mem::take(&mut work.warnings))?;
        }
        if let Some(key) = &key {
            idempotency::store(&mut work.conn, key, request.request_hash(), &answer).await?;
        }
        Ok(answer)
    }
}

/// Returns the response to a change that is only validated: 200 with the representation that the
/// change would lead to, without its headers, and with all warnings.
fn validated(answer: ApiResponse, warnings: Vec<Value>) -> Result<ApiResponse, Problem> {
    let is_empty = answer.body.is_empty();
    let body = if is_empty { b"{}".to_vec() } else { answer.body };
    let status =
        if answer.status == StatusCode::MULTI_STATUS { answer.status } else { StatusCode::OK };
    let mut answer = ApiResponse { status, headers: Vec::new(), body };
    add_warnings(&mut answer, warnings)?;
    Ok(answer)
}

/// Adds the findings of an automatic publication to the changed resource in the response.
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
