//! The handlers of all plain resources: list, get, create, replace, patch and delete, with the
//! conditions, keys and errors of `docs/api-conventions.md` sections 2, 7 and 8.
//!
//! A patch is merged into the write that would create the current resource. The result is read and
//! checked like any other write.

use actix_web::http::{StatusCode, header};
use actix_web::{Either, HttpRequest, HttpResponse, web};
use diesel_async::AsyncPgConnection;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use values::Reference;

use super::constraints::{self, Violation};
use super::definition::{IfExists, Resource, RowWrite, SaveError, Scope, path_in, reference};
use super::export;
use crate::platform::clock::Calendar;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::etag;
use crate::platform::http::json::patched;
use crate::platform::http::list::{CursorKey, ListQuery};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::stream::Streams;
use crate::references;
use crate::tabular::Format;
use crate::unit_of_work::{Database, UnitOfWork};

/// Handles `GET` on the collection: a page, or a table of all rows.
pub async fn list<R: Resource>(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
    streams: web::Data<Streams>,
) -> Result<Either<ApiResponse, HttpResponse>, Problem> {
    let today = calendar.today();
    let list =
        ListQuery::parse(request.path(), request.query_string(), &R::LIST, &cursor_key, today)?;
    if let Some(format) = Format::preferred(&request) {
        let table = export::table::<R>(&request, &database, list, format, &streams).await?;
        return Ok(Either::Right(table));
    }
    page::<R>(&request, &database, &list).await.map(Either::Left)
}

async fn page<R: Resource>(
    request: &HttpRequest,
    database: &Database,
    list: &ListQuery,
) -> Result<ApiResponse, Problem> {
    let mut conn = database.list(list).await?;
    let scope = R::Scope::find(request, &mut conn).await?;
    let views = R::list(&mut conn, &scope, list).await?;
    let count =
        if list.wants_count() { Some(R::count(&mut conn, &scope, list).await?) } else { None };
    let rows = views.iter().map(row_of::<R>).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// Returns the JSON of a view in a list, which contains its ETag.
///
/// # Errors
/// When the view cannot be serialized, which is a defect.
pub fn with_etag(view: &impl Serialize) -> Result<Value, Problem> {
    row(view, |text| Ok(etag::of(text)))
}

fn row(
    view: &impl Serialize,
    tag: impl FnOnce(&[u8]) -> Result<String, Problem>,
) -> Result<Value, Problem> {
    let text = serde_json::to_vec(view).map_err(Problem::internal)?;
    let mut value: Value = serde_json::from_slice(&text).map_err(Problem::internal)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("etag".to_owned(), tag(&text)?.into());
    }
    Ok(value)
}

/// Returns the JSON of a resource in its list.
fn row_of<R: Resource>(view: &R::View) -> Result<Value, Problem> {
    row(view, |text| etag_of::<R>(view, text))
}

/// Returns the ETag of a resource, whose representation is `text`.
fn etag_of<R: Resource>(view: &R::View, text: &[u8]) -> Result<String, Problem> {
    if !R::HAS_DERIVED_FIELDS {
        return Ok(etag::of(text));
    }
    let content = (R::id(view), R::write_of(view));
    let content = serde_json::to_vec(&content).map_err(Problem::internal)?;
    Ok(etag::with_content(&content, text))
}

/// Returns the ETag of a resource.
///
/// # Errors
/// When the view cannot be serialized, which is a defect.
pub(super) fn etag_of_view<R: Resource>(view: &R::View) -> Result<String, Problem> {
    let text = serde_json::to_vec(view).map_err(Problem::internal)?;
    etag_of::<R>(view, &text)
}

/// Creates the response with the representation of a resource and its ETag.
///
/// # Errors
/// When the view cannot be serialized, which is a defect.
pub fn respond<R: Resource>(status: StatusCode, view: &R::View) -> Result<ApiResponse, Problem> {
    let answer = ApiResponse::json(status, view)?;
    let tag = etag_of::<R>(view, &answer.body)?;
    Ok(answer.header(header::ETAG, &tag))
}

