//! Logs each change of a task's state, on the node that made the change.

use crate::task::{Progress, State, StateChange, Task};

/// Logs these fields at a level that is known only at run time.
macro_rules! line {
    ($level:expr, $($fields:tt)*) => {
        match $level {
            LogLevel::Debug => tracing::debug!($($fields)*),
            LogLevel::Info => tracing::info!($($fields)*),
            LogLevel::Warn => tracing::warn!($($fields)*),
        }
    };
}

enum LogLevel {
    Debug,
    Info,
    Warn,
}

/// Logs a change of state that this node made.
pub fn log(node: &str, task: &Task, change: &StateChange) {
    // The reason of a failure is the text of its error.
    let error = task.error.as_ref().filter(|error| change.reason.as_ref() == Some(&error.message));
    let reason = change.reason.as_deref().filter(|_| error.is_none());
    let ran = task.started_at.map(|_| u64::try_from(task.progress.active.as_millis()).unwrap_or(u64::MAX));
    line!(
        level(task, change, error.is_some()),
        task = %task.id,
        kind = task.kind,
        state = %task.state,
        epoch = task.epoch,
        node,
        by = change.by,
        reason,
        error_code = error.map(|error| error.code.as_str()),
        error = error.map(|error| &*error.message),
        done = task.progress.done,
        duration_ms = ran,
        "{} {}",
        task.kind,
        describe(task, change)
    );
}

/// A short task logs its outcome itself, in one line. Its own transitions are logged at debug level.
fn level(task: &Task, change: &StateChange, failed: bool) -> LogLevel {
    let by_run = change.by.starts_with("node ") && !matches!(change.to, State::Paused | State::Terminated);
    match (change.from, change.to) {
        (from, _) if task.is_short() && (from.is_none() || by_run) => LogLevel::Debug,
        (Some(State::Running), State::Queued) if change.by == "system" => LogLevel::Warn,
        _ if failed => LogLevel::Warn,
        _ => LogLevel::Info,
    }
}

/// Returns the text that follows the task's kind.
fn describe(task: &Task, change: &StateChange) -> String {
    use State as S;
    let (done, by_system) = (amount(&task.progress), change.by == "system");
    let text = match (change.from, change.to) {
        (Some(from), to) if from == to => "updated",
        (None, S::Scheduled) => "scheduled",
        (None, _) => "created",
        (Some(S::Scheduled), S::Queued) => "is due",
        (Some(S::Pausing), S::Running) => "resumed before it had paused",
        (Some(S::Pausing), S::Finishing) => "finished before it had paused",
        (_, S::Running) if task.started_at == Some(change.at) => "started",
        (_, S::Running) => return format!("resumed at {done}"),
        (_, S::Pausing) => "pause requested",
        (_, S::Paused) if task.started_at.is_none() => "paused before it had started",
        (_, S::Paused) => return format!("paused at {done}"),
        (Some(S::Paused), S::Queued | S::Scheduled) if by_system => "pause expired; resuming",
        (Some(S::Paused | S::Failed), S::Queued | S::Scheduled) => "resume requested",
        (Some(S::Paused), S::Terminating) if by_system => "pause expired; terminating",
        (_, S::Terminating) => "termination requested",
        (_, S::Terminated) => "terminated",
        (_, S::Completed) => "completed",
        (_, S::Failed) => "failed",
        (_, S::Scheduled) => "attempt failed; retrying",
        (_, S::Queued) if by_system => "queued again: the lease of its node expired",
        (_, S::Queued) => return format!("released at {done}"),
        (_, S::Finishing) => "finished",
    };
    text.to_owned()
}

/// Formats an amount, such as `512,000 rows`.
fn amount(progress: &Progress) -> String {
    format!("{} {}", grouped(progress.done), progress.unit.as_str().to_lowercase())
}

