//! The life of every plain resource, once: list, get, create, replace, patch and delete, with
//! ETags, conditions, business keys and errors as api.md section 1 wants them.
//!
//! A room implements [`Resource`] (how its rows are read and written) and mounts it; nothing is
//! decided per handler. A patch is a merge patch on what a client would have sent to make the
//! resource as it stands, read and checked like any other write.

use std::collections::HashMap;
use std::hash::Hash;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel_async::AsyncPgConnection;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::{ApiRequest, ApiResponse};
use super::constraints::{self, Broken, Dependent, NamedReference};
use super::etag;
use super::json::{BodyErrors, patched};
use super::list::{CursorKey, ListQuery, ListSpec};
use super::problem::{FieldCode, FieldError, Problem};
use crate::platform::clock::Calendar;
use crate::platform::unit_of_work::{Database, UnitOfWork};
use crate::values::{Key, Reference};

/// How a resource is called, in paths, operation ids and sentences.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The collection's path, with `{…}` for what it lies below: `/v1/campaigns/{campaign}/prices`.
    pub path: &'static str,
    /// One of them, in operation ids: `campaign_price`.
    pub singular: &'static str,
    /// Many of them, in operation ids: `campaign_prices`.
    pub plural: &'static str,
    /// One of them, in sentences, with its article: `a campaign's price`.
    pub one: &'static str,
    /// The section of the documentation.
    pub tag: &'static str,
    /// Whether a business key names it (else only its id does): how the key's field is called in
    /// the body.
    pub key_field: Option<&'static str>,
}

/// What a collection lies below.
pub trait Scope: Sized + Clone + 'static {
    /// The path parameters of the collection with their descriptions.
    const PARAMETERS: &'static [(&'static str, &'static str)];

    /// Finds it from the path.
    ///
    /// # Errors
    /// 404 when it does not exist, 400 when the path is no id and no key.
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

/// What a write does with a row that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// The constraint refuses it.
    Refuse,
    /// It is replaced.
    Replace,
}

/// A row to be written: its id and its content.
#[derive(Debug, Clone)]
pub struct RowWrite<W> {
    /// A new id, or that of the row that is replaced.
    pub id: Uuid,
    /// The content; its key, where the resource has one, is given.
    pub write: W,
}

