//! The prices of a plan over HTTP: those of each account of the audience, before and after, in
//! pages.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use price_book::snapshot::Snapshot;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use values::Key;

use super::activate::current_state;
use super::book_view::{BookView, book_view};
use super::draft;
use super::draft::{Draft, Scope};
use super::plan::{Hypothesis, PriceComparison, price_queries};
use crate::live_book::LiveBook;
use crate::platform::background::background;
use crate::platform::clock::Calendar;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::cursor::ListIdentity;
use crate::platform::http::list::{CursorKey, cursor};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::publication::difference::hash_of;
use crate::publication::published_campaign::PublishedCampaign;
use crate::resource::reference;
use crate::unit_of_work::Database;

/// Page size if the request has none.
const DEFAULT_PAGE_SIZE: usize = 50;
/// Maximum page size.
const MAX_TOP: usize = 1_000;
/// Maximum number of prices that are compared for one page. A page with few changes can therefore
/// end before it is full.
const MAX_COMPARED: usize = 20_000;
/// The order of the rows, part of the identity of a cursor.
const ORDER: &str = "account,line";

/// Adds the operation.
pub(super) fn mount(routes: &mut Routes) {
    routes.add(__path_list_planned_prices, list_planned_prices);
}

/// The price of an account for an item, before and after an activation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPriceChange {
    /// The contact number of the account.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: String,
    /// The price before and after.
    #[serde(flatten)]
    pub change: PriceComparison,
}

/// A page of planned prices.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPricePage {
    /// The prices, account by account, in the order of the campaign's lines.
    #[schema(max_items = 1000)]
    pub value: Vec<PlannedPriceChange>,
    /// The link to the next page; absent on the last page. Opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 16384,
        example = "/v1/campaigns/CP0001/planned-prices?cursor=eyJrIjpbIjQxOCJdfQ.c2ln"
    )]
    pub next_link: Option<String>,
    /// The hash of the plan that the prices belong to.
    #[schema(max_length = 64, example = "1679091c5a880faf6fb5e6087eb1b2dc")]
    pub plan_hash: String,
    /// Number of accounts in the audience after the activation.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, value_type = i64, example = 1200)]
    pub accounts: u64,
    /// Number of prices for each account: one for each line that names an item, at its minimum
    /// quantity.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, value_type = i64, example = 40)]
    pub lines: usize,
}

/// The position of a page's first row.
struct PagePosition {
    account: u32,
    line: usize,
}

/// List the prices of a plan
///
/// Compares what each account of the drafted audience pays before and after an activation, on the
/// first day of the plan. There is one row for each account and each line that names an item, at
/// the line's minimum quantity. Nothing changes.
///
/// All pages belong to one plan: if the drafts change meanwhile, the next page is refused with 409
/// `PLAN_CHANGED`. A page can have fewer rows than `top` and still have a next page.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/planned-prices",
    operation_id = "list_planned_prices",
    tag = "Activation",
    params(
        ("campaign" = String, Path, description = "The id or the number.", min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("accountNumber" = Option<Key>, Query,
            description = "Only this account, by contact number."),
        ("changedOnly" = Option<bool>, Query,
            description = "True to leave out prices that would not change."),
        ("top" = Option<i32>, Query, description = "The page size. Default: 50.", minimum = 1,
            maximum = 1000),
        ("cursor" = Option<String>, Query,
            description = "The position of the page, from `nextLink`.", min_length = 1,
            max_length = 4096),
    ),
    responses((status = 200, description = "A page of prices.", body = PlannedPricePage))
)]
async fn list_planned_prices(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let query = PageQuery::read(&request)?;
    let reference = reference(&http_request, "campaign")?;
    let mut conn = database.report().await?;
    let copy = book_view(&mut conn, &book).await?;
    let campaign = draft::find(&mut conn, &reference).await?;
    let draft =
        draft::gather(&mut conn, campaign, Scope::Whole, copy.up_to_date(), calendar.today())
            .await?;
    let current =
        current_state(&mut conn, &draft.campaign, &draft.entries, copy.up_to_date()).await?;
    drop(conn);
    let path = http_request.path().to_owned();
    let page = background(move || page(&query, &copy, draft, current, &path, &cursor_key)).await?;
    ApiResponse::json(StatusCode::OK, &page)
}

