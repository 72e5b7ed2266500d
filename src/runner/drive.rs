//! A claimed task's way: run, publish, undo, until this node holds it no more.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;
use tracing::field::Empty;

use super::kind::{Failure, Kind, Retry, Stop};
use super::lanes::{Held, Turn};
use super::registry::Signal;
use super::{Context, Runner};
use crate::spans;
use crate::store;
use crate::task::change::{End, NextAttempt};
use crate::task::{Code, ControlRequest, Refusal, ResultFile, State, Task};

/// The wait between two tries while the store is away.
const AWAY: Duration = Duration::from_millis(250);

/// The longest delay before another attempt.
const LONGEST: Duration = Duration::from_secs(3600);

/// The same for a task that waits until a service is available again.
const BACK: Duration = Duration::from_secs(30);

/// A warning about a task that this node runs.
macro_rules! warn {
    ($runner:expr, $task:expr, $($text:tt)*) => {
        tracing::warn!(
            task = %$task.id,
            kind = $task.kind,
            state = %$task.state,
            epoch = $task.epoch,
            node = $runner.0.settings.node,
            $($text)*
        )
    };
}

type Outcome = Result<Option<ResultFile>, Stop>;

/// What a run takes up on this node.
pub(super) enum Place {
    /// Nothing: it ends what another run began.
    None,
    /// A slot.
    Slot(OwnedSemaphorePermit),
    /// A place in a lane.
    Lane(Held),
}

/// Drives `task`, which this node has claimed and entered, as far as it goes, in a span that is linked to its start.
pub(super) async fn drive(runner: Runner, task: Arc<Task>, place: Place, signal: watch::Receiver<Signal>) {
    let span = tracing::info_span!(
        target: spans::TARGET,
        parent: None,
        "run",
        otel.name = format_args!("run {}", task.kind),
        otel.status_code = Empty,
        task.id = %task.id,
        task.kind = task.kind,
        task.epoch = task.epoch,
        task.outcome = Empty,
    );
    if let Some(start) = &task.trace_parent {
        spans::link(&span, start);
    }
    let outcome = work(runner, task, place, signal).instrument(span.clone()).await;
    span.record("task.outcome", outcome.map_or("LEASE_LOST", |state| state.shown().as_str()));
    if matches!(outcome, None | Some(State::Failed)) {
        span.record("otel.status_code", "ERROR");
    }
}

/// Returns the task's last state that this run wrote or found. None if it lost its lease.
async fn work(runner: Runner, task: Arc<Task>, place: Place, signal: watch::Receiver<Signal>) -> Option<State> {
    let context = runner.context(&task, signal);
    let claimed = Arc::clone(&task);
    let (mut task, mut outcome) = (task, None);
    while let Some(end) = stage(&runner, &context, &place, &task).await {
        let concluded = conclude(&runner, &context, &task, end).await;
        outcome = concluded.as_ref().map(|task| task.state);
        match concluded {
            Some(next) if next.owner == task.owner && next.epoch == task.epoch => task = next,
            _ => break,
        }
    }
    context.quiet().await;
    runner.0.registry.leave(&claimed);
    if let Place::Slot(permit) = place {
        drop(permit);
        runner.0.wakeups.work.notify_one();
    }
    outcome
}

/// What the task's state asks for, and how that ended. None where nothing more may be written.
async fn stage(runner: &Runner, context: &Context, place: &Place, task: &Arc<Task>) -> Option<End> {
    let Some(kind) = runner.kind(&task.kind) else {
        let failure =
            Failure::permanent(Code::Internal, format!("this server knows no kind of task named {:?}", task.kind));
        let runs = task.state == State::Running;
        return Some(if runs { End::Fail(failure.into()) } else { retry(runner, task, failure) });
    };
    match task.state {
        State::Running => run(runner, kind, context, place, task).await,
        State::Finishing => match guarded(kind, context, Step::Publish(task.result.clone())).await {
            Ok(()) => Some(End::Complete),
            Err(failure) if failure.retry == Retry::Never => fail(runner, kind, context, task, failure).await,
            Err(failure) => Some(retry(runner, task, failure)),
        },
        State::Pausing => Some(match guarded(kind, context, Step::Reconcile).await {
            Ok(()) => End::Release,
            Err(failure) => failed(runner, task, failure),
        }),
        State::Terminating => match roll_back(runner, kind, context, task, Step::Undo).await? {
            Ok(()) => Some(End::RolledBack),
            Err(failure) => Some(retry(runner, task, failure)),
        },
        _ => None,
    }
}

