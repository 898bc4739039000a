//! API keys: credentials of programs, each with scopes, an expiry and a limit. A key never changes;
//! a program gets a new one instead, and the old one is revoked by its deletion.

pub mod ring;

use actix_web::http::{StatusCode, header};
use actix_web::web;
use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Name};

use crate::platform::clock::Calendar;
use crate::platform::http::access::caller::{Caller, Me};
use crate::platform::http::access::keys::NewToken;
use crate::platform::http::access::scope::{Area, Role, Scope, Scopes};
use crate::platform::http::access::{Access, Credentials};
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::references::{self, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::mount::mount_without_change;
use crate::resource::table::table_rows;
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError, checked, refusal};
use crate::schema::api_keys;
use crate::unit_of_work::{Database, UnitOfWork};

/// The path of the collection.
const PATH: &str = "/v1/api-keys";
/// Maximum number of keys. Every replica keeps all of them in memory.
const MAX_KEYS: i64 = 1_000;
/// Maximum number of requests per second that a key can be limited to.
const MAX_REQUESTS_PER_SECOND: i32 = 1_000_000;

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    mount_without_change::<ApiKeys>(routes);
    routes.add(Area::Administration.write(), __path_create_api_key, create_api_key);
    routes.add(Access::Authenticated, __path_get_me, get_me);
}

/// The writable fields of an API key.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = ApiKeyWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyWrite {
    /// The name of the program that uses the key. No other key can have it.
    pub name: Name,
    /// The roles; each is a name for several scopes.
    #[deserr(default)]
    #[serde(default)]
    #[schema(max_items = 10, required = false, example = json!(["SHOP"]))]
    pub roles: Vec<Role>,
    /// Scopes in addition to those of the roles.
    #[deserr(default)]
    #[serde(default)]
    #[schema(max_items = 20, required = false, example = json!(["quotes:explain"]))]
    pub scopes: Vec<Scope>,
    /// The time from which the key is not valid; null for no end.
    #[deserr(default)]
    #[schema(value_type = Option<String>, format = DateTime, example = "2041-01-01T00:00:00Z")]
    pub expires_at: Option<Instant>,
    /// The contact of the only account whose prices the key may see. Such a key can have the scope
    /// `quotes:read` only.
    #[deserr(default)]
    pub restricted_to_contact_number: Option<Key>,
    /// The maximum number of requests per second; null for no limit.
    #[deserr(default)]
    #[schema(minimum = 1, maximum = 1_000_000, example = 50)]
    pub requests_per_second: Option<i32>,
}

/// An API key, without its secret.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = ApiKey)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = api_keys, check_for_backend(Pg))]
pub struct ApiKeyView {
    /// The id, which is part of the key.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The name of the program that uses the key.
    pub name: Name,
    /// The roles.
    #[schema(max_items = 10, example = json!(["SHOP"]))]
    pub roles: Vec<Role>,
    /// Scopes in addition to those of the roles.
    #[schema(max_items = 20, example = json!([]))]
    pub scopes: Vec<Scope>,
    /// The time from which the key is not valid; null for no end.
    #[schema(example = "2041-01-01T00:00:00Z")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The contact of the only account whose prices the key may see.
    pub restricted_to_contact_number: Option<Key>,
    /// The maximum number of requests per second; null for no limit.
    #[schema(minimum = 1, maximum = 1_000_000, example = 50)]
    pub requests_per_second: Option<i32>,
    /// The time of the creation.
    #[schema(example = "2031-05-01T08:30:00Z")]
    pub created_at: DateTime<Utc>,
    /// The caller that created the key.
    #[schema(max_length = 100, example = "bootstrap")]
    pub created_by: String,
    /// The time of the latest request, about a minute late; null without one.
    #[schema(example = "2031-05-02T09:00:00Z")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A new API key, with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewApiKey {
    /// The key without its secret.
    #[serde(flatten)]
    pub key: ApiKeyView,
    /// The bearer token. This is the only answer that contains it.
    #[schema(
        max_length = 101,
        example = "kmp_0190b5c27d5e70008000000000000001_\
            6f1c0a3e5b8d4f729a1c3e5f7081923a4b5c6d7e8f90a1b2c3d4e5f60718293a"
    )]
    pub secret: String,
}