/// Computes the requested page. Up to 20,000 prices, before and after, are quoted for it.
fn page(
    query: &PageQuery,
    copy: &BookView,
    mut draft: Draft,
    current: PublishedCampaign,
    path: &str,
    cursor_key: &CursorKey,
) -> Result<PlannedPricePage, Problem> {
    let plan_hash = hash_of(&draft.entries, &draft.targeting.accounts);
    let filter = query.repeated_parameters();
    let identity = ListIdentity { path, filter: &filter, order: ORDER };
    let position = match &query.cursor {
        Some(cursor) => position_in(cursor::open(cursor_key, &identity, cursor), &plan_hash)?,
        None => PagePosition { account: 0, line: 0 },
    };
    let price_queries = price_queries(&draft);
    let mut page = PlannedPricePage {
        value: Vec::new(),
        next_link: None,
        plan_hash,
        accounts: draft.targeting.accounts.len(),
        lines: price_queries.len(),
    };
    let snapshot = &copy.book;
    // Without a starting date there is no day to price.
    let difference = current.difference(draft.desired());
    let Some(hypothesis) = Hypothesis::new(copy, &draft, &difference) else {
        return Ok(page);
    };
    let mut compared: usize = 0;
    for account in draft.targeting.accounts.range(position.account..) {
        let Some(number) = account_number(snapshot, account, query.account.as_ref()) else {
            continue;
        };
        let first = if account == position.account { position.line } else { 0 };
        for (line, price_query) in price_queries.iter().enumerate().skip(first) {
            if page.value.len() == query.top || compared == MAX_COMPARED {
                let position = [json!(page.plan_hash), json!(account), json!(line)];
                let cursor = cursor::write(cursor_key, &identity, &position);
                page.next_link = Some(format!("{path}?{filter}cursor={cursor}"));
                return Ok(page);
            }
            compared = compared.saturating_add(1);
            let change = hypothesis.change(snapshot, number, price_query);
            if !query.changed_only || change.before != change.after {
                page.value.push(PlannedPriceChange { account_number: number.to_owned(), change });
            }
        }
    }
    Ok(page)
}

/// Returns the number of an account, unless the request is for another one.
fn account_number<'a>(book: &'a Snapshot, account: u32, only: Option<&Key>) -> Option<&'a str> {
    book.number_of_ordinal(account)
        .filter(|number| only.is_none_or(|only| only.as_str() == *number))
}

/// Returns the position in a cursor, if the cursor belongs to this plan.
fn position_in(values: Option<Vec<Value>>, plan_hash: &str) -> Result<PagePosition, Problem> {
    let values = values.ok_or_else(cursor::refused)?;
    let [Value::String(hash), account, line] = values.as_slice() else {
        return Err(cursor::refused());
    };
    if hash != plan_hash {
        let detail = format!(
            "the pages so far were of plan {hash}, and the drafts have changed since; begin again"
        );
        return Err(Problem::new(ProblemCode::PlanChanged, detail));
    }
    let account = account
        .as_u64()
        .and_then(|account| u32::try_from(account).ok())
        .ok_or_else(cursor::refused)?;
    let line =
        line.as_u64().and_then(|line| usize::try_from(line).ok()).ok_or_else(cursor::refused)?;
    Ok(PagePosition { account, line })
}

/// The parameters of the request.
struct PageQuery {
    account: Option<Key>,
    changed_only: bool,
    top: usize,
    cursor: Option<String>,
}

impl PageQuery {
    fn read(request: &ApiRequest) -> Result<Self, Problem> {
        let params = request.query(&["accountNumber", "changedOnly", "top", "cursor"])?;
        let mut errors = Vec::new();
        let account = params.parsed("accountNumber", Key::parse, &mut errors);
        let changed_only = params.boolean("changedOnly", &mut errors).unwrap_or_default();
        let top = params
            .get("top")
            .map(|text| text.parse().ok().filter(|top| (1..=MAX_TOP).contains(top)));
        let top = top.unwrap_or(Some(DEFAULT_PAGE_SIZE)).unwrap_or_else(|| {
            let detail = format!("top is a whole number from 1 to {MAX_TOP}");
            errors.push(FieldError::new("?top", FieldCode::InvalidValue, detail));
            DEFAULT_PAGE_SIZE
        });
        if !errors.is_empty() {
            return Err(Problem::with_errors(ProblemCode::InvalidRequest, errors));
        }
        Ok(Self { account, changed_only, top, cursor: params.get("cursor").map(str::to_owned) })
    }

    /// Returns the parameters to repeat in `nextLink`. A key needs no URL encoding.
    fn repeated_parameters(&self) -> String {
        let account = self
            .account
            .as_ref()
            .map(|account| format!("accountNumber={account}&"))
            .unwrap_or_default();
        format!("{account}changedOnly={}&top={}&", self.changed_only, self.top)
    }
}
