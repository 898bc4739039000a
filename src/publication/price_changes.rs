//! The changes of the price book since a version, in order. A shop, a till or an ERP can keep a
//! copy of the book with them.
//!
//! A line has the period in which it applies. So the lines of a campaign are repeated when the
//! campaign's dates change. An audience is returned in chunks of at most 512 accounts.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;

use super::book_id::{BOOK_ID_PARAM, book_id_parameter, require_history};
use super::compare::{refuse_future_versions, version_parameter, versions};
use super::reader;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::list::{
    CursorKey, Field, FieldKind, ListQuery, ListSpec, Literal, Page, Statement,
};
use crate::platform::http::operations::{list_description, list_operation};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::unit_of_work::{BOOK_ID, Database};

const PATH: &str = "/v1/price-changes";

/// Adds the operation to the route table.
pub(super) fn mount(routes: &mut Routes) {
    routes.schema::<PriceChangePage>();
    let description = format!(
        "Returns the changes of the price book after version `since`, in the order of its versions. \
         Applying all pages in this order to the book of `since` yields the book of \
         `throughVersion`; pass it as the next `since`. `PUT` adds a record or replaces the one \
         with the same kind and key, `REMOVE` deletes it. From 0 on the changes are the whole \
         book. {}",
        list_description(&LIST)
    );
    let operation = OperationBuilder::new()
        .operation_id(Some("list_price_changes"))
        .tag("Price quotes")
        .summary(Some("List the changes of the price book"))
        .description(Some(description))
        .parameter(version_parameter("since", "The version of the copy, or 0 without a copy."))
        .parameter(book_id_parameter());
    let operation = list_operation(operation, &LIST, "changes", PriceChangePage::name());
    routes.operation(Scope::BookRead, HttpMethod::Get, PATH, operation, list_price_changes);
}

/// A change of the price book.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceChange {
    /// The version that made the change.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub version: i64,
    /// The id of the change within the version: kind and key.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 120, example = "PRICE_LINE:0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: String,
    /// `PUT` or `REMOVE`.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 10, example = "PUT")]
    pub change: String,
    /// The kind of the record: `PRICE_LINE`, `DISCOUNT_LINE`, `CAMPAIGN` (its dates), `AUDIENCE` (a
    /// chunk of it), `ITEM`, `CONTACT`, `CURRENCY`, `EXCHANGE_RATE` or `SETTINGS`.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 20, example = "PRICE_LINE")]
    pub kind: String,
    /// The key of the record: the line's id, the number or the code.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 100, example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub key: String,
    /// The campaign of a line, of a period or of accounts. Null if there is none.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: Option<String>,
    /// The first day of a line or campaign. For a campaign's line it is the campaign's. Null if it
    /// is open.
    #[diesel(sql_type = Nullable<Date>)]
    #[schema(example = "2031-05-01")]
    pub starting_date: Option<NaiveDate>,
    /// The last day of a line or campaign. Null if it is open.
    #[diesel(sql_type = Nullable<Date>)]
    #[schema(example = "2031-05-31")]
    pub ending_date: Option<NaiveDate>,
    /// The facts in force from this version on. Null with `REMOVE` and for an audience.
    #[diesel(sql_type = Nullable<Jsonb>)]
    #[schema(
        value_type = Option<Object>,
        additional_properties,
        example = json!({"itemNumber": "1896-S", "unitPrice": "57"})
    )]
    pub facts: Option<Value>,
    /// The contact numbers of the accounts that join the campaign's audience. Null unless the
    /// record is an audience.
    #[diesel(sql_type = Nullable<Array<Text>>)]
    #[schema(
        value_type = Option<Vec<values::Key>>,
        max_items = 512,
        example = json!(["CT000042"])
    )]
    pub joined: Option<Vec<String>>,
    /// The contact numbers of the accounts that leave the audience. Null unless the record is an
    /// audience.
    #[diesel(sql_type = Nullable<Array<Text>>)]
    #[schema(
        value_type = Option<Vec<values::Key>>,
        max_items = 512,
        example = json!(["CT000043"])
    )]
    pub left: Option<Vec<String>>,
}