/// Handles `GET` on a resource.
pub async fn get<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let reference = reference(&http_request, R::NAMES.singular)?;
    let mut conn = database.read().await?;
    let scope = R::Scope::find(&http_request, &mut conn).await?;
    let view = find_existing::<R>(&mut conn, &scope, &reference, false).await?;
    Ok(respond::<R>(StatusCode::OK, &view)?.not_modified_if_known(request.if_none_match.as_ref()))
}

async fn find_existing<R: Resource>(
    conn: &mut AsyncPgConnection,
    scope: &R::Scope,
    reference: &Reference,
    lock: bool,
) -> Result<R::View, Problem> {
    R::find(conn, scope, reference, lock).await?.ok_or_else(|| not_found::<R>(reference))
}

/// Creates the problem of a resource that does not exist: 404.
pub(super) fn not_found<R: Resource>(reference: &Reference) -> Problem {
    Problem::not_found(&R::NAMES.singular.replace('_', " "), &reference.to_string())
}

/// Writes a row and responds with the resource as it is after its publication.
async fn save_and_respond<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    row: &RowWrite<R::Write>,
    if_exists: IfExists,
) -> Result<ApiResponse, Problem> {
    save::<R>(work, scope, row, if_exists).await?;
    // The publication can change derived fields, and with them the ETag.
    work.publish().await?;
    let view = find_existing::<R>(&mut work.conn, scope, &Reference::Id(row.id), false).await?;
    respond::<R>(
        if if_exists == IfExists::Refuse { StatusCode::CREATED } else { StatusCode::OK },
        &view,
    )
}

/// The query parameter that asks for the result of a change without making it.
pub const VALIDATE_ONLY: &str = "validateOnly";

/// Returns whether a change is only validated. The request may have no other query parameter.
///
/// # Errors
/// 400 with every unknown, repeated or unreadable parameter.
pub fn validate_only(request: &ApiRequest) -> Result<bool, Problem> {
    let params = request.query(&[VALIDATE_ONLY])?;
    let mut errors = Vec::new();
    let validate_only = params.boolean(VALIDATE_ONLY, &mut errors).unwrap_or_default();
    if errors.is_empty() {
        Ok(validate_only)
    } else {
        Err(Problem::with_errors(ProblemCode::InvalidRequest, errors))
    }
}

/// Handles `POST` on the collection.
pub async fn create<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let validate_only = validate_only(&request)?;
    let write: R::Write = request.json().await?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            let view = make::<R>(work, &scope, write).await?;
            let place = R::key(&R::write_of(&view))
                .map_or_else(|| R::id(&view).to_string(), |key| key.to_string());
            let location = path_in(http_request.path(), &place);
            Ok(respond::<R>(StatusCode::CREATED, &view)?.header(header::LOCATION, &location))
        })
        .await
}

/// Creates a resource with the checks of `POST`, and returns it as stored.
///
/// # Errors
/// All errors of the write, or a failure of the database.
pub async fn make<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    write: R::Write,
) -> Result<R::View, Problem> {
    checked(R::rules(&write, scope))?;
    let row = RowWrite { id: Uuid::now_v7(), write: with_key::<R>(work, write).await? };
    save::<R>(work, scope, &row, IfExists::Refuse).await?;
    find_existing::<R>(&mut work.conn, scope, &Reference::Id(row.id), false).await
}

/// Handles `POST` on a collection whose rows never change. The same row again is answered with the
/// stored row.
pub async fn append<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let validate_only = validate_only(&request)?;
    let write: R::Write = request.json().await?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            checked(R::rules(&write, &scope))?;
            let known = R::existing(&mut work.conn, &scope, std::slice::from_ref(&write))
                .await?
                .pop()
                .flatten();
            let if_exists = if known.is_some() { IfExists::Replace } else { IfExists::Refuse };
            let row = RowWrite { id: known.unwrap_or_else(Uuid::now_v7), write: write.clone() };
            let answer = save_and_respond::<R>(work, &scope, &row, if_exists).await?;
            let location = format!("{}/{}", http_request.path(), row.id);
            Ok(if known.is_some() { answer } else { answer.header(header::LOCATION, &location) })
        })
        .await
}

