//! Work that takes the processor for a while, away from the threads that answer requests: while
//! one of those computes, all whose connections it holds wait.

use rustix::process::setpriority_process;
use tokio::task::{JoinError, JoinHandle};

/// Niceness of background threads: where requests want the same processor, it gets a tenth.
const NICENESS: i32 = 10;

/// Does work on a background thread, and waits for it. If it panics, so does the caller.
pub async fn background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_background(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and with it the caller.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Starts work on a background thread.
pub fn spawn_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        stand_back();
        work()
    })
}

/// Lets requests go before all that this thread does from now on. On Linux a niceness is a
/// thread's own.
pub fn stand_back() {
    if let Err(error) = setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}
