//! Tokio tasks and blocking work. Both are boxed, with their results: the compiler then makes tokio's code of a task once, and not
//! once for each call. That is a tenth of the code of the program, and of the time to build it.

use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

/// Result of any type.
type AnyResult = Box<dyn Any + Send>;

/// Handle of spawned work, as [`tokio::task::JoinHandle`]. The work continues if the handle is dropped.
#[derive(Debug)]
pub struct JoinHandle<T> {
    task: tokio::task::JoinHandle<AnyResult>,
    result: PhantomData<fn() -> T>,
}

impl<T> JoinHandle<T> {
    fn new(task: tokio::task::JoinHandle<AnyResult>) -> Self {
        JoinHandle { task, result: PhantomData }
    }

    /// Aborts the work at its next await. Blocking work is aborted only before it begins.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Returns true if the work has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.task).poll(context));
        Poll::Ready(ended.map(|result| *result.downcast().expect("the work returns a T")))
    }
}

/// The same for work that is aborted if the handle is dropped.
#[derive(Debug)]
pub struct AbortOnDropHandle<T>(JoinHandle<T>);

impl<T> AbortOnDropHandle<T> {
    /// Returns a handle that aborts the work of `handle` if it is dropped.
    pub fn new(handle: JoinHandle<T>) -> Self {
        AbortOnDropHandle(handle)
    }
}

impl<T> Drop for AbortOnDropHandle<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: 'static> Future for AbortOnDropHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// Runs `future` on a tokio task of its own, as [`tokio::spawn`] does.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let future: BoxFuture<'static, AnyResult> = Box::pin(async { Box::new(future.await) as AnyResult });
    JoinHandle::new(tokio::spawn(future))
}

/// Runs `work` on a thread for blocking work, as [`tokio::task::spawn_blocking`] does.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let work: Box<dyn FnOnce() -> AnyResult + Send> = Box::new(|| Box::new(work()));
    JoinHandle::new(tokio::task::spawn_blocking(work))
}

/// Runs `future` as [`spawn`] does, on a tracker that waits for it.
pub fn spawn_tracked(tracker: &TaskTracker, future: impl Future<Output: Send> + Send + 'static) {
    let future: BoxFuture<'static, ()> = Box::pin(async { drop(future.await) });
    tracker.spawn(future);
}