/// Returns the write with its key: the given one, or the next number of the series.
pub(super) async fn with_key<R: Resource>(
    work: &mut UnitOfWork,
    mut write: R::Write,
) -> Result<R::Write, Problem> {
    let Some(field) = R::NAMES.key_field else { return Ok(write) };
    if R::key(&write).is_none() {
        match R::next_key(work).await? {
            Some(key) => R::set_key(&mut write, key),
            None => {
                let missing = FieldError::new(
                    format!("/{field}"),
                    FieldCode::Required,
                    format!("{field} must be given"),
                );
                return Err(Problem::from_errors(vec![missing]));
            }
        }
    }
    Ok(write)
}

/// Handles `PUT` on a resource: replaces it, or creates it under its key.
pub async fn put<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let validate_only = validate_only(&request)?;
    let reference = reference(&http_request, R::NAMES.singular)?;
    let write: R::Write = request.json().await?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            match R::find(&mut work.conn, &scope, &reference, true).await? {
                Some(view) => {
                    let current = respond::<R>(StatusCode::OK, &view)?;
                    if request.if_none_match == Some(etag::Condition::Any) {
                        return Err(etag::stale(tag(&current)));
                    }
                    require(&request, &current)?;
                    replace::<R>(work, &scope, &view, write).await
                }
                None => {
                    if request.if_match.is_some() {
                        return Err(etag::stale(None));
                    }
                    create_at::<R>(work, &scope, &reference, write).await
                }
            }
        })
        .await
}

/// Creates the resource that the path names by key.
async fn create_at<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    reference: &Reference,
    mut write: R::Write,
) -> Result<ApiResponse, Problem> {
    let (Some(field), Reference::Key(key)) = (R::NAMES.key_field, reference) else {
        return Err(not_found::<R>(reference));
    };
    let mut errors = R::rules(&write, scope);
    if R::key(&write).is_some_and(|given| given != *key) {
        let detail = format!("{field} is {key} in the path");
        errors.push(FieldError::new(format!("/{field}"), FieldCode::Immutable, detail));
    }
    checked(errors)?;
    R::set_key(&mut write, key.clone());
    let row = RowWrite { id: Uuid::now_v7(), write };
    save_and_respond::<R>(work, scope, &row, IfExists::Refuse).await
}

/// Returns whether a resource has the content of a write already. It is not written then, and keeps
/// its `updatedAt` and its ETag.
pub(super) fn has_content<R: Resource>(view: &R::View, write: &R::Write) -> Result<bool, Problem> {
    let json = |write: &R::Write| serde_json::to_value(write).map_err(Problem::internal);
    Ok(json(&R::write_of(view))? == json(write)?)
}

/// Replaces a resource by a write.
async fn replace<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    view: &R::View,
    write: R::Write,
) -> Result<ApiResponse, Problem> {
    let row = RowWrite { id: R::id(view), write: replacement::<R>(scope, view, write)? };
    if has_content::<R>(view, &row.write)? {
        return respond::<R>(StatusCode::OK, view);
    }
    save_and_respond::<R>(work, scope, &row, IfExists::Replace).await
}

/// Returns the write that replaces a resource, with the key of the resource.
///
/// # Errors
/// All broken rules, also when the write has another key.
pub(super) fn replacement<R: Resource>(
    scope: &R::Scope,
    view: &R::View,
    mut write: R::Write,
) -> Result<R::Write, Problem> {
    let mut errors = R::rules(&write, scope);
    if let (Some(field), Some(key)) = (R::NAMES.key_field, R::key(&R::write_of(view))) {
        if R::key(&write).is_some_and(|given| given != key) {
            let detail = format!("{field} is {key} and cannot be changed");
            errors.push(FieldError::new(format!("/{field}"), FieldCode::Immutable, detail));
        }
        R::set_key(&mut write, key);
    }
    checked(errors).map(|()| write)
}

