//! The published price list at a date: for an account, for all customers, or for each account of a
//! campaign's audience. It is returned in pages or as one stream of lines. Both walk over one
//! snapshot on a background thread and only keep their position in it.

use std::ops::ControlFlow;
use std::sync::Arc;

use actix_web::http::header::{Accept, Header as _, Quality};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{Either, HttpRequest, HttpResponse, web};
use chrono::NaiveDate;
use price_book::listing::{Visit, Walk};
use price_book::quote::price_list::{EffectivePrice, write_rows};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest};
use price_book::snapshot::Snapshot;
use pricing::line::ContactIndex;
use pricing::resolve::Book as _;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{CurrencyCode, Date, Key};

use super::http::{restrict_party, snapshot, unknown_party};
use super::request::party;
use super::response::{SNAPSHOT_AGE, SNAPSHOT_STALE};
use crate::live_book::LiveBook;
use crate::platform::background::background;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::cursor::ListIdentity;
use crate::platform::http::list::{
    CursorKey, DEFAULT_PAGE_SIZE, PAGE_SIZE, QueryParams, cursor, encode, number,
};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::platform::http::stream::{PIECE_BYTES, Streams};
use crate::publication::book_id::{BOOK_ID_PARAM, BookIdParam};
use crate::unit_of_work::{BOOK_ID, Database, PUBLICATION_VERSION};

const PATH: &str = "/v1/effective-prices";
const NDJSON: &str = "application/x-ndjson";
/// The order of the rows, which is part of the list's identity in a cursor.
const ORDER: &str = "accountNumber,itemNumber,row";
/// The parameters that determine the rows, apart from version and date.
const LIST_PARAMS: [&str; 5] =
    ["contactNumber", "customerNumber", "campaignNumber", "currencyCode", "pricesIncludeTax"];
/// The parameters whose values a cursor contains.
const CURSOR_PARAMS: [&str; 4] =
    ["date", "publicationVersion", "minPublicationVersion", BOOK_ID_PARAM];
const VERSIONS: std::ops::RangeInclusive<i64> = 0..=9_007_199_254_740_991;
/// The maximum number of positions that are visited for one piece of the stream. It bounds the time
/// after which a stream notices a closed connection if few positions have rows.
const MAX_POSITIONS_PER_PIECE: usize = 1_000;

/// Adds the operation to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(Scope::QuotesRead, __path_list_effective_prices, list_effective_prices);
}

/// A page of a price list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "only its schema is used; the rows are written one by one")]
struct EffectivePricePage<'a> {
    /// The rows.
    #[schema(max_items = 1000)]
    value: Vec<EffectivePrice<'a>>,
    /// The link to the next page, which is opaque. Absent on the last page. The next page is of the
    /// same version of the price book and the same date.
    #[schema(
        max_length = 16384,
        example = "/v1/effective-prices?contactNumber=CT000042&cursor=eyJrIjpbIjQxOCJdfQ.c2ln"
    )]
    next_link: Option<String>,
}

