//! The history of the price book over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterIn};
use uuid::Uuid;

use super::writer::{Publication, PublicationKind};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{
    list_description, list_operation, parameter, whole_number,
};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::schema::publications;
use crate::unit_of_work::Database;

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.schema::<PublicationPage>();
    routes.schema::<PublicationChangePage>();
    let listing = |id: &str, summary: &str, spec: &ListSpec| {
        let description = list_description(spec);
        OperationBuilder::new()
            .operation_id(Some(id))
            .tag("Activation")
            .summary(Some(summary))
            .description(Some(description))
    };
    let publications = listing("list_publications", "List publications", &PUBLICATIONS);
    let publications =
        list_operation(publications, &PUBLICATIONS, "publications", PublicationPage::name());
    routes.operation(
        Scope::BookRead,
        HttpMethod::Get,
        "/v1/publications",
        publications,
        list_publications,
    );
    super::compare::mount(routes);
    super::price_changes::mount(routes);
    routes.add(Scope::BookRead, __path_get_publication, get_publication);
    let version =
        parameter(ParameterIn::Path, Required::True, "version", "The version.", whole_number(1));
    let changes =
        listing("list_publication_changes", "List the changes of a publication", &CHANGES);
    let changes = list_operation(
        changes.parameter(version),
        &CHANGES,
        "changes",
        PublicationChangePage::name(),
    );
    routes.operation(
        Scope::BookRead,
        HttpMethod::Get,
        "/v1/publications/{version}/changes",
        changes,
        list_publication_changes,
    );
}

/// One version of the price book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Publication)]
pub struct PublicationView {
    /// The version, which is one more than the previous one.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub version: i64,
    /// The kind of the publication.
    pub kind: PublicationKind,
    /// The campaign's number. Null for base data.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: Option<String>,
    /// The caller that made the publication.
    #[schema(max_length = 100, example = "local")]
    pub author: String,
    /// The time of the publication.
    #[schema(example = "2031-05-01T08:30:00Z")]
    pub published_at: DateTime<Utc>,
    /// The number of facts and accounts that were added.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1241)]
    pub added: i64,
    /// The number of facts that replaced others.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub changed: i64,
    /// The number of facts and accounts that were removed.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub removed: i64,
    /// A hash of everything that was added and removed, independent of its order.
    #[schema(max_length = 64, example = "8f14e45fceea167a5a36dedd4bea2543")]
    pub content_hash: String,
    /// The history that the version belongs to.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub book_id: Uuid,
}

impl From<Publication> for PublicationView {
    fn from(publication: Publication) -> Self {
        let Publication {
            version,
            kind,
            campaign_number,
            author,
            published_at,
            added,
            changed,
            removed,
            content_hash,
            book_id,
        } = publication;
        Self {
            version,
            kind,
            campaign_number,
            author,
            published_at,
            added,
            changed,
            removed,
            content_hash,
            book_id,
        }
    }
}

/// A page of publications.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used; pages are written by http::list")]
pub struct PublicationPage {
    /// The publications.
    #[schema(max_items = 1000)]
    value: Vec<PublicationView>,
    /// The link to the next page, which is opaque. Absent on the last page.
    #[schema(max_length = 16384, example = "/v1/publications?cursor=eyJrIjpbIjQxOCJdfQ.c2ln")]
    next_link: Option<String>,
    /// The number of rows that match the filter. Only present with `count=true`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 418)]
    count: Option<i64>,
}

const PUBLICATIONS: ListSpec = ListSpec {
    fields: &[
        Field::new("version", FieldKind::Integer, "publications.version").not_null(),
        Field::new("kind", FieldKind::Enum(PublicationKind::TEXTS), "publications.kind").not_null(),
        Field::new("campaignNumber", FieldKind::Key, "publications.campaign_number"),
        Field::new("author", FieldKind::Text, "publications.author").not_null(),
        Field::new("publishedAt", FieldKind::Instant, "publications.published_at").not_null(),
    ],
    default_order: "version desc",
    tie: "version",
};

/// Handles `GET /v1/publications`.
async fn list_publications(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let list = ListQuery::parse(
        request.path(),
        request.query_string(),
        &PUBLICATIONS,
        &cursor_key,
        calendar.today(),
    )?;
    let mut conn = database.list(&list).await?;
    let query = publications::table.select(Publication::as_select()).into_boxed::<Pg>();
    let query = query
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset());
    let rows: Vec<Publication> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        let count = publications::table.count().into_boxed::<Pg>().filter(list.filter_condition());
        Some(count.get_result(&mut conn).await?)
    } else {
        None
    };
    let rows: Result<Vec<Value>, _> =
        rows.into_iter().map(|row| serde_json::to_value(PublicationView::from(row))).collect();
    ApiResponse::json(StatusCode::OK, &list.page(rows.map_err(Problem::internal)?, count))
}