async fn run(runner: &Runner, kind: &Arc<dyn Kind>, context: &Context, place: &Place, task: &Arc<Task>) -> Option<End> {
    let turn = match place {
        Place::Lane(held) => turn(runner, context, held, task).await,
        Place::Slot(_) | Place::None => Ok(None),
    };
    let _turn = match turn {
        Ok(turn) => turn,
        Err(stop) => return stopped(runner, kind, context, task, stop).await,
    };
    let handle = {
        let (kind, context) = (Arc::clone(kind), context.clone());
        tokio::spawn(async move { kind.run(&context).await }.in_current_span())
    };
    runner.0.registry.attach(task, handle.abort_handle());
    let outcome = outcome(runner, context, task, handle).await;
    context.quiet().await;
    match outcome {
        Ok(_) if task.is_short() => Some(End::Done),
        Ok(result) => Some(End::Finish(result)),
        Err(stop) => stopped(runner, kind, context, task, stop).await,
    }
}

/// A run that ended without a result.
async fn stopped(
    runner: &Runner,
    kind: &Arc<dyn Kind>,
    context: &Context,
    task: &Arc<Task>,
    stop: Stop,
) -> Option<End> {
    match stop {
        Stop::Interrupted => Some(End::Release),
        Stop::LeaseLost => {
            runner.0.metrics.run_lost();
            warn!(runner, task, "lease lost; stopping the run without further writes");
            None
        }
        Stop::Failed(failure) if failure.retry == Retry::Never => fail(runner, kind, context, task, failure).await,
        Stop::Failed(failure) => Some(failed(runner, task, failure)),
    }
}

/// Waits until a short task is due, never less, and then for its turn.
async fn turn(runner: &Runner, context: &Context, held: &Held, task: &Task) -> Result<Option<Turn>, Stop> {
    let waiting = async {
        if let Some(due) = task.due_at {
            runner.0.clock.sleep_until(due).await;
        }
        held.turn().await
    };
    tokio::select! {
        biased;
        stop = context.stopped() => Err(stop),
        turn = waiting => Ok(turn),
    }
}

/// Waits for the run; aborts one that was asked to stop and does not.
async fn outcome(runner: &Runner, context: &Context, task: &Task, mut handle: JoinHandle<Outcome>) -> Outcome {
    loop {
        tokio::select! {
            joined = &mut handle => return joined.unwrap_or_else(broken),
            _ = context.stopped() => {}
        }
        let aborted_at = context.aborted_at(runner.0.settings.stop_patience);
        if let Ok(joined) = tokio::time::timeout_at(aborted_at, &mut handle).await {
            return joined.unwrap_or_else(broken);
        }
        if context.stop_requested() {
            let patience_ms = u64::try_from(runner.0.settings.stop_patience.as_millis()).unwrap_or(u64::MAX);
            warn!(runner, task, patience_ms, "run did not stop in time; aborting it");
            runner.0.registry.abort(task);
        }
    }
}

fn broken(error: JoinError) -> Outcome {
    match error.try_into_panic() {
        Ok(panic) => Err(Failure::internal(format!("the run panicked: {}", panic_text(&*panic))).into()),
        Err(_) => Err(Stop::Interrupted),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// One of the kind's ends.
enum Step {
    Publish(Option<ResultFile>),
    Reconcile,
    Undo,
    Fail,
}

/// Takes the step on a tokio task of its own, so that a panic in it is an error like any other.
async fn guarded(kind: &Arc<dyn Kind>, context: &Context, step: Step) -> Result<(), Failure> {
    let (kind, context) = (Arc::clone(kind), context.clone());
    let taken = async move {
        match step {
            Step::Publish(result) => kind.publish(&context, result.as_ref()).await,
            Step::Reconcile => kind.reconcile(&context).await,
            Step::Undo => kind.rollback(&context).await,
            Step::Fail => kind.fail(&context).await,
        }
    };
    let taken = tokio::spawn(taken.in_current_span());
    taken.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => Err(Failure::internal(format!("it panicked: {}", panic_text(&*panic)))),
        Err(_) => Err(Failure::internal("it was aborted")),
    })
}

