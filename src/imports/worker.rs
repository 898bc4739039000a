//! The worker: writes the rows of imports, each chunk in the transaction that deletes it.

use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::web;
use chrono::{TimeDelta, Utc};
use serde_json::Value;

use super::store::{self, Chunk, End, ImportView, KeptRow, Tally};
use super::targets;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::resource::Origin;
use crate::resource::batch::RowResult;
use crate::tabular::columns::RowError;
use crate::unit_of_work::{Database, UnitOfWork};

/// Interval between two checks for new imports.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Interval between two attempts while the database is unavailable.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Number of chunks in one transaction, and so in one version of the price book. If their
/// publication is refused, each is tried alone.
const CHUNKS_PER_TRANSACTION: i64 = 10;
/// Time after which an import fails whose rows cannot be written because the database is
/// unavailable.
const MAX_RUNNING: TimeDelta = TimeDelta::hours(24);

/// Writes the rows of imports for as long as the process lives.
pub async fn run(database: Database, calendar: Calendar, book: LiveBook) {
    let worker = Worker::new(database, calendar, book);
    loop {
        match worker.turn().await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => tokio::time::sleep(POLL_INTERVAL).await,
            Err(problem) => {
                tracing::warn!(detail = %problem.detail, "imports wait; retrying later");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// The worker of a process.
pub struct Worker {
    database: Database,
    state: Extensions,
}

/// The position of the last chunk of any import.
const LAST: i32 = i32::MAX;

impl Worker {
    /// Creates a worker.
    #[must_use]
    pub fn new(database: Database, calendar: Calendar, book: LiveBook) -> Self {
        let mut state = Extensions::new();
        state.insert(web::Data::new(calendar));
        state.insert(web::Data::new(book));
        Self { database, state }
    }

    /// Writes one part of each import that no other worker has. Returns whether there was any.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn(&self) -> Result<bool, Problem> {
        let mut conn = self.database.read().await?;
        let imports = store::running(&mut conn).await?;
        store::clean_up(&mut conn).await?;
        drop(conn);
        let mut has_written = false;
        for import in imports {
            has_written |= self.write(&import).await?;
        }
        Ok(has_written)
    }

    /// Writes the next part of an import. Returns false if another worker has the import, or it was
    /// canceled.
    async fn write(&self, import: &ImportView) -> Result<bool, Problem> {
        let written = if import.atomic || import.validate_only {
            self.write_whole(import).await
        } else {
            self.write_part(import).await
        };
        match written {
            Ok(()) => Ok(true),
            // Another worker has the import, or it was canceled.
            Err(problem) if is_stop(&problem) => Ok(false),
            Err(problem) => {
                let is_retried = problem.code != ProblemCode::Internal
                    && problem.status().is_server_error()
                    && import.started_at.is_none_or(|since| Utc::now() - since < MAX_RUNNING);
                if is_retried {
                    return Err(problem);
                }
                self.record(import, LAST, &Tally::default(), End::Failed(&problem)).await?;
                Ok(true)
            }
        }
    }

    /// Writes the next chunks of an import in one transaction.
    async fn write_part(&self, import: &ImportView) -> Result<(), Problem> {
        let refused = match self.write_chunks(import, CHUNKS_PER_TRANSACTION).await {
            Err(problem) if is_refusal(&problem) => self.write_chunks(import, 1).await,
            other => return other,
        };
        match refused {
            Err(problem) if is_refusal(&problem) => self.refuse_chunk(import, &problem).await,
            other => other,
        }
    }

    async fn write_chunks(&self, import: &ImportView, limit: i64) -> Result<(), Problem> {
        self.database
            .transact_as(&import.created_by, async |work| {
                lock(work, import).await?;
                let chunks = store::next_chunks(&mut work.conn, import.id, -1, limit).await?;
                let mut tally = Tally::default();
                for chunk in &chunks {
                    self.write_chunk(work, import, chunk, &mut tally).await?;
                }
                publish(work, &mut tally).await?;
                let last = chunks.last().map_or(LAST, |chunk| chunk.number);
                let end = end_after(work, import, last).await?;
                store::record(&mut work.conn, import.id, last, &tally, end).await
            })
            .await
    }

    /// Counts all rows of the next chunk as refused, because their publication is.
    async fn refuse_chunk(&self, import: &ImportView, problem: &Problem) -> Result<(), Problem> {
        self.database
            .transact_as(&import.created_by, async |work| {
                lock(work, import).await?;
                let chunks = store::next_chunks(&mut work.conn, import.id, -1, 1).await?;
                let mut tally = Tally { findings: findings_of(problem), ..Tally::default() };
                tally.refuse_all(&chunks, problem);
                let last = chunks.last().map_or(LAST, |chunk| chunk.number);
                let end = end_after(work, import, last).await?;
                store::record(&mut work.conn, import.id, last, &tally, end).await
            })
            .await
    }

    /// Writes all rows of an import in one transaction, or none of them.
    async fn write_whole(&self, import: &ImportView) -> Result<(), Problem> {
        let mut tally = Tally::default();
        let done = self
            .database
            .transact_as(&import.created_by, async |work| {
                work.validate_only = import.validate_only;
                lock(work, import).await?;
                let mut after = -1;
                while let Some(chunk) =
                    store::next_chunks(&mut work.conn, import.id, after, 1).await?.pop()
                {
                    // A cancellation ends the work.
                    store::check_running(&mut work.conn, import.id).await?;
                    self.write_chunk(work, import, &chunk, &mut tally).await?;
                    after = chunk.number;
                }
                if import.atomic && tally.failed > 0 {
                    let detail = format!("{} rows are refused, so none is written", tally.failed);
                    return Err(Problem::new(ProblemCode::ValidationFailed, detail));
                }
                publish(work, &mut tally).await?;
                if import.validate_only {
                    // Nothing was published.
                    tally.version = None;
                    return Ok(());
                }
                store::record(&mut work.conn, import.id, LAST, &tally, End::Succeeded).await
            })
            .await;
        match done {
            Ok(()) if import.validate_only => {
                self.record(import, LAST, &tally, End::Succeeded).await
            }
            Ok(()) => Ok(()),
            Err(problem) if is_refusal(&problem) => {
                let findings = findings_of(&problem);
                let tally = Tally { written: 0, unchanged: 0, version: None, findings, ..tally };
                self.record(import, LAST, &tally, End::Failed(&problem)).await
            }
            Err(problem) => Err(problem),
        }
    }

    /// Records the end of an import in a transaction of its own.
    async fn record(
        &self,
        import: &ImportView,
        up_to: i32,
        tally: &Tally,
        end: End<'_>,
    ) -> Result<(), Problem> {
        self.database
            .transact_as(&import.created_by, async |work| {
                store::record(&mut work.conn, import.id, up_to, tally, end).await
            })
            .await
    }

    async fn write_chunk(
        &self,
        work: &mut UnitOfWork,
        import: &ImportView,
        chunk: &Chunk,
        tally: &mut Tally,
    ) -> Result<(), Problem> {
        let (target, parent) = targets::find(&import.resource)?;
        let (mut lines, mut rows): (Vec<i64>, Vec<Value>) = (Vec::new(), Vec::new());
        for KeptRow { line, content } in &chunk.rows {
            match content {
                Ok(row) => {
                    lines.push(*line);
                    rows.push(row.clone());
                }
                Err(errors) => tally.refuse(*line, errors.iter().cloned()),
            }
        }
        let origin = Origin::Background { parent, state: &self.state };
        // A savepoint copies the changed keys, so each chunk begins without those before it.
        let changed_keys = std::mem::take(&mut work.changed_keys);
        let results = (target.write)(work, origin, import.mode, rows).await?;
        work.changed_keys.merge(changed_keys);
        for (line, result) in lines.into_iter().zip(results) {
            match result {
                RowResult::Written => tally.written = tally.written.saturating_add(1),
                RowResult::Unchanged => tally.unchanged = tally.unchanged.saturating_add(1),
                RowResult::Refused(problem) => {
                    tally.refuse(line, RowError::of_problem(&problem).into_iter().map(Into::into));
                }
            }
        }
        Ok(())
    }
}

/// Locks an import for this transaction.
///
/// # Errors
/// 409 when another worker has it, or it was canceled.
async fn lock(work: &mut UnitOfWork, import: &ImportView) -> Result<(), Problem> {
    if !store::try_lock(&mut work.conn, import.id).await? {
        return Err(store::stopped());
    }
    store::check_running(&mut work.conn, import.id).await
}

/// Publishes the changes so far, and takes the findings and the version.
async fn publish(work: &mut UnitOfWork, tally: &mut Tally) -> Result<(), Problem> {
    work.publish().await?;
    tally.findings = std::mem::take(&mut work.warnings);
    tally.version = work.version();
    Ok(())
}

async fn end_after(
    work: &mut UnitOfWork,
    import: &ImportView,
    last: i32,
) -> Result<End<'static>, Problem> {
    let has_more = store::has_chunks_after(&mut work.conn, import.id, last).await?;
    Ok(if has_more { End::No } else { End::Succeeded })
}

/// Returns whether a problem says that there is nothing to do.
fn is_stop(problem: &Problem) -> bool {
    problem.extensions.contains_key(store::STOPPED)
}

/// Returns whether a problem is about the rows, and not about the import or the service.
fn is_refusal(problem: &Problem) -> bool {
    problem.status().is_client_error() && !is_stop(problem)
}

/// Returns the findings for which a publication was refused.
fn findings_of(problem: &Problem) -> Vec<Value> {
    let findings = problem.extensions.get("findings").and_then(Value::as_array);
    findings.cloned().unwrap_or_default()
}