/// The resource `/v1/api-keys`.
pub struct ApiKeys;

impl Resource for ApiKeys {
    const NAMES: Names = Names {
        path: PATH,
        singular: "api_key",
        plural: "api_keys",
        one: "an API key",
        tag: "Access",
        area: Area::Administration,
        key_field: None,
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "api_keys.id").not_null(),
            Field::new("name", FieldKind::Text, "api_keys.name").not_null(),
            Field::new("expiresAt", FieldKind::Instant, "api_keys.expires_at"),
            Field::new(
                "restrictedToContactNumber",
                FieldKind::Key,
                "api_keys.restricted_to_contact_number",
            ),
            Field::new("createdAt", FieldKind::Instant, "api_keys.created_at").not_null(),
            Field::new("createdBy", FieldKind::Text, "api_keys.created_by").not_null(),
            Field::new("lastUsedAt", FieldKind::Instant, "api_keys.last_used_at"),
        ],
        default_order: "name",
        tie: "id",
    };
    const HAS_DERIVED_FIELDS: bool = true;
    const CONSTRAINTS: &'static [Constraint] = &[Constraint::taken("api_keys_name_key", "/name")];
    const DELETION: &'static str = "Revokes the key: every replica refuses it within a second.";
    type Scope = ();
    type Write = ApiKeyWrite;
    type View = ApiKeyView;

    table_rows! { api_keys by id }

    async fn save(
        _: &mut UnitOfWork,
        (): &(),
        _: &[RowWrite<ApiKeyWrite>],
        _: IfExists,
    ) -> Result<(), SaveError> {
        Err(Problem::new(ProblemCode::Conflict, "an API key never changes; create another one")
            .into())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(api_keys::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn write_of(view: &Self::View) -> ApiKeyWrite {
        let view = view.clone();
        ApiKeyWrite {
            name: view.name,
            roles: view.roles,
            scopes: view.scopes,
            expires_at: view.expires_at.map(Instant),
            restricted_to_contact_number: view.restricted_to_contact_number,
            requests_per_second: view.requests_per_second,
        }
    }

    fn references(write: &ApiKeyWrite) -> Vec<references::NamedReference> {
        let contact = write.restricted_to_contact_number.as_ref();
        named("/restrictedToContactNumber", ReferenceKind::Contact, contact).into_iter().collect()
    }
}

/// Returns the errors of a new key. Its creator cannot grant more than it has.
fn errors(write: &ApiKeyWrite, creator: &Caller, now: DateTime<Utc>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut add = |pointer: &str, code, detail: String| {
        errors.push(FieldError::new(pointer, code, detail));
    };
    let granted = Scopes::granted(&write.roles, &write.scopes);
    if granted.is_empty() {
        add("/scopes", FieldCode::Missing, "roles or scopes must be given".to_owned());
    }
    let excess = granted.without(creator.scopes());
    if !excess.is_empty() {
        let detail = format!("a caller cannot grant scopes that it does not have: {excess}");
        add("/scopes", FieldCode::NotAllowed, detail);
    }
    let restricted = Scopes::of(&[Scope::QuotesRead]);
    if write.restricted_to_contact_number.is_some() && !granted.without(restricted).is_empty() {
        let detail = "a key that is restricted to an account can have the scope quotes:read only";
        add("/scopes", FieldCode::NotAllowed, detail.to_owned());
    }
    if write.expires_at.is_some_and(|Instant(expires_at)| expires_at <= now) {
        add("/expiresAt", FieldCode::OutOfRange, "has to be in the future".to_owned());
    }
    let limits = 1..=MAX_REQUESTS_PER_SECOND;
    if write.requests_per_second.is_some_and(|limit| !limits.contains(&limit)) {
        let detail = format!("has to be from 1 to {MAX_REQUESTS_PER_SECOND}");
        add("/requestsPerSecond", FieldCode::OutOfRange, detail);
    }
    errors
}

/// Create an API key
///
/// Answers with the key and, only here, its secret: the bearer token. The service keeps a hash. The
/// answer is not stored under an idempotency key, so `Idempotency-Key` is refused.
#[utoipa::path(
    post,
    path = "/v1/api-keys",
    operation_id = "create_api_key",
    tag = "Access",
    request_body(content = ApiKeyWrite, description = "The key to create."),
    responses((status = 201, description = "Created.", body = NewApiKey))
)]
async fn create_api_key(
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    credentials: web::Data<Credentials>,
) -> Result<ApiResponse, Problem> {
    use api_keys as t;
    request.query(&[])?;
    if request.idempotency_key.is_some() {
        let detail = "the answer contains a secret, which is stored nowhere; leave out \
            Idempotency-Key, and delete a key whose answer was lost";
        return Err(Problem::new(ProblemCode::MalformedRequest, detail));
    }
    let write: ApiKeyWrite = request.json().await?;
    checked(errors(&write, &request.caller, calendar.now()))?;
    let answer = database
        .transact(&request, async |work| {
            let id = Uuid::now_v7();
            let NewToken { token, hash } = NewToken::new(id);
            let insert = diesel::insert_into(t::table)
                .values((
                    t::id.eq(id),
                    t::name.eq(&write.name),
                    t::roles.eq(&write.roles),
                    t::scopes.eq(&write.scopes),
                    t::expires_at.eq(write.expires_at.map(|Instant(expires_at)| expires_at)),
                    t::restricted_to_contact_number.eq(&write.restricted_to_contact_number),
                    t::requests_per_second.eq(write.requests_per_second),
                    t::created_by.eq(work.author.clone()),
                    t::hash.eq(hash),
                ))
                .returning(ApiKeyView::as_returning());
            let inserted = work
                .savepoint(async |work| {
                    Ok::<_, SaveError>(insert.get_result(&mut work.conn).await?)
                })
                .await;
            let key: ApiKeyView = match inserted {
                Ok(key) => key,
                Err(error) => return Err(refusal::<ApiKeys>(work, error, &write, id).await?),
            };
            let count: i64 = t::table.count().get_result(&mut work.conn).await?;
            if count > MAX_KEYS {
                let detail = format!("there can be at most {MAX_KEYS} API keys");
                return Err(Problem::new(ProblemCode::Conflict, detail));
            }
            let location = format!("{PATH}/{id}");
            let answer = ApiResponse::json(StatusCode::CREATED, &NewApiKey { key, secret: token })?;
            Ok(answer.header(header::LOCATION, &location).header(header::CACHE_CONTROL, "no-store"))
        })
        .await?;
    // The caller may use the key immediately. Without this the next poll finds it, so a failure
    // must not lose the secret.
    if let Ok(mut conn) = database.read().await
        && let Err(error) = ring::refresh(&mut conn, credentials.keys()).await
    {
        tracing::warn!(%error, "a new API key is known only after the next poll");
    }
    Ok(answer)
}

/// Get the caller
///
/// Returns the identity and the permissions of the caller.
#[utoipa::path(
    get,
    path = "/v1/me",
    operation_id = "get_me",
    tag = "Access",
    responses((status = 200, description = "The caller.", body = Me))
)]
async fn get_me(request: ApiRequest) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    ApiResponse::json(StatusCode::OK, &Me::from(&request.caller))
}

/// A point in time in a request, in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub DateTime<Utc>);

impl Instant {
    /// Parses a point in time.
    ///
    /// # Errors
    /// If the text has another form.
    pub fn parse(text: &str) -> Result<Self, values::wire::Invalid> {
        DateTime::parse_from_rfc3339(text).map(|at| Self(at.to_utc())).map_err(|_| {
            let detail = "a point in time has the form 2031-05-01T08:30:00Z";
            values::wire::Invalid::new(values::wire::InvalidKind::Time, detail)
        })
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

values::only_strings!(Instant);
values::string_serde!(Instant);
