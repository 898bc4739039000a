//! The lowest price of the last days, which has to be indicated with a price reduction (Directive
//! 98/6/EC, article 6a).
//!
//! The price of a day is what the price book determined on that day. So each version is evaluated
//! for each day on which it was in force. The versions are read from the database, limited to the
//! item and the account. The prices are computed by the resolver.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use actix_web::http::StatusCode;
use actix_web::web;
use chrono::{Days, NaiveDate, TimeDelta};
use price_book::quote::answer::{
    AnswerSource, LineProblem, LineProblemCode, PricedLine, QuoteError, QuoteLine,
};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest};
use price_book::snapshot::Snapshot;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, CurrencyCode, Key, Percent, Quantity, Shown};

use super::http::{restrict_party, unknown_party};
use super::request::read_query;
use crate::live_book::LiveBook;
use crate::platform::background::background;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::{QueryParams, number};
use crate::platform::http::problem::{FieldCode, Problem};
use crate::platform::http::routes::Routes;
use crate::publication::item_history::{HistoryScope, HistoryStep};
use crate::publication::{item_history, reader};
use crate::unit_of_work::{BOOK_ID, Database, PUBLICATION_VERSION};

/// The bounds of the number of days.
const DAYS: RangeInclusive<i64> = 1..=366;
/// The number of days if the request names none: the minimum that the directive allows.
const DEFAULT_DAYS: i64 = 30;
/// The maximum number of periods that an answer lists.
const MAX_STRETCHES: usize = 1_000;

/// Adds the operation to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(Scope::QuotesRead, __path_get_lowest_price, get_lowest_price);
}

/// The lowest price of a number of days, with the price that it is compared with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LowestPrice {
    /// The item.
    #[schema(max_length = 50, example = "1896-S")]
    pub item_number: String,
    /// The variant. Null if the request names none.
    #[schema(max_length = 50, example = "OAK")]
    pub variant_code: Option<String>,
    /// The unit of measure. Null means the item's base unit.
    #[schema(max_length = 50, example = "PCS")]
    pub unit_of_measure_code: Option<String>,
    /// The quantity.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "1"
    )]
    pub quantity: Quantity,
    /// The contact number of the account on `date`. Null if the request names neither contact nor
    /// customer.
    #[schema(max_length = 50, example = "CT000042")]
    pub account_number: Option<String>,
    /// The currency of all amounts. Null while the company has no settings.
    #[schema(max_length = 3, example = "EUR")]
    pub currency_code: Option<String>,
    /// True if all prices include tax.
    pub prices_include_tax: bool,
    /// The day whose price is compared with those of the days before it.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// The first of the days before `date` that are examined.
    #[schema(example = "2031-04-15")]
    pub first_date: NaiveDate,
    /// The last of these days: the day before `date`.
    #[schema(example = "2031-05-14")]
    pub last_date: NaiveDate,
    /// The number of days that are examined.
    #[schema(minimum = 1, maximum = 366, example = 30)]
    pub days: i64,
    /// The number of examined days on which there was a price. There is none before the item, the
    /// contact or the first publication, or while the item is blocked or has no price.
    #[schema(minimum = 0, maximum = 366, example = 30)]
    pub days_covered: i64,
    /// The lowest price. Null if there was none on any of the days.
    pub lowest: Option<LowestPriceFound>,
    /// The price on `date`. Null if there is none.
    pub current: Option<PriceThen>,
    /// The reason for which there is no price on `date`. Absent if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<LineProblem>,
    /// The difference between the lowest price and the price on `date`, in percent of the lowest,
    /// rounded down to two decimals. It is negative if the price on `date` is higher. Null if
    /// either price is missing or the lowest is 0.
    #[schema(max_length = 45, pattern = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,2})?$", example = "9.5")]
    pub reduction_percent: Option<String>,
    /// The prices of the days, the newest first. More than one price can apply on one day.
    #[schema(max_items = 1000)]
    pub history: Vec<PriceStretch>,
    /// True if `history` is complete, false if it contains only the newest 1,000 entries.
    #[schema(example = true)]
    pub history_is_complete: bool,
}

/// A price that applied in the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceThen {
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
    /// The version of the price book with this price. If there are several, the first of them.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub publication_version: i64,
}

