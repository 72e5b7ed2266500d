//! Work of a run on other threads and tokio tasks. The task becomes PAUSED or TERMINATED only after all of it has ended.

use tokio::sync::oneshot;

use crate::spawn::{spawn, spawn_blocking};

use super::super::kind::Failure;
use super::Context;

impl Context {
    /// Runs blocking work on a thread apart from those that serve clients. The task is not PAUSED or TERMINATED before `work`
    /// returns: long work checks [`Context::stop_requested`].
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let token = self.0.threads.token();
        let handle = spawn_blocking(move || {
            let _token = token;
            work()
        });
        handle.await.map_err(|error| Failure::internal(format!("A thread of the task failed: {error}.")))
    }

    /// Runs `work` to its end on a tokio task of its own, even if the run is aborted meanwhile. As with [`Context::blocking`],
    /// the task is not PAUSED or TERMINATED before. For what must not stop half-way or would continue after an abort, such as
    /// writes to files. Long work observes [`Context::stopped`].
    pub async fn uninterrupted<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failure> {
        let token = self.0.threads.token();
        // Dropped with the value, and after it.
        let handle = spawn(async move { (work.await, token) });
        let ended = handle.await.map_err(|error| Failure::internal(format!("A part of the run failed: {error}.")))?;
        Ok(ended.0)
    }

    /// Computes on the run's own threads of low priority, one for each core. Calls of rayon inside `work` use all of them. As
    /// with [`Context::blocking`], long work checks [`Context::stop_requested`].
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let token = self.0.threads.token();
        self.0.pool.spawn(move || {
            let _token = token;
            // The receiver may have been dropped.
            let _ = sender.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
        });
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Failure::internal("The computation panicked.")),
            Err(_) => Err(Failure::internal("The computing threads have ended.")),
        }
    }

    /// Waits until no thread works for the run any more.
    pub(in super::super) async fn wait_for_threads(&self) {
        self.0.threads.close();
        self.0.threads.wait().await;
    }
}
