//! Notifications of the database (`LISTEN`). They only make pollers poll earlier: a notification
//! that is lost, or not delivered behind a pooler, is found by the next poll.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::StreamExt;

use super::pool::Pool;

/// The time without notifications after which the session is tested.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// The minimum delay between two attempts to listen.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// The maximum delay between two attempts to listen.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// A message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification<'a> {
    /// The session listens from now on. Earlier notifications may have been missed.
    Listening,
    /// A notification with its payload.
    Received(&'a str),
}

/// Passes the notifications of a channel to a function, for as long as the process lives. A lost
/// session is replaced.
pub async fn listen(pool: Pool, channel: &str, mut receive: impl FnMut(Notification<'_>)) {
    let mut delay = MIN_DELAY;
    loop {
        if let Ok(mut conn) = pool.listening_session().await
            && let listening = conn.batch_execute(&format!("LISTEN {channel}"))
            && let Ok(Ok(())) = tokio::time::timeout(SILENCE_TIMEOUT, listening).await
        {
            delay = MIN_DELAY;
            receive(Notification::Listening);
            receive_until_lost(&mut conn, &mut receive).await;
        }
        tokio::time::sleep(delay).await;
        delay = delay.saturating_mul(2).min(MAX_DELAY);
    }
}

/// Passes on notifications until the session is lost.
async fn receive_until_lost(
    conn: &mut AsyncPgConnection,
    receive: &mut impl FnMut(Notification<'_>),
) {
    loop {
        let received = {
            let mut notifications = std::pin::pin!(conn.notifications_stream());
            tokio::time::timeout(SILENCE_TIMEOUT, notifications.next()).await
        };
        match received {
            Ok(Some(Ok(notification))) => receive(Notification::Received(&notification.payload)),
            Ok(Some(Err(_)) | None) => return,
            // A host that disappeared sends nothing either, so the session is tested.
            Err(_) => {
                let test = conn.batch_execute("SELECT 1");
                match tokio::time::timeout(SILENCE_TIMEOUT, test).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        }
    }
}
