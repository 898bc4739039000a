//! Response bodies that take long to produce. A background thread produces the pieces and sends
//! them to the connection through a bounded channel. The thread that answers requests only forwards
//! them.
//!
//! A stream occupies a thread and the data of its pieces, so the number of streams is bounded. When
//! the connection ends, or [`connections`](super::connections) closes it because the client does
//! not read, the body is dropped. The channel closes with it, and the producer ends. A body whose
//! producer fails ends with an error, never as if it were complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::problem::{Problem, ProblemCode};
use crate::platform::background::spawn_background;

/// Maximum number of open streams.
pub const MAX_STREAMS: usize = 8;
/// Maximum number of pieces that are produced ahead of the client.
const MAX_PIECES_AHEAD: usize = 2;
/// Size at which a producer hands over a piece.
pub const PIECE_BYTES: usize = 16_384;
/// Size above which a piece is divided. Other connections are served between two pieces, so this
/// bounds their delay.
const MAX_PIECE_BYTES: usize = 32_768;
/// Value of `Retry-After`, in seconds, for a refused stream.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The limit of streams in the process. Cloning shares it.
#[derive(Clone)]
pub struct Streams {
    slots: Arc<Semaphore>,
    max_streams: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(MAX_STREAMS)
    }
}

impl Streams {
    /// Creates a limit other than the default one.
    #[must_use]
    pub fn new(max_streams: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(max_streams)), max_streams }
    }

    /// Takes a slot for one stream.
    ///
    /// # Errors
    /// 503 while all slots are taken.
    pub fn open(&self) -> Result<StreamSlot, Problem> {
        let permit = Arc::clone(&self.slots).try_acquire_owned();
        permit.map(|permit| StreamSlot { _permit: permit }).map_err(|_| {
            let detail = format!("{} streams are open, and more are not allowed", self.max_streams);
            Problem::new(ProblemCode::TooManyStreams, detail)
                .header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
        })
    }
}

/// The slot of one stream, released when the producer has ended.
#[derive(Debug)]
pub struct StreamSlot {
    _permit: OwnedSemaphorePermit,
}

/// The error of a body whose producer failed.
#[derive(Debug, thiserror::Error)]
#[error("the body is incomplete, since its producer failed")]
pub struct IncompleteBody;

impl StreamSlot {
    /// Streams pieces that are produced between other work of the connection's thread, as by
    /// queries to the database. `next` returns the piece of a state and the next state. The slot is
    /// released with the stream.
    pub fn stream_steps<S: 'static>(
        self,
        first: S,
        next: impl AsyncFn(S) -> Result<Option<(Bytes, S)>, Problem> + 'static,
    ) -> impl Stream<Item = Result<Bytes, IncompleteBody>> + 'static {
        let next = std::rc::Rc::new(next);
        let begun = (Bytes::new(), Some(first), self);
        stream::try_unfold(begun, move |(mut piece, mut state, slot)| {
            let next = std::rc::Rc::clone(&next);
            async move {
                while piece.is_empty() {
                    let Some(known) = state.take() else { return Ok(None) };
                    match (*next)(known).await {
                        Ok(Some((further, state_after))) => {
                            (piece, state) = (further, Some(state_after));
                        }
                        Ok(None) => return Ok(None),
                        Err(problem) => {
                            tracing::warn!(%problem, "a stream ends incomplete");
                            return Err(IncompleteBody);
                        }
                    }
                }
                // Other connections are served between two pieces.
                tokio::task::yield_now().await;
                let sent = piece.split_to(piece.len().min(MAX_PIECE_BYTES));
                Ok(Some((sent, (piece, state, slot))))
            }
        })
    }

    /// Streams pieces, which are produced on a background thread while the client reads. An empty
    /// piece is not sent; it lets the producer detect that the client is gone.
    pub fn stream(
        self,
        pieces: impl Iterator<Item = Bytes> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, IncompleteBody>> + 'static {
        let (sender, receiver) = mpsc::channel(MAX_PIECES_AHEAD);
        // The channel also closes when the producer panics.
        let complete = Arc::new(AtomicBool::new(false));
        let completed = Arc::clone(&complete);
        let span = tracing::Span::current();
        spawn_background(move || {
            let all_sent = span.in_scope(|| send_all(pieces, &sender));
            completed.store(all_sent, Ordering::Release);
            // The slot is released first, so that a client that has read the end finds it free for
            // its next stream.
            drop(self);
            drop(sender);
        });
        stream::unfold(Some((receiver, complete)), |open| async {
            let (mut receiver, complete) = open?;
            // Without this, the task would not yield while the producer is faster than the socket.
            tokio::task::yield_now().await;
            match receiver.recv().await {
                Some(piece) => Some((Ok(piece), Some((receiver, complete)))),
                None if complete.load(Ordering::Acquire) => None,
                None => Some((Err(IncompleteBody), None)),
            }
        })
    }
}