/// A resource's own part: its names, its rows, its rules.
#[allow(
    async_fn_in_trait,
    reason = "handlers run on one thread each; no future of ours has to be Send"
)]
pub trait Resource: 'static {
    /// How it is called.
    const NAMES: Names;
    /// What can be filtered and ordered by.
    const LIST: ListSpec;
    /// Whether one without a key gets the next number of a series ([`Resource::next_key`]).
    const NUMBERED: bool = false;
    /// What may refer to it.
    const HOLDERS: &'static [Dependent];
    /// What the documentation of its deletion says.
    const DELETION: &'static str =
        "Refused with 409 while something refers to it; the problem lists what.";
    /// What the collection lies below.
    type Scope: Scope;
    /// What clients send.
    type Write: Deserr<BodyErrors> + Serialize + ToSchema + Clone;
    /// What clients get.
    type View: Serialize + ToSchema;

    /// The views of a page, one more than it holds.
    async fn list(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem>;
    /// How many the filter leaves.
    async fn count(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        list: &ListQuery,
    ) -> Result<i64, Problem>;
    /// One of them; locked against other changes until the transaction ends, if wanted.
    async fn find(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem>;
    /// Which of the writes' rows exist already, by business key: their ids.
    async fn existing(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        writes: &[Self::Write],
    ) -> Result<Vec<Option<Uuid>>, Problem>;
    /// Writes rows, in one statement where that can be, and notes what they touch.
    async fn save(
        work: &mut UnitOfWork,
        scope: &Self::Scope,
        rows: &[RowWrite<Self::Write>],
        if_exists: IfExists,
    ) -> Result<(), SaveError>;
    /// Removes one, and notes what that touches.
    async fn delete(
        work: &mut UnitOfWork,
        scope: &Self::Scope,
        view: &Self::View,
    ) -> Result<(), SaveError>;

    /// The id.
    fn id(view: &Self::View) -> Uuid;
    /// The write that would make the view, for merge patches.
    fn write_of(view: &Self::View) -> Self::Write;
    /// The business key of a write, if it is given (and the resource has one).
    fn key(write: &Self::Write) -> Option<Key>;
    /// Gives the write its business key.
    fn set_key(write: &mut Self::Write, key: Key);
    /// What no two rows of a batch can have alike, in words: the business key, unless the resource
    /// says otherwise.
    fn row_identity(write: &Self::Write) -> Option<String> {
        Self::key(write).map(|key| key.to_string())
    }
    /// The next number of the series, for resources that have one.
    async fn next_key(_: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        Ok(None)
    }
    /// The rules across fields that a write breaks.
    fn rules(_: &Self::Write, _: &Self::Scope) -> Vec<FieldError> {
        Vec::new()
    }
    /// What a write refers to.
    fn references(_: &Self::Write) -> Vec<NamedReference> {
        Vec::new()
    }
    /// Whether it may refer to another row of the same batch, and so comes after those that do not
    /// when rows are written one by one.
    fn follows_others(_: &Self::Write) -> bool {
        false
    }
}

/// Why rows could not be written.
#[derive(Debug)]
pub enum SaveError {
    /// The database refuses.
    Database(diesel::result::Error),
    /// The room refuses.
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

/// A segment of the path as id or key.
///
/// # Errors
/// 404 when it is neither, since nothing can be there.
pub fn reference(request: &HttpRequest, name: &str) -> Result<Reference, Problem> {
    let text = request.match_info().get(name).unwrap_or_default();
    Reference::parse(text).map_err(|_| Problem::not_found(name, text))
}

/// For each key the id of the row that has it, if one does: the answer of [`Resource::existing`].
#[must_use]
pub fn ids_of<K: Eq + Hash>(keys: Vec<Option<K>>, known: Vec<(K, Uuid)>) -> Vec<Option<Uuid>> {
    let known: HashMap<K, Uuid> = known.into_iter().collect();
    keys.into_iter().map(|key| known.get(&key?).copied()).collect()
}

/// `GET` on the collection.
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
    let rows = views.iter().map(with_etag).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// A view as it stands in a list: with its ETag inside.
///
/// # Errors
/// When the view cannot be written as JSON, which is a defect.
pub fn with_etag(view: &impl Serialize) -> Result<Value, Problem> {
    let text = serde_json::to_vec(view).map_err(Problem::internal)?;
    let mut value: Value = serde_json::from_slice(&text).map_err(Problem::internal)?;
    if let Value::Object(fields) = &mut value {
        fields.insert("etag".to_owned(), etag::of(&text).into());
    }
    Ok(value)
}

/// `GET` on one.
pub async fn get<R: Resource>(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    let reference = reference(&request, R::NAMES.singular)?;
    let mut conn = database.read().await?;
    let scope = R::Scope::find(&request, &mut conn).await?;
    let view = found::<R>(&mut conn, &scope, &reference, false).await?;
    Ok(ApiResponse::resource(StatusCode::OK, &view)?.unless_known(call.if_none_match.as_ref()))
}

async fn found<R: Resource>(
    conn: &mut AsyncPgConnection,
    scope: &R::Scope,
    reference: &Reference,
    lock: bool,
) -> Result<R::View, Problem> {
    R::find(conn, scope, reference, lock).await?.ok_or_else(|| nothing_at::<R>(reference))
}

fn nothing_at<R: Resource>(reference: &Reference) -> Problem {
    Problem::not_found(&R::NAMES.singular.replace('_', " "), &reference.to_string())
}

/// Writes a row and answers with what stands there now.
async fn saved<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    draft: &RowWrite<R::Write>,
    if_exists: IfExists,
) -> Result<ApiResponse, Problem> {
    save::<R>(work, scope, draft, if_exists).await?;
    let view = found::<R>(&mut work.conn, scope, &Reference::Id(draft.id), false).await?;
    ApiResponse::resource(
        if if_exists == IfExists::Refuse { StatusCode::CREATED } else { StatusCode::OK },
        &view,
    )
}

/// `POST` on the collection.
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
            let location = format!("{}/{place}", request.path());
            Ok(ApiResponse::resource(StatusCode::CREATED, &view)?
                .header(header::LOCATION, &location))
        })
        .await
}

