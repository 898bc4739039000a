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
use super::effective_prices::PriceComparison;
use super::plan::Hypothesis;
use crate::live_book::LiveBook;
use crate::platform::background::background;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::cursor::ListIdentity;
use crate::platform::http::list::{CursorKey, cursor};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::price_impact::compare::{Comparer, Next};
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
/// Maximum number of items that are examined for one page, priced or not. An account that leaves
/// no price to compare would otherwise cost a whole pass.
const MAX_EXAMINED: usize = 200_000;
/// The order of the rows, part of the identity of a cursor.
const ORDER: &str = "account,item,price";

/// Adds the operation.
pub(super) fn mount(routes: &mut Routes) {
    routes.add(Area::Campaigns.read(), __path_list_planned_prices, list_planned_prices);
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
    /// The prices, account by account, in the order of the items' numbers.
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
    /// Number of accounts whose prices are compared: those of the audience before or after the
    /// activation.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, value_type = i64, example = 1200)]
    pub accounts: u64,
    /// Number of items whose prices are compared: those that a line names, those of the item
    /// discount groups that a discount names, or all items.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, value_type = i64, example = 40)]
    pub items: usize,
}

/// The position of a page's first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PagePosition {
    account: u32,
    /// The place of the item among the items of the plan.
    item: usize,
    /// The place of the price among those of the account for the item.
    price: usize,
}

/// List the prices of a plan
///
/// Compares what each account pays before and after an activation, on the first day of the plan.
/// The accounts are those of the audience before or after it. The items are those that the
/// campaign's lines apply to. There is one row for each account, item, variant, unit of measure,
/// currency and quantity break. Variants, units and currencies that no line names are omitted: they
/// have the price of the row without. Nothing changes.
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
    let first = match &query.cursor {
        Some(cursor) => position_in(cursor::open(cursor_key, &identity, cursor), &plan_hash)?,
        None => PagePosition { account: 0, item: 0, price: 0 },
    };
    let mut page =
        PlannedPricePage { value: Vec::new(), next_link: None, plan_hash, accounts: 0, items: 0 };
    let snapshot = &copy.book;
    // Without a starting date there is no day to price.
    let difference = current.difference(draft.desired());
    let Some(hypothesis) = Hypothesis::new(copy, &draft, &difference) else {
        return Ok(page);
    };
    let accounts = &draft.targeting.accounts | &difference.audience.left;
    let affected = hypothesis.affected(snapshot, &draft, &difference);
    let items = affected.items(snapshot, &hypothesis.snapshot);
    page.accounts = accounts.len();
    page.items = items.len();
    let comparer = Comparer::new(snapshot, &hypothesis.snapshot, &affected);
    let (mut compared, mut examined) = (0_usize, 0_usize);
    for account in accounts.range(first.account..) {
        let Some(number) = account_number(&hypothesis.snapshot, account, query.account.as_ref())
        else {
            continue;
        };
        let is_first = account == first.account;
        let skipped_items = if is_first { first.item } else { 0 };
        for (item, item_number) in items.iter().enumerate().skip(skipped_items) {
            let skipped = if is_first && item == first.item { first.price } else { 0 };
            let mut next = None;
            let mut price = 0_usize;
            examined = examined.saturating_add(1);
            if examined > MAX_EXAMINED {
                next = Some(PagePosition { account, item, price: skipped });
            } else {
                comparer.compare_account(item_number, account, hypothesis.day, &mut |comparison| {
                    if price >= skipped {
                        if page.value.len() == query.top || compared == MAX_COMPARED {
                            next = Some(PagePosition { account, item, price });
                            return Next::NextItem;
                        }
                        compared = compared.saturating_add(1);
                        let change = PriceComparison::of(&hypothesis.snapshot, comparison);
                        if !query.changed_only || change.is_change() {
                            let account_number = number.to_owned();
                            page.value.push(PlannedPriceChange { account_number, change });
                        }
                    }
                    price = price.saturating_add(1);
                    Next::Continue
                });
            }
            if let Some(next) = next {
                let position = [
                    json!(page.plan_hash),
                    json!(next.account),
                    json!(next.item),
                    json!(next.price),
                ];
                let cursor = cursor::write(cursor_key, &identity, &position);
                page.next_link = Some(format!("{path}?{filter}cursor={cursor}"));
                return Ok(page);
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
    let [Value::String(hash), account, item, price] = values.as_slice() else {
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
    let place = |value: &Value| {
        value.as_u64().and_then(|place| usize::try_from(place).ok()).ok_or_else(cursor::refused)
    };
    Ok(PagePosition { account, item: place(item)?, price: place(price)? })
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
