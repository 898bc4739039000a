//! Price quotes over HTTP. They are answered from the snapshot in memory, never from the database.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web;
use chrono::NaiveDate;
use deserr::Deserr;
use utoipa::ToSchema;

use super::answer::{Quote, QuoteError};
use super::borrowed::BorrowedBody;
use super::quote::write_quote;
use super::request::{Asker, MAX_LINES, QuoteRequest, RequestLine, Visibility};
use crate::platform::clock::Calendar;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::QueryParams;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::platform::unit_of_work::{Database, PUBLICATION_VERSION};
use crate::pricing::resolve::Scratch;
use crate::publication::live::LiveBook;
use crate::publication::snapshot::Snapshot;
use crate::values::{CurrencyCode, Date, Key, Percent, Quantity};

/// The path of price quotes.
pub(super) const PATH: &str = "/v1/price-quotes";
/// The maximum time that a request waits for the snapshot to reach `minPublicationVersion`.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);
/// The header with the seconds since the snapshot was last known to be the newest.
pub(super) const SNAPSHOT_AGE: HeaderName = HeaderName::from_static("snapshot-age");
/// The header that is `true` if the snapshot may have missed versions.
pub(super) const SNAPSHOT_STALE: HeaderName = HeaderName::from_static("snapshot-stale");

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(__path_get_price_quote, get_price_quote).quiet();
    routes.add(__path_create_price_quote, create_price_quote).quiet();
}

/// A request for the prices of several lines.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(as = PriceQuoteRequest, rename_all = "camelCase")]
pub struct QuoteBody {
    /// The contact whose prices are requested. For a person, the prices of its company are
    /// returned. Without contact and customer, only lines for all customers count.
    #[deserr(default)]
    pub contact_number: Option<Key>,
    /// The customer whose prices are requested, instead of a contact.
    #[deserr(default)]
    pub customer_number: Option<Key>,
    /// The company's calendar date for which the prices apply. Default: today.
    #[deserr(default)]
    pub date: Option<Date>,
    /// The currency of the prices. Default: the contact's, else the account's, else local currency.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// If true, the prices include tax. Default: the customer's setting.
    #[deserr(default)]
    #[schema(example = false)]
    pub prices_include_tax: Option<bool>,
    /// The only campaign that counts. Default: all campaigns count.
    #[deserr(default)]
    pub campaign_number: Option<Key>,
    /// If true, each answer has a `trace`. It lists the examined lines that are granted to the
    /// account, with their verdicts, and counts the others.
    #[deserr(default)]
    #[schema(default = false, required = false, example = false)]
    pub explain: bool,
    /// The lines to price. They are answered in this order.
    #[schema(min_items = 1, max_items = 1000)]
    pub lines: Vec<QuoteBodyLine>,
}

/// A line of a request for prices.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(as = PriceQuoteRequestLine, rename_all = "camelCase")]
pub struct QuoteBodyLine {
    /// The item.
    pub item_number: Key,
    /// The variant. Default: none.
    #[deserr(default)]
    pub variant_code: Option<Key>,
    /// The unit of measure. Default: the item's base unit.
    #[deserr(default)]
    pub unit_of_measure_code: Option<Key>,
    /// The quantity in that unit of measure. Default: 1.
    #[deserr(default)]
    #[schema(required = false)]
    pub quantity: Quantity,
    /// The tax rate of the sale in percent. Default: the item's rate.
    #[deserr(default)]
    pub tax_percent: Option<Percent>,
}

impl QuoteBody {
    pub(super) fn into_request(
        self,
        today: NaiveDate,
        explain: bool,
    ) -> Result<QuoteRequest<'static>, Problem> {
        let mut errors = Vec::new();
        let asker = asker(self.contact_number, self.customer_number, "/", &mut errors);
        let count = self.lines.len();
        if count == 0 || count > MAX_LINES {
            let code = if count == 0 { FieldCode::TooShort } else { FieldCode::TooLong };
            errors.push(FieldError::new(
                "/lines",
                code,
                format!("a quote has 1 to {MAX_LINES} lines, not {count}"),
            ));
        }
        if !errors.is_empty() {
            return Err(Problem::from_errors(errors));
        }
        Ok(QuoteRequest {
            asker,
            date: self.date.map_or(today, Date::get),
            currency_code: self.currency_code.map(|code| code.to_string().into()),
            prices_include_tax: self.prices_include_tax,
            campaign_number: self.campaign_number.map(text),
            lines: self.lines.into_iter().map(QuoteBodyLine::into_line).collect(),
            explain: Visibility::of_quotes(explain || self.explain),
        })
    }
}

