//! The prices of an item for a customer over time, by the current price book.

use actix_web::http::StatusCode;
use actix_web::web;
use chrono::{Days, NaiveDate};
use price_book::quote::answer::{AnswerSource, LineProblem, LineReference, PricedLine, QuoteLine};
use price_book::quote::quote;
use price_book::quote::request::QuoteRequest;
use price_book::snapshot::Snapshot;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, CurrencyCode, Date, Key, Percent, Quantity, Shown};

use super::http::{restrict_party, unknown_party};
use super::request::read_query;
use super::response::{SNAPSHOT_AGE, SNAPSHOT_STALE};
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::QueryParams;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::unit_of_work::{BOOK_ID, PUBLICATION_VERSION};

/// Maximum number of days of a timeline: ten years.
const MAX_DAYS: u64 = 3_660;
/// The number of days after the first one if the request has no last day.
const DEFAULT_DAYS: u64 = 365;

/// Adds the operation to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(Scope::QuotesRead, __path_get_price_timeline, get_price_timeline);
}

/// The prices of an item over time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceTimeline {
    /// The item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The contact number of the account. Null if the request names neither contact nor customer.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<String>,
    /// The currency of all amounts. Null while the company has no settings.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<String>,
    /// True if all prices include tax.
    pub prices_include_tax: bool,
    /// The first day.
    #[schema(example = "2031-01-01")]
    pub from: NaiveDate,
    /// The last day.
    #[schema(example = "2031-12-31")]
    pub to: NaiveDate,
    /// The version of the price book that determined the prices.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: i64,
    /// The history that the version belongs to.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub book_id: Uuid,
    /// The steps in the order of their days, without gaps. Neighbours differ.
    #[schema(min_items = 1, max_items = 3661)]
    pub steps: Vec<PriceStep>,
}

/// Days in a row with the same price.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceStep {
    /// The first day.
    #[schema(example = "2031-05-01")]
    pub from: NaiveDate,
    /// The last day.
    #[schema(example = "2031-05-31")]
    pub to: NaiveDate,
    /// The price. Null if there is none.
    pub price: Option<StepPrice>,
    /// The reason for which there is no price. Null if there is one.
    pub problem: Option<LineProblem>,
}

/// The price of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPrice {
    /// The price of one unit of measure before the line discount.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Amount,
    /// The line discount in percent.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
    /// The price less the discount. Exact, not rounded.
    #[schema(
        value_type = String,
        max_length = 28,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$",
        example = "54.72"
    )]
    pub net_unit_price: Shown<12>,
    /// The grantor of the price. `LIST_PRICE` if no line won.
    #[schema(value_type = AnswerSource<'static>)]
    pub source: Value,
    /// The price line that won. Null for the list price.
    #[schema(value_type = Option<LineReference<'static>>)]
    pub price_line: Option<Value>,
    /// The discount line that won, if any.
    #[schema(value_type = Option<LineReference<'static>>)]
    pub discount_line: Option<Value>,
}

/// Get the prices of an item over time
///
/// Returns the price of an item on each day, for a customer or for everybody, with the lines that
/// grant it: the past and the future by the current price book. `GET /v1/lowest-prices` returns the
/// prices that applied in the past.
#[utoipa::path(
    get,
    path = "/v1/price-timeline",
    operation_id = "get_price_timeline",
    tag = "Price quotes",
    params(
        ("itemNumber" = Key, Query, description = "The item."),
        (
            "contactNumber" = Option<Key>, Query,
            description = "The contact whose prices are returned; for a person, those of its \
                company. Without contact and customer, the prices for all customers are returned."
        ),
        (
            "customerNumber" = Option<Key>, Query,
            description = "The customer whose prices are returned, instead of a contact."
        ),
        ("from" = Option<Date>, Query, description = "The first day. Default: today."),
        (
            "to" = Option<Date>, Query,
            description = "The last day, at most 3,660 days after the first. Default: 365 days \
                after it."
        ),
        ("variantCode" = Option<Key>, Query, description = "The variant. Default: none."),
        (
            "unitOfMeasureCode" = Option<Key>, Query,
            description = "The unit of measure. Default: the item's base unit."
        ),
        ("quantity" = Option<Quantity>, Query, description = "The quantity. Default: 1."),
        (
            "currencyCode" = Option<CurrencyCode>, Query,
            description = "The currency. Default: the contact's, else the account's, else local \
                currency."
        ),
        (
            "pricesIncludeTax" = Option<bool>, Query,
            description = "If true, all prices include tax. Default: the customer's setting."
        ),
    ),
    responses((status = 200, description = "The prices.", body = PriceTimeline))
)]
async fn get_price_timeline(
    call: ApiRequest,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
) -> Result<ApiResponse, Problem> {
    let params = call.query(&[
        "itemNumber",
        "contactNumber",
        "customerNumber",
        "from",
        "to",
        "variantCode",
        "unitOfMeasureCode",
        "quantity",
        "currencyCode",
        "pricesIncludeTax",
    ])?;
    call.expect_no_body()?;
    let (mut request, to) = read(&params, calendar.today())?;
    let snapshot = book.snapshot();
    restrict_party(&mut request.party, &call.caller, &snapshot)?;
    let timeline = timeline(&snapshot, request, to)?;
    Ok(ApiResponse::json(StatusCode::OK, &timeline)?
        .header(PUBLICATION_VERSION, &snapshot.version().to_string())
        .header(BOOK_ID, &snapshot.book_id().to_string())
        .header(SNAPSHOT_AGE, &book.age_seconds().to_string())
        .header(SNAPSHOT_STALE, &book.is_stale().to_string()))
}