/// A failure that no try would mend: what was written is undone before FAILED is said.
async fn fail(runner: &Runner, kind: &Arc<dyn Kind>, context: &Context, task: &Task, failure: Failure) -> Option<End> {
    match roll_back(runner, kind, context, task, Step::Fail).await? {
        Ok(()) => Some(End::Fail(failure.into())),
        Err(undo) => Some(retry(runner, task, undo)),
    }
}

/// Takes away what the task wrote. None if a newer run holds the task: files carry no epoch, so its files would be deleted.
async fn roll_back(
    runner: &Runner,
    kind: &Arc<dyn Kind>,
    context: &Context,
    task: &Task,
    step: Step,
) -> Option<Result<(), Failure>> {
    loop {
        match runner.0.store.get(task.id).await {
            Ok(Some(now)) if now.epoch == task.epoch && now.owner == task.owner => break,
            Ok(_) => {
                runner.0.metrics.run_lost();
                warn!(runner, task, "lease lost; stopping the run without rolling back");
                return None;
            }
            Err(error) => wait_out(runner, task, &error).await,
        }
    }
    Some(guarded(kind, context, step).await)
}

/// Another attempt, or FAILED after too many in a row: that is decided on the task as it is when this end is written.
fn failed(runner: &Runner, task: &Task, failure: Failure) -> End {
    match failure.retry {
        Retry::Never => End::Fail(failure.into()),
        Retry::Limited => {
            let next = backoff(runner, LONGEST, Some(runner.0.settings.retry_limit));
            End::Retry(failure.into(), next)
        }
        Retry::UntilAvailable | Retry::At(_) => retry(runner, task, failure),
    }
}

fn backoff(runner: &Runner, longest: Duration, limit: Option<u32>) -> NextAttempt {
    NextAttempt::Backoff { first: runner.0.settings.retry_backoff, longest, limit }
}

/// Another attempt, however many failed.
fn retry(runner: &Runner, task: &Task, failure: Failure) -> End {
    // Where the state changes, the line of that transition has the error.
    match task.state {
        State::Finishing => warn!(runner, task, error = failure.to_string(), "publishing failed; retrying"),
        State::Terminating => warn!(runner, task, error = failure.to_string(), "rollback failed; retrying"),
        _ => {}
    }
    let next = match failure.retry {
        Retry::At(due) => NextAttempt::At(due),
        Retry::UntilAvailable => backoff(runner, BACK, None),
        Retry::Never | Retry::Limited => backoff(runner, LONGEST, None),
    };
    End::Retry(failure.into(), next)
}

/// Writes the end down, however long the store is away. None where this run has no say any more.
async fn conclude(runner: &Runner, context: &Context, task: &Arc<Task>, end: End) -> Option<Arc<Task>> {
    let inner = &runner.0;
    loop {
        let ask = ControlRequest::by(format!("node {}", inner.settings.node), inner.clock.now());
        let ask = if inner.ending.is_cancelled() { ask.with_reason("the node shuts down") } else { ask };
        match inner.store.end(task, context.last(), end.clone(), ask).await {
            Ok(task) => {
                context.committed(&task);
                return Some(task);
            }
            // Its state changed as the run ended: the new state says what is to be done.
            Err(store::Error::Refused(Refusal::Illegal(_))) => match inner.store.get(context.id()).await {
                Ok(task) => return task,
                Err(error) => wait_out(runner, task, &error).await,
            },
            Err(error) if error.is_lease_lost() => {
                inner.metrics.run_lost();
                return None;
            }
            Err(error) => wait_out(runner, task, &error).await,
        }
    }
}

async fn wait_out(runner: &Runner, task: &Task, error: &store::Error) {
    warn!(runner, task, %error, "store unavailable; retrying to record the end of the run");
    tokio::time::sleep(AWAY).await;
}
