//! The figures of posted sales over all campaigns, by campaign, month, item or account.

use actix_web::http::StatusCode;
use actix_web::web;
use chrono::{Datelike, Months, NaiveDate};
use diesel::sql_types::{BigInt, Date as SqlDate, Nullable, Text as SqlText};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use values::wire::{Invalid, InvalidKind};
use values::{Date, text_enum};

use super::Figure;
use super::query::given;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::QueryParams;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::unit_of_work::Database;

/// Maximum number of groups of an answer.
const MAX_GROUPS: usize = 10_000;
/// Maximum number of criteria.
const MAX_CRITERIA: usize = 2;

/// Adds the operation to the route table.
pub(super) fn mount(routes: &mut Routes) {
    routes.add(Area::Sales.read(), __path_get_sales_statistics, get_sales_statistics);
}

text_enum! {
    /// A criterion by which posted sales are grouped.
    SalesGroupBy {
        /// By the campaign to which the sale is attributed.
        Campaign = "campaign",
        /// By the month of the posting date.
        Month = "month",
        /// By the item.
        Item = "item",
        /// By the account.
        Account = "account",
    }
}

impl SalesGroupBy {
    /// Returns the column of the group's key.
    const fn column(self) -> &'static str {
        match self {
            Self::Campaign => "campaign_number",
            Self::Month => "month",
            Self::Item => "item_number",
            Self::Account => "account_number",
        }
    }
}

/// The figures of posted sales.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalesStatistics {
    /// The first posting date.
    #[schema(example = "2031-01-01")]
    pub from: NaiveDate,
    /// The last posting date.
    #[schema(example = "2031-12-31")]
    pub to: NaiveDate,
    /// The criteria of the groups.
    #[schema(min_items = 1, max_items = 2, example = json!(["campaign", "month"]))]
    pub group_by: Vec<SalesGroupBy>,
    /// The groups in the order of their keys, in the order of `groupBy`. A sale of two campaigns
    /// counts for each of them.
    #[schema(max_items = 10000)]
    pub groups: Vec<SalesGroup>,
    /// True if `groups` is complete, false if it contains only the first 10,000.
    #[schema(example = true)]
    pub is_complete: bool,
}

/// A group of posted sales. The keys of other criteria are null.
#[derive(Debug, diesel::QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalesGroup {
    /// The campaign. Null also for sales of no campaign.
    #[diesel(sql_type = Nullable<SqlText>)]
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: Option<String>,
    /// The month.
    #[diesel(sql_type = Nullable<SqlText>)]
    #[schema(max_length = 10, example = "2031-05")]
    pub month: Option<String>,
    /// The item.
    #[diesel(sql_type = Nullable<SqlText>)]
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: Option<String>,
    /// The contact number of the account.
    #[diesel(sql_type = Nullable<SqlText>)]
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<String>,
    /// Number of sales lines, including credit memos.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 240)]
    pub sales_lines: i64,
    /// The total amount of these lines without tax, in local currency.
    #[diesel(sql_type = SqlText)]
    pub sales_amount: Figure,
    /// The total reduction by campaigns, by lower prices and by discounts, in local currency: of
    /// the group's campaign, or else of all campaigns.
    #[diesel(sql_type = SqlText)]
    pub discount_given: Figure,
    /// Number of accounts that bought and did not return everything.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 60)]
    pub customers_who_bought: i64,
    /// Number of sales lines whose item had a unit cost.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 240)]
    pub sales_lines_with_cost: i64,
    /// The total amount less cost of the lines with cost, in local currency; null if there are
    /// none.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub margin: Option<Figure>,
}

/// Get the figures of posted sales
///
/// Returns the figures of the sales lines of a period by campaign, month, item or account, or by
/// two of them. `docs/statistics.md` defines the figures.
#[utoipa::path(
    get,
    path = "/v1/statistics",
    operation_id = "get_sales_statistics",
    tag = "Results",
    params(
        (
            "groupBy" = String, Query,
            description = "One or two of `campaign`, `month`, `item` and `account`, separated by \
                commas.",
            max_length = 50,
            pattern = "^(campaign|month|item|account)(,(campaign|month|item|account))?$",
            example = "campaign,month"
        ),
        (
            "from" = Option<Date>, Query,
            description = "The first posting date. Default: the first day of the month that is \
                eleven months before that of `to`."
        ),
        ("to" = Option<Date>, Query, description = "The last posting date. Default: today."),
    ),
    responses((status = 200, description = "The figures.", body = SalesStatistics))
)]
async fn get_sales_statistics(
    request: ApiRequest,
    calendar: web::Data<Calendar>,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let params = request.query(&["groupBy", "from", "to"])?;
    request.expect_no_body()?;
    let (group_by, from, to) = read(&params, calendar.today())?;
    let mut conn = database.report().await?;
    let mut groups: Vec<SalesGroup> = diesel::sql_query(statement(&group_by))
        .bind::<SqlDate, _>(from)
        .bind::<SqlDate, _>(to)
        .load(&mut conn)
        .await?;
    let is_complete = groups.len() <= MAX_GROUPS;
    groups.truncate(MAX_GROUPS);
    ApiResponse::json(StatusCode::OK, &SalesStatistics { from, to, group_by, groups, is_complete })
}

