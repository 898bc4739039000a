//! Deletion of records whose retention time is over.

use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::platform::db::pool::{PollError, Pool};
use crate::webhooks::deliveries;
use crate::{audit_log, idempotency, imports};

/// Interval between two deletions.
const DELETION_INTERVAL: Duration = Duration::from_secs(3_600);

/// Deletes expired idempotency records, audit entries, webhook deliveries and imports once an hour,
/// for as long as the process lives.
pub async fn run(pool: Pool, audit_retention: TimeDelta) {
    let mut tick = tokio::time::interval(DELETION_INTERVAL);
    loop {
        tick.tick().await;
        if let Err(error) = delete_expired(&pool, audit_retention).await {
            tracing::warn!(%error, "failed to delete expired records");
        }
    }
}

async fn delete_expired(pool: &Pool, audit_retention: TimeDelta) -> Result<(), PollError> {
    let mut conn = pool.get().await?;
    let now = Utc::now();
    idempotency::delete_expired(&mut conn, now).await?;
    audit_log::delete_expired(&mut conn, now, audit_retention).await?;
    imports::delete_expired(&mut conn, now).await?;
    deliveries::delete_expired(&mut conn, now).await?;
    Ok(())
}
