//! Background threads for long computations. On a thread that answers requests such a computation
//! would delay all its connections.

use rustix::process::setpriority_process;
use tokio::task::{JoinError, JoinHandle};

/// Niceness of background threads: on a contended core they get about a tenth of the time.
const NICENESS: i32 = 10;

/// Runs work on a background thread and waits for it. A panic of the work propagates to the caller.
pub async fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_background(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime shuts down, and the caller with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Starts work on a background thread.
pub fn spawn_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        lower_priority();
        work()
    })
}

/// Lowers the priority of the current thread below that of request threads. On Linux, niceness is a
/// property of the thread.
pub fn lower_priority() {
    if let Err(error) = setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "failed to lower the priority of a background thread");
    }
}
