//! The definition of a plain resource: the trait that its module implements, and the types around
//! it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use deserr::Deserr;
use diesel_async::AsyncPgConnection;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Reference};

use super::constraints::{Constraint, Dependent};
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{ListQuery, ListSpec, encode};
use crate::platform::http::problem::{FieldError, Problem};
use crate::references::NamedReference;
use crate::unit_of_work::UnitOfWork;

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
    /// The part of the data that the resource belongs to. It determines the scopes of its
    /// operations.
    pub area: Area,
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
    ) -> impl Future<Output = Result<Self, Problem>> {
        async move { Self::find_from(&Origin::Request(request), conn).await }
    }

    /// Finds the parent from a request, or from an import that works on one later.
    ///
    /// # Errors
    /// As [`Scope::find`].
    fn find_from(
        origin: &Origin<'_>,
        conn: &mut AsyncPgConnection,
    ) -> impl Future<Output = Result<Self, Problem>>;
}

/// The origin of a scope: the parent that a path names, and the state of the application.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// The request that is answered.
    Request(&'a HttpRequest),
    /// Work that no request waits for.
    Background {
        /// The parent, if the collection has one.
        parent: Option<&'a str>,
        /// The state that handlers get as [`web::Data`](actix_web::web::Data).
        state: &'a Extensions,
    },
}

impl Origin<'_> {
    /// Returns the parent with this name in the path.
    ///
    /// # Errors
    /// 404 when it is neither id nor key.
    pub fn parent(&self, name: &str) -> Result<Reference, Problem> {
        match self {
            Self::Request(request) => reference(request, name),
            Self::Background { parent, .. } => parent
                .and_then(|text| Reference::parse(text).ok())
                .ok_or_else(|| Problem::not_found(name, parent.unwrap_or_default())),
        }
    }

    /// Returns a part of the state of the application.
    pub fn state<T: 'static>(&self) -> Option<&T> {
        match self {
            Self::Request(request) => request.app_data::<T>(),
            Self::Background { state, .. } => state.get::<T>(),
        }
    }
}

impl Scope for () {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[];

    async fn find_from(_: &Origin<'_>, _: &mut AsyncPgConnection) -> Result<Self, Problem> {
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
    /// True if the representation has fields that change without a write of the resource.
    /// `If-Match` ignores them.
    const HAS_DERIVED_FIELDS: bool = false;
    /// True if a resource without key gets the next number of a series ([`Resource::next_key`]).
    const NUMBERED: bool = false;
    /// True if rows that exist never change. Their batch has no modes, conditions and deletions.
    const IS_APPEND_ONLY: bool = false;
    /// The meanings of the constraints that a write can violate, except foreign keys. Constraints
    /// that the value types guarantee are missing on purpose: violating one is a defect.
    const CONSTRAINTS: &'static [Constraint] = &[];
    /// The rows that may refer to the resource.
    const DEPENDENTS: &'static [Dependent] = &[];
    /// The description of the deletion in the API documentation.
    const DELETION: &'static str =
        "Refused with 409 while something refers to it; the problem lists what.";
    /// The parent of the collection.
    type Scope: Scope;
    /// The content that clients send.
    type Write: Deserr<BodyErrors> + Serialize + ToSchema + Clone + Send + 'static;
    /// The representation that clients receive.
    type View: Serialize + ToSchema + Clone;

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
    /// Returns the resources with these ids, locked in the order of their keys until the
    /// transaction ends.
    async fn find_many(
        conn: &mut AsyncPgConnection,
        scope: &Self::Scope,
        ids: &[Uuid],
    ) -> Result<Vec<Self::View>, Problem>;
    /// Takes the locks that precede the locks of the rows that [`Resource::find`] and
    /// [`Resource::find_many`] take.
    async fn lock_first(
        _: &mut AsyncPgConnection,
        _: &Self::Scope,
        _: &[Reference],
    ) -> Result<(), Problem> {
        Ok(())
    }
    /// Returns, for each write, the id of the existing row with its business key. The default is
    /// for resources without such an identity, whose writes always create rows.
    async fn existing(
        _: &mut AsyncPgConnection,
        _: &Self::Scope,
        writes: &[Self::Write],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        Ok(vec![None; writes.len()])
    }
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
    fn key(_: &Self::Write) -> Option<Key> {
        None
    }
    /// Sets the business key of a write, if the resource has one.
    fn set_key(_: &mut Self::Write, _: Key) {}
    /// Returns values for the required fields that are not part of the identity, as an object. A
    /// batch needs them to find the resource that a partial row names.
    fn placeholders() -> Value {
        json!({})
    }
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