/// A page of changes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceChangePage {
    /// The changes.
    #[schema(value_type = Vec<PriceChange>, max_items = 1000)]
    value: Vec<Value>,
    /// The link to the next page, which is opaque. Absent if there are no further changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 16384,
        example = "/v1/price-changes?since=417&cursor=eyJrIjpbIklURU0iXX0.c2ln"
    )]
    next_link: Option<String>,
    /// The number of rows that match the filter. Only present with `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 12)]
    count: Option<i64>,
    /// The version of the copy after this page was applied completely.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 418)]
    through_version: i64,
    /// The history that the versions belong to. Pass it with the next `since`.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    book_id: Uuid,
}

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("version", FieldKind::Integer, "changes.version").not_null(),
        Field::new("id", FieldKind::Text, "changes.id").not_null(),
        Field::new("kind", FieldKind::Text, "changes.kind").not_null(),
        Field::new("campaignNumber", FieldKind::Key, "changes.campaign_number"),
    ],
    default_order: "version",
    tie: "id",
};

/// Begins a statement with the relation `changes` of the versions after `after` up to `until`.
fn changes(after: i64, until: i64) -> Statement {
    Statement::default()
        .sql("WITH span AS (SELECT ")
        .integer(after)
        .sql("::bigint AS after, ")
        .integer(until)
        .sql(
            "::bigint AS until),
        began AS (SELECT entries.* FROM book_entries AS entries, span
            WHERE from_version > after AND from_version <= until),
        ended AS (SELECT entries.* FROM book_entries AS entries, span
            WHERE to_version > after AND to_version <= until),
        entries AS (
            SELECT from_version AS version, kind, key, campaign_number, facts FROM began
            UNION ALL
            SELECT ended.to_version, ended.kind, ended.key, ended.campaign_number, NULL FROM ended
            WHERE NOT EXISTS (SELECT FROM began
                WHERE began.kind = ended.kind AND began.key = ended.key
                    AND began.from_version = ended.to_version)
            UNION ALL
            SELECT period.from_version, line.kind, line.key, line.campaign_number, line.facts
            FROM began AS period
            JOIN ended AS before ON before.kind = period.kind AND before.key = period.key
                AND before.to_version = period.from_version
            JOIN book_entries AS line ON line.campaign_number = period.key
                AND line.from_version < period.from_version
                AND (line.to_version IS NULL OR line.to_version > period.from_version)
            WHERE period.kind = 'CAMPAIGN' AND line.kind <> 'CAMPAIGN'),
        chunks AS (
            SELECT coalesce(came.from_version, went.to_version) AS version,
                coalesce(came.campaign_number, went.campaign_number) AS campaign_number,
                coalesce(came.chunk, went.chunk) AS chunk, coalesce(came.ordinals, '{}') AS came,
                coalesce(went.ordinals, '{}') AS went
            FROM (SELECT audience.* FROM book_audience AS audience, span
                WHERE from_version > after AND from_version <= until) AS came
            FULL JOIN (SELECT audience.* FROM book_audience AS audience, span
                WHERE to_version > after AND to_version <= until) AS went
                ON went.campaign_number = came.campaign_number AND went.chunk = came.chunk
                    AND went.to_version = came.from_version),
        changes AS (
            SELECT version, kind || ':' || key AS id, kind, key, campaign_number, facts,
                NULL::integer[] AS came, NULL::integer[] AS went
            FROM entries
            UNION ALL
            SELECT version, 'AUDIENCE:' || campaign_number || ':' || chunk, 'AUDIENCE',
                campaign_number || ':' || chunk, campaign_number, NULL, came, went
            FROM chunks) ",
        )
}

/// Ends the statement: the columns of the relation `page`, in its order.
const PAGE_COLUMNS: &str = "
    SELECT page.version, page.id, page.kind, page.key, page.campaign_number,
        CASE WHEN facts IS NULL AND came IS NULL THEN 'REMOVE' ELSE 'PUT' END AS change,
        facts,
        (CASE WHEN page.kind IN ('PRICE_LINE', 'DISCOUNT_LINE', 'CAMPAIGN')
            THEN coalesce(period ->> 'startingDate', facts ->> 'startingDate') END)::date
            AS starting_date,
        (CASE WHEN page.kind IN ('PRICE_LINE', 'DISCOUNT_LINE', 'CAMPAIGN')
            THEN coalesce(period ->> 'endingDate', facts ->> 'endingDate') END)::date
            AS ending_date,
        CASE WHEN came IS NOT NULL THEN ARRAY(
            SELECT coalesce(number, contact_number_of(member)) AS account
            FROM (SELECT unnest(came) EXCEPT SELECT unnest(went)) AS members (member)
            LEFT JOIN contacts ON contacts.ordinal = member ORDER BY account) END AS joined,
        CASE WHEN came IS NOT NULL THEN ARRAY(
            SELECT coalesce(number, contact_number_of(member)) AS account
            FROM (SELECT unnest(went) EXCEPT SELECT unnest(came)) AS members (member)
            LEFT JOIN contacts ON contacts.ordinal = member ORDER BY account) END AS left
    FROM page LEFT JOIN LATERAL (
        SELECT period.facts FROM book_entries AS period
        WHERE page.facts IS NOT NULL AND page.kind IN ('PRICE_LINE', 'DISCOUNT_LINE')
            AND period.kind = 'CAMPAIGN' AND period.key = page.campaign_number
            AND period.from_version <= page.version
            AND (period.to_version IS NULL OR period.to_version > page.version)
        ) AS of_campaign (period) ON true
    ORDER BY at";