/// List effective prices
///
/// Returns the published price list at a date. It has one row for each item, variant, unit of
/// measure and minimum quantity at which the price differs. For a contact or customer, these are
/// the prices of its account. For a campaign, these are the prices of each account of its audience
/// for the items that its lines cover, including prices from other sources. Otherwise these are the
/// prices for all customers.
///
/// To find a price in the list, take the item's rows with the variant and the unit of measure. If
/// there are none, take those with the unit and without variant. The last of these whose
/// `minimumQuantity` is not above the quantity has the price. An item that cannot be priced has a
/// row with `problem`. Blocked items and items without any price have no row.
///
/// All pages of one list are of one version of the price book. With `Accept: application/x-ndjson`
/// the whole list is returned as a stream with one row per line. If JSON is accepted equally, a
/// page is returned. The headers `Publication-Version`, `Snapshot-Age` and `Snapshot-Stale` state
/// how current the price book is.
///
/// The number of concurrent streams is limited. A further one is refused with 503
/// `TOO_MANY_STREAMS`. The connection of a client that reads nothing for 30 seconds is closed.
#[utoipa::path(
    get,
    path = "/v1/effective-prices",
    operation_id = "list_effective_prices",
    tag = "Price quotes",
    params(
        (
            "contactNumber" = Option<Key>, Query,
            description = "The contact whose prices are listed. For a person, the prices of its \
                company are listed."
        ),
        (
            "customerNumber" = Option<Key>, Query,
            description = "The customer whose prices are listed, instead of a contact."
        ),
        (
            "campaignNumber" = Option<Key>, Query,
            description = "The published campaign whose accounts and items are listed, instead of \
                a contact."
        ),
        (
            "date" = Option<Date>, Query,
            description = "The company's calendar date for which the prices apply. Default: today."
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
            "publicationVersion" = Option<i64>, Query,
            description = "The version of the price book to list. Default: the current version.",
            minimum = 0,
            maximum = 9_007_199_254_740_991_i64
        ),
        (
            "minPublicationVersion" = Option<i64>, Query,
            description = "The minimum version of the price book to list. The request waits up to \
                one second for it.",
            minimum = 0,
            maximum = 9_007_199_254_740_991_i64
        ),
        BookIdParam,
        (
            "top" = Option<i32>, Query,
            description = "The maximum number of rows of a page. Not allowed for a stream. \
                Default: 50.",
            minimum = 1,
            maximum = 1000
        ),
        (
            "cursor" = Option<String>, Query,
            description = "The position at which the page starts, from the `nextLink` of the \
                previous page. Not allowed for a stream.",
            max_length = 4096
        ),
    ),
    responses((
        status = 200,
        description = "The rows.",
        content(
            (EffectivePricePage<'_> = "application/json"),
            (EffectivePrice<'_> = "application/x-ndjson")
        )
    ))
)]
async fn list_effective_prices(
    request: HttpRequest,
    call: ApiRequest,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
    database: web::Data<Database>,
    cursor_key: web::Data<CursorKey>,
    open_streams: web::Data<Streams>,
) -> Result<Either<ApiResponse, HttpResponse>, Problem> {
    let params = call
        .query(&[
            "contactNumber",
            "customerNumber",
            "campaignNumber",
            "date",
            "currencyCode",
            "pricesIncludeTax",
            "publicationVersion",
            "minPublicationVersion",
            BOOK_ID_PARAM,
            "top",
            "cursor",
        ])?
        .into_owned();
    let streams = prefers_ndjson(&request);
    let mut query = Query::read(&params, calendar.today(), streams)?;
    // The response to a HEAD has no body, so it needs no stream.
    let slot =
        if streams && call.method != Method::HEAD { Some(open_streams.open()?) } else { None };
    let place = query
        .cursor
        .as_deref()
        .map(|cursor| Position::decode_cursor(cursor, &cursor_key, &params))
        .transpose()?;
    let snapshot = match &place {
        None => snapshot(&params, &book, &database).await?,
        Some(place) => snapshot_of(place, &book, &database).await?,
    };
    if query.campaign.is_none() {
        restrict_party(&mut query.party, &call.caller, &snapshot)?;
    } else if call.caller.restriction().is_some() {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "the key is restricted to one account, and the list of a campaign is for all of its",
        ));
    }
    let headers = [
        (PUBLICATION_VERSION, snapshot.version().to_string()),
        (BOOK_ID, snapshot.book_id().to_string()),
        (SNAPSHOT_AGE, book.age_seconds().to_string()),
        (SNAPSHOT_STALE, book.is_stale().to_string()),
    ];
    if streams {
        let mut response = HttpResponse::Ok();
        headers.into_iter().for_each(|header| {
            response.insert_header(header);
        });
        response.insert_header((header::CONTENT_TYPE, NDJSON));
        let list = background(move || List::new(snapshot, query, place)).await?;
        return Ok(Either::Right(match slot {
            Some(slot) => response.streaming(slot.stream(list.pieces())),
            None => response.finish(),
        }));
    }
    let body =
        background(move || List::new(snapshot, query, place)?.page(&params, &cursor_key)).await?;
    let answer = ApiResponse { status: StatusCode::OK, headers: Vec::with_capacity(4), body };
    Ok(Either::Left(
        headers.into_iter().fold(answer, |answer, (name, value)| answer.header(name, &value)),
    ))
}

