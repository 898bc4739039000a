//! The ids of a request: the trace id, by which answers, log and audit log name it, and the id of
//! its operation. The middleware adds them to the request.

use std::cell::RefCell;
use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use uuid::Uuid;

/// Header with the trace id of the caller (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of an operation in the OpenAPI document. The route table adds it to every request.
#[derive(Debug, Clone)]
pub struct OperationId(Arc<str>);

impl OperationId {
    /// Creates an id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// Returns the id.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A trace id, which leads from a response to the log: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// Returns the digits.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Returns the trace id that the caller sent (W3C Trace Context), if any.
#[must_use]
pub fn given_trace_id(headers: &HeaderMap) -> Option<TraceId> {
    headers
        .get(TRACEPARENT)
        .and_then(|value| value.as_bytes().split(|byte| *byte == b'-').nth(1))
        .and_then(|id| <[u8; 32]>::try_from(id).ok())
        .filter(|id| id.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)))
        .map(TraceId)
}

/// Returns the trace id that the caller sent, or a new one.
#[must_use]
pub fn trace_id(headers: &HeaderMap) -> TraceId {
    given_trace_id(headers).unwrap_or_else(|| {
        let mut id = [0; 32];
        Uuid::new_v4().simple().encode_lower(&mut id);
        TraceId(id)
    })
}

/// A supply of new trace ids as header values. A batch of them shares one allocation.
#[derive(Debug, Default)]
pub struct TraceIds(RefCell<Bytes>);

impl TraceIds {
    /// Number of trace ids in one allocation.
    const BATCH_SIZE: usize = 64;

    /// Returns a new trace id.
    pub fn take(&self) -> Option<HeaderValue> {
        let mut batch = self.0.borrow_mut();
        if batch.is_empty() {
            let mut ids = vec![0; 32 * Self::BATCH_SIZE];
            for id in ids.chunks_exact_mut(32) {
                Uuid::new_v4().simple().encode_lower(id);
            }
            *batch = ids.into();
        }
        HeaderValue::from_maybe_shared(batch.split_to(32)).ok()
    }
}