/// Parses the version in the path.
fn version(request: &HttpRequest) -> Result<i64, Problem> {
    let text = request.match_info().get("version").unwrap_or_default();
    text.parse().map_err(|_| Problem::not_found("publication", text))
}

async fn find(
    conn: &mut diesel_async::AsyncPgConnection,
    version: i64,
) -> Result<Publication, Problem> {
    let found = publications::table
        .find(version)
        .select(Publication::as_select())
        .first(conn)
        .await
        .optional()?;
    found.ok_or_else(|| Problem::not_found("publication", &version.to_string()))
}

/// Get a publication
///
/// A publication never changes.
#[utoipa::path(
    get,
    path = "/v1/publications/{version}",
    operation_id = "get_publication",
    tag = "Activation",
    params((
        "version" = i64, Path,
        description = "The version.",
        minimum = 1,
        maximum = 9_007_199_254_740_991_i64
    )),
    responses(
        (status = 200, description = "The publication.", body = PublicationView),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_publication(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let mut conn = database.read().await?;
    let publication = find(&mut conn, version(&http_request)?).await?;
    let answer = ApiResponse::resource(StatusCode::OK, &PublicationView::from(publication))?;
    Ok(answer.not_modified_if_known(request.if_none_match.as_ref()))
}

diesel::table! {
    /// The view `publication_changes`: everything that a publication changed, as one list.
    publication_changes (version, id) {
        version -> Int8,
        id -> Text,
        change -> Text,
        kind -> Text,
        key -> Text,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
    }
}

/// A change that a publication made.
#[derive(Debug, Queryable, Selectable, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = publication_changes, check_for_backend(Pg))]
pub struct PublicationChange {
    /// The id of the change within the publication: kind and key.
    #[schema(max_length = 120, example = "PRICE_LINE:0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: String,
    /// `ADDED`, `CHANGED` or `REMOVED`.
    #[schema(max_length = 10, example = "ADDED")]
    pub change: String,
    /// The kind of the changed record: `PRICE_LINE`, `DISCOUNT_LINE`, `CAMPAIGN`, `ACCOUNT` (of the
    /// audience), `ITEM`, `CONTACT`, `CURRENCY`, `EXCHANGE_RATE` or `SETTINGS`.
    #[schema(max_length = 20, example = "PRICE_LINE")]
    pub kind: String,
    /// The key of the changed record: the line's id, the number or the code.
    #[schema(max_length = 100, example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub key: String,
    /// The facts that were in force before. Null if the record is new.
    #[schema(
        value_type = Option<Object>,
        additional_properties,
        example = json!({"unitPrice": "60"})
    )]
    pub before: Option<Value>,
    /// The facts that are in force from this version on. Null if the record was removed.
    #[schema(
        value_type = Option<Object>,
        additional_properties,
        example = json!({"unitPrice": "57"})
    )]
    pub after: Option<Value>,
}

/// A page of changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used; pages are written by http::list")]
pub struct PublicationChangePage {
    /// The changes.
    #[schema(max_items = 1000)]
    value: Vec<PublicationChange>,
    /// The link to the next page, which is opaque. Absent on the last page.
    #[schema(
        max_length = 16384,
        example = "/v1/publications/418/changes?cursor=eyJrIjpbIklURU0iXX0.c2ln"
    )]
    next_link: Option<String>,
    /// The number of rows that match the filter. Only present with `count=true`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1241)]
    count: Option<i64>,
}

const CHANGES: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Text, "publication_changes.id").not_null(),
        Field::new("kind", FieldKind::Text, "publication_changes.kind").not_null(),
        Field::new("key", FieldKind::Text, "publication_changes.key").not_null(),
        Field::new(
            "change",
            FieldKind::Enum(&["ADDED", "CHANGED", "REMOVED"]),
            "publication_changes.change",
        )
        .not_null(),
    ],
    default_order: "id",
    tie: "id",
};

/// Handles `GET /v1/publications/{version}/changes`.
async fn list_publication_changes(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let list = ListQuery::parse(
        request.path(),
        request.query_string(),
        &CHANGES,
        &cursor_key,
        calendar.today(),
    )?;
    let version = version(&request)?;
    // A publication can change a million accounts.
    let mut conn = database.report().await?;
    find(&mut conn, version).await?;
    let of_version = publication_changes::version.eq(version);
    let query =
        publication_changes::table.select(PublicationChange::as_select()).into_boxed::<Pg>();
    let query = query.filter(of_version).filter(list.condition());
    let query = query.order(list.ordering()).limit(list.limit()).offset(list.offset());
    let rows: Vec<PublicationChange> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        let count = publication_changes::table.count().into_boxed::<Pg>();
        Some(count.filter(of_version).filter(list.filter_condition()).get_result(&mut conn).await?)
    } else {
        None
    };
    let rows: Result<Vec<Value>, _> = rows.into_iter().map(serde_json::to_value).collect();
    ApiResponse::json(StatusCode::OK, &list.page(rows.map_err(Problem::internal)?, count))
}