/// The lowest price, with the days on which it applied.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LowestPriceFound {
    /// The price, as it last applied.
    #[serde(flatten)]
    pub price: PriceThen,
    /// The first of the days on which this price applied.
    #[schema(example = "2031-04-20")]
    pub first_date: NaiveDate,
    /// The last of these days. On days in between the price may have been higher.
    #[schema(example = "2031-04-30")]
    pub last_date: NaiveDate,
}

/// A price, with the days on which it applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceStretch {
    /// The first day.
    #[schema(example = "2031-04-20")]
    pub from: NaiveDate,
    /// The last day.
    #[schema(example = "2031-04-30")]
    pub to: NaiveDate,
    /// The price.
    #[serde(flatten)]
    pub price: PriceThen,
}

/// Find the lowest price of the last days
///
/// Returns the lowest price that applied to the item and the account in the days before `date`,
/// campaign prices included. The seller has to indicate it with a reduced price (Directive 98/6/EC,
/// article 6a).
///
/// A price counts for each day on which a version of the price book with it was in force, even for
/// a minute. All prices are in the currency of `date` and include tax or not, as on `date`. Each is
/// converted at the exchange rate of its day. Future days are evaluated with the present price
/// book.
#[utoipa::path(
    get,
    path = "/v1/lowest-prices",
    operation_id = "get_lowest_price",
    tag = "Price quotes",
    params(
        ("itemNumber" = Key, Query, description = "The item."),
        (
            "contactNumber" = Option<Key>, Query,
            description = "The contact whose prices are examined. For a person, the company that \
                it belonged to on each of the days. Without contact and customer, the prices for \
                all customers are examined."
        ),
        (
            "customerNumber" = Option<Key>, Query,
            description = "The customer whose prices are examined: the company that has the \
                number now."
        ),
        (
            "date" = Option<Date>, Query,
            description = "The day after the examined days, usually the first day of the \
                reduction. Default: today."
        ),
        (
            "days" = Option<i32>, Query,
            description = "The number of days that are examined. Default: 30.",
            minimum = 1,
            maximum = 366
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
                currency, each as of `date`."
        ),
        (
            "pricesIncludeTax" = Option<bool>, Query,
            description = "If true, all prices include tax. Default: the customer's setting as of \
                `date`."
        ),
    ),
    responses((
        status = 200,
        description = "The lowest price, if there was one.",
        body = LowestPrice,
        example = json!({
            "itemNumber": "1896-S", "variantCode": null, "unitOfMeasureCode": null,
            "quantity": "1", "accountNumber": "CT000042", "currencyCode": "EUR",
            "pricesIncludeTax": true, "date": "2031-05-15", "firstDate": "2031-04-15",
            "lastDate": "2031-05-14", "days": 30, "daysCovered": 30,
            "lowest": {
                "unitPrice": "60", "lineDiscountPercent": "0", "netUnitPrice": "60",
                "source": {"type": "CAMPAIGN", "campaignNumber": "CP0001"},
                "publicationVersion": 417,
                "firstDate": "2031-04-20", "lastDate": "2031-04-30"
            },
            "current": {
                "unitPrice": "57", "lineDiscountPercent": "4", "netUnitPrice": "54.72",
                "source": {"type": "CAMPAIGN", "campaignNumber": "CP0002"},
                "publicationVersion": 420
            },
            "reductionPercent": "8.8",
            "history": [
                {
                    "from": "2031-05-01", "to": "2031-05-14", "unitPrice": "72",
                    "lineDiscountPercent": "0", "netUnitPrice": "72",
                    "source": {"type": "LIST_PRICE"}, "publicationVersion": 417
                },
                {
                    "from": "2031-04-20", "to": "2031-04-30", "unitPrice": "60",
                    "lineDiscountPercent": "0", "netUnitPrice": "60",
                    "source": {"type": "CAMPAIGN", "campaignNumber": "CP0001"},
                    "publicationVersion": 417
                },
                {
                    "from": "2031-04-15", "to": "2031-04-19", "unitPrice": "72",
                    "lineDiscountPercent": "0", "netUnitPrice": "72",
                    "source": {"type": "LIST_PRICE"}, "publicationVersion": 415
                }
            ],
            "historyIsComplete": true
        })
    ))
)]
async fn get_lowest_price(
    call: ApiRequest,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let params = call.query(&[
        "itemNumber",
        "contactNumber",
        "customerNumber",
        "date",
        "days",
        "variantCode",
        "unitOfMeasureCode",
        "quantity",
        "currencyCode",
        "pricesIncludeTax",
    ])?;
    let today = calendar.today();
    let (mut request, window) = read_window(&params, today)?;
    restrict_party(&mut request.party, &call.caller, &book.snapshot())?;
    if let QuoteParty::Customer(number) = &request.party {
        let present = book.snapshot();
        let company = present.find_customer(number);
        let company = company
            .ok_or_else(|| unknown_party(&QuoteError::UnknownCustomer(number.to_string()), "?"))?;
        request.party = QuoteParty::Contact(present.contact_number(company).to_owned().into());
    }
    let (steps, version, book_id) =
        steps(&database, &calendar, &request, window, window.date >= today).await?;
    let calendar = calendar.get_ref().clone();
    // A year in which the price changed every day or hour takes long.
    let request = request.into_owned();
    let answer = background(move || find(&steps, request, window, &calendar)).await?;
    if let (None, Some(problem)) = (&answer.lowest, &answer.problem)
        && let Some(name) = reference_param(problem.code)
    {
        return Err(Problem::rule(
            format!("?{name}"),
            FieldCode::ReferenceNotFound,
            problem.detail.clone(),
        ));
    }
    Ok(ApiResponse::json(StatusCode::OK, &answer)?
        .header(PUBLICATION_VERSION, &version.to_string())
        .header(BOOK_ID, &book_id.to_string()))
}