/// Makes one, checked as `POST` does it, and answers with what stands there now.
///
/// # Errors
/// Everything that is wrong with the write, or when the database fails.
pub async fn make<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    write: R::Write,
) -> Result<R::View, Problem> {
    checked(R::rules(&write, scope))?;
    let draft = RowWrite { id: Uuid::now_v7(), write: numbered::<R>(work, write).await? };
    save::<R>(work, scope, &draft, IfExists::Refuse).await?;
    found::<R>(&mut work.conn, scope, &Reference::Id(draft.id), false).await
}

/// `POST` on a collection whose rows stay as they came: the same row again is answered with what
/// stands.
pub async fn post_once<R: Resource>(
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
            let draft = RowWrite { id: known.unwrap_or_else(Uuid::now_v7), write: write.clone() };
            let answer = saved::<R>(work, &scope, &draft, if_exists).await?;
            let location = format!("{}/{}", request.path(), draft.id);
            Ok(if known.is_some() { answer } else { answer.header(header::LOCATION, &location) })
        })
        .await
}

/// The write with its key: the given one, or the next number of the series.
pub(super) async fn numbered<R: Resource>(
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

/// `PUT` on one: replaces it, or creates it under its key.
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
                    let current = ApiResponse::resource(StatusCode::OK, &view)?;
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

/// Creates what the path names by key.
async fn create_at<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    reference: &Reference,
    mut write: R::Write,
) -> Result<ApiResponse, Problem> {
    let (Some(field), Reference::Key(key)) = (R::NAMES.key_field, reference) else {
        return Err(nothing_at::<R>(reference));
    };
    let mut errors = R::rules(&write, scope);
    if R::key(&write).is_some_and(|given| given != *key) {
        let detail = format!("{field} is {key} in the path");
        errors.push(FieldError::new(format!("/{field}"), FieldCode::Immutable, detail));
    }
    checked(errors)?;
    R::set_key(&mut write, key.clone());
    let draft = RowWrite { id: Uuid::now_v7(), write };
    saved::<R>(work, scope, &draft, IfExists::Refuse).await
}

/// Replaces what is there by a write; its key cannot change.
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
    let draft = RowWrite { id: R::id(view), write };
    saved::<R>(work, scope, &draft, IfExists::Replace).await
}

/// `PATCH` on one: a merge patch on the write that would make it.
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
            let view = found::<R>(&mut work.conn, &scope, &reference, true).await?;
            require(&call, &ApiResponse::resource(StatusCode::OK, &view)?)?;
            replace::<R>(work, &scope, &view, patched(&R::write_of(&view), changes)?).await
        })
        .await
}

/// `DELETE` on one.
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
            let view = found::<R>(&mut work.conn, &scope, &reference, true).await?;
            require(&call, &ApiResponse::resource(StatusCode::OK, &view)?)?;
            match work.savepoint(async |work| R::delete(work, &scope, &view).await).await {
                Ok(()) => Ok(ApiResponse::empty(StatusCode::NO_CONTENT)),
                Err(error) => {
                    Err(refusal::<R>(work, error, &R::write_of(&view), R::id(&view)).await?)
                }
            }
        })
        .await
}

/// Writes one row; a refusal of the database comes back in the client's words.
pub(super) async fn save<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    draft: &RowWrite<R::Write>,
    if_exists: IfExists,
) -> Result<(), Problem> {
    let rows = std::slice::from_ref(draft);
    match work.savepoint(async |work| R::save(work, scope, rows, if_exists).await).await {
        Ok(()) => Ok(()),
        Err(error) => Err(refusal::<R>(work, error, &draft.write, draft.id).await?),
    }
}

/// What a refused write means to the client.
///
/// # Errors
/// When the database fails for a reason of its own.
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
    match constraints::broken(&error) {
        Some(Broken::Rule(problem)) => {
            // The first broken constraint is told by the database; the references are asked for, to
            // name everything at once.
            let missing = constraints::missing(&mut work.conn, &R::references(write)).await?;
            Ok(Problem { errors: problem.errors.into_iter().chain(missing).collect(), ..problem })
        }
        Some(Broken::ForeignKey) => {
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

/// Refuses when something is wrong.
///
/// # Errors
/// Everything that is wrong, in one problem.
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

/// Checks the call's `If-Match` against the current representation.
///
/// # Errors
/// 428 when there is none, 412 with the current ETag when it does not hold.
pub fn require(call: &ApiRequest, current: &ApiResponse) -> Result<(), Problem> {
    etag::require(call.if_match.as_ref(), tag(current).unwrap_or_default())
}
