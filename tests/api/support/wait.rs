//! Bounded waits.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Maximum wait of a test for an expected event. It is generous, because it only decides when a
/// failing test gives up.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Pause between two checks of a condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Awaits a future, and panics with the expectation after [`TEST_TIMEOUT`].
pub async fn in_time<T>(expectation: &str, future: impl Future<Output = T>) -> T {
    timeout(TEST_TIMEOUT, future)
        .await
        .unwrap_or_else(|_| panic!("after {TEST_TIMEOUT:?} still not true: {expectation}"))
}

/// Waits until the condition holds, and panics with the expectation after [`TEST_TIMEOUT`].
pub async fn eventually(expectation: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            sleep(CHECK_INTERVAL).await;
        }
    };
    in_time(expectation, holds).await;
}
