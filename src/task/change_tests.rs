//! Retries: what counts as a failure, and what resets the counts.

use super::*;
use crate::clock::Clock;
use crate::task::{Code, Unit};

const POLICY: RetryPolicy = RetryPolicy { backoff: Duration::from_secs(1), limit: 2 };

/// A task and what happens to it, hour after hour.
struct Life {
    task: Task,
    hour: i64,
}

impl Life {
    fn begin() -> Life {
        let id = Clock::test(Timestamp::UNIX_EPOCH).task_id();
        let task = Task::new(id, NewTask::new("counting", "{}", Unit::Rows), Timestamp::UNIX_EPOCH);
        Life { task, hour: 0 }
    }

    fn request(&mut self) -> ControlRequest {
        self.hour += 1;
        ControlRequest::by(Author::node("a"), Timestamp::from_second(self.hour * 3600).unwrap())
    }

    /// Claims the task, lets the run report `done`, and ends it by a retry of that kind.
    fn run(&mut self, done: u64, retry: Retry) {
        self.try_run(done, retry).unwrap();
    }

    /// The same for an end that may be refused.
    fn try_run(&mut self, done: u64, retry: Retry) -> Result<(), Refusal> {
        let at = self.request().at;
        if self.task.state == State::Scheduled {
            self.task.process_due(at).unwrap();
        }
        self.task.claim(&NodeIdentity { id: "1".into(), name: "a".into() }, at).unwrap();
        let progress = Progress { done, ..self.task.progress.clone() };
        self.task.report(None, progress);
        let error = TaskError::new(Code::Unavailable, "a hiccup");
        let request = self.request();
        self.task.end(End::Retry(error, retry, POLICY), &request).map(|_| ())
    }

    fn counts(&self) -> (State, u32, u32, u32) {
        (self.task.state, self.task.attempt, self.task.failures, self.task.waits)
    }
}

#[test]
fn failures_with_progress_between_them_never_end_a_task() {
    let mut life = Life::begin();
    for hiccup in 1..=9 {
        life.run(hiccup, Retry::Limited);
        assert_eq!(life.counts(), (State::Scheduled, u32::try_from(hiccup).unwrap(), 1, 0));
    }
    assert_eq!(life.try_run(9, Retry::Limited), Err(Refusal::NoAttemptLeft), "the second in a row");
}

#[test]
fn a_run_that_cannot_be_repeated_leaves_a_terminated_task_to_the_rollback() {
    let mut life = Life::begin();
    life.run(0, Retry::Limited);
    let at = life.request().at;
    life.task.process_due(at).unwrap();
    life.task.claim(&NodeIdentity { id: "1".into(), name: "a".into() }, at).unwrap();
    let request = life.request();
    life.task.control(Verb::Terminate, &request).unwrap();
    let error = TaskError::new(Code::Unavailable, "a hiccup");
    life.task.end(End::Retry(error, Retry::Never, POLICY), &request).unwrap();
    assert_eq!(life.task.state, State::Terminating);
}

#[test]
fn a_wait_for_something_unavailable_is_no_failure() {
    let mut life = Life::begin();
    for waits in 1..=9 {
        life.run(0, Retry::UntilAvailable);
        assert_eq!(life.counts(), (State::Scheduled, 0, 0, waits));
    }
    let delay = |life: &Life| life.task.due_at.unwrap().as_second() - life.hour * 3600;
    assert_eq!(delay(&life), 30);
    life.run(0, Retry::Limited);
    assert_eq!((life.counts(), delay(&life)), ((State::Scheduled, 1, 1, 9), 1), "an outage and one hiccup");
    life.run(5, Retry::UntilAvailable);
    assert_eq!((life.counts(), delay(&life)), ((State::Scheduled, 1, 0, 1), 1), "progress resets both");
}

type Step = Box<dyn Fn(&mut Task) -> Result<Option<StateChange>, Refusal>>;

/// Returns the task without what reports change.
fn without_reports(task: &Task) -> Task {
    // The time of the last change orders lists. Clients do not see it.
    let updated_at = Life::begin().task.updated_at;
    let counts = Task { crashes: 0, failures: 0, waits: 0, cursor: None, updated_at, ..task.clone() };
    Task { progress: Life::begin().task.progress, ..counts }
}

/// Watchers at other nodes rely on it: to them, a report is the whole change.
#[test]
fn while_a_task_is_running_with_one_epoch_only_reports_change_it() {
    let mut life = Life::begin();
    life.run(1, Retry::Limited);
    let at = life.request().at;
    life.task.process_due(at).unwrap();
    life.task.claim(&NodeIdentity { id: "1".into(), name: "a".into() }, at).unwrap();
    let before = life.task.clone();
    assert_eq!((before.state, before.epoch, before.attempt), (State::Running, 2, 1));

    let error = || TaskError::new(Code::Internal, "broken");
    let ends = [
        End::Finish(None),
        End::Done,
        End::Fail(error()),
        End::Retry(error(), Retry::Limited, POLICY),
        End::Remake(error(), Retry::UntilAvailable, POLICY),
        End::Release,
        End::RolledBack,
        End::RollbackFailed(error(), Retry::Limited, POLICY),
        End::NotRolledBack(error(), error(), Retry::Limited, POLICY),
    ];
    let expiry = Some(PauseExpiry { at: at + Duration::from_secs(60), then: Verb::Terminate });
    let request = ControlRequest { expiry, ..life.request() };
    let mut steps: Vec<Step> = vec![
        Box::new(|task| {
            task.report(Some("[7]".to_owned()), Progress { done: 7, ..task.progress.clone() });
            Ok(None)
        }),
        Box::new(|task| task.process_due(Timestamp::MAX)),
        Box::new(|task| task.lease_expired(9, &ControlRequest::by(Author::system(), Timestamp::UNIX_EPOCH))),
    ];
    for verb in Verb::ALL {
        let request = request.clone();
        steps.push(Box::new(move |task| task.control(verb, &request)));
    }
    for end in ends {
        let request = request.clone();
        steps.push(Box::new(move |task| task.end(end.clone(), &request)));
    }
    let mut stayed = 0;
    for (first, second) in steps.iter().flat_map(|first| steps.iter().map(move |second| (first, second))) {
        let mut task = before.clone();
        for step in [first, second] {
            let unchanged = task.clone();
            // A refused change is not written.
            if step(&mut task).is_err() {
                task = unchanged;
            }
        }
        if task.state == State::Running && task.epoch == before.epoch {
            assert_eq!(without_reports(&task), without_reports(&before));
            stayed += 1;
        }
    }
    assert!(stayed > 3, "a report, and a pause that was taken back");
}
