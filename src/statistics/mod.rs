//! What came of a campaign, in figures. Every figure is defined in docs/statistics.md; the names
//! here are those of that table.

mod history;
mod query;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text as SqlText};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;

use crate::campaigns::OfCampaign;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::resource::Scope;
use crate::platform::http::routes::Routes;
use crate::platform::unit_of_work::Database;
use crate::values::Key;
use crate::values::wire::{
    Invalid, InvalidKind, only_strings, stored_as, text_enum, travels_as_string,
};

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.add(__path_get_campaign_statistics, get_campaign_statistics);
    history::mount(routes);
}

text_enum! {
    /// By what the figures are told apart.
    GroupBy {
        /// By the month in which it happened.
        Month = "month",
        /// By the segment by which the account came into the campaign.
        Segment = "segment",
        /// By the salesperson in charge.
        Salesperson = "salesperson",
    }
}

/// A sum or a quotient of amounts: it may be negative, and longer than any one amount.
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
#[schema(value_type = String, pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,10})?$", max_length = 100, example = "1094.4")]
pub struct Figure(String);

impl Figure {
    /// Takes a figure as the database writes it.
    ///
    /// # Errors
    /// When it is no number.
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
travels_as_string!(Figure);
stored_as!(Figure, SqlText, String, |figure: &Figure| figure.0.clone(), |stored: String| {
    Figure::parse(&stored).map_err(Into::into)
});

/// The figures of a campaign, or of a part of it.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[schema(as = CampaignFigures)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Interactions that were targets.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub contacts_targeted: i64,
    /// Interactions that were responses.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 18)]
    pub contacts_responded: i64,
    /// Contacts that were targets at least once.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 100)]
    pub distinct_contacts_targeted: i64,
    /// Contacts that responded at least once.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 15)]
    pub distinct_contacts_responded: i64,
    /// Responses in percent of targets; null without targets.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub response_rate: Option<Figure>,
    /// What the interactions cost, in local currency.
    #[diesel(sql_type = SqlText)]
    pub cost: Figure,
    /// How long they took, in minutes.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1800)]
    pub duration: i64,
    /// Cost per response, in local currency; null without responses.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub cost_per_response: Option<Figure>,
    /// Tasks that are not closed.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 3)]
    pub tasks_open: i64,
    /// Tasks that are closed.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 9)]
    pub tasks_closed: i64,
    /// The opportunities.
    #[diesel(embed)]
    pub opportunities: OpportunityFigures,
    /// Sales lines owed to the campaign, invoices and credit memos alike.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 240)]
    pub sales_lines: i64,
    /// What they came to without tax, in local currency.
    #[diesel(sql_type = SqlText)]
    pub sales_amount: Figure,
    /// The discounts of the campaign on them, in local currency.
    #[diesel(sql_type = SqlText)]
    pub discount_given: Figure,
    /// Accounts that bought and did not give everything back.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 60)]
    pub customers_who_bought: i64,
    /// Sales lines of which it is known what the item cost.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 240)]
    pub sales_lines_with_cost: i64,
    /// Amount less cost of those lines, in local currency; null if there are none.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub margin: Option<Figure>,
    /// Margin less cost of the interactions, in percent of that cost; null without either.
    #[diesel(sql_type = Nullable<SqlText>)]
    pub return_on_cost: Option<Figure>,
}

/// The figures of opportunities.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpportunityFigures {
    /// How many there are.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 4)]
    pub number: i64,
    /// The sum of their values, in local currency.
    #[diesel(sql_type = SqlText)]
    pub estimated_value: Figure,
    /// The sum of their values, each by its chance, in local currency.
    #[diesel(sql_type = SqlText)]
    pub weighted_value: Figure,
}

/// A part of a campaign's figures.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[schema(as = CampaignFiguresGroup)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The month (`2031-05`), segment number or salesperson code; null for what has none.
    #[diesel(sql_type = Nullable<SqlText>)]
    #[schema(max_length = 50, example = "2031-05")]
    pub key: Option<String>,
    /// Its figures.
    #[serde(flatten)]
    #[diesel(embed)]
    pub figures: Figures,
}

/// What came of a campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignStatistics)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// The campaign.
    pub campaign_number: Key,
    /// The figures of the whole campaign.
    #[serde(flatten)]
    pub figures: Figures,
    /// By what `groups` are told apart; null if nobody asked for groups.
    #[schema(example = "month")]
    pub group_by: Option<GroupBy>,
    /// The figures of its parts in the order of their keys, those without key first. Distinct
    /// figures of parts may add up to more than the whole's.
    #[schema(max_items = 10000)]
    pub groups: Vec<Group>,
}

/// Get the statistics of a campaign
///
/// docs/statistics.md defines every figure. What is canceled does not count. With `groupBy` also by
/// month, by segment or by salesperson.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/statistics",
    operation_id = "get_campaign_statistics",
    tag = "Results",
    params(
        ("campaign" = String, Path, description = "The campaign's id or number.", min_length = 1, max_length = 50, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"),
        ("groupBy" = Option<GroupBy>, Query, description = "By what the figures are told apart, beside those of the whole."),
    ),
    responses((status = 200, description = "The figures.", body = Statistics))
)]
async fn get_campaign_statistics(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let query = call.query(&["groupBy"])?;
    call.expect_no_body()?;
    let group_by = query.get("groupBy").map(GroupBy::parse).transpose().map_err(|invalid| {
        Problem::from_errors(vec![FieldError::new(
            "?groupBy",
            FieldCode::InvalidValue,
            invalid.detail,
        )])
    })?;
    let mut conn = database.report().await?;
    let OfCampaign { number } = OfCampaign::find(&request, &mut conn).await?;
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
