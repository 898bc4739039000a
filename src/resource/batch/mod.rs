//! The batch of a plain resource: many rows created, changed or deleted in one request, atomically
//! or row by row.
//!
//! ```text
//! rows.rs    reading of the rows, before the database is involved
//! changes.rs the change that each row makes to the resource it names
//! write.rs   writing of the changes: together, or one by one if any is refused
//! ```

mod changes;
mod rows;
mod write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};

use self::rows::{Batch, read_batch, read_row, read_rows};
pub use self::rows::{MAX_BATCH_ROWS, Mode};
use self::write::{Outcome, Saved, write_rows};
use super::definition::{Resource, Scope};
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::problem::{FieldCode, FieldError, MAX_ERRORS, Problem, ProblemCode};
use crate::unit_of_work::{Database, UnitOfWork};

/// Handles `POST` on `batch` below the collection: up to 1,000 rows, each named by its business key
/// or its id.
pub async fn batch<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let Batch { mode, atomic, validate_only, rows } = request.read(read_batch::<R>).await?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            let results = write_rows::<R>(work, &scope, mode, &rows, atomic).await?;
            let mut errors_left = MAX_ERRORS;
            let receipts: Vec<Value> = results
                .iter()
                .enumerate()
                .map(|(at, result)| receipt(at, result, &mut errors_left))
                .collect();
            if !atomic {
                return ApiResponse::json(
                    StatusCode::MULTI_STATUS,
                    &json!({ "receipts": receipts }),
                );
            }
            match batch_problem(results) {
                Some(problem) => Err(problem),
                None => ApiResponse::json(StatusCode::OK, &json!({ "receipts": receipts })),
            }
        })
        .await
}

/// The result of a row that was written as a part of other work.
#[derive(Debug)]
pub enum RowResult {
    /// The resource was created, changed or deleted.
    Written,
    /// The resource had the content of the row already.
    Unchanged,
    /// The row was refused.
    Refused(Problem),
}

/// Writes up to [`MAX_BATCH_ROWS`] rows like a batch that is not atomic, as a part of other work.
///
/// # Errors
/// When the database fails. The problems of rows are in their results.
pub async fn write_part<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    mode: Mode,
    rows: Vec<Value>,
) -> Result<Vec<RowResult>, Problem> {
    let rows = read_rows::<R>(mode_of::<R>(mode), rows);
    let results = write_rows::<R>(work, scope, mode_of::<R>(mode), &rows, false).await?;
    let result = |result: Result<Saved, Problem>| match result {
        Ok(Saved { outcome: Outcome::Unchanged, .. }) => RowResult::Unchanged,
        Ok(_) => RowResult::Written,
        Err(problem) => RowResult::Refused(problem),
    };
    Ok(results.into_iter().map(result).collect())
}

/// Returns the identity that no two rows of a batch may share; `None` if the row has none or cannot
/// be read.
#[must_use]
pub fn identity_of<R: Resource>(mode: Mode, row: &Value) -> Option<String> {
    let row = read_row::<R>(mode_of::<R>(mode), row.clone()).ok()?;
    row.id.map(|id| id.to_string()).or_else(|| R::row_identity(&row.identity?))
}

/// Returns the mode of rows; rows that never change have no other one.
const fn mode_of<R: Resource>(mode: Mode) -> Mode {
    if R::IS_APPEND_ONLY { Mode::Replace } else { mode }
}

/// Returns the receipt of a row. Together the receipts of a batch name at most [`MAX_ERRORS`]
/// errors, so that the response does not grow far beyond the request; the detail counts all.
fn receipt(at: usize, result: &Result<Saved, Problem>, errors_left: &mut usize) -> Value {
    match result {
        Ok(saved) => {
            let mut receipt = Map::from_iter([
                ("row".to_owned(), at.into()),
                ("status".to_owned(), saved.outcome.status().as_u16().into()),
                ("id".to_owned(), json!(saved.id)),
            ]);
            if let Some(key) = &saved.key {
                receipt.insert("key".to_owned(), key.as_str().into());
            }
            receipt.into()
        }
        Err(problem) => {
            let errors: Vec<&FieldError> = problem.errors.iter().take(*errors_left).collect();
            *errors_left = errors_left.saturating_sub(errors.len());
            json!({
                "row": at,
                "status": problem.status().as_u16(),
                "code": problem.code,
                "detail": problem.detail,
                "errors": errors,
            })
        }
    }
}

/// Returns the problem of a refused batch, with the errors of all rows.
fn batch_problem(results: Vec<Result<Saved, Problem>>) -> Option<Problem> {
    let mut code = None;
    let mut errors = Vec::new();
    for (at, result) in results.into_iter().enumerate() {
        let Err(problem) = result else { continue };
        let row = format!("/rows/{at}");
        // A row of the wrong form takes precedence: 400 before the rest.
        if code.is_none() || problem.code == ProblemCode::InvalidRequest {
            code = Some(problem.code);
        }
        if problem.errors.is_empty() {
            errors.push(FieldError::new(row, FieldCode::InvalidValue, problem.detail));
        } else {
            errors.extend(problem.errors.into_iter().map(|error| error.below(&row)));
        }
    }
    code.map(|code| Problem::with_errors(code, errors))
}