impl QuoteBodyLine {
    fn into_line(self) -> RequestLine<'static> {
        RequestLine {
            item_number: text(self.item_number),
            variant_code: self.variant_code.map(text),
            unit_of_measure_code: self.unit_of_measure_code.map(text),
            quantity: self.quantity.into(),
            tax_percent: self.tax_percent.map(Into::into),
        }
    }
}

pub(super) fn text(key: Key) -> Cow<'static, str> {
    Cow::Owned(key.into_text())
}

/// Returns the party whose prices are requested. Naming both a contact and a customer is an error.
pub(super) fn asker(
    contact: Option<Key>,
    customer: Option<Key>,
    prefix: &str,
    errors: &mut Vec<FieldError>,
) -> Asker<'static> {
    match (contact, customer) {
        (None, None) => Asker::Anybody,
        (Some(number), None) => Asker::Contact(text(number)),
        (None, Some(number)) => Asker::Customer(text(number)),
        (Some(_), Some(_)) => {
            let detail = "contactNumber and customerNumber both say who asks; give one of them";
            errors.push(FieldError::new(
                format!("{prefix}customerNumber"),
                FieldCode::NotAllowed,
                detail,
            ));
            Asker::Anybody
        }
    }
}

/// Parses the query of `GET /v1/price-quotes`, with the same types as the body. If `needs_item` is
/// not set, the item is optional, and the request has no lines without it.
///
/// # Errors
/// All invalid parameters together.
pub fn read_query(
    params: &QueryParams,
    today: NaiveDate,
    needs_item: bool,
) -> Result<QuoteRequest<'static>, Problem> {
    let mut errors = Vec::new();
    let contact = params.parsed("contactNumber", Key::parse, &mut errors);
    let customer = params.parsed("customerNumber", Key::parse, &mut errors);
    let asker = asker(contact, customer, "?", &mut errors);
    let item = params.parsed("itemNumber", Key::parse, &mut errors);
    if needs_item && params.get("itemNumber").is_none() {
        errors.push(FieldError::new(
            "?itemNumber",
            FieldCode::Required,
            "itemNumber must be given",
        ));
    }
    let variant_code = params.parsed("variantCode", Key::parse, &mut errors);
    let unit_of_measure_code = params.parsed("unitOfMeasureCode", Key::parse, &mut errors);
    let quantity = params.parsed("quantity", Quantity::parse, &mut errors);
    let tax_percent = params.parsed("taxPercent", Percent::parse, &mut errors);
    let date = params.parsed("date", Date::parse, &mut errors);
    let currency_code = params.parsed("currencyCode", CurrencyCode::parse, &mut errors);
    let campaign_number = params.parsed("campaignNumber", Key::parse, &mut errors);
    let prices_include_tax = params.truth("pricesIncludeTax", &mut errors);
    let explain = params.truth("explain", &mut errors).unwrap_or_default();
    if !errors.is_empty() {
        return Err(Problem::with_errors(status_of(&errors), errors));
    }
    let line = item.map(|item_number| QuoteBodyLine {
        item_number,
        variant_code,
        unit_of_measure_code,
        quantity: quantity.unwrap_or_default(),
        tax_percent,
    });
    Ok(QuoteRequest {
        asker,
        date: date.map_or(today, Date::get),
        currency_code: currency_code.map(|code| code.to_string().into()),
        prices_include_tax,
        campaign_number: campaign_number.map(text),
        lines: line.into_iter().map(QuoteBodyLine::into_line).collect(),
        explain: Visibility::of_quotes(explain),
    })
}

fn status_of(errors: &[FieldError]) -> ProblemCode {
    Problem::from_errors(errors.to_vec()).code
}