/// Returns whether the caller prefers NDJSON to JSON. Clients that accept every documented type
/// expect a page.
fn prefers_ndjson(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else { return false };
    let quality = |media: &str| {
        accept
            .iter()
            .filter(|range| range.item.essence_str() == media)
            .map(|range| range.quality)
            .max()
    };
    quality(NDJSON)
        .is_some_and(|lines| lines > Quality::ZERO && Some(lines) > quality("application/json"))
}

/// Returns the snapshot that a cursor is of. The database is only read if it is not the current
/// one.
async fn snapshot_of(
    place: &Position,
    book: &LiveBook,
    database: &Database,
) -> Result<Arc<Snapshot>, Problem> {
    let present = book.snapshot().clone();
    let snapshot = if present.version() == place.version {
        Some(present)
    } else {
        book.as_of(&mut *database.report().await?, place.version).await?
    };
    snapshot.filter(|snapshot| snapshot.book_id() == place.book_id).ok_or_else(|| {
        Problem::new(ProblemCode::InvalidCursor, "the cursor is of a price book that is not there")
    })
}

/// The parameters of a request.
struct Query {
    party: QuoteParty<'static>,
    campaign: Option<String>,
    date: NaiveDate,
    currency_code: Option<String>,
    prices_include_tax: Option<bool>,
    top: usize,
    cursor: Option<String>,
}

impl Query {
    fn read(params: &QueryParams<'_>, today: NaiveDate, streams: bool) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let contact = params.parsed("contactNumber", Key::canonical, &mut errors);
        let customer = params.parsed("customerNumber", Key::canonical, &mut errors);
        let campaign = params.parsed("campaignNumber", Key::parse, &mut errors);
        let party = party(contact, customer, "?", &mut errors);
        if params.get("campaignNumber").is_some() && party != QuoteParty::Anybody {
            let detail = "the list of a campaign is for all of its accounts; leave out \
                contactNumber and customerNumber";
            errors.push(FieldError::new("?campaignNumber", FieldCode::NotAllowed, detail));
        }
        let date = params.parsed("date", Date::parse, &mut errors);
        let currency_code = params.parsed("currencyCode", CurrencyCode::parse, &mut errors);
        let prices_include_tax = params.boolean("pricesIncludeTax", &mut errors);
        for name in ["publicationVersion", "minPublicationVersion"] {
            errors.extend(number(params, name, 0, VERSIONS).err());
        }
        let top =
            number(params, "top", DEFAULT_PAGE_SIZE, PAGE_SIZE).map_err(|error| errors.push(error));
        let cursor = params.get("cursor");
        let mut refuse = |names: &[&str], detail: &str| {
            let given = names.iter().filter(|name| params.get(name).is_some());
            errors
                .extend(given.map(|name| {
                    FieldError::new(format!("?{name}"), FieldCode::NotAllowed, detail)
                }));
        };
        if streams {
            refuse(&["top", "cursor"], "a stream has no pages");
        } else if cursor.is_some() {
            refuse(
                &CURSOR_PARAMS,
                "a cursor leads on in the price book and for the date that it is of",
            );
        }
        if !errors.is_empty() {
            return Err(Problem::from_errors(errors));
        }
        Ok(Self {
            party: party.into_owned(),
            campaign: campaign.map(Key::into_text),
            date: date.map_or(today, Date::get),
            currency_code: currency_code.map(|code| code.to_string()),
            prices_include_tax,
            top: top.ok().and_then(|top| top.try_into().ok()).unwrap_or_default(),
            cursor: cursor.map(str::to_owned),
        })
    }
}

