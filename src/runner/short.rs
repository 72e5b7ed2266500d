//! Claims short tasks: many at once, shortly before they are due. Tasks that are due now go before overdue ones, such as
//! after an outage, which are claimed oldest first and at a limited rate.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Runner;
use super::drive::RunPermit;
use crate::database::log_failure;
use crate::lock::lock;
use crate::retry::until_available;
use crate::store::{self, DueWindow};
use crate::task::{State, Task};

/// Time before its due time at which a task is claimed: longer than the store takes to write the claim.
const AHEAD: Duration = Duration::from_millis(25);

/// Time between two claims while tasks are due all the time.
const CLAIM_INTERVAL: Duration = Duration::from_millis(5);

/// A task that has been due for longer is overdue: tasks that are due now go first.
const OVERDUE: Duration = Duration::from_secs(1);

/// Maximum number of tasks in one claim, of due and of overdue ones each: at most 12,800 a second.
const CLAIM_LIMIT: usize = 64;

/// The same for each CLAIM_INTERVAL since the last claim, while clients wait for starts: those go first.
const YIELDING_LIMIT: usize = 10;

/// Claims short tasks when they are due, until the node shuts down.
pub(super) async fn run_short_task_loop(runner: Runner) {
    let inner = &runner.0;
    let mut last = Instant::now();
    while !inner.ending.is_cancelled() {
        let begin = Instant::now();
        // Not raced against the shutdown: each claimed task is registered and runs.
        let next = until_available(
            || claim_due(&runner, begin - last),
            |error| {
                inner.unanswered_claims.notify_one();
                log_failure!(error, %error, "store unavailable; retrying to claim short tasks that are due");
            },
        )
        .await;
        last = begin;
        let sleep = async {
            tokio::time::sleep_until(begin + CLAIM_INTERVAL).await;
            inner.wakeups.short.sleep(&inner.clock, next, AHEAD).await;
            inner.reservations.wait_until_free().await;
        };
        tokio::select! {
            () = inner.ending.cancelled() => {}
            () = sleep => {}
        }
    }
}

/// Claims tasks that are due, as far as reservations are free, unless the node shuts down. Returns when the next claim is
/// due.
async fn claim_due(runner: &Runner, since_last: Duration) -> Result<Option<Timestamp>, store::Error> {
    let inner = &runner.0;
    if inner.ending.is_cancelled() {
        return Ok(None);
    }
    let _claims = inner.claims.read().await;
    inner.wakeups.short.clear();
    let next = inner.store.next_short(&inner.claimant).await?;
    let now = inner.clock.now();
    let (overdue, ahead) = (now - OVERDUE, now + AHEAD);
    let Some(next) = next.filter(|next| *next <= ahead) else { return Ok(next) };
    let limit = claim_limit(since_last, inner.store.is_starting());
    claim_some(runner, now, DueWindow { after: overdue, until: ahead }, limit).await?;
    if next <= overdue {
        claim_some(runner, now, DueWindow { after: Timestamp::MIN, until: overdue }, limit).await?;
    }
    Ok(Some(now))
}

fn claim_limit(since_last: Duration, clients_wait: bool) -> usize {
    if !clients_wait {
        return CLAIM_LIMIT;
    }
    let intervals = usize::try_from(since_last.as_micros() / CLAIM_INTERVAL.as_micros()).unwrap_or(CLAIM_LIMIT);
    intervals.max(1).saturating_mul(YIELDING_LIMIT).min(CLAIM_LIMIT)
}

async fn claim_some(runner: &Runner, now: Timestamp, due: DueWindow, limit: usize) -> Result<(), store::Error> {
    let inner = &runner.0;
    let limit = limit.min(inner.reservations.free());
    if limit == 0 {
        return Ok(());
    }
    let capacity = Arc::new(Mutex::new(inner.reservations.capacity(now)));
    let shared = Arc::clone(&capacity);
    let choose = move |task: &Task| {
        let due = task.due_since.or(task.due_at).unwrap_or(now);
        lock(&shared).choose(key_of(task), due)
    };
    let lease = inner.lease.current();
    let found = inner.store.claim_short(&inner.claimant, now, due, limit, choose).await?;
    inner.reservations.record_deferrals(&lock(&capacity));
    let claimed = found.into_iter().filter(|task| task.state == State::Running).collect();
    runner.start_runs(claimed, &lease, |task| RunPermit::Short(inner.reservations.reserve(key_of(task)))).await
}

/// Returns the concurrency key of a short task.
pub(super) fn key_of(task: &Task) -> &str {
    task.concurrency_key.as_deref().unwrap_or_default()
}
