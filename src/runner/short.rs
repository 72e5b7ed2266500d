//! Short tasks: taken many at a time a moment before they are due, and never begun before. What is due now goes before what
//! is overdue, such as after an outage, which is taken oldest first and at a bounded rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Runner;
use super::drive::Place;
use crate::store::{self, Moments};
use crate::task::{State, Task};

/// A task is taken so long before it is due: longer than the store takes to write that down.
const AHEAD: Duration = Duration::from_millis(25);

/// The time between two looks at the store, while there is always something due.
const PASS: Duration = Duration::from_millis(5);

/// What is due for longer is overdue: it yields to what is due now.
const OVERDUE: Duration = Duration::from_secs(1);

/// Tasks that are taken in one look: of those due now and of those overdue, each 12,800 a second at most.
const LOOKED_AT: usize = 64;

/// While clients wait for starts, they go first: then it is so many for each PASS since the look before.
const YIELDING: usize = 10;

/// The wait after a failure of the store.
const AWAY: Duration = Duration::from_millis(250);

/// Takes what is due at every moment, until the node ends.
pub(super) async fn keep(runner: Runner) {
    let inner = &runner.0;
    let mut before = Instant::now();
    while !inner.ending.is_cancelled() {
        let begin = Instant::now();
        // Never given up half-way: what it took is entered and runs.
        let next = pass(&runner, begin - before).await;
        before = begin;
        let rest = async {
            tokio::time::sleep_until(begin + PASS).await;
            match next {
                Ok(next) => inner.wakeups.short.sleep(&inner.clock, next, AHEAD).await,
                Err(error) => {
                    tracing::warn!(%error, "store unavailable; retrying to claim short tasks that are due");
                    tokio::time::sleep(AWAY).await;
                }
            }
            inner.lanes.until_room().await;
        };
        tokio::select! {
            () = inner.ending.cancelled() => {}
            () = rest => {}
        }
    }
}

/// Takes what there is room for; answers when the next look is due.
async fn pass(runner: &Runner, since: Duration) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    inner.wakeups.short.clear();
    let next = inner.store.next_short().await?;
    let now = inner.clock.now();
    let (overdue, ahead) = (now - OVERDUE, now + AHEAD);
    let Some(next) = next.filter(|next| *next <= ahead) else { return Ok(next) };
    let limit = limit(since, inner.store.is_starting());
    take(runner, now, Moments { after: overdue, until: ahead }, limit).await?;
    if next <= overdue {
        take(runner, now, Moments { after: Timestamp::MIN, until: overdue }, limit).await?;
    }
    Ok(Some(now))
}

/// How many are taken after so long a time, while clients wait for starts or not.
fn limit(since: Duration, starting: bool) -> usize {
    let passes = usize::try_from(since.as_micros() / PASS.as_micros()).unwrap_or(LOOKED_AT);
    if starting { passes.max(1).saturating_mul(YIELDING).min(LOOKED_AT) } else { LOOKED_AT }
}

async fn take(runner: &Runner, now: Timestamp, moments: Moments, limit: usize) -> Result<(), store::Error> {
    let inner = &runner.0;
    let limit = limit.min(inner.lanes.room());
    if limit == 0 {
        return Ok(());
    }
    let rooms = Arc::new(Mutex::new(inner.lanes.rooms(now)));
    let choosing = Arc::clone(&rooms);
    let choose = move |task: &Task| {
        let (concurrency_key, due) =
            (task.concurrency_key.as_deref().unwrap_or_default(), task.due_since.or(task.due_at).unwrap_or(now));
        choosing.lock().unwrap_or_else(PoisonError::into_inner).choose(concurrency_key, due)
    };
    let node = &inner.settings.node;
    let found = inner.store.claim_short(node, now, moments, limit, choose).await?;
    inner.lanes.reserve(&rooms.lock().unwrap_or_else(PoisonError::into_inner));
    let taken = found.into_iter().filter(|task| task.state == State::Running).collect();
    runner
        .work_on(taken, |task| Place::Lane(inner.lanes.hold(task.concurrency_key.as_deref().unwrap_or_default())))
        .await
}
