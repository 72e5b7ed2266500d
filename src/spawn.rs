//! Tokio tasks and blocking work. Both are boxed: the compiler then makes tokio's code of a task once for each type of
//! result, and not once for each call. That is a tenth of the code of the program, and of the time to build it.

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use futures_util::future::BoxFuture;

/// Runs `future` on a tokio task of its own, as [`tokio::spawn`] does.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let future: BoxFuture<'static, T> = Box::pin(future);
    tokio::spawn(future)
}

/// Runs `work` on a thread for blocking work, as [`tokio::task::spawn_blocking`] does.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    tokio::task::spawn_blocking(work)
}

/// Runs `future` as [`spawn`] does, on a tracker that waits for it.
pub fn spawn_tracked<T: Send + 'static>(tracker: &TaskTracker, future: impl Future<Output = T> + Send + 'static) {
    let future: BoxFuture<'static, T> = Box::pin(future);
    tracker.spawn(future);
}