/// Returns the snapshot to answer from: the requested version, or the current one. It waits until
/// the current one has reached `minPublicationVersion`.
pub(super) async fn snapshot(
    params: &QueryParams,
    book: &LiveBook,
    database: &Database,
) -> Result<Arc<Snapshot>, Problem> {
    book.loaded()?;
    if let Some(version) = version(params, "minPublicationVersion")?
        && !book.wait_for_version(version, WAIT_TIMEOUT).await
    {
        let detail = format!(
            "the price book here is at version {}, not at {version}",
            book.snapshot().version()
        );
        return Err(Problem::new(ProblemCode::VersionNotReached, detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1")));
    }
    let Some(version) = version(params, "publicationVersion")? else {
        return Ok(book.snapshot().clone());
    };
    let replayed = book.as_of(&mut *database.report().await?, version).await?;
    replayed.ok_or_else(|| {
        let detail = format!("there is no publication {version} yet");
        Problem::rule("?publicationVersion", FieldCode::ReferenceNotFound, detail)
    })
}

/// Parses a publication version of the query.
fn version(params: &QueryParams, name: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let version = text.parse::<i64>().ok().filter(|version| *version >= 0);
    version.map(Some).ok_or_else(|| {
        let error = FieldError::new(
            format!("?{name}"),
            FieldCode::InvalidType,
            "has to be the version of a publication",
        );
        Problem::with_errors(ProblemCode::InvalidRequest, vec![error])
    })
}

/// Returns the problem of an unknown contact or customer. `prefix` leads to the field that names
/// it.
pub(super) fn unknown_asker(error: &QuoteError, prefix: &str) -> Problem {
    let field = match error {
        QuoteError::UnknownContact(_) => "contactNumber",
        QuoteError::UnknownCustomer(_) => "customerNumber",
    };
    Problem::rule(format!("{prefix}{field}"), FieldCode::ReferenceNotFound, error.to_string())
}

/// Writes the response. If it fails, `prefix` leads to the field that names the unknown contact or
/// customer.
fn respond(
    snapshot: &Snapshot,
    request: &QuoteRequest<'_>,
    prefix: &str,
    book: &LiveBook,
) -> Result<ApiResponse, Problem> {
    let mut body = Vec::new();
    write_quote(snapshot, request, &mut Scratch::default(), &mut body)
        .map_err(|error| unknown_asker(&error, prefix))?;
    Ok(ApiResponse { status: StatusCode::OK, headers: Vec::with_capacity(4), body }
        .header(PUBLICATION_VERSION, &snapshot.version().to_string())
        .header(SNAPSHOT_AGE, &book.age_seconds().to_string())
        .header(SNAPSHOT_STALE, if book.is_stale() { "true" } else { "false" }))
}

/// Returns the ETag of the answer to a GET. Query, version, date and build determine the answer.
pub(super) fn etag_of(version: i64, date: NaiveDate) -> String {
    format!("\"{}-{version}-{date}\"", env!("CARGO_PKG_VERSION"))
}

/// Quote one line
///
/// The answer has the form of a document with one line. It comes from the price book in memory. The
/// headers `Publication-Version`, `Snapshot-Age` (seconds since the snapshot was last known to be
/// the newest) and `Snapshot-Stale` state how current it is.
#[utoipa::path(
    get,
    path = "/v1/price-quotes",
    operation_id = "get_price_quote",
    tag = "Price quotes",
    params(
        (
            "contactNumber" = Option<Key>, Query,
            description = "The contact whose prices are requested. For a person, the prices of \
                its company are returned."
        ),
        (
            "customerNumber" = Option<Key>, Query,
            description = "The customer whose prices are requested, instead of a contact."
        ),
        ("itemNumber" = Key, Query, description = "The item."),
        ("variantCode" = Option<Key>, Query, description = "The variant. Default: none."),
        (
            "unitOfMeasureCode" = Option<Key>, Query,
            description = "The unit of measure. Default: the item's base unit."
        ),
        ("quantity" = Option<Quantity>, Query, description = "The quantity. Default: 1."),
        (
            "date" = Option<Date>, Query,
            description = "The company's calendar date. Default: today."
        ),
        (
            "currencyCode" = Option<CurrencyCode>, Query,
            description = "The currency. Default: the contact's, else the account's, else local \
                currency."
        ),
        (
            "pricesIncludeTax" = Option<bool>, Query,
            description = "If true, the prices include tax. Default: the customer's setting."
        ),
        (
            "taxPercent" = Option<Percent>, Query,
            description = "The tax rate of the sale in percent. Default: the item's rate."
        ),
        (
            "campaignNumber" = Option<Key>, Query,
            description = "The only campaign that counts. Default: all campaigns count."
        ),
        (
            "explain" = Option<bool>, Query,
            description = "If true, the answer has a `trace`. It lists the examined lines that \
                are granted to the account, with their verdicts, and counts the others. Default: \
                false."
        ),
        (
            "publicationVersion" = Option<i64>, Query,
            description = "The version of the price book to answer from. With the same `date` the \
                answer is the same as when that version was current. Default: the current \
                version.",
            minimum = 0,
            maximum = 9_007_199_254_740_991_i64
        ),
        (
            "minPublicationVersion" = Option<i64>, Query,
            description = "The minimum version of the price book to answer from. The request \
                waits up to one second for it.",
            minimum = 0,
            maximum = 9_007_199_254_740_991_i64
        ),
    ),
    responses(
        (
            status = 200,
            description = "The price, or the problem for which there is none.",
            body = Quote<'_>
        ),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_price_quote(
    call: ApiRequest,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let params = call.query(&[
        "contactNumber",
        "customerNumber",
        "itemNumber",
        "variantCode",
        "unitOfMeasureCode",
        "quantity",
        "date",
        "currencyCode",
        "pricesIncludeTax",
        "taxPercent",
        "campaignNumber",
        "explain",
        "publicationVersion",
        "minPublicationVersion",
    ])?;
    let request = read_query(&params, calendar.today(), true)?;
    let snapshot = snapshot(&params, &book, &database).await?;
    let answer = respond(&snapshot, &request, "?", &book)?;
    Ok(answer
        .header(header::ETAG, &etag_of(snapshot.version(), request.date))
        .unless_known(call.if_none_match.as_ref()))
}

/// Quote a document
///
/// Prices up to 1,000 lines, in the order of the request. A line that cannot be priced has its own
/// `problem`, and the others are answered. Nothing is stored, so the request can be repeated
/// freely.
#[utoipa::path(
    post,
    path = "/v1/price-quotes",
    operation_id = "create_price_quote",
    tag = "Price quotes",
    params(
        (
            "explain" = Option<bool>, Query,
            description = "If true, each answer has a `trace`. It lists the examined lines that \
                are granted to the account, with their verdicts, and counts the others. Default: \
                false."
        ),
        (
            "publicationVersion" = Option<i64>, Query,
            description = "The version of the price book to answer from. With the same `date` the \
                answer is the same as when that version was current. Default: the current \
                version.",
            minimum = 0,
            maximum = 9_007_199_254_740_991_i64
        ),
        (
            "minPublicationVersion" = Option<i64>, Query,
            description = "The minimum version of the price book to answer from. The request \
                waits up to one second for it.",
            minimum = 0,
            maximum = 9_007_199_254_740_991_i64
        ),
    ),
    request_body(content = QuoteBody, description = "The lines to price, and the account."),
    responses((status = 200, description = "The prices.", body = Quote<'_>))
)]
async fn create_price_quote(
    call: ApiRequest,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let params = call.query(&["explain", "publicationVersion", "minPublicationVersion"])?;
    let mut errors = Vec::new();
    let explain = params.truth("explain", &mut errors).unwrap_or_default();
    if !errors.is_empty() {
        return Err(Problem::with_errors(ProblemCode::InvalidRequest, errors));
    }
    let request = match call
        .json_if_right::<BorrowedBody<'_>>()?
        .and_then(|body| body.into_request(|| calendar.today(), explain))
    {
        Some(request) => request,
        None => call.json::<QuoteBody>()?.into_request(calendar.today(), explain)?,
    };
    let snapshot = snapshot(&params, &book, &database).await?;
    respond(&snapshot, &request, "/", &book)
}
