//! The figures of a campaign. `docs/statistics.md` defines every figure under the names used here.

mod history;
mod query;
mod sales;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text as SqlText};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use values::wire::{Invalid, InvalidKind};
use values::{Key, only_strings, sql_column, string_serde, text_enum};

use crate::campaigns::OfCampaign;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::resource::Scope;
use crate::unit_of_work::Database;

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.add(Area::Campaigns.read(), __path_get_campaign_statistics, get_campaign_statistics);
    history::mount(routes);
    sales::mount(routes);
}

text_enum! {
    /// The criterion by which figures are grouped.
    GroupBy {
        /// By the month of the event.
        Month = "month",
        /// By the segment through which the account joined the campaign.
        Segment = "segment",
        /// By the salesperson in charge.
        Salesperson = "salesperson",
    }
}

/// A sum or quotient of amounts. It may be negative and may have more digits than an amount.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
    utoipa::ToSchema,
)]
#[diesel(sql_type = SqlText)]
#[schema(
    value_type = String,
    pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,10})?$",
    max_length = 100,
    example = "1094.4"
)]
pub struct Figure(String);

impl Figure {
    /// Parses a figure as the database formats it.
    ///
    /// # Errors
    /// When it is not a decimal.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let has_form =
            text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
        if has_form && !text.is_empty() {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(InvalidKind::Decimal, "a figure is a decimal"))
        }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

only_strings!(Figure);
string_serde!(Figure);
sql_column!(Figure, SqlText, String, |figure: &Figure| figure.0.clone(), |stored: String| {
    Figure::parse(&stored).map_err(Into::into)
});

/// The figures of a campaign, or of one group.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[schema(as = CampaignFigures)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Number of interactions that were targets.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub contacts_targeted: i64,
    /// Number of interactions that were responses.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 18)]
    pub contacts_responded: i64,
    /// Number of contacts that were targets at least once.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 100)]
    pub distinct_contacts_targeted: i64,
    /// Number of contacts that responded at least once.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 15)]
    pub distinct_contacts_responded: i64,
    /// Responses in percent of targets; null without targets.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub response_rate: Option<Figure>,
    /// The total cost of the interactions, in local currency.
    #[diesel(sql_type = SqlText)]
    pub cost: Figure,
    /// The total duration of the interactions, in minutes.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1800)]
    pub duration: i64,
    /// Cost per response, in local currency; null without responses.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub cost_per_response: Option<Figure>,
    /// Number of tasks that are not closed.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 3)]
    pub tasks_open: i64,
    /// Number of tasks that are closed.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 9)]
    pub tasks_closed: i64,
    /// The figures of the opportunities.
    #[diesel(embed)]
    pub opportunities: OpportunityFigures,
    /// Number of sales lines attributed to the campaign, including credit memos.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 240)]
    pub sales_lines: i64,
    /// The total amount of these lines without tax, in local currency.
    #[diesel(sql_type = SqlText)]
    pub sales_amount: Figure,
    /// The total reduction that the campaign granted on these lines, by lower prices and by
    /// discounts: the amounts that the accounts would have paid without campaigns, less those that
    /// they paid. In local currency.
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
    /// Margin less cost of the interactions, in percent of that cost; null if either is missing.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub return_on_cost: Option<Figure>,
}

/// The figures of opportunities.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpportunityFigures {
    /// The number of opportunities.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 4)]
    pub number: i64,
    /// The sum of their estimated values, in local currency.
    #[diesel(sql_type = SqlText)]
    pub estimated_value: Figure,
    /// The sum of their estimated values, weighted by their chances, in local currency.
    #[diesel(sql_type = SqlText)]
    pub weighted_value: Figure,
}

/// A group of a campaign's figures.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[schema(as = CampaignFiguresGroup)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The month (`2031-05`), segment number or salesperson code; null for records without one.
    #[diesel(sql_type = Nullable<SqlText>)]
    #[schema(max_length = 50, example = "2031-05")]
    pub key: Option<String>,
    /// The figures of the group.
    #[serde(flatten)]
    #[diesel(embed)]
    pub figures: Figures,
}

/// The statistics of a campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignStatistics)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// The campaign.
    pub campaign_number: Key,
    /// The figures of the whole campaign.
    #[serde(flatten)]
    pub figures: Figures,
    /// The criterion of `groups`; null if no groups were requested.
    #[schema(example = "month")]
    pub group_by: Option<GroupBy>,
    /// The groups in the order of their keys, the one without key first. Distinct figures of groups
    /// may add up to more than those of the whole campaign.
    #[schema(max_items = 10000)]
    pub groups: Vec<Group>,
}

/// Get the statistics of a campaign
///
/// Returns the figures of a campaign, as defined in `docs/statistics.md`. Canceled records do not
/// count. With `groupBy` the answer also has the figures by month, segment or salesperson.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/statistics",
    operation_id = "get_campaign_statistics",
    tag = "Results",
    params(
        (
            "campaign" = String, Path, description = "The campaign's id or number.",
            min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
        ),
        (
            "groupBy" = Option<GroupBy>, Query,
            description = "The criterion of the groups, in addition to the whole campaign."
        ),
    ),
    responses((status = 200, description = "The figures.", body = Statistics))
)]
async fn get_campaign_statistics(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let query = request.query(&["groupBy"])?;
    request.expect_no_body()?;
    let group_by = query.get("groupBy").map(GroupBy::parse).transpose().map_err(|invalid| {
        Problem::from_errors(vec![FieldError::new(
            "?groupBy",
            FieldCode::InvalidValue,
            invalid.detail,
        )])
    })?;
    let mut conn = database.report().await?;
    let OfCampaign { number } = OfCampaign::find(&http_request, &mut conn).await?;
    let whole: Group = diesel::sql_query(query::figures(None))
        .bind::<SqlText, _>(&number)
        .get_result(&mut conn)
        .await?;
    let groups = match group_by {
        Some(_) => {
            diesel::sql_query(query::figures(group_by))
                .bind::<SqlText, _>(&number)
                .load(&mut conn)
                .await?
        }
        None => Vec::new(),
    };
    ApiResponse::json(
        StatusCode::OK,
        &Statistics { campaign_number: number, figures: whole.figures, group_by, groups },
    )
}