/// Reads the criteria and the period.
fn read(
    params: &QueryParams<'_>,
    today: NaiveDate,
) -> Result<(Vec<SalesGroupBy>, NaiveDate, NaiveDate), Problem> {
    let mut errors = Vec::new();
    let group_by = params.parsed("groupBy", criteria, &mut errors);
    let to = params.parsed("to", Date::parse, &mut errors).map_or(today, Date::get);
    let from = params.parsed("from", Date::parse, &mut errors).map(Date::get);
    if !errors.is_empty() {
        return Err(Problem::from_errors(errors));
    }
    let Some(group_by) = group_by else {
        let detail = "groupBy must be given";
        let error = FieldError::new("?groupBy", FieldCode::Required, detail);
        return Err(Problem::from_errors(vec![error]));
    };
    let from = from.unwrap_or_else(|| {
        let month = to.with_day(1).unwrap_or(to);
        month.checked_sub_months(Months::new(11)).unwrap_or(month)
    });
    if to < from {
        return Err(Problem::rule(
            "?to",
            FieldCode::OutOfRange,
            "the last day is before the first",
        ));
    }
    Ok((group_by, from, to))
}

/// Parses the criteria: one or two different ones.
fn criteria(text: &str) -> Result<Vec<SalesGroupBy>, Invalid> {
    let criteria: Vec<SalesGroupBy> =
        text.split(',').map(SalesGroupBy::parse).collect::<Result<_, _>>()?;
    if criteria.len() > MAX_CRITERIA {
        let detail = format!("sales are grouped by at most {MAX_CRITERIA} criteria");
        return Err(Invalid::new(InvalidKind::TooLong, detail));
    }
    match criteria.as_slice() {
        [one, other] if one == other => {
            Err(Invalid::new(InvalidKind::Value, "the two criteria are the same"))
        }
        _ => Ok(criteria),
    }
}

/// The reduction of a sales line that campaigns gave: the difference to what the account would have
/// paid without campaigns, or the discount if that is not known.
const GIVEN_BY_ALL: &str = "CASE
        WHEN NOT EXISTS (SELECT FROM sales_attributions WHERE sale_id = sales.id) THEN 0
        WHEN baseline_amount IS NOT NULL THEN baseline_amount - line_amount
        WHEN EXISTS (SELECT FROM sales_attributions WHERE sale_id = sales.id AND discount)
            THEN discount_amount
        ELSE 0 END";

/// Returns the statement; `$1` and `$2` are the first and last posting date.
fn statement(group_by: &[SalesGroupBy]) -> String {
    let by_campaign = group_by.contains(&SalesGroupBy::Campaign);
    // Each attribution of a sale is a row, or else each sale.
    let (campaign, join, given) = if by_campaign {
        let given = given("sales_attributions.campaign_number");
        (
            "sales_attributions.campaign_number",
            "LEFT JOIN sales_attributions ON sale_id = sales.id",
            format!("CASE WHEN sales_attributions.campaign_number IS NULL THEN 0 ELSE {given} END"),
        )
    } else {
        ("NULL::text", "", GIVEN_BY_ALL.to_owned())
    };
    let keys = group_by.iter().map(|criterion| criterion.column()).collect::<Vec<_>>().join(", ");
    let selected = SalesGroupBy::ALL.iter().map(|criterion| {
        let column = criterion.column();
        if group_by.contains(criterion) {
            format!("figures.{column}")
        } else {
            format!("NULL::text AS {column}")
        }
    });
    let selected = selected.collect::<Vec<_>>().join(", ");
    let same_keys = group_by.iter().map(|criterion| {
        let column = criterion.column();
        format!("buyers.{column} IS NOT DISTINCT FROM figures.{column}")
    });
    let same_keys = same_keys.collect::<Vec<_>>().join(" AND ");
    let order = group_by.iter().map(|criterion| {
        let column = criterion.column();
        format!("figures.{column} COLLATE \"C\" NULLS FIRST")
    });
    let order = order.collect::<Vec<_>>().join(", ");
    format!(
        "WITH sold AS (
            SELECT {campaign} AS campaign_number, to_char(posting_date, 'YYYY-MM') AS month,
                item_number, account_number, account_number AS buyer,
                line_amount, sales.cost, base_quantity,
                {given} AS given,
                CASE document_type WHEN 'INVOICE' THEN 1 ELSE -1 END AS sign
            FROM sales {join}
            WHERE posting_date BETWEEN $1 AND $2
        ), figures AS (
            SELECT {keys}, count(*) AS lines, sum(sign * line_amount) AS amount,
                sum(sign * given) AS discount, count(cost) AS lines_with_cost,
                sum(sign * (line_amount - cost)) AS margin
            FROM sold GROUP BY {keys}
        ), kept AS (
            SELECT {keys}, buyer FROM sold GROUP BY {keys}, buyer, item_number
            HAVING sum(sign * base_quantity) > 0
        ), buyers AS (SELECT {keys}, count(DISTINCT buyer) AS number FROM kept GROUP BY {keys})
        SELECT {selected}, lines AS sales_lines, trim_scale(amount)::text AS sales_amount,
            trim_scale(coalesce(discount, 0))::text AS discount_given,
            coalesce(buyers.number, 0) AS customers_who_bought,
            lines_with_cost AS sales_lines_with_cost, trim_scale(margin)::text AS margin
        FROM figures LEFT JOIN buyers ON {same_keys}
        ORDER BY {order} LIMIT {limit}",
        limit = MAX_GROUPS.saturating_add(1),
    )
}