/// Returns the parameter that refers to a record that does not exist.
const fn reference_param(code: LineProblemCode) -> Option<&'static str> {
    match code {
        LineProblemCode::UnknownItem => Some("itemNumber"),
        LineProblemCode::UnknownVariant => Some("variantCode"),
        LineProblemCode::UnknownUnitOfMeasure => Some("unitOfMeasureCode"),
        _ => None,
    }
}

/// The days that are examined, and the date that follows them.
#[derive(Debug, Clone, Copy)]
struct Window {
    first: NaiveDate,
    last: NaiveDate,
    date: NaiveDate,
    days: i64,
}

impl Window {
    /// Returns the days before a date, or `None` if they are before the first date of the calendar.
    fn before(date: NaiveDate, days: i64) -> Option<Self> {
        let first = date.checked_sub_days(Days::new(days.unsigned_abs()))?;
        Some(Self { first, last: date.pred_opt()?, date, days })
    }
}

/// Reads the query: that of a quote, with `days`.
fn read_window<'a>(
    params: &'a QueryParams<'_>,
    today: NaiveDate,
) -> Result<(QuoteRequest<'a>, Window), Problem> {
    let days = number(params, "days", DEFAULT_DAYS, DAYS);
    let (request, days) = match (read_query(params, || today, true), days) {
        (Ok(request), Ok(days)) => (request, days),
        (request, days) => {
            let errors = request.err().into_iter().flatten().chain(days.err());
            return Err(Problem::from_errors(errors.collect()));
        }
    };
    if request.lines.iter().any(|line| line.quantity.is_negative()) {
        let detail = "has to be above 0";
        return Err(Problem::rule("?quantity", FieldCode::OutOfRange, detail));
    }
    let window = Window::before(request.date, days).ok_or_else(|| {
        let detail = "the days before it begin before the first date of the calendar";
        Problem::rule("?date", FieldCode::OutOfRange, detail)
    })?;
    Ok((request, window))
}

/// Reads the history of the item and the account from the start of the window to the end of its
/// date, or up to now. Also returns the newest version that was read, and its history.
async fn steps(
    database: &Database,
    calendar: &Calendar,
    request: &QuoteRequest<'_>,
    window: Window,
    up_to_now: bool,
) -> Result<(Vec<HistoryStep>, i64, Uuid), Problem> {
    let mut conn = database.report().await?;
    let (latest, book_id) = reader::latest(&mut conn).await?;
    let from = item_history::version_at(&mut conn, calendar.start_of(window.first)).await?;
    let to = match window.date.succ_opt() {
        Some(next) if !up_to_now => {
            let end = calendar.start_of(next).checked_sub_signed(TimeDelta::microseconds(1));
            item_history::version_at(&mut conn, end.unwrap_or_default()).await?
        }
        _ => latest,
    };
    let scope = HistoryScope {
        item_number: request
            .lines
            .first()
            .map(|line| line.item_number.as_ref())
            .unwrap_or_default(),
        contact_number: match &request.party {
            QuoteParty::Contact(number) => Some(number),
            QuoteParty::Anybody | QuoteParty::Customer(_) => None,
        },
        currency_code: request.currency_code.as_deref(),
    };
    // Version numbers could decrease here if a clock was set back.
    let to = to.max(from);
    Ok((item_history::steps(&mut conn, scope, from, to).await?, to, book_id))
}