/// The end of a page: a row, and the version and date of the list.
#[derive(Debug, Clone)]
struct Position {
    book_id: Uuid,
    version: i64,
    date: NaiveDate,
    /// The account, if the list is of a campaign.
    account: Option<String>,
    item_number: String,
    /// The number of the item's rows that have been returned.
    given: usize,
}

impl Position {
    fn encode_cursor(&self, key: &CursorKey, params: &QueryParams<'_>) -> String {
        let Self { book_id, version, date, account, item_number, given } = self;
        let values: [Value; 6] = [
            book_id.to_string().into(),
            (*version).into(),
            date.to_string().into(),
            account.clone().into(),
            item_number.clone().into(),
            (*given).into(),
        ];
        cursor::write(
            key,
            &ListIdentity {
                path: PATH,
                filter: &format_params(params, &LIST_PARAMS),
                order: ORDER,
            },
            &values,
        )
    }

    fn decode_cursor(
        cursor: &str,
        key: &CursorKey,
        params: &QueryParams<'_>,
    ) -> Result<Self, Problem> {
        let identity =
            ListIdentity { path: PATH, filter: &format_params(params, &LIST_PARAMS), order: ORDER };
        let place =
            cursor::open(key, &identity, cursor).and_then(|values| Self::from_values(&values));
        place.ok_or_else(cursor::refused)
    }

    fn from_values(values: &[Value]) -> Option<Self> {
        let [book_id, version, date, account, item_number, given] = values else { return None };
        Some(Self {
            book_id: book_id.as_str()?.parse().ok()?,
            version: version.as_i64()?,
            date: date.as_str()?.parse().ok()?,
            account: account.as_str().map(str::to_owned),
            item_number: item_number.as_str()?.to_owned(),
            given: given.as_u64()?.try_into().ok()?,
        })
    }
}

/// Formats parameters as they were sent, for the next link.
fn format_params(params: &QueryParams<'_>, names: &[&str]) -> String {
    let given =
        names.iter().filter_map(|name| Some(format!("{name}={}&", encode(params.get(name)?))));
    given.collect()
}

/// A price list and the position in it.
struct List {
    snapshot: Arc<Snapshot>,
    walk: Walk,
    /// The request without its lines. In the list of a campaign, the account changes with the
    /// position.
    request: QuoteRequest<'static>,
    account: Option<ContactIndex>,
    campaign: Option<String>,
    top: usize,
    /// The number of rows of the first item that the previous page returned.
    given: usize,
}

/// The rows of an item.
struct ItemRows {
    account: Option<String>,
    item_number: String,
    rows: Vec<String>,
}

impl List {
    /// Starts at the beginning of the list, or where the previous page ended.
    fn new(
        snapshot: Arc<Snapshot>,
        query: Query,
        place: Option<Position>,
    ) -> Result<Self, Problem> {
        let request = QuoteRequest {
            party: query.party,
            currency_code: query.currency_code.map(Into::into),
            prices_include_tax: query.prices_include_tax,
            ..QuoteRequest::on(place.as_ref().map_or(query.date, |place| place.date))
        };
        let nothing = quote(&snapshot, &request).map_err(|error| unknown_party(&error, "?"))?;
        let account = nothing.account_number.and_then(|number| snapshot.find_contact(number));
        let campaign = query.campaign.as_deref().map(|number| {
            let found =
                snapshot.find_campaign(number).filter(|index| snapshot.campaign(*index).is_some());
            found.ok_or_else(|| {
                let detail = format!(
                    "campaign {number} is not in version {} of the price book",
                    snapshot.version()
                );
                Problem::rule("?campaignNumber", FieldCode::ReferenceNotFound, detail)
            })
        });
        let campaign = campaign.transpose()?;
        let given = place.as_ref().map_or(0, |place| place.given);
        let mut walk = campaign.map_or_else(
            || Walk::over_items(&snapshot),
            |index| Walk::over_campaign(&snapshot, index),
        );
        if let Some(Position { account, item_number, .. }) = &place {
            walk.move_to(&snapshot, account.as_deref(), item_number);
        }
        Ok(Self {
            snapshot,
            walk,
            request,
            account,
            campaign: query.campaign,
            top: query.top,
            given,
        })
    }

