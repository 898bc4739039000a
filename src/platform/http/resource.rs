//! The plain resource: list, get, create, replace, patch and delete, implemented once for all
//! resources, with the conditions, keys and errors of `docs/api-conventions.md` sections 2, 7 and
//! 8.
//!
//! A module implements [`Resource`] (reading and writing of its rows) and mounts it; handlers
//! contain no decisions of their own. A patch is merged into the write that would create the
//! current resource. The result is read and checked like any other write.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel_async::AsyncPgConnection;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Reference};

use super::call::{ApiRequest, ApiResponse};
use super::constraints::{self, Dependent, NamedReference, Violation};
use super::etag;
use super::json::{BodyErrors, patched};
use super::list::{CursorKey, ListQuery, ListSpec, encode};
use super::problem::{FieldCode, FieldError, Problem};
use crate::platform::clock::Calendar;
use crate::platform::unit_of_work::{Database, UnitOfWork};

/// The names of a resource in paths, operation ids and sentences.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The path of the collection, with `{…}` for its parent: `/v1/campaigns/{campaign}/prices`.
    pub path: &'static str,
    /// The singular in operation ids: `campaign_price`.
    pub singular: &'static str,
    /// The plural in operation ids: `campaign_prices`.
    pub plural: &'static str,
    /// The singular in sentences, with its article: `a campaign's price`.
    pub one: &'static str,
    /// The section of the API documentation.
    pub tag: &'static str,
    /// The field of the business key in the body; `None` if a resource has only an id.
    pub key_field: Option<&'static str>,
}

/// The parent of a collection.
pub trait Scope: Sized + Clone + 'static {
    /// The path parameters of the collection, with their descriptions.
    const PARAMETERS: &'static [(&'static str, &'static str)];

    /// Finds the parent from the path.
    ///
    /// # Errors
    /// 404 when it does not exist, or when its path segment is neither id nor key.
    fn find(
        request: &HttpRequest,
        conn: &mut AsyncPgConnection,
    ) -> impl Future<Output = Result<Self, Problem>>;
}

impl Scope for () {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[];

    async fn find(_: &HttpRequest, _: &mut AsyncPgConnection) -> Result<Self, Problem> {
        Ok(())
    }
}

/// The behavior of a write whose row exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// The constraint refuses the write.
    Refuse,
    /// The write replaces the row.
    Replace,
}

/// A row to write: its id and its content.
#[derive(Debug, Clone)]
pub struct RowWrite<W> {
    /// A new id, or the id of the row that is replaced.
    pub id: Uuid,
    /// The content, with its key if the resource has one.
    pub write: W,
}

