//! Imports, chunks and errors in the database.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text as SqlText, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use values::text_enum;

use crate::activation::findings::Finding;
use crate::platform::db::named_locks;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::resource::batch::Mode;
use crate::schema::{import_chunks, import_errors, imports};
use crate::tabular::Format;
use crate::tabular::columns::RowError;

/// Maximum number of errors that are kept of an import. All are counted.
pub const MAX_ERRORS: usize = 10_000;
/// Maximum number of errors that one statement inserts.
const MAX_ERRORS_OF_STATEMENT: usize = 1_000;
/// Maximum number of findings that are kept of an import.
const MAX_FINDINGS: usize = 100;
/// Maximum length of the detail of an error in characters.
const MAX_DETAIL_LENGTH: usize = 1_000;
/// Maximum number of imports that are not finished.
pub const MAX_UNFINISHED: i64 = 20;
/// Time after which a file that is not complete is given up: its process has ended.
const RECEIVING_TIMEOUT: TimeDelta = TimeDelta::minutes(10);
/// Days for which a finished import is kept.
const RETENTION_DAYS: i64 = 30;
/// Namespace of the advisory locks on imports.
const LOCK_SEED: i64 = 0x696d_706f;

text_enum! {
    /// The state of an import.
    ImportState {
        /// The file is arriving.
        Receiving = "RECEIVING",
        /// Its rows are being written.
        Running = "RUNNING",
        /// All rows were written, or refused one by one.
        Succeeded = "SUCCEEDED",
        /// The import was refused; `detail` has the reason.
        Failed = "FAILED",
        /// A caller has canceled it. Rows that were written before stay.
        Canceled = "CANCELED",
    }
}

/// An import.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Import)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = imports, check_for_backend(Pg))]
pub struct ImportView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The resource: the path of its collection below `/v1`.
    #[schema(max_length = 200, example = "items")]
    pub resource: String,
    /// The format of the file.
    #[schema(example = "CSV")]
    pub format: Format,
    /// The treatment of fields that a row for an existing resource does not contain.
    #[schema(example = "MERGE")]
    pub mode: Mode,
    /// True if one refused row refuses the whole file.
    pub atomic: bool,
    /// True if nothing is changed.
    pub validate_only: bool,
    /// The state.
    #[schema(example = "SUCCEEDED")]
    pub state: ImportState,
    /// The number of rows that were read from the file.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1000)]
    pub rows_read: i64,
    /// The number of rows that created, changed or deleted a resource, or would have.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 990)]
    pub rows_written: i64,
    /// The number of rows whose resource had their content already.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 8)]
    pub rows_unchanged: i64,
    /// The number of rows that were refused. `errors` has the reasons.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 2)]
    pub rows_failed: i64,
    /// The code of the problem for which the import failed.
    #[schema(max_length = 50, example = "VALIDATION_FAILED")]
    pub code: Option<String>,
    /// The reason for which the import failed.
    #[schema(max_length = 4000, example = "2 rows are refused, so none was written")]
    pub detail: Option<String>,
    /// The findings of its publications, up to 100.
    #[schema(value_type = Vec<Finding>, max_items = 100)]
    pub findings: Value,
    /// The last version of the price book that it published.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: Option<i64>,
    /// The caller that sent the file.
    #[schema(max_length = 200, example = "key:ERP")]
    pub created_by: String,
    /// The time at which the file began to arrive.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub created_at: DateTime<Utc>,
    /// The time at which the file was complete.
    #[schema(max_length = 35, example = "2031-05-15T08:30:04.123456Z")]
    pub started_at: Option<DateTime<Utc>>,
    /// The time at which the import ended.
    #[schema(max_length = 35, example = "2031-05-15T08:30:09.123456Z")]
    pub finished_at: Option<DateTime<Utc>>,
}

/// An error of a row.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = import_errors, check_for_backend(Pg))]
pub struct ImportError {
    /// The line of the file on which the row begins, or the row of the sheet; from 1.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 3)]
    pub line: i64,
    /// The column; empty if the error concerns the whole row.
    #[schema(max_length = 1000, example = "unitsOfMeasure[0].code")]
    #[serde(rename = "column")]
    pub column_name: String,
    /// The code of the problem or error; see docs/errors.md.
    #[schema(max_length = 50, example = "INVALID_DECIMAL")]
    pub code: String,
    /// The error in a sentence.
    #[schema(max_length = 4000, example = "has to be a decimal such as 12.50")]
    pub detail: String,
}

