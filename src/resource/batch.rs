//! The batch of a plain resource: many rows upserted in one request, atomically or row by row.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use serde_json::{Value, json};
use uuid::Uuid;
use values::Key;

use super::definition::{IfExists, Resource, RowWrite, Scope};
use super::handlers::{checked, save, with_key};
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::{BodyErrors, decode};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::unit_of_work::{Database, UnitOfWork};

/// Maximum number of rows in a batch.
pub const MAX_BATCH_ROWS: usize = 1_000;

/// Handles `POST` on `batch` below the collection: upserts up to 1,000 rows by business key.
pub async fn batch<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let Batch { atomic, validate_only, rows } = read_batch::<R>(request.value()?)?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            let rows = rows
                .into_iter()
                .map(|row| row.and_then(|write| check_rules::<R>(write, &scope)))
                .collect();
            let results = save_rows::<R>(work, &scope, rows, atomic).await?;
            let receipts: Vec<Value> =
                results.iter().enumerate().map(|(at, result)| receipt(at, result)).collect();
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

/// A row of a batch that was written.
struct Saved {
    id: Uuid,
    key: Option<Key>,
    created: bool,
}

/// A parsed batch: each row is a write, or the problem of that row.
struct Batch<W> {
    atomic: bool,
    /// True to answer the receipts and change nothing.
    validate_only: bool,
    rows: Vec<Result<W, Problem>>,
}

fn read_batch<R: Resource>(body: Value) -> Result<Batch<R::Write>, Problem> {
    #[derive(Deserr)]
    #[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
    struct Body {
        #[deserr(default = true)]
        atomic: bool,
        #[deserr(default)]
        validate_only: bool,
        rows: Vec<Value>,
    }
    let body: Body = decode(body).map_err(Problem::from_errors)?;
    let count = body.rows.len();
    if count == 0 || count > MAX_BATCH_ROWS {
        let code = if count == 0 { FieldCode::TooShort } else { FieldCode::TooLong };
        let error = FieldError::new(
            "/rows",
            code,
            format!("a batch has 1 to {MAX_BATCH_ROWS} rows, not {count}"),
        );
        return Err(Problem::from_errors(vec![error]));
    }
    let mut seen = HashSet::new();
    let rows = body.rows.into_iter().map(|row| {
        let write: R::Write = decode(row).map_err(Problem::from_errors)?;
        match R::row_identity(&write) {
            Some(identity) if !seen.insert(identity.clone()) => Err(repeated::<R>(&identity)),
            _ => Ok(write),
        }
    });
    Ok(Batch { atomic: body.atomic, validate_only: body.validate_only, rows: rows.collect() })
}

fn check_rules<R: Resource>(write: R::Write, scope: &R::Scope) -> Result<R::Write, Problem> {
    checked(R::rules(&write, scope)).map(|()| write)
}

