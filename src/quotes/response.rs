//! Builds the responses to requests for prices. Each worker has one builder, which reuses its
//! buffers and formats a header again only if its value has changed.

use std::cell::RefCell;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use chrono::NaiveDate;
use price_book::quote::answer::QuoteError;
use price_book::quote::request::QuoteRequest;
use price_book::quote::write_quote;
use price_book::snapshot::Snapshot;
use pricing::resolve::Scratch;
use uuid::Uuid;

use crate::live_book::LiveBook;
use crate::platform::http::call::ApiResponse;
use crate::unit_of_work::{BOOK_ID, PUBLICATION_VERSION};

/// The header with the seconds since the snapshot was last known to be the newest.
pub(super) const SNAPSHOT_AGE: HeaderName = HeaderName::from_static("snapshot-age");
/// The header that is `true` if the snapshot may have missed versions.
pub(super) const SNAPSHOT_STALE: HeaderName = HeaderName::from_static("snapshot-stale");

/// Answers up to this size are copied out of the reusable buffer into an allocation of exact size.
/// For larger ones the copy costs more than a second allocation.
const MAX_COPIED_BYTES: usize = 4_096;

/// The response builder of one worker.
pub struct QuoteResponder {
    book: LiveBook,
    buffers: RefCell<Buffers>,
}

#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    json: Vec<u8>,
    version: CachedHeader<i64>,
    age: CachedHeader<i64>,
    book_id: CachedHeader<Uuid>,
    etag: CachedHeader<(Uuid, i64, NaiveDate)>,
}

/// A header value, cached with the key that it was formatted from.
struct CachedHeader<K>(Option<(K, HeaderValue)>);

impl<K> Default for CachedHeader<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: PartialEq> CachedHeader<K> {
    /// Returns the value for a key, formatting it only if the key has changed. A value that is
    /// invalid in a header is empty, which digits and dates never are.
    fn value(&mut self, key: K, format: impl FnOnce(&K) -> String) -> HeaderValue {
        match &self.0 {
            Some((known, value)) if *known == key => value.clone(),
            _ => {
                let value = HeaderValue::try_from(format(&key))
                    .unwrap_or_else(|_| HeaderValue::from_static(""));
                self.0 = Some((key, value.clone()));
                value
            }
        }
    }
}

impl QuoteResponder {
    /// Creates the builder. The age of the answers is that of `book`.
    #[must_use]
    pub fn new(book: LiveBook) -> Self {
        Self { book, buffers: RefCell::default() }
    }

    /// Answers a request from a snapshot.
    ///
    /// # Errors
    /// If the contact or customer is unknown.
    pub fn respond(
        &self,
        snapshot: &Snapshot,
        request: &QuoteRequest<'_>,
    ) -> Result<ApiResponse, QuoteError> {
        let mut buffers = self.buffers.borrow_mut();
        let Buffers { scratch, json, version, age, book_id, .. } = &mut *buffers;
        json.clear();
        write_quote(snapshot, request, scratch, json)?;
        let body = if json.len() > MAX_COPIED_BYTES {
            std::mem::take(json)
        } else {
            json.as_slice().to_vec()
        };
        let age_ms = self.book.age_ms();
        let age_seconds = age_ms.checked_div(1_000).unwrap_or_default();
        let stale = if self.book.is_stale_at(age_ms) { "true" } else { "false" };
        let headers = vec![
            (PUBLICATION_VERSION, version.value(snapshot.version(), i64::to_string)),
            (BOOK_ID, book_id.value(snapshot.book_id(), Uuid::to_string)),
            (SNAPSHOT_AGE, age.value(age_seconds, i64::to_string)),
            (SNAPSHOT_STALE, HeaderValue::from_static(stale)),
        ];
        Ok(ApiResponse { status: StatusCode::OK, headers, body })
    }

    /// Returns the ETag of the answer to a GET. Query, history, version, date and build determine
    /// the answer.
    pub fn etag(&self, snapshot: &Snapshot, date: NaiveDate) -> HeaderValue {
        let key = (snapshot.book_id(), snapshot.version(), date);
        self.buffers.borrow_mut().etag.value(key, |(book_id, version, date)| {
            let build = env!("CARGO_PKG_VERSION");
            format!("\"{build}-{}-{version}-{date}\"", book_id.simple())
        })
    }
}