/// The options of an import.
#[derive(Debug, Clone)]
pub struct NewImport {
    /// The id.
    pub id: Uuid,
    /// The resource with its parent.
    pub resource: String,
    /// The scope that reads the resource.
    pub read_scope: &'static str,
    /// The format.
    pub format: Format,
    /// The treatment of absent fields.
    pub mode: Mode,
    /// True if one refused row refuses the whole file.
    pub atomic: bool,
    /// True to change nothing.
    pub validate_only: bool,
    /// The caller.
    pub created_by: String,
}

/// A row as it is kept until it is written.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptRow {
    /// The line of the file.
    pub line: i64,
    /// The content, or the errors of the file.
    pub content: Result<Value, Vec<KeptError>>,
}

/// An error of a row of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptError {
    column: String,
    code: String,
    detail: String,
}

impl From<RowError> for KeptError {
    fn from(error: RowError) -> Self {
        let RowError { column, code, detail } = error;
        Self { column, code: code.to_owned(), detail }
    }
}

/// A chunk of rows.
#[derive(Debug)]
pub struct Chunk {
    /// The position in the file.
    pub number: i32,
    /// The rows.
    pub rows: Vec<KeptRow>,
}

/// The results of rows, and of their publication.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// The number of rows that changed something.
    pub written: i64,
    /// The number of rows that changed nothing.
    pub unchanged: i64,
    /// The number of refused rows.
    pub failed: i64,
    /// The errors of refused rows, with their lines.
    pub errors: Vec<(i64, KeptError)>,
    /// The findings of the publication.
    pub findings: Vec<Value>,
    /// The version that was published.
    pub version: Option<i64>,
}

impl Tally {
    /// Adds a refused row.
    pub fn refuse(&mut self, line: i64, errors: impl IntoIterator<Item = KeptError>) {
        self.failed = self.failed.saturating_add(1);
        let left = MAX_ERRORS.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(left).map(|error| (line, error)));
    }

    /// Adds rows that their publication refused.
    pub fn refuse_all(&mut self, chunks: &[Chunk], problem: &Problem) {
        let mut rows = chunks.iter().flat_map(|chunk| &chunk.rows);
        let Some(first) = rows.next() else { return };
        let last = rows.next_back().unwrap_or(first);
        let detail = format!(
            "no row from line {} to {} was written: {}",
            first.line, last.line, problem.detail
        );
        let count: usize = chunks.iter().map(|chunk| chunk.rows.len()).sum();
        let error =
            KeptError { column: String::new(), code: problem.code.text().to_owned(), detail };
        self.refuse(first.line, [error]);
        let others = i64::try_from(count.saturating_sub(1)).unwrap_or_default();
        self.failed = self.failed.saturating_add(others);
    }
}

/// Creates an import that is being received.
///
/// # Errors
/// 503 while too many imports are unfinished, or when the database fails.
pub async fn create(conn: &mut AsyncPgConnection, import: &NewImport) -> Result<(), Problem> {
    let unfinished: i64 =
        imports::table.filter(imports::finished_at.is_null()).count().get_result(conn).await?;
    if unfinished >= MAX_UNFINISHED {
        let detail =
            format!("{unfinished} imports are unfinished, and more are not allowed at a time");
        return Err(Problem::new(ProblemCode::TooManyStreams, detail));
    }
    let row = (
        imports::id.eq(import.id),
        imports::resource.eq(&import.resource),
        imports::read_scope.eq(import.read_scope),
        imports::format.eq(import.format),
        imports::mode.eq(import.mode),
        imports::atomic.eq(import.atomic),
        imports::validate_only.eq(import.validate_only),
        imports::state.eq(ImportState::Receiving),
        imports::created_by.eq(&import.created_by),
    );
    diesel::insert_into(imports::table).values(row).execute(conn).await?;
    Ok(())
}

/// The member of a problem that tells the end of an import from other conflicts.
pub const STOPPED: &str = "stopped";

/// Returns the problem of an import that is no longer in the expected state, or is being written by
/// another worker: 409.
#[must_use]
pub fn stopped() -> Problem {
    let mut problem = Problem::new(ProblemCode::Conflict, "the import was canceled");
    problem.extensions.insert(STOPPED.to_owned(), true.into());
    problem
}

/// Keeps a chunk of rows.
///
/// # Errors
/// 409 when the import was canceled, or when the database fails.
pub async fn append(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    number: i32,
    rows: &str,
    count: i64,
) -> Result<(), Problem> {
    let query = "WITH import AS (
            UPDATE imports SET rows_read = rows_read + $3, progressed_at = clock_timestamp()
            WHERE id = $1 AND state = 'RECEIVING' RETURNING id)
        INSERT INTO import_chunks SELECT id, $2, $4 FROM import";
    let appended = diesel::sql_query(query)
        .bind::<SqlUuid, _>(id)
        .bind::<Integer, _>(number)
        .bind::<BigInt, _>(count)
        .bind::<SqlText, _>(rows)
        .execute(conn)
        .await?;
    if appended == 0 { Err(stopped()) } else { Ok(()) }
}