/// The specific part of a resource: its names, rows and rules.
#[allow(
    async_fn_in_trait,
    reason = "handlers run on one thread each; none of the futures has to be Send"
)]
pub trait Resource: 'static {
    /// The names of the resource.
    const NAMES: Names;
    /// The fields and the default order of the list.
    const LIST: ListSpec;
    /// True if the representation has fields that change without a write of the resource. `If-Match`
    /// ignores them.
    const HAS_DERIVED_FIELDS: bool = false;
    /// True if a resource without key gets the next number of a series ([`Resource::next_key`]).
    const NUMBERED: bool = false;
    /// The rows that may refer to the resource.
    const HOLDERS: &'static [Dependent];
    /// The description of the deletion in the API documentation.
    const DELETION: &'static str =
        "Refused with 409 while something refers to it; the problem lists what.";
    /// The parent of the collection.
    type Scope: Scope;
    /// The content that clients send.
    type Write: Deserr<BodyErrors> + Serialize + ToSchema + Clone;
    /// The representation that clients receive.
    type View: Serialize + ToSchema;

    /// Returns the views of a page, up to [`ListQuery::limit`] of them.
    async fn list(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem>;
    /// Returns the number of resources that match the filter.
    async fn count(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        list: &ListQuery,
    ) -> Result<i64, Problem>;
    /// Returns one resource, locked until the transaction ends if `lock` is set.
    async fn find(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem>;
    /// Returns, for each write, the id of the existing row with its business key.
    async fn existing(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        writes: &[Self::Write],
    ) -> Result<Vec<Option<Uuid>>, Problem>;
    /// Writes rows, in one statement where possible, and records the changed keys.
    async fn save(
        work: &mut UnitOfWork,
        scope: &Self::Scope,
        rows: &[RowWrite<Self::Write>],
        if_exists: IfExists,
    ) -> Result<(), SaveError>;
    /// Deletes a resource, and records the changed keys.
    async fn delete(
        work: &mut UnitOfWork,
        scope: &Self::Scope,
        view: &Self::View,
    ) -> Result<(), SaveError>;

    /// Returns the id.
    fn id(view: &Self::View) -> Uuid;
    /// Returns the write that would create the view, for merge patches.
    fn write_of(view: &Self::View) -> Self::Write;
    /// Returns the business key of a write, if it is given and the resource has one.
    fn key(write: &Self::Write) -> Option<Key>;
    /// Sets the business key of a write.
    fn set_key(write: &mut Self::Write, key: Key);
    /// Returns the identity that no two rows of a batch may share, for messages. The default is the
    /// business key.
    fn row_identity(write: &Self::Write) -> Option<String> {
        Self::key(write).map(|key| key.to_string())
    }
    /// Returns the next number of the series, for resources that have one.
    async fn next_key(_: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        Ok(None)
    }
    /// Returns the errors of rules across several fields.
    fn rules(_: &Self::Write, _: &Self::Scope) -> Vec<FieldError> {
        Vec::new()
    }
    /// Returns the references of a write.
    fn references(_: &Self::Write) -> Vec<NamedReference> {
        Vec::new()
    }
    /// Returns whether a write may refer to another row of its batch. Such rows are written last
    /// when rows are written one by one.
    fn follows_others(_: &Self::Write) -> bool {
        false
    }
}

/// The reason why rows could not be written.
#[derive(Debug)]
pub enum SaveError {
    /// A failed statement.
    Database(diesel::result::Error),
    /// A refusal by the module.
    Problem(Problem),
}

impl From<diesel::result::Error> for SaveError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Problem> for SaveError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Parses a path segment as id or key.
///
/// # Errors
/// 404 when it is neither, since no resource can have such a path.
pub fn reference(request: &HttpRequest, name: &str) -> Result<Reference, Problem> {
    let text = request.match_info().get(name).unwrap_or_default();
    decoded(request, text)
        .and_then(|text| Reference::parse(&text).ok())
        .ok_or_else(|| Problem::not_found(name, text))
}

/// Decodes a path segment completely. The router leaves `%`, `/` and `+` encoded, so that a key can
/// contain a slash. It replaces bytes that are not UTF-8, for which there is no segment.
fn decoded<'a>(request: &HttpRequest, segment: &'a str) -> Option<Cow<'a, str>> {
    if segment.contains(char::REPLACEMENT_CHARACTER) {
        percent_decode_str(request.path()).decode_utf8().ok()?;
    }
    let is_encoding = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !segment.split('%').skip(1).all(is_encoding) {
        return None;
    }
    percent_decode_str(segment).decode_utf8().ok()
}

/// Returns the path of a resource in a collection, for links and the header `Location`.
#[must_use]
pub fn path_in(collection: &str, key: &str) -> String {
    format!("{collection}/{}", encode(key))
}

/// Returns, for each key, the id of the row that has it: the result of [`Resource::existing`].
#[must_use]
pub fn ids_of<K: Eq + Hash>(keys: Vec<Option<K>>, known: Vec<(K, Uuid)>) -> Vec<Option<Uuid>> {
    let known: HashMap<K, Uuid> = known.into_iter().collect();
    keys.into_iter().map(|key| known.get(&key?).copied()).collect()
}

/// Handles `GET` on the collection.
pub async fn list<R: Resource>(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let today = calendar.today();
    let list =
        ListQuery::parse(request.path(), request.query_string(), &R::LIST, &cursor_key, today)?;
    let mut conn = database.list(&list).await?;
    let scope = R::Scope::find(&request, &mut conn).await?;
    let views = R::list(&mut conn, &scope, &list).await?;
    let count =
        if list.wants_count() { Some(R::count(&mut conn, &scope, &list).await?) } else { None };
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
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    let reference = reference(&request, R::NAMES.singular)?;
    let mut conn = database.read().await?;
    let scope = R::Scope::find(&request, &mut conn).await?;
    let view = find_existing::<R>(&mut conn, &scope, &reference, false).await?;
    Ok(respond::<R>(StatusCode::OK, &view)?.unless_known(call.if_none_match.as_ref()))
}

async fn find_existing<R: Resource>(
    conn: &mut AsyncPgConnection,
    scope: &R::Scope,
    reference: &Reference,
    lock: bool,
) -> Result<R::View, Problem> {
    R::find(conn, scope, reference, lock).await?.ok_or_else(|| not_found::<R>(reference))
}

