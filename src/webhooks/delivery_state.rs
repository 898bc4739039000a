//! The state of deliveries.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;
use values::text_enum;

use crate::schema::webhook_deliveries;

text_enum! {
    /// The state of a delivery.
    DeliveryState {
        /// The next attempt is at `nextAttemptAt`.
        Pending = "PENDING",
        /// The receiver confirmed it.
        Succeeded = "SUCCEEDED",
        /// All attempts failed.
        Failed = "FAILED",
        /// The subscription was disabled before it succeeded.
        Canceled = "CANCELED",
    }
}

/// Cancels the pending deliveries of a locked subscription.
///
/// # Errors
/// If the database fails.
pub(super) async fn cancel_pending(
    conn: &mut AsyncPgConnection,
    subscription: Uuid,
) -> QueryResult<usize> {
    use webhook_deliveries as t;
    let pending = t::table
        .filter(t::subscription_id.eq(subscription))
        .filter(t::state.eq(DeliveryState::Pending));
    diesel::update(pending)
        .set((t::state.eq(DeliveryState::Canceled), t::next_attempt_at.eq(None::<DateTime<Utc>>)))
        .execute(conn)
        .await
}