/// Formats a number with a comma before each group of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::clock::Clock;
    use crate::task::change::End;
    use crate::task::{
        Author, Code, ControlRequest, NewTask, NodeIdentity, PauseExpiry, Retry, RetryPolicy, TaskError, Unit, Verb,
    };

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    const POLICY: RetryPolicy = RetryPolicy { backoff: std::time::Duration::ZERO, limit: 1 };

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (512_000, "512,000"), (12_345_678, "12,345,678")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }

    fn task(key: Option<&str>) -> Task {
        let new = NewTask { concurrency_key: key.map(str::to_owned), ..NewTask::new("import", "{}", Unit::Rows) };
        Task::new(Clock::test(AT).task_id(), new, AT)
    }

    fn node(name: &str) -> NodeIdentity {
        NodeIdentity { id: format!("id of {name}"), name: name.to_owned() }
    }

    fn later(seconds: i64) -> Timestamp {
        AT + SignedDuration::from_secs(seconds)
    }

    fn client() -> ControlRequest {
        ControlRequest::by(Author::caller("client"), later(2))
    }

    fn expiry(then: Verb) -> ControlRequest {
        ControlRequest { expiry: Some(PauseExpiry { at: later(3), then }), ..client() }
    }

    fn error() -> TaskError {
        TaskError::new(Code::Unavailable, "no answer")
    }

    type ChangeFn = fn(&mut Task) -> Result<Option<StateChange>, crate::task::Refusal>;

    const CLAIM: ChangeFn = |task| task.claim(&node("a"), later(1));
    const CLAIM_AGAIN: ChangeFn = |task| task.claim(&node("b"), later(9));
    const DUE: ChangeFn = |task| task.process_due(later(4));
    const PAUSE: ChangeFn = |task| task.control(Verb::Pause, &client());
    const RESUME: ChangeFn = |task| task.control(Verb::Resume, &client());
    const TERMINATE: ChangeFn = |task| task.control(Verb::Terminate, &client());
    const RELEASE: ChangeFn = |task| task.end(End::Release, &ControlRequest::by(Author::node("a"), later(3)));
    const RETRY: ChangeFn = |task| {
        task.end(End::Retry(error(), Retry::At(later(4)), POLICY), &ControlRequest::by(Author::node("a"), later(3)))
    };
    const FAIL: ChangeFn = |task| task.end(End::Fail(error()), &ControlRequest::by(Author::node("a"), later(3)));
    const DONE: ChangeFn = |task| task.end(End::Done, &ControlRequest::by(Author::node("a"), later(3)));
    const EXPIRE: ChangeFn =
        |task| task.lease_expired(9, &ControlRequest::by(Author::system(), later(3)).with_reason("node a fell silent"));

    #[test]
    fn each_transition_says_what_happened() {
        let cases: [(&[ChangeFn], &str); 17] = [
            (&[CLAIM], "started"),
            (&[PAUSE], "paused before it had started"),
            (&[CLAIM, PAUSE], "pause requested"),
            (&[CLAIM, PAUSE, RELEASE], "paused at 0 rows"),
            (&[CLAIM, PAUSE, RESUME], "resumed before it had paused"),
            (&[CLAIM, PAUSE, RELEASE, RESUME], "resume requested"),
            (&[CLAIM, PAUSE, RELEASE, RESUME, CLAIM_AGAIN], "resumed at 0 rows"),
            (&[|task| task.control(Verb::Pause, &expiry(Verb::Resume)), DUE], "pause expired; resuming"),
            (&[|task| task.control(Verb::Pause, &expiry(Verb::Terminate)), DUE], "pause expired; terminating"),
            (&[CLAIM, TERMINATE], "termination requested"),
            (&[CLAIM, RELEASE], "released at 0 rows"),
            (&[CLAIM, EXPIRE], "queued again: the lease of its node expired"),
            (&[CLAIM, RETRY], "attempt failed; retrying"),
            (&[CLAIM, RETRY, DUE], "is due"),
            (&[CLAIM, FAIL], "failed"),
            (&[CLAIM, FAIL, RESUME], "resume requested"),
            (&[CLAIM, DONE], "completed"),
        ];
        for (steps, expected) in cases {
            let mut task = task(None);
            let changes: Vec<_> = steps.iter().map(|step| step(&mut task).unwrap()).collect();
            let last = changes.into_iter().next_back().flatten().unwrap();
            assert_eq!(describe(&task, &last), expected);
        }
    }

    #[test]
    fn a_short_task_writes_only_what_others_did_to_it() {
        let cases: [(&[ChangeFn], bool); 5] = [
            (&[CLAIM], false),
            (&[CLAIM, DONE], false),
            (&[PAUSE], true),
            (&[TERMINATE], true),
            (&[CLAIM, EXPIRE], true),
        ];
        for (steps, written) in cases {
            let mut task = task(Some("example.com"));
            let changes: Vec<_> = steps.iter().map(|step| step(&mut task).unwrap()).collect();
            let last = changes.into_iter().next_back().flatten().unwrap();
            assert_eq!(!matches!(level(&task, &last, false), LogLevel::Debug), written, "{}", describe(&task, &last));
        }
    }
}
