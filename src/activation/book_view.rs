//! The in-memory book, as current as the database, from which plans are computed.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use price_book::snapshot::Snapshot;

use crate::live_book::LiveBook;
use crate::platform::http::problem::Problem;
use crate::publication::reader;

/// Time limit for the wait of an activation or a plan until the in-memory book is current.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The in-memory book that a plan is computed from.
#[derive(Clone)]
pub(super) struct BookView {
    pub book: Arc<Snapshot>,
    /// True if the book had the database's version when it was compared.
    pub is_current: bool,
}

impl BookView {
    /// Returns the book if it is current, so that facts need not be read from the database.
    pub(super) fn up_to_date(&self) -> Option<&Snapshot> {
        self.is_current.then_some(&*self.book)
    }
}

/// Waits up to [`WAIT_TIMEOUT`] for the in-memory book to reach the database's version. On timeout
/// returns the stale book: the plan may be outdated, the publication is unaffected.
pub(super) async fn book_view(
    conn: &mut AsyncPgConnection,
    book: &LiveBook,
) -> Result<BookView, Problem> {
    let (latest, _) = reader::latest(conn).await?;
    let is_current = book.wait_for_version(latest, WAIT_TIMEOUT).await;
    Ok(BookView { book: book.snapshot().clone(), is_current })
}
