//! Price quotes over HTTP. They are answered from the snapshot in memory, never from the database.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::http::header::HeaderValue;
use actix_web::web;
use price_book::quote::answer::{Quote, QuoteError};
use price_book::quote::request::{QuoteParty, QuoteRequest, Visibility};
use price_book::snapshot::Snapshot;
use pricing::resolve::Book as _;
use values::{CurrencyCode, Key, Percent, SignedQuantity};

use super::request::{QuoteBody, read_query};
use super::response::QuoteResponder;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::caller::Caller;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::QueryParams;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::publication::book_id::{BOOK_ID_PARAM, BookIdParam, require_history};
use crate::unit_of_work::Database;

/// The path of price quotes.
pub(super) const PATH: &str = "/v1/price-quotes";
/// The scope of price quotes.
pub(super) const SCOPE: Scope = Scope::QuotesRead;
/// The parameter with the version to answer from.
pub(super) const VERSION: &str = "publicationVersion";
/// The parameter with the minimum version to answer from.
pub(super) const MIN_VERSION: &str = "minPublicationVersion";
/// The parameters of the quote of one line.
pub(super) const GET_PARAMETERS: [&str; 16] = [
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
    "onUnknownContact",
    "explain",
    VERSION,
    MIN_VERSION,
    BOOK_ID_PARAM,
];
/// The parameters of the quote of a document.
pub(super) const CREATE_PARAMETERS: [&str; 4] = ["explain", VERSION, MIN_VERSION, BOOK_ID_PARAM];
/// The maximum time that a request waits for the snapshot to reach `minPublicationVersion`.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(Scope::QuotesRead, __path_get_price_quote, get_price_quote).quiet();
    routes.add(Scope::QuotesRead, __path_create_price_quote, create_price_quote).quiet();
}

/// Lets an explanation contain the lines of all accounts, if the caller may see them.
pub(super) fn show_all_lines(request: &mut QuoteRequest<'_>, caller: &Caller) {
    if request.explain.is_some() && caller.scopes().contains(Scope::QuotesExplain) {
        request.explain = Some(Visibility::All);
    }
}

/// Restricts a request to the account that the caller may ask for. Without contact and customer it
/// is for that account.
///
/// # Errors
/// 403 if the request is for another account.
pub(super) fn restrict_party(
    party: &mut QuoteParty<'_>,
    caller: &Caller,
    snapshot: &Snapshot,
) -> Result<(), Problem> {
    let Some(own) = caller.restriction() else { return Ok(()) };
    let contact = match party {
        QuoteParty::Anybody => {
            *party = QuoteParty::Contact(own.to_owned().into());
            return Ok(());
        }
        QuoteParty::Contact(number) => snapshot.find_contact(number),
        QuoteParty::Customer(number) => snapshot.find_customer(number),
    };
    let account = |contact| snapshot.account_of(contact);
    let own = snapshot.find_contact(own).map(account);
    let is_own = contact.is_some_and(|contact| Some(account(contact)) == own);
    if is_own {
        return Ok(());
    }
    let detail = "the key is restricted to the prices of one account, and this is another one";
    Err(Problem::new(ProblemCode::Forbidden, detail))
}

/// Returns the snapshot to answer from: the requested version, or the current one. It waits until
/// the current one has reached `minPublicationVersion`.
pub(super) async fn snapshot(
    params: &QueryParams<'_>,
    book: &LiveBook,
    database: &Database,
) -> Result<Arc<Snapshot>, Problem> {
    // In another history, waiting for a version is pointless.
    require_history(params.get(BOOK_ID_PARAM), book.loaded()?.book_id())?;
    if let Some(version) = version(params, MIN_VERSION)?
        && !book.wait_for_version(version, WAIT_TIMEOUT).await
    {
        let detail = format!(
            "the price book here is at version {}, not at {version}",
            book.snapshot().version()
        );
        return Err(Problem::new(ProblemCode::VersionNotReached, detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1")));
    }
    let snapshot = match version(params, VERSION)? {
        None => book.snapshot().clone(),
        Some(version) => {
            let replayed = book.as_of(&mut *database.report().await?, version).await?;
            replayed.ok_or_else(|| {
                let detail = format!("there is no publication {version} yet");
                Problem::rule("?publicationVersion", FieldCode::ReferenceNotFound, detail)
            })?
        }
    };
    // The history can have changed in the meantime.
    require_history(params.get(BOOK_ID_PARAM), snapshot.book_id())?;
    Ok(snapshot)
}

/// Parses a publication version of the query.
fn version(params: &QueryParams<'_>, name: &str) -> Result<Option<i64>, Problem> {
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
pub(super) fn unknown_party(error: &QuoteError, prefix: &str) -> Problem {
    let field = match error {
        QuoteError::UnknownContact(_) => "contactNumber",
        QuoteError::UnknownCustomer(_) => "customerNumber",
    };
    Problem::rule(format!("{prefix}{field}"), FieldCode::ReferenceNotFound, error.to_string())
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
        (
            "quantity" = Option<SignedQuantity>, Query,
            description = "The quantity. Default: 1. A negative quantity, as on a credit line, \
                has the prices of the positive one and negative amounts."
        ),
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
        BookIdParam,
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
    responder: web::Data<QuoteResponder>,
) -> Result<ApiResponse, Problem> {
    let params = call.query(&GET_PARAMETERS)?;
    let mut request =
        read_query(&params, || calendar.today(), true).map_err(Problem::from_errors)?;
    let snapshot = snapshot(&params, &book, &database).await?;
    show_all_lines(&mut request, &call.caller);
    restrict_party(&mut request.party, &call.caller, &snapshot)?;
    let mut response =
        responder.respond(&snapshot, &request).map_err(|error| unknown_party(&error, "?"))?;
    response.headers.push((header::ETAG, responder.etag(&snapshot, request.date)));
    Ok(response.not_modified_if_known(call.if_none_match.as_ref()))
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
        BookIdParam,
    ),
    request_body(content = QuoteBody<'_>, description = "The lines to price, and the account."),
    responses((status = 200, description = "The prices.", body = Quote<'_>))
)]
async fn create_price_quote(
    call: ApiRequest,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
    database: web::Data<Database>,
    responder: web::Data<QuoteResponder>,
) -> Result<ApiResponse, Problem> {
    let params = call.query(&CREATE_PARAMETERS)?;
    let mut errors = Vec::new();
    let explain = params.boolean("explain", &mut errors).unwrap_or_default();
    if !errors.is_empty() {
        return Err(Problem::with_errors(ProblemCode::InvalidRequest, errors));
    }
    let body = match call.json_if_valid::<QuoteBody<'_>>()? {
        Some(body) => body,
        None => call.json::<QuoteBody<'static>>().await?,
    };
    let mut request =
        body.into_request(|| calendar.today(), explain).map_err(Problem::from_errors)?;
    let snapshot = snapshot(&params, &book, &database).await?;
    show_all_lines(&mut request, &call.caller);
    restrict_party(&mut request.party, &call.caller, &snapshot)?;
    responder.respond(&snapshot, &request).map_err(|error| unknown_party(&error, "/"))
}
