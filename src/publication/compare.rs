//! The comparison of two versions of the price book, in either order.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterIn};

use super::book_id::{BOOK_ID_PARAM, book_id_parameter, require_history};
use super::reader;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec, Statement};
use crate::platform::http::operations::{
    list_description, list_operation, parameter, whole_number,
};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::unit_of_work::Database;

const PATH: &str = "/v1/publications/compare";

/// Adds the operation to the route table.
pub(super) fn mount(routes: &mut Routes) {
    routes.schema::<BookDifferencePage>();
    let description = format!(
        "Compares the price book of version `from` with that of version `to`. `from` can be the \
         later one. Changes in between that were reverted are no differences. Version 0 is the \
         empty price book. {}",
        list_description(&LIST)
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("compare_publications"))
        .tag("Activation")
        .summary(Some("Compare two versions of the price book"))
        .description(Some(description))
        .parameter(version_parameter("from", "The version to compare from."))
        .parameter(version_parameter("to", "The version to compare with."))
        .parameter(book_id_parameter());
    let operation = list_operation(operation, &LIST, "differences", BookDifferencePage::name());
    routes.operation(Scope::BookRead, HttpMethod::Get, PATH, operation, compare);
}

/// Returns a required query parameter for a version.
pub(super) fn version_parameter(name: &str, description: &str) -> Parameter {
    parameter(ParameterIn::Query, Required::True, name, description, whole_number(0))
}

/// Parses the versions in the list's own parameters, all of which are required.
pub(super) fn versions<const N: usize>(
    list: &ListQuery,
    names: [&'static str; N],
) -> Result<[i64; N], Problem> {
    let mut errors = Vec::new();
    let versions = names.map(|name| {
        let Some(text) = list.param(name) else {
            errors.push(FieldError::new(
                format!("?{name}"),
                FieldCode::Required,
                format!("{name} must be given"),
            ));
            return 0;
        };
        text.parse().ok().filter(|version| *version >= 0).unwrap_or_else(|| {
            let detail = "has to be the version of a publication, or 0";
            errors.push(FieldError::new(format!("?{name}"), FieldCode::InvalidType, detail));
            0
        })
    });
    if errors.is_empty() { Ok(versions) } else { Err(Problem::from_errors(errors)) }
}

/// Refuses versions that do not exist yet.
pub(super) fn refuse_future_versions(
    names: &[(&'static str, i64)],
    latest: i64,
) -> Result<(), Problem> {
    let unknown = names.iter().filter(|(_, version)| *version > latest).map(|(name, version)| {
        let detail = format!("there is no publication {version} yet; the latest is {latest}");
        FieldError::new(format!("?{name}"), FieldCode::ReferenceNotFound, detail)
    });
    let errors: Vec<FieldError> = unknown.collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::from_errors(errors)) }
}

/// A difference between two versions of the price book.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookDifference {
    /// The id of the difference: kind and key. For an account, the campaign is between them.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 180, example = "PRICE_LINE:0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: String,
    /// `ADDED`, `CHANGED` or `REMOVED`, from version `from` to version `to`.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 10, example = "CHANGED")]
    pub change: String,
    /// The kind of the record: `PRICE_LINE`, `DISCOUNT_LINE`, `CAMPAIGN`, `ACCOUNT` (of the
    /// audience), `ITEM`, `CONTACT`, `CURRENCY`, `EXCHANGE_RATE` or `SETTINGS`.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 20, example = "PRICE_LINE")]
    pub kind: String,
    /// The key of the record: the line's id, the number or the code.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 100, example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub key: String,
    /// The campaign of a line, of a period or of an account. Null if there is none.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: Option<String>,
    /// The facts in version `from`. Null if there are none.
    #[diesel(sql_type = Nullable<Jsonb>)]
    #[schema(
        value_type = Option<Object>, additional_properties, example = json!({"unitPrice": "60"})
    )]
    pub before: Option<Value>,
    /// The facts in version `to`. Null if there are none.
    #[diesel(sql_type = Nullable<Jsonb>)]
    #[schema(
        value_type = Option<Object>, additional_properties, example = json!({"unitPrice": "57"})
    )]
    pub after: Option<Value>,
}

/// A page of differences.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used; pages are written by http::list")]
pub struct BookDifferencePage {
    /// The differences.
    #[schema(max_items = 1000)]
    value: Vec<BookDifference>,
    /// The link to the next page, which is opaque. Absent on the last page.
    #[schema(
        max_length = 16384,
        example = "/v1/publications/compare?from=417&to=420&cursor=eyJrIjpbIklURU0iXX0.c2ln"
    )]
    next_link: Option<String>,
    /// The number of rows that match the filter. Only present with `count=true`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 12)]
    count: Option<i64>,
}

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Text, "differences.id").not_null(),
        Field::new("kind", FieldKind::Text, "differences.kind").not_null(),
        Field::new("key", FieldKind::Text, "differences.key").not_null(),
        Field::new("campaignNumber", FieldKind::Key, "differences.campaign_number"),
        Field::new(
            "change",
            FieldKind::Enum(&["ADDED", "CHANGED", "REMOVED"]),
            "differences.change",
        )
        .not_null(),
    ],
    default_order: "id",
    tie: "id",
};