/// Reads the query: that of a quote for the first day, and the last day.
fn read<'a>(
    params: &'a QueryParams<'_>,
    today: NaiveDate,
) -> Result<(QuoteRequest<'a>, NaiveDate), Problem> {
    let mut errors = Vec::new();
    let from = params.parsed("from", Date::parse, &mut errors).map_or(today, Date::get);
    let to = params.parsed("to", Date::parse, &mut errors).map(Date::get);
    let request = read_query(params, || from, true).map_err(|more| errors.extend(more));
    let (Ok(request), true) = (request, errors.is_empty()) else {
        return Err(Problem::from_errors(errors));
    };
    if request.lines.iter().any(|line| line.quantity.is_negative()) {
        return Err(Problem::rule("?quantity", FieldCode::OutOfRange, "has to be above 0"));
    }
    // The calendar ends some 260,000 years after the last date that a request can have.
    let after = |days| from.checked_add_days(Days::new(days)).unwrap_or(NaiveDate::MAX);
    let to = to.unwrap_or_else(|| after(DEFAULT_DAYS));
    if to < from {
        return Err(Problem::rule(
            "?to",
            FieldCode::OutOfRange,
            "the last day is before the first",
        ));
    }
    if to > after(MAX_DAYS) {
        let detail = format!("the last day is more than {MAX_DAYS} days after the first");
        let error = FieldError::new("?to", FieldCode::OutOfRange, detail);
        return Err(Problem::from_errors(vec![error.param("maximum", MAX_DAYS)]));
    }
    Ok((request, to))
}

/// Prices the item on each day on which its price can change.
fn timeline(
    book: &Snapshot,
    mut request: QuoteRequest<'_>,
    to: NaiveDate,
) -> Result<PriceTimeline, Problem> {
    let from = request.date;
    let first = quote(book, &request).map_err(|error| unknown_party(&error, "?"))?;
    let item_number = request.lines.first().and_then(|line| book.item_number(&line.item_number));
    let item_number = item_number.ok_or_else(|| {
        Problem::rule("?itemNumber", FieldCode::ReferenceNotFound, "the item does not exist")
    })?;
    let account_number = first.account_number.map(str::to_owned);
    let currency_code = first.currency_code.map(str::to_owned);
    let prices_include_tax = first.prices_include_tax;
    drop(first);
    let mut steps: Vec<PriceStep> = Vec::new();
    let mut day = Some(from);
    while let Some(date) = day.filter(|day| *day <= to) {
        request.date = date;
        let answer = quote(book, &request).map_err(|error| unknown_party(&error, "?"))?;
        let step = match answer.lines.into_iter().next() {
            Some(QuoteLine::Priced(line)) => {
                let until = line.valid_until.and_then(|until| until.pred_opt()).unwrap_or(to);
                let price = Some(price(&line));
                PriceStep { from: date, to: until.clamp(date, to), price, problem: None }
            }
            // The problem may not exist on the next day.
            Some(QuoteLine::Unpriced(line)) => {
                PriceStep { from: date, to: date, price: None, problem: Some(line.problem) }
            }
            None => return Err(Problem::internal("a quote without its line")),
        };
        day = step.to.succ_opt();
        match steps.last_mut() {
            Some(before) if before.price == step.price && before.problem == step.problem => {
                before.to = step.to;
            }
            _ => steps.push(step),
        }
    }
    Ok(PriceTimeline {
        item_number: item_number.to_owned(),
        account_number,
        currency_code,
        prices_include_tax,
        from,
        to,
        publication_version: book.version(),
        book_id: book.book_id(),
        steps,
    })
}

/// Copies a price out of a quote. Sources and lines are copied as JSON, which cannot fail.
fn price(line: &PricedLine<'_>) -> StepPrice {
    let json = |line: LineReference<'_>| serde_json::to_value(line).unwrap_or_default();
    StepPrice {
        unit_price: line.unit_price,
        line_discount_percent: line.line_discount_percent,
        net_unit_price: line.net_unit_price,
        source: serde_json::to_value(line.source).unwrap_or_default(),
        price_line: line.price_line.map(json),
        discount_line: line.discount_line.map(json),
    }
}
