//! Calls that come at the same time are run together.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::lock::lock;
use crate::spawn::spawn;

use super::Error;

/// Maximum number of calls that are run together.
const GROUP: usize = 64;

/// Runs the calls that come during a run together in the next one. Clones share the calls.
pub struct GroupCommit<I, O>(Arc<Mutex<WaitingCalls<I, O>>>);

struct WaitingCalls<I, O> {
    calls: Vec<(I, oneshot::Sender<O>)>,
    /// True while a tokio task runs the calls.
    busy: bool,
}

impl<I, O> Clone for GroupCommit<I, O> {
    fn clone(&self) -> Self {
        GroupCommit(Arc::clone(&self.0))
    }
}

impl<I, O> Default for GroupCommit<I, O> {
    fn default() -> Self {
        GroupCommit(Arc::new(Mutex::new(WaitingCalls { calls: Vec::new(), busy: false })))
    }
}

impl<I: Send + 'static, O: Send + 'static> GroupCommit<I, O> {
    /// Runs `call`, perhaps together with others. `run` returns the outcomes in the order of the calls. None if it panicked.
    pub async fn call<R, F>(&self, call: I, run: R) -> Option<O>
    where
        R: Fn(Vec<I>) -> F + Send + 'static,
        F: Future<Output = Vec<O>> + Send,
    {
        let (done, answer) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting();
            waiting.calls.push((call, done));
            !std::mem::replace(&mut waiting.busy, true)
        };
        if first {
            let calls = self.clone();
            spawn(async move { calls.run_all(run).await });
        }
        answer.await.ok()
    }

    /// Returns true while calls are run or wait.
    pub fn is_busy(&self) -> bool {
        self.waiting().busy
    }

    async fn run_all<R, F>(self, run: R)
    where
        R: Fn(Vec<I>) -> F,
        F: Future<Output = Vec<O>>,
    {
        loop {
            // Callers that are ready now join the group.
            tokio::task::yield_now().await;
            let Some((calls, done)) = self.next() else { return };
            let answers = run(calls).await;
            for (done, answer) in done.into_iter().zip(answers) {
                // The caller may have been dropped.
                let _ = done.send(answer);
            }
        }
    }

    /// Takes the next group. None if no call waits; the next caller then runs its own.
    fn next(&self) -> Option<(Vec<I>, Vec<oneshot::Sender<O>>)> {
        let mut waiting = self.waiting();
        let group = waiting.calls.len().min(GROUP);
        waiting.busy = group > 0;
        (group > 0).then(|| waiting.calls.drain(..group).unzip())
    }

    /// Locks a list that stays consistent even if a holder of the lock panics.
    fn waiting(&self) -> MutexGuard<'_, WaitingCalls<I, O>> {
        lock(&self.0)
    }
}

/// Runs all calls in one transaction. If the database rejects it, runs each in its own, so that one call fails alone.
pub async fn all_or_each<I, O, F>(calls: Vec<I>, run: impl Fn(Vec<I>) -> F) -> Vec<Result<O, Error>>
where
    I: Clone,
    F: Future<Output = Result<Vec<Result<O, Error>>, Error>>,
{
    match run(calls.clone()).await {
        Ok(outcomes) => outcomes,
        Err(Error::Failed(_) | Error::Unstorable(_)) if calls.len() > 1 => {
            let mut outcomes = Vec::with_capacity(calls.len());
            for call in calls {
                let alone = run(vec![call]).await;
                outcomes.push(alone.and_then(|mut only| only.pop().unwrap_or_else(|| interrupted())));
            }
            outcomes
        }
        Err(error) => calls.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// The error of a call whose run panicked.
pub fn interrupted<T>() -> Result<T, Error> {
    Err(Error::Failed("a write was interrupted".to_owned()))
}