/// Lets the worker begin with a file that is complete.
///
/// # Errors
/// 409 when the import was canceled, or when the database fails.
pub async fn start(conn: &mut AsyncPgConnection, id: Uuid) -> Result<ImportView, Problem> {
    let receiving = imports::state.eq(ImportState::Receiving);
    diesel::update(imports::table.find(id).filter(receiving))
        .set((imports::state.eq(ImportState::Running), imports::started_at.eq(Utc::now())))
        .returning(ImportView::as_returning())
        .get_result(conn)
        .await
        .optional()?
        .ok_or_else(stopped)
}

/// Records that a file was refused.
///
/// # Errors
/// When the database fails.
pub async fn refuse(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    problem: &Problem,
) -> Result<(), Problem> {
    let receiving = imports::state.eq(ImportState::Receiving);
    diesel::update(imports::table.find(id).filter(receiving))
        .set((
            imports::state.eq(ImportState::Failed),
            imports::code.eq(problem.code.text()),
            imports::detail.eq(&problem.detail),
            imports::finished_at.eq(Utc::now()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes an import whose request was answered with a stored response.
///
/// # Errors
/// When the database fails.
pub async fn remove(conn: &mut AsyncPgConnection, id: Uuid) -> Result<(), Problem> {
    diesel::delete(imports::table.find(id)).execute(conn).await?;
    Ok(())
}

/// Cancels an import. Returns false if it is finished.
///
/// # Errors
/// When the database fails.
pub async fn cancel(conn: &mut AsyncPgConnection, id: Uuid) -> Result<bool, Problem> {
    let canceled = diesel::update(imports::table.find(id).filter(imports::finished_at.is_null()))
        .set((imports::state.eq(ImportState::Canceled), imports::finished_at.eq(Utc::now())))
        .execute(conn)
        .await?;
    Ok(canceled > 0)
}

/// Returns an import whose resource the scopes may read.
///
/// # Errors
/// 404 when there is none, or when the database fails.
pub async fn find(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    scopes: &[&str],
) -> Result<ImportView, Problem> {
    imports::table
        .find(id)
        .filter(imports::read_scope.eq_any(scopes))
        .select(ImportView::as_select())
        .first(conn)
        .await
        .optional()?
        .ok_or_else(|| Problem::not_found("import", &id.to_string()))
}

/// Returns the errors of an import, in the order in which they were found.
///
/// # Errors
/// When the database fails.
pub async fn errors(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Vec<ImportError>, Problem> {
    Ok(import_errors::table
        .filter(import_errors::import_id.eq(id))
        .order(import_errors::id)
        .select(ImportError::as_select())
        .load(conn)
        .await?)
}

/// Returns the imports that have rows to write. The one that has waited longest is the first.
///
/// # Errors
/// When the database fails.
pub async fn running(conn: &mut AsyncPgConnection) -> Result<Vec<ImportView>, Problem> {
    Ok(imports::table
        .filter(imports::finished_at.is_null())
        .filter(imports::state.eq(ImportState::Running))
        .order(imports::progressed_at)
        .limit(MAX_UNFINISHED)
        .select(ImportView::as_select())
        .load(conn)
        .await?)
}

/// Locks an import until the transaction ends. Returns false if another worker has it.
///
/// # Errors
/// When the database fails.
pub async fn try_lock(conn: &mut AsyncPgConnection, id: Uuid) -> Result<bool, Problem> {
    Ok(named_locks::try_lock(conn, LOCK_SEED, &id.to_string()).await?)
}

/// Checks that an import still has rows to write.
///
/// # Errors
/// 409 when it was canceled or is finished, or when the database fails.
pub async fn check_running(conn: &mut AsyncPgConnection, id: Uuid) -> Result<(), Problem> {
    let state = imports::table.find(id).select(imports::state).first(conn).await.optional()?;
    if state == Some(ImportState::Running) { Ok(()) } else { Err(stopped()) }
}

/// Returns the next chunks after a position.
///
/// # Errors
/// When the database fails.
pub async fn next_chunks(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    after: i32,
    limit: i64,
) -> Result<Vec<Chunk>, Problem> {
    let chunks: Vec<(i32, String)> = import_chunks::table
        .filter(import_chunks::import_id.eq(id).and(import_chunks::number.gt(after)))
        .order(import_chunks::number)
        .limit(limit)
        .select((import_chunks::number, import_chunks::rows))
        .load(conn)
        .await?;
    let chunk = |(number, rows): (i32, String)| {
        let rows = serde_json::from_str(&rows).map_err(Problem::internal)?;
        Ok(Chunk { number, rows })
    };
    chunks.into_iter().map(chunk).collect()
}

/// Returns whether an import has chunks after a position.
///
/// # Errors
/// When the database fails.
pub async fn has_chunks_after(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    after: i32,
) -> Result<bool, Problem> {
    let later = import_chunks::table
        .filter(import_chunks::import_id.eq(id).and(import_chunks::number.gt(after)));
    Ok(diesel::select(diesel::dsl::exists(later)).get_result(conn).await?)
}

/// The end of an import, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// There are further chunks.
    No,
    /// All rows were written or refused.
    Succeeded,
    /// The import is refused.
    Failed(&'a Problem),
}

/// Records the results of the chunks up to a position, and deletes the chunks. The row of the
/// import is changed first: a cancellation waits for it, and never the other way round.
///
/// # Errors
/// 409 when the import was canceled, or when the database fails.
pub async fn record(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    up_to: i32,
    tally: &Tally,
    end: End<'_>,
) -> Result<(), Problem> {
    let (state, problem) = match end {
        End::No => (ImportState::Running, None),
        End::Succeeded => (ImportState::Succeeded, None),
        End::Failed(problem) => (ImportState::Failed, Some(problem)),
    };
    let running = imports::state.eq(ImportState::Running);
    let known: Option<Value> = imports::table
        .find(id)
        .filter(running)
        .select(imports::findings)
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let Some(Value::Array(mut findings)) = known else { return Err(stopped()) };
    findings.extend(tally.findings.iter().cloned());
    findings.truncate(MAX_FINDINGS);
    diesel::update(imports::table.find(id))
        .set((
            imports::state.eq(state),
            imports::rows_written.eq(imports::rows_written + tally.written),
            imports::rows_unchanged.eq(imports::rows_unchanged + tally.unchanged),
            imports::rows_failed.eq(imports::rows_failed + tally.failed),
            imports::code.eq(problem.map(|problem| problem.code.text())),
            imports::detail.eq(problem.map(|problem| problem.detail.as_str())),
            imports::findings.eq(Value::Array(findings)),
            imports::progressed_at.eq(Utc::now()),
            imports::finished_at.eq((state != ImportState::Running).then(Utc::now)),
        ))
        .execute(conn)
        .await?;
    if let Some(version) = tally.version {
        diesel::update(imports::table.find(id))
            .set(imports::publication_version.eq(version))
            .execute(conn)
            .await?;
    }
    let done = import_chunks::import_id.eq(id).and(import_chunks::number.le(up_to));
    diesel::delete(import_chunks::table.filter(done)).execute(conn).await?;
    let kept: i64 = import_errors::table
        .filter(import_errors::import_id.eq(id))
        .count()
        .get_result(conn)
        .await?;
    let left = MAX_ERRORS.saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
    let errors = tally.errors.get(..left.min(tally.errors.len())).unwrap_or_default();
    for errors in errors.chunks(MAX_ERRORS_OF_STATEMENT) {
        let rows: Vec<_> = errors
            .iter()
            .map(|(line, error)| {
                let detail: String = error.detail.chars().take(MAX_DETAIL_LENGTH).collect();
                (
                    import_errors::import_id.eq(id),
                    import_errors::line.eq(*line),
                    import_errors::column_name.eq(&error.column),
                    import_errors::code.eq(&error.code),
                    import_errors::detail.eq(detail),
                )
            })
            .collect();
        diesel::insert_into(import_errors::table).values(rows).execute(conn).await?;
    }
    Ok(())
}

/// Ends imports whose file never became complete, and deletes the chunks of ended imports.
///
/// # Errors
/// When the database fails.
pub async fn clean_up(conn: &mut AsyncPgConnection) -> Result<(), Problem> {
    let abandoned = imports::finished_at
        .is_null()
        .and(imports::state.eq(ImportState::Receiving))
        .and(imports::created_at.lt(Utc::now() - RECEIVING_TIMEOUT));
    diesel::update(imports::table.filter(abandoned))
        .set((
            imports::state.eq(ImportState::Failed),
            imports::code.eq(ProblemCode::RequestTimeout.text()),
            imports::detail.eq("the file did not arrive completely"),
            imports::finished_at.eq(Utc::now()),
        ))
        .execute(conn)
        .await?;
    let ended = imports::table.filter(imports::finished_at.is_not_null()).select(imports::id);
    let left = import_chunks::table.filter(import_chunks::import_id.eq_any(ended));
    diesel::delete(left).execute(conn).await?;
    Ok(())
}

/// Deletes the imports that ended long ago, with their errors.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let oldest_kept = now - TimeDelta::days(RETENTION_DAYS);
    diesel::delete(imports::table.filter(imports::finished_at.lt(oldest_kept))).execute(conn).await
}