/// Returns the last version that a page has to read, so that a page of early versions does not sort
/// all later ones. A publication of a campaign has at least one change per 512 records that it
/// counts. Its exact number is unknown.
async fn until(
    conn: &mut AsyncPgConnection,
    after: i64,
    latest: i64,
    rows: i64,
) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Until {
        #[diesel(sql_type = BigInt)]
        until: i64,
    }
    let query = "SELECT coalesce(min(version), $2) AS until FROM (
            SELECT version, sum(CASE WHEN kind = 'BASE_DATA' THEN added + changed + removed
                    ELSE greatest(1, (added + changed + removed) / 512) END)
                    OVER (ORDER BY version) AS changes
                FROM publications
                WHERE version > $1 AND version <= least($2, $1 + $3)) AS counted
        WHERE changes >= $3";
    let query = diesel::sql_query(query).bind::<BigInt, _>(after).bind::<BigInt, _>(latest);
    Ok(query.bind::<BigInt, _>(rows).get_result::<Until>(conn).await?.until)
}

/// Handles `GET /v1/price-changes`.
async fn list_price_changes(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let (path, query, today) = (request.path(), request.query_string(), calendar.today());
    let own = &["since", BOOK_ID_PARAM];
    let list = ListQuery::parse_with(path, query, own, &LIST, &cursor_key, today)?;
    let [since] = versions(&list, ["since"])?;
    let mut conn = database.report().await?;
    let (latest, book_id) = reader::latest(&mut conn).await?;
    require_history(list.param(BOOK_ID_PARAM), book_id)?;
    refuse_future_versions(&[("since", since)], latest)?;
    let in_order = list.is_in_default_order();
    // Of the version in which the page begins, all changes may be on earlier pages. So the versions
    // after it must fill the page.
    let (after, filled_from) = match list.begins_after("version") {
        Some(Literal::Integer(version)) if in_order => {
            (version.saturating_sub(1).max(since), (*version).max(since))
        }
        _ => (since, since),
    };
    let until = if list.is_filtered() || !in_order || list.offset() > 0 {
        latest
    } else {
        until(&mut conn, filled_from, latest, list.limit()).await?
    };
    let query = changes(after, until)
        .sql(
            ", page AS (SELECT row_number() OVER () AS at, changes.* FROM (
                SELECT * FROM changes WHERE ",
        )
        .condition(list.condition())
        .sql(" ORDER BY ")
        .ordering(list.ordering())
        .sql(" LIMIT ")
        .integer(list.limit())
        .sql(" OFFSET ")
        .integer(list.offset())
        .sql(") AS changes)")
        .sql(PAGE_COLUMNS);
    let rows: Vec<PriceChange> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(changes(since, latest).count("changes", list.filter_condition(), &mut conn).await?)
    } else {
        None
    };
    let rows: Result<Vec<Value>, _> = rows.into_iter().map(serde_json::to_value).collect();
    let Page { value, next_link, count } = list.page(rows.map_err(Problem::internal)?, count);
    // Further changes of the last version may be on the next page.
    let last = value.last().and_then(|row| row.get("version")).and_then(Value::as_i64);
    let through_version = match (&next_link, last) {
        (Some(_), Some(last)) => last.saturating_sub(1).max(since),
        _ => latest,
    };
    ApiResponse::json(
        StatusCode::OK,
        &PriceChangePage { value, next_link, count, through_version, book_id },
    )
    .map(|answer| answer.header(BOOK_ID, &book_id.to_string()))
}