/// Sends pieces until there are no more or the client is gone. Returns whether all were sent.
fn send_all(pieces: impl Iterator<Item = Bytes>, sender: &mpsc::Sender<Bytes>) -> bool {
    for mut piece in pieces {
        while !piece.is_empty() {
            let sent = piece.split_to(piece.len().min(MAX_PIECE_BYTES));
            if sender.blocking_send(sent).is_err() {
                break;
            }
        }
        if sender.is_closed() {
            tracing::info!("the client left before the end of the stream");
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::StreamExt as _;
    use tokio::time::timeout;

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    fn streams() -> Streams {
        Streams::new(1)
    }

    /// Waits until the only slot is free.
    async fn freed(streams: &Streams) {
        drop(timeout(TEST_TIMEOUT, streams.slots.acquire()).await.unwrap().unwrap());
    }

    #[actix_web::test]
    async fn pieces_arrive_in_order_and_in_bounded_size() {
        let streams = streams();
        let sizes = [1, 0, MAX_PIECE_BYTES, MAX_PIECE_BYTES + 1, 5 * MAX_PIECE_BYTES, 0];
        let pieces =
            sizes.into_iter().zip(b'a'..).map(|(size, byte)| Bytes::from(vec![byte; size]));
        let expected = pieces.clone().collect::<Vec<_>>().concat();
        let sent: Vec<_> = streams.open().unwrap().stream(pieces).collect().await;
        let sent: Vec<Bytes> = sent.into_iter().map(Result::unwrap).collect();
        assert!(sent.iter().all(|piece| (1..=MAX_PIECE_BYTES).contains(&piece.len())));
        assert_eq!(sent.concat(), expected);
        streams.open().expect("the slot is free before the end arrives");
    }

    #[actix_web::test]
    async fn failed_producer_makes_the_body_incomplete() {
        let streams = streams();
        let pieces = (0..3).map(|place| {
            assert!(place < 2, "a defect of the producer");
            Bytes::from_static(b"row\n")
        });
        let sent: Vec<_> = streams.open().unwrap().stream(pieces).collect().await;
        assert!(matches!(sent.as_slice(), [Ok(_), Ok(_), Err(IncompleteBody)]), "{sent:?}");
        freed(&streams).await;
    }

    #[actix_web::test]
    async fn producer_ends_when_its_body_is_dropped() {
        for piece in [&b"row\n"[..], b""] {
            let streams = streams();
            let (held, snapshot) = (Arc::new(()), Arc::new(()));
            let kept = (Arc::clone(&held), Arc::clone(&snapshot));
            let pieces = std::iter::repeat_with(move || {
                let _ = &kept;
                Bytes::from_static(piece)
            });
            let body = streams.open().unwrap().stream(pieces);
            let refused = streams.open().unwrap_err();
            assert_eq!(
                (refused.code, refused.status().as_u16()),
                (ProblemCode::TooManyStreams, 503)
            );
            drop(body);
            freed(&streams).await;
            // The pieces are dropped before the slot.
            assert_eq!(Arc::strong_count(&snapshot), 1);
        }
    }

    #[actix_web::test]
    async fn unread_body_is_produced_only_a_little_ahead() {
        let made = Arc::new(());
        let kept = Arc::clone(&made);
        let streams = streams();
        let pieces = std::iter::repeat_with(move || {
            Bytes::from_owner(Counted(vec![0; 10], Arc::clone(&kept)))
        });
        let mut body = Box::pin(streams.open().unwrap().stream(pieces));
        let first = body.next().await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The piece read, those in the channel, the one that waits; the test, and the producer.
        assert!(
            Arc::strong_count(&made) <= 1 + MAX_PIECES_AHEAD + 1 + 2,
            "{}",
            Arc::strong_count(&made)
        );
        drop(first);
    }

    /// A piece that counts as long as it lives.
    struct Counted(Vec<u8>, #[allow(dead_code, reason = "it counts by being held")] Arc<()>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
}
