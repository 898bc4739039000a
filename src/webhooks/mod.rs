//! Webhooks: events are sent to the URLs of subscriptions, at least once, signed by the scheme of
//! [Standard Webhooks](https://www.standardwebhooks.com).
//!
//! The database makes a delivery for each subscription in the transaction that writes an event.
//! Every replica runs a [`sender`], which takes due deliveries with a lease.
//!
//! ```text
//! secret.rs         secrets of subscriptions, and signatures
//! schedule.rs       the times of the attempts
//! networks.rs       the addresses that may be connected to
//! client.rs         one attempt over HTTP
//! delivery_state.rs the state of deliveries
//! subscriptions.rs  `/v1/webhook-subscriptions`
//! deliveries.rs     the deliveries of a subscription: their list, tests, and further attempts
//! sender.rs         the background task that sends
//! ```

pub mod client;
pub mod deliveries;
pub mod delivery_state;
pub mod networks;
pub mod schedule;
pub mod secret;
pub mod sender;
pub mod subscriptions;

use crate::platform::http::routes::Routes;

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    subscriptions::mount(routes);
    deliveries::mount(routes);
}
