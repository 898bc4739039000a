//! The usual question for one price, answered before the router: no waiting, no copies of what was sent, and headers that are
//! written anew only when what they say has changed. Everything unusual is left to [`http`](super::http), as is every refusal.

use std::cell::RefCell;
use std::time::Instant;

use actix_http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_http::{Method, Request, Response, StatusCode};
use actix_web::HttpMessage as _;
use actix_web::body::BoxBody;
use actix_web::web::Bytes;
use chrono::NaiveDate;

use super::fast::FastQuery;
use super::http::{PATH, SNAPSHOT_AGE, SNAPSHOT_STALE, etag_of};
use super::quote::write_quote;
use crate::platform::clock::Calendar;
use crate::platform::effect::PUBLICATION_VERSION;
use crate::platform::http::ahead::AtOnce;
use crate::platform::http::call::IDEMPOTENCY_KEY;
use crate::platform::http::figures::RouteFigures;
use crate::platform::http::middleware::{Credentials, accepts_json, add_common_headers, trace_id};
use crate::pricing::resolve::Scratch;
use crate::publication::live::LiveBook;
use crate::publication::snapshot::Snapshot;

/// Headers that make a request more than a question for a price.
static UNUSUAL: [HeaderName; 8] = [
    IDEMPOTENCY_KEY,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::UPGRADE,
];

/// Answers such questions in one worker.
pub struct QuotesAtOnce {
    book: LiveBook,
    calendar: Calendar,
    credentials: Credentials,
    figures: RouteFigures,
    reused: RefCell<Reused>,
}

/// What is used again from one answer to the next.
#[derive(Default)]
struct Reused {
    scratch: Scratch,
    json: Vec<u8>,
    version: Header<i64>,
    age: Header<i64>,
    etag: Header<(i64, NaiveDate)>,
}

/// A header's value, and what it was made of.
struct Header<K>(Option<(K, HeaderValue)>);

impl<K> Default for Header<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: PartialEq + Copy> Header<K> {
    /// The value for a key: the one at hand, or a new one.
    fn value(&mut self, key: K, make: impl FnOnce(K) -> String) -> Option<HeaderValue> {
        match &self.0 {
            Some((known, value)) if *known == key => Some(value.clone()),
            _ => {
                let value = HeaderValue::try_from(make(key)).ok()?;
                self.0 = Some((key, value.clone()));
                Some(value)
            }
        }
    }
}

impl QuotesAtOnce {
    /// Answers from a book.
    #[must_use]
    pub fn new(book: LiveBook, calendar: Calendar, credentials: Credentials) -> Self {
        Self { book, calendar, credentials, figures: RouteFigures::new(PATH.to_owned()), reused: RefCell::default() }
    }

    fn is_usual(&self, request: &Request) -> bool {
        let headers = request.headers();
        request.method() == Method::GET
            && request.path() == PATH
            && !headers.keys().any(|name| UNUSUAL.contains(name))
            && self.credentials.admit(headers)
            && accepts_json(headers)
            && self.book.is_loaded()
            // Whoever reads along wants to read of every request.
            && !tracing::enabled!(tracing::Level::DEBUG)
    }

    fn add_headers(
        &self,
        headers: &mut HeaderMap,
        reused: &mut Reused,
        snapshot: &Snapshot,
        date: NaiveDate,
    ) -> Option<()> {
        let version = snapshot.version();
        let age_ms = self.book.age_ms();
        let age = age_ms.checked_div(1_000).unwrap_or_default();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(PUBLICATION_VERSION, reused.version.value(version, |version| version.to_string())?);
        headers.insert(SNAPSHOT_AGE, reused.age.value(age, |age| age.to_string())?);
        let stale = if self.book.is_stale_at(age_ms) { "true" } else { "false" };
        headers.insert(SNAPSHOT_STALE, HeaderValue::from_static(stale));
        headers.insert(header::ETAG, reused.etag.value((version, date), |(version, date)| etag_of(version, date))?);
        Some(())
    }
}

impl AtOnce for QuotesAtOnce {
    fn answer(&self, request: &Request) -> Option<Response<BoxBody>> {
        let started = Instant::now();
        if !self.is_usual(request) {
            return None;
        }
        let query = FastQuery::read(request.uri().query()?)?;
        let question = query.into_request(|| self.calendar.today())?;
        let snapshot = self.book.snapshot();
        let mut reused = self.reused.borrow_mut();
        let Reused { scratch, json, .. } = &mut *reused;
        json.clear();
        write_quote(&snapshot, &question, scratch, json).ok()?;
        // A body of exactly the size it needs is one allocation; one with room behind it is two.
        let mut response = Response::with_body(StatusCode::OK, BoxBody::new(Bytes::copy_from_slice(json)));
        self.add_headers(response.headers_mut(), &mut reused, &snapshot, question.date)?;
        add_common_headers(response.headers_mut(), trace_id(request.headers()).text());
        self.figures.count(&Method::GET, StatusCode::OK, started.elapsed());
        Some(response)
    }
}