/// Writes the rows together if none is refused, else one by one, so that each row has its own
/// result.
async fn save_rows<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    rows: Vec<Result<R::Write, Problem>>,
    atomic: bool,
) -> Result<Vec<Result<Saved, Problem>>, Problem> {
    let has_refusals = atomic && rows.iter().any(Result::is_err);
    let given: HashSet<Key> = rows.iter().flatten().filter_map(R::key).collect();
    let mut results: Vec<Option<Result<Saved, Problem>>> = Vec::new();
    let mut positions = Vec::new();
    let mut writes = Vec::new();
    for (at, row) in rows.into_iter().enumerate() {
        let row = match row {
            Ok(write) => row_result(assign_free_key::<R>(work, write, &given).await)?,
            Err(problem) => Err(problem),
        };
        results.push(match row {
            Ok(write) => {
                positions.push(at);
                writes.push(write);
                None
            }
            Err(problem) => Some(Err(problem)),
        });
    }
    let existing = R::existing(&mut work.conn, scope, &writes).await?;
    let (existing, positions, writes) =
        refuse_repeated::<R>(existing, positions, writes, &mut results);
    let has_refusals = has_refusals || (atomic && results.iter().flatten().any(Result::is_err));
    let created: Vec<bool> = existing.iter().map(Option::is_none).collect();
    let row_writes: Vec<RowWrite<R::Write>> = existing
        .into_iter()
        .zip(writes)
        .map(|(id, write)| RowWrite { id: id.unwrap_or_else(Uuid::now_v7), write })
        .collect();
    let done = !has_refusals
        && work
            .savepoint(async |work| R::save(work, scope, &row_writes, IfExists::Replace).await)
            .await
            .is_ok();
    let mut rows: Vec<_> = positions.into_iter().zip(created).zip(row_writes).collect();
    rows.sort_by_key(|(_, row)| R::follows_others(&row.write));
    for ((at, created), row) in rows {
        let outcome = if done {
            Ok(())
        } else {
            row_result(save::<R>(work, scope, &row, IfExists::Replace).await)?
        };
        if let Some(result) = results.get_mut(at) {
            *result =
                Some(outcome.map(|()| Saved { id: row.id, key: R::key(&row.write), created }));
        }
    }
    let lost = || Err(Problem::internal("a batch row lost its result"));
    Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
}

/// Refuses rows that mean the same existing row as an earlier one although they are written
/// differently, such as with and without the code of the local currency. Returns the others.
fn refuse_repeated<R: Resource>(
    existing: Vec<Option<Uuid>>,
    positions: Vec<usize>,
    writes: Vec<R::Write>,
    results: &mut [Option<Result<Saved, Problem>>],
) -> (Vec<Option<Uuid>>, Vec<usize>, Vec<R::Write>) {
    let mut seen = HashSet::new();
    let mut others = (Vec::new(), Vec::new(), Vec::new());
    for ((id, at), write) in existing.into_iter().zip(positions).zip(writes) {
        if id.is_some_and(|id| !seen.insert(id)) {
            let identity = R::row_identity(&write).unwrap_or_default();
            if let Some(result) = results.get_mut(at) {
                *result = Some(Err(repeated::<R>(&identity)));
            }
        } else {
            others.0.push(id);
            others.1.push(at);
            others.2.push(write);
        }
    }
    others
}

/// Returns the problem of a row whose identity an earlier row of the batch has.
fn repeated<R: Resource>(identity: &str) -> Problem {
    let pointer = R::NAMES.key_field.map_or_else(String::new, |field| format!("/{field}"));
    let detail = format!("{identity} is in the batch more than once");
    Problem::rule(pointer, FieldCode::Duplicate, detail)
}

/// Returns the result of a row, unless it is a failure of the service such as an unavailable
/// database. Such a failure ends the whole batch.
fn row_result<T>(result: Result<T, Problem>) -> Result<Result<T, Problem>, Problem> {
    match result {
        Err(problem) if problem.status().is_server_error() => Err(problem),
        result => Ok(result),
    }
}

/// Returns the write with its key. Skips numbers of the series that another row of the batch has.
async fn assign_free_key<R: Resource>(
    work: &mut UnitOfWork,
    write: R::Write,
    given: &HashSet<Key>,
) -> Result<R::Write, Problem> {
    if R::key(&write).is_some() {
        return Ok(write);
    }
    loop {
        let numbered = with_key::<R>(work, write.clone()).await?;
        if R::key(&numbered).is_none_or(|key| !given.contains(&key)) {
            return Ok(numbered);
        }
    }
}

/// Returns the receipt of a row.
fn receipt(at: usize, result: &Result<Saved, Problem>) -> Value {
    match result {
        Ok(saved) => json!({
            "row": at,
            "status": if saved.created { 201 } else { 200 },
            "id": saved.id,
            "key": saved.key.as_ref().map(Key::as_str),
        }),
        Err(problem) => json!({
            "row": at,
            "status": problem.status().as_u16(),
            "code": problem.code,
            "detail": problem.detail,
            "errors": problem.errors,
        }),
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