fn not_found<R: Resource>(reference: &Reference) -> Problem {
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

/// Handles `POST` on the collection.
pub async fn create<R: Resource>(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let write: R::Write = call.json()?;
    database
        .transact(&call, async |work| {
            let scope = R::Scope::find(&request, &mut work.conn).await?;
            let view = make::<R>(work, &scope, write).await?;
            let place = R::key(&R::write_of(&view))
                .map_or_else(|| R::id(&view).to_string(), |key| key.to_string());
            let location = path_in(request.path(), &place);
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
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let write: R::Write = call.json()?;
    database
        .transact(&call, async |work| {
            let scope = R::Scope::find(&request, &mut work.conn).await?;
            checked(R::rules(&write, &scope))?;
            let known = R::existing(&mut work.conn, &scope, std::slice::from_ref(&write))
                .await?
                .pop()
                .flatten();
            let if_exists = if known.is_some() { IfExists::Replace } else { IfExists::Refuse };
            let row = RowWrite { id: known.unwrap_or_else(Uuid::now_v7), write: write.clone() };
            let answer = save_and_respond::<R>(work, &scope, &row, if_exists).await?;
            let location = format!("{}/{}", request.path(), row.id);
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
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let reference = reference(&request, R::NAMES.singular)?;
    let write: R::Write = call.json()?;
    database
        .transact(&call, async |work| {
            let scope = R::Scope::find(&request, &mut work.conn).await?;
            match R::find(&mut work.conn, &scope, &reference, true).await? {
                Some(view) => {
                    let current = respond::<R>(StatusCode::OK, &view)?;
                    if call.if_none_match == Some(super::etag::Condition::Any) {
                        return Err(etag::stale(tag(&current)));
                    }
                    require(&call, &current)?;
                    replace::<R>(work, &scope, &view, write).await
                }
                None => {
                    if call.if_match.is_some() {
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

/// Replaces a resource by a write. Its key cannot change.
async fn replace<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    view: &R::View,
    mut write: R::Write,
) -> Result<ApiResponse, Problem> {
    let mut errors = R::rules(&write, scope);
    if let (Some(field), Some(key)) = (R::NAMES.key_field, R::key(&R::write_of(view))) {
        if R::key(&write).is_some_and(|given| given != key) {
            let detail = format!("{field} is {key} and cannot be changed");
            errors.push(FieldError::new(format!("/{field}"), FieldCode::Immutable, detail));
        }
        R::set_key(&mut write, key);
    }
    checked(errors)?;
    let row = RowWrite { id: R::id(view), write };
    save_and_respond::<R>(work, scope, &row, IfExists::Replace).await
}

/// Handles `PATCH` on a resource: applies a merge patch to the write that would create it.
pub async fn patch<R: Resource>(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let reference = reference(&request, R::NAMES.singular)?;
    let changes = call.merge_patch()?;
    database
        .transact(&call, async |work| {
            let scope = R::Scope::find(&request, &mut work.conn).await?;
            let view = find_existing::<R>(&mut work.conn, &scope, &reference, true).await?;
            require(&call, &respond::<R>(StatusCode::OK, &view)?)?;
            replace::<R>(work, &scope, &view, patched(&R::write_of(&view), changes)?).await
        })
        .await
}

/// Handles `DELETE` on a resource.
pub async fn delete<R: Resource>(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    let reference = reference(&request, R::NAMES.singular)?;
    database
        .transact(&call, async |work| {
            let scope = R::Scope::find(&request, &mut work.conn).await?;
            let view = find_existing::<R>(&mut work.conn, &scope, &reference, true).await?;
            require(&call, &respond::<R>(StatusCode::OK, &view)?)?;
            match work.savepoint(async |work| R::delete(work, &scope, &view).await).await {
                Ok(()) => Ok(ApiResponse::empty(StatusCode::NO_CONTENT)),
                Err(error) => {
                    Err(refusal::<R>(work, error, &R::write_of(&view), R::id(&view)).await?)
                }
            }
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
    match constraints::violation(&error) {
        Some(Violation::Rule(problem)) => {
            // The database reports only the first violated constraint. Querying the references
            // names all errors together.
            let missing = constraints::missing(&mut work.conn, &R::references(write)).await?;
            Ok(Problem { errors: problem.errors.into_iter().chain(missing).collect(), ..problem })
        }
        Some(Violation::ForeignKey) => {
            let missing = constraints::missing(&mut work.conn, &R::references(write)).await?;
            if missing.is_empty() {
                let key = R::key(write).map_or_else(|| id.to_string(), |key| key.to_string());
                Ok(constraints::in_use(&mut work.conn, R::HOLDERS, &key).await?)
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
pub fn require(call: &ApiRequest, current: &ApiResponse) -> Result<(), Problem> {
    etag::require(call.if_match.as_ref(), tag(current).unwrap_or_default())
}
