//! Notices a database server that is frozen, vanished or replaced by another one.
//!
//! A statement on a frozen server has no end: the limits of a session are enforced by the server,
//! and its host acknowledges what was sent. So a query on a session of its own is repeated. When it
//! stays unanswered, another session is opened, on any host of the URL. If the server behind that
//! session is another one, all earlier sessions end, and so do they after a long silence of all
//! hosts. Requests that wait on them are refused, and later ones use the server that answers.

use std::time::Duration;

use diesel::QueryResult;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::time::{Instant, sleep, timeout};

use super::session::Connector;

/// Interval of the query.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Timeout of the query.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Pause between two attempts to open a session.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// The silence of all hosts after which the sessions end.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// Returns a text that differs between servers, and between two runs of a server. A server with
/// several addresses has one.
async fn identity(conn: &mut AsyncPgConnection) -> QueryResult<String> {
    let query = diesel::dsl::sql::<Text>("pg_postmaster_start_time()::text");
    diesel::select(query).get_result(conn).await
}

/// Watches the server until the process ends.
pub(super) async fn watch(connector: Connector) {
    let (mut probe, mut known) = (None, None::<String>);
    let (mut answered_at, mut has_ended) = (Instant::now(), false);
    loop {
        let conn = match probe.take() {
            Some(conn) => Some(conn),
            None => connector.session().await.ok(),
        };
        let answered = match conn {
            Some(mut conn) => match timeout(PROBE_TIMEOUT, identity(&mut conn)).await {
                Ok(Ok(server)) => Some((conn, server)),
                Ok(Err(_)) | Err(_) => None,
            },
            None => None,
        };
        if let Some((conn, server)) = answered {
            if known.as_ref().is_some_and(|known| *known != server) {
                tracing::warn!("another database server answers; sessions of the earlier one end");
                // The probe's own session ends too, and is opened again.
                connector.end_sessions();
            }
            (answered_at, has_ended) = (Instant::now(), false);
            (probe, known) = (Some(conn), Some(server));
            sleep(PROBE_INTERVAL).await;
        } else {
            if known.is_some() && !has_ended && answered_at.elapsed() > MAX_SILENCE {
                tracing::warn!("the database server is silent; its sessions end");
                connector.end_sessions();
                has_ended = true;
            }
            sleep(RETRY_INTERVAL).await;
        }
    }
}