/// Begins a statement with the relation `differences`. Rows in force at only one of the versions
/// are found by the version in which they begin or end. So the cost depends on the changes in
/// between, not on the size of the book.
fn differences(from: i64, to: i64) -> Statement {
    Statement::default()
        .sql(
            "WITH versions AS (SELECT from_version, to_version,
                least(from_version, to_version) AS low, greatest(from_version, to_version) AS high
            FROM (SELECT ",
        )
        .integer(from)
        .sql("::bigint AS from_version, ")
        .integer(to)
        .sql(
            "::bigint AS to_version) AS asked),
        early AS (SELECT entries.* FROM book_entries AS entries, versions
            WHERE entries.to_version > low AND entries.to_version <= high
                AND entries.from_version <= low),
        late AS (SELECT entries.* FROM book_entries AS entries, versions
            WHERE entries.from_version > low AND entries.from_version <= high
                AND (entries.to_version IS NULL OR entries.to_version > high)),
        early_chunks AS (SELECT chunks.* FROM book_audience AS chunks, versions
            WHERE chunks.to_version > low AND chunks.to_version <= high
                AND chunks.from_version <= low),
        late_chunks AS (SELECT chunks.* FROM book_audience AS chunks, versions
            WHERE chunks.from_version > low AND chunks.from_version <= high
                AND (chunks.to_version IS NULL OR chunks.to_version > high)),
        entries AS (
            SELECT coalesce(early.kind, late.kind) AS kind, coalesce(early.key, late.key) AS key,
                coalesce(early.campaign_number, late.campaign_number) AS campaign_number,
                early.facts AS early, late.facts AS late
            FROM early FULL JOIN late ON late.kind = early.kind AND late.key = early.key
            WHERE early.facts IS DISTINCT FROM late.facts),
        members AS (
            SELECT campaign_number, ordinal, bool_or(early) AS early, bool_or(late) AS late FROM (
                SELECT campaign_number, unnest(ordinals) AS ordinal, true AS early, false AS late
                FROM early_chunks
                UNION ALL
                SELECT campaign_number, unnest(ordinals), false, true FROM late_chunks
            ) AS both_sides
            GROUP BY campaign_number, ordinal HAVING bool_or(early) <> bool_or(late)),
        sides AS (
            SELECT kind || ':' || key AS id, kind, key, campaign_number,
                early IS NOT NULL AS is_in_early, late IS NOT NULL AS is_in_late, early, late
            FROM entries
            UNION ALL
            SELECT 'ACCOUNT:' || campaign_number || ':' || account, 'ACCOUNT', account,
                campaign_number, early, late, NULL, NULL
            FROM (
                SELECT members.*, coalesce(number, contact_number_of(members.ordinal)) AS account
                FROM members LEFT JOIN contacts ON contacts.ordinal = members.ordinal
            ) AS accounts),
        differences AS (
            SELECT id, kind, key, campaign_number,
                CASE WHEN is_in_early AND is_in_late THEN 'CHANGED'
                    WHEN is_in_late = (from_version <= to_version) THEN 'ADDED'
                    ELSE 'REMOVED' END AS change,
                CASE WHEN from_version <= to_version THEN early ELSE late END AS before,
                CASE WHEN from_version <= to_version THEN late ELSE early END AS after
            FROM sides, versions) ",
        )
}

/// Handles `GET /v1/publications/compare`.
async fn compare(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let (path, query, today) = (request.path(), request.query_string(), calendar.today());
    let own = &["from", "to", BOOK_ID_PARAM];
    let list = ListQuery::parse_with(path, query, own, &LIST, &cursor_key, today)?;
    let [from, to] = versions(&list, ["from", "to"])?;
    let mut conn = database.report().await?;
    let (latest, book_id) = reader::latest(&mut conn).await?;
    require_history(list.param(BOOK_ID_PARAM), book_id)?;
    refuse_future_versions(&[("from", from), ("to", to)], latest)?;
    let query = differences(from, to)
        .sql("SELECT * FROM differences WHERE ")
        .condition(list.condition())
        .sql(" ORDER BY ")
        .ordering(list.ordering())
        .sql(" LIMIT ")
        .integer(list.limit())
        .sql(" OFFSET ")
        .integer(list.offset());
    let rows: Vec<BookDifference> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(differences(from, to).count("differences", list.filter_condition(), &mut conn).await?)
    } else {
        None
    };
    let rows: Result<Vec<Value>, _> = rows.into_iter().map(serde_json::to_value).collect();
    ApiResponse::json(StatusCode::OK, &list.page(rows.map_err(Problem::internal)?, count))
}