/// Computes the answer: the price on the date, and those of the days before it.
fn find(
    steps: &[HistoryStep],
    mut request: QuoteRequest<'_>,
    window: Window,
    calendar: &Calendar,
) -> Result<LowestPrice, Problem> {
    let book = item_history::after_all(steps);
    let now = quote(&book, &request).map_err(|error| unknown_party(&error, "?"))?;
    let (current, problem) = match now.lines.first() {
        Some(QuoteLine::Priced(line)) => (Some(price(line, book.version())), None),
        Some(QuoteLine::Unpriced(line)) => (None, Some(line.problem.clone())),
        None => (None, None),
    };
    let account_number = now.account_number.map(str::to_owned);
    let currency_code = now.currency_code.map(str::to_owned);
    let prices_include_tax = now.prices_include_tax;
    drop(now);
    // Prices in different currencies could not be compared.
    request.currency_code = currency_code.clone().map(Into::into);
    request.prices_include_tax = Some(prices_include_tax);

    let mut history = price_history(steps, &mut request, window, calendar);
    let days_covered = days_covered(&history);
    let lowest = lowest(&history);
    history.reverse();
    let history_is_complete = history.len() <= MAX_STRETCHES;
    history.truncate(MAX_STRETCHES);
    let reduction_percent = lowest
        .as_ref()
        .zip(current.as_ref())
        .and_then(|(lowest, current)| reduction(&lowest.price, current));
    let line = request.lines.into_iter().next();
    let line = line.ok_or_else(|| Problem::internal("a question without its line"))?;
    Ok(LowestPrice {
        item_number: line.item_number.into_owned(),
        variant_code: line.variant_code.map(Cow::into_owned),
        unit_of_measure_code: line.unit_of_measure_code.map(Cow::into_owned),
        quantity: line.quantity.magnitude(),
        account_number,
        currency_code,
        prices_include_tax,
        date: window.date,
        first_date: window.first,
        last_date: window.last,
        days: window.days,
        days_covered,
        lowest,
        current,
        problem,
        reduction_percent,
        history,
        history_is_complete,
    })
}

fn price(line: &PricedLine<'_>, version: i64) -> PriceThen {
    PriceThen {
        unit_price: line.unit_price,
        line_discount_percent: line.line_discount_percent,
        net_unit_price: line.net_unit_price,
        // The source is stored as JSON because it outlives its snapshot. Writing a source as JSON
        // cannot fail.
        source: serde_json::to_value(line.source).unwrap_or_default(),
        publication_version: version,
    }
}

/// Returns the prices in chronological order. Each version is evaluated for each day of the window
/// on which it was in force.
fn price_history(
    steps: &[HistoryStep],
    request: &mut QuoteRequest<'_>,
    window: Window,
    calendar: &Calendar,
) -> Vec<PriceStretch> {
    let mut history = Vec::new();
    let mut book = Snapshot::empty();
    let ends = steps.iter().skip(1).map(|step| step.since).chain([None]);
    for (step, end) in steps.iter().zip(ends) {
        book = step.after(&book);
        if end.is_some() && end <= step.since {
            continue;
        }
        // A version ends one microsecond before the next one starts, which is the resolution of the
        // database.
        let last_instant = end.and_then(|end| end.checked_sub_signed(TimeDelta::microseconds(1)));
        let first =
            step.since.map_or(window.first, |since| calendar.date_of(since).max(window.first));
        let last =
            last_instant.map_or(window.last, |instant| calendar.date_of(instant).min(window.last));
        let mut day = Some(first);
        while let Some(from) = day.filter(|day| *day <= last) {
            request.date = from;
            let (to, price) = answer_from(&book, request, last);
            if let Some(price) = price {
                add(&mut history, PriceStretch { from, to, price });
            }
            day = to.succ_opt();
        }
    }
    history
}

