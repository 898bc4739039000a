//! Announces new versions of the price book to other systems.

use diesel::prelude::*;
use diesel_async::AsyncPgConnection;

use super::writer::Publication;
use crate::platform::outbox::{PublicationCreated, record};

/// Writes the event of a publication, in its transaction. The caller holds the lock of the book,
/// which comes before that of the events.
pub(super) async fn created(
    conn: &mut AsyncPgConnection,
    publication: &Publication,
) -> QueryResult<()> {
    let created = PublicationCreated {
        version: publication.version,
        kind: publication.kind.to_string(),
        campaign_number: publication.campaign_number.clone(),
        added: publication.added,
        changed: publication.changed,
        removed: publication.removed,
    };
    record(conn, &[created.into()]).await
}
