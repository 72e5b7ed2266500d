//! Doing together what many callers ask for at the same time.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Error;

/// Calls that are done together at most.
const GROUP: usize = 64;

/// Calls that come while one is under way wait for it and are then done together. Clones share them.
pub struct Together<I, O>(Arc<Mutex<Waiting<I, O>>>);

struct Waiting<I, O> {
    calls: Vec<(I, oneshot::Sender<O>)>,
    /// Somebody works them off.
    busy: bool,
}

impl<I, O> Clone for Together<I, O> {
    fn clone(&self) -> Self {
        Together(Arc::clone(&self.0))
    }
}

impl<I, O> Default for Together<I, O> {
    fn default() -> Self {
        Together(Arc::new(Mutex::new(Waiting { calls: Vec::new(), busy: false })))
    }
}

impl<I: Send + 'static, O: Send + 'static> Together<I, O> {
    /// Does `call` by `run`, perhaps together with those of others: it answers each in their order. None where it broke off.
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
            tokio::spawn(async move { calls.work_off(run).await });
        }
        answer.await.ok()
    }

    /// Calls are under way.
    pub fn is_busy(&self) -> bool {
        self.waiting().busy
    }

    async fn work_off<R, F>(self, run: R)
    where
        R: Fn(Vec<I>) -> F,
        F: Future<Output = Vec<O>>,
    {
        loop {
            // Those that are ready to call now come along.
            tokio::task::yield_now().await;
            let Some((calls, done)) = self.next() else { return };
            let answers = run(calls).await;
            for (done, answer) in done.into_iter().zip(answers) {
                // A caller that has gone away wants no answer.
                let _ = done.send(answer);
            }
        }
    }

    /// The next group; none where nobody waits, and the next caller works off its own.
    fn next(&self) -> Option<(Vec<I>, Vec<oneshot::Sender<O>>)> {
        let mut waiting = self.waiting();
        let group = waiting.calls.len().min(GROUP);
        waiting.busy = group > 0;
        (group > 0).then(|| waiting.calls.drain(..group).unzip())
    }

    /// A panic while it was locked leaves a whole list.
    fn waiting(&self) -> MutexGuard<'_, Waiting<I, O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All in one transaction; where the database throws that out, each in one of its own, so that one fails alone.
pub async fn all_or_each<I, O, F>(calls: Vec<I>, run: impl Fn(Vec<I>) -> F) -> Vec<Result<O, Error>>
where
    I: Clone,
    F: Future<Output = Result<Vec<Result<O, Error>>, Error>>,
{
    match run(calls.clone()).await {
        Ok(outcomes) => outcomes,
        Err(Error::Failed(_)) if calls.len() > 1 => {
            let mut outcomes = Vec::with_capacity(calls.len());
            for call in calls {
                let alone = run(vec![call]).await;
                outcomes.push(alone.and_then(|mut only| only.pop().unwrap_or_else(|| broke_off())));
            }
            outcomes
        }
        Err(error) => calls.iter().map(|_| Err(error.clone())).collect(),
    }
}

/// A call that came to no end.
pub fn broke_off<T>() -> Result<T, Error> {
    Err(Error::Failed("a write broke off".to_owned()))
}