/// Returns the price on the request's date, with the last day up to `last` for which it is certain.
fn answer_from(
    book: &Snapshot,
    request: &QuoteRequest<'_>,
    last: NaiveDate,
) -> (NaiveDate, Option<PriceThen>) {
    let day = request.date;
    // A contact that was not known yet had no price.
    let Ok(quote) = quote(book, request) else { return (last, None) };
    match quote.lines.first() {
        Some(QuoteLine::Priced(line)) => {
            let until = line.valid_until.and_then(|until| until.pred_opt()).unwrap_or(last);
            (until.clamp(day, last), Some(price(line, book.version())))
        }
        // The problem may not exist on the next day.
        _ => (day, None),
    }
}

/// Appends a period. If it continues the last one at the same price, the last one is extended.
fn add(history: &mut Vec<PriceStretch>, stretch: PriceStretch) {
    if let Some(before) = history.last_mut() {
        let same = PriceThen {
            publication_version: before.price.publication_version,
            ..stretch.price.clone()
        };
        let touches = before.to.succ_opt().is_none_or(|next| stretch.from <= next);
        if touches && before.price == same {
            before.to = before.to.max(stretch.to);
            return;
        }
    }
    history.push(stretch);
}

/// Returns the number of days on which there was a price.
fn days_covered(history: &[PriceStretch]) -> i64 {
    let mut counted: Option<NaiveDate> = None;
    let mut days = 0_i64;
    for PriceStretch { from, to, .. } in history {
        let begin = counted.and_then(|last| last.succ_opt()).map_or(*from, |next| next.max(*from));
        if begin <= *to {
            days =
                days.saturating_add(to.signed_duration_since(begin).num_days()).saturating_add(1);
        }
        counted = counted.max(Some(*to));
    }
    days
}

/// Returns the lowest price. If it applied several times, the latest one is returned.
fn lowest(history: &[PriceStretch]) -> Option<LowestPriceFound> {
    let net = |stretch: &&PriceStretch| stretch.price.net_unit_price;
    let least = history.iter().map(|stretch| stretch.price.net_unit_price).min()?;
    let at_least = || history.iter().filter(|stretch| net(stretch) == least);
    Some(LowestPriceFound {
        price: at_least().next_back()?.price.clone(),
        first_date: at_least().map(|stretch| stretch.from).min()?,
        last_date: at_least().map(|stretch| stretch.to).max()?,
    })
}

/// Returns the percentage by which a price is below another. It is rounded down, so that no
/// reduction is overstated. Prices have fewer than 28 digits, so 128 bits hold them with four more.
fn reduction(lowest: &PriceThen, current: &PriceThen) -> Option<String> {
    let [lowest, current] =
        [lowest, current].map(|price| i128::try_from(price.net_unit_price.0).ok());
    let (lowest, current) = (lowest?, current?);
    let hundredths =
        lowest.checked_sub(current)?.checked_mul(10_000)?.checked_div_euclid(lowest)?;
    let sign = if hundredths < 0 { "-" } else { "" };
    Some(format!("{sign}{}", Shown::<2>(hundredths.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(net: u128) -> PriceThen {
        PriceThen {
            unit_price: Amount::ZERO,
            line_discount_percent: Percent::ZERO,
            net_unit_price: Shown(net),
            source: Value::Null,
            publication_version: 1,
        }
    }

    #[test]
    fn reduction_is_rounded_down() {
        for (lowest, current, percent) in [
            (100, 80, Some("20")),
            (100, 100, Some("0")),
            (3, 2, Some("33.33")),
            (3, 4, Some("-33.34")),
            (100_000, 99_999, Some("0")),
            (100_000, 100_001, Some("-0.01")),
            (100, 0, Some("100")),
            (0, 0, None),
            (1, 999_999_999_999_999_999_990_000_000, Some("-99999999999999999998999999900")),
        ] {
            assert_eq!(
                reduction(&at(lowest), &at(current)).as_deref(),
                percent,
                "{lowest} {current}"
            );
        }
    }
}