    /// Moves to the next position and returns its rows, if it has any. Breaks at the end of the
    /// list.
    fn next(&mut self) -> ControlFlow<(), Option<ItemRows>> {
        let (account, item_number, found) = match self.walk.next(&self.snapshot) {
            Visit::End => return ControlFlow::Break(()),
            Visit::Nothing => return ControlFlow::Continue(None),
            Visit::At { account, item_number, found } => (account, item_number, found),
        };
        if let Some(account) = account {
            self.account = self.snapshot.find_contact(account);
            if !matches!(&self.request.party, QuoteParty::Contact(asking) if asking == account) {
                self.request.party = QuoteParty::Contact(account.to_owned().into());
            }
        }
        let mut rows = Vec::new();
        let campaign = self.campaign.as_deref();
        let item = (item_number, found);
        write_rows(&self.snapshot, &self.request, self.account, item, campaign, |row| {
            // Writing a row as JSON cannot fail.
            rows.extend(serde_json::to_string(row));
        });
        let account = account.map(str::to_owned);
        ControlFlow::Continue(Some(ItemRows { account, item_number: item_number.to_owned(), rows }))
    }

    /// Returns the page that starts at the current position.
    fn page(mut self, params: &QueryParams<'_>, key: &CursorKey) -> Result<Vec<u8>, Problem> {
        let mut value: Vec<String> = Vec::with_capacity(self.top);
        let mut last = None;
        let next_link = 'page: loop {
            let ControlFlow::Continue(found) = self.next() else { break None };
            let given = std::mem::take(&mut self.given);
            if let Some(ItemRows { account, item_number, rows }) = found {
                for (place, row) in (1_usize..).zip(rows).skip(given) {
                    if value.len() >= self.top {
                        break 'page last;
                    }
                    value.push(row);
                    last = Some(Position {
                        book_id: self.snapshot.book_id(),
                        version: self.snapshot.version(),
                        date: self.request.date,
                        account: account.clone(),
                        item_number: item_number.clone(),
                        given: place,
                    });
                }
            }
        };
        let mut body = format!("{{\"value\":[{}]", value.join(","));
        if let Some(place) = next_link {
            let again = format_params(params, &LIST_PARAMS) + &format_params(params, &["top"]);
            let link = format!("{PATH}?{again}cursor={}", place.encode_cursor(key, params));
            body.push_str(",\"nextLink\":");
            body.push_str(&serde_json::to_string(&link).map_err(Problem::internal)?);
        }
        body.push('}');
        Ok(body.into_bytes())
    }

    /// Returns all rows from the current position on, one per line, in pieces.
    fn pieces(mut self) -> impl Iterator<Item = web::Bytes> + Send {
        std::iter::from_fn(move || {
            let mut piece = String::with_capacity(PIECE_BYTES);
            for _ in 0..MAX_POSITIONS_PER_PIECE {
                let ControlFlow::Continue(found) = self.next() else {
                    return (!piece.is_empty()).then(|| piece.into());
                };
                for row in found.into_iter().flat_map(|found| found.rows) {
                    piece.push_str(&row);
                    piece.push('\n');
                }
                if piece.len() >= PIECE_BYTES {
                    break;
                }
            }
            Some(piece.into())
        })
    }
}