/// Handles `PATCH` on a resource: applies a merge patch to the write that would create it.
pub async fn patch<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let validate_only = validate_only(&request)?;
    let reference = reference(&http_request, R::NAMES.singular)?;
    let changes = request.merge_patch().await?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            let view = find_existing::<R>(&mut work.conn, &scope, &reference, true).await?;
            require(&request, &respond::<R>(StatusCode::OK, &view)?)?;
            replace::<R>(work, &scope, &view, patched(&R::write_of(&view), changes)?).await
        })
        .await
}

/// Handles `DELETE` on a resource.
pub async fn delete<R: Resource>(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_no_body()?;
    let validate_only = validate_only(&request)?;
    let reference = reference(&http_request, R::NAMES.singular)?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            let scope = R::Scope::find(&http_request, &mut work.conn).await?;
            let view = find_existing::<R>(&mut work.conn, &scope, &reference, true).await?;
            require(&request, &respond::<R>(StatusCode::OK, &view)?)?;
            remove::<R>(work, &scope, &view).await?;
            Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
        })
        .await
}

/// Writes one row, and converts a refusal by the database to a problem.
pub(super) async fn save<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    row: &RowWrite<R::Write>,
    if_exists: IfExists,
) -> Result<(), Problem> {
    let rows = std::slice::from_ref(row);
    match work.savepoint(async |work| R::save(work, scope, rows, if_exists).await).await {
        Ok(()) => Ok(()),
        Err(error) => Err(refusal::<R>(work, error, &row.write, row.id).await?),
    }
}

/// Deletes a resource, and converts a refusal by the database to a problem.
pub(super) async fn remove<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    view: &R::View,
) -> Result<(), Problem> {
    match work.savepoint(async |work| R::delete(work, scope, view).await).await {
        Ok(()) => Ok(()),
        Err(error) => Err(refusal::<R>(work, error, &R::write_of(view), R::id(view)).await?),
    }
}

/// Returns the problem of a refused write.
///
/// # Errors
/// When the database fails for another reason.
pub async fn refusal<R: Resource>(
    work: &mut UnitOfWork,
    error: SaveError,
    write: &R::Write,
    id: Uuid,
) -> Result<Problem, Problem> {
    let error = match error {
        SaveError::Problem(problem) => return Ok(problem),
        SaveError::Database(error) => error,
    };
    match constraints::violation(&error, R::CONSTRAINTS) {
        Some(Violation::Rule(problem)) => {
            // The database reports only the first violated constraint. Querying the references
            // names all errors together.
            let missing = references::missing(&mut work.conn, &R::references(write)).await?;
            Ok(Problem { errors: problem.errors.into_iter().chain(missing).collect(), ..problem })
        }
        Some(Violation::ForeignKey) => {
            let missing = references::missing(&mut work.conn, &R::references(write)).await?;
            if missing.is_empty() {
                let key = R::key(write).map_or_else(|| id.to_string(), |key| key.to_string());
                Ok(constraints::in_use(&mut work.conn, R::DEPENDENTS, &key).await?)
            } else {
                Ok(Problem::from_errors(missing))
            }
        }
        None => Err(error.into()),
    }
}

/// Returns an error if there are any.
///
/// # Errors
/// All errors in one problem.
pub fn checked(errors: Vec<FieldError>) -> Result<(), Problem> {
    if errors.is_empty() { Ok(()) } else { Err(Problem::from_errors(errors)) }
}

fn tag(answer: &ApiResponse) -> Option<&str> {
    answer
        .headers
        .iter()
        .find(|(name, _)| name == header::ETAG)
        .and_then(|(_, value)| value.to_str().ok())
}

/// Checks `If-Match` of the request against the current representation.
///
/// # Errors
/// 428 without a condition; 412 with the current ETag when the condition does not hold.
pub fn require(request: &ApiRequest, current: &ApiResponse) -> Result<(), Problem> {
    etag::require(request.if_match.as_ref(), tag(current).unwrap_or_default())
}
