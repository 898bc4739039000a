//! The copy of the book in memory, as new as the database: what plans are reckoned with.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;

use crate::platform::http::problem::Problem;
use crate::publication::live::LiveBook;
use crate::publication::reader;
use crate::publication::snapshot::Snapshot;

/// How long an activation or a plan waits for the copy in memory to be as new as the database,
/// before it reckons with it.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The copy in memory, as plans are reckoned with it.
#[derive(Clone)]
pub(super) struct BookView {
    pub book: Arc<Snapshot>,
    /// Whether it holds what the database did when it was asked.
    pub is_current: bool,
}

impl BookView {
    /// The copy, where the database can be spared a question.
    pub(super) fn up_to_date(&self) -> Option<&Snapshot> {
        self.is_current.then_some(&*self.book)
    }
}

/// The copy in memory once it holds what the database does. If that does not come in time the plan
/// is of an older book; what is published does not depend on it.
pub(super) async fn book_view(
    conn: &mut AsyncPgConnection,
    book: &LiveBook,
) -> Result<BookView, Problem> {
    let is_current = book.wait_for_version(reader::latest(conn).await?, WAIT_TIMEOUT).await;
    Ok(BookView { book: book.snapshot().clone(), is_current })
}
