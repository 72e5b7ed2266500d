//! Retries: what counts as a failure, and what resets the counts.

use super::*;
use crate::clock::Clock;
use crate::task::Unit;

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
        let at = self.request().at;
        if self.task.state == State::Scheduled {
            self.task.process_due(at).unwrap();
        }
        self.task.claim(&NodeIdentity { id: "1".into(), name: "a".into() }, at).unwrap();
        let progress = Progress { done, ..self.task.progress.clone() };
        self.task.report(None, progress);
        let error = TaskError { code: Code::Unavailable.into(), message: "a hiccup".to_owned() };
        let request = self.request();
        self.task.end(End::Retry(error, retry, POLICY), &request).unwrap();
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
    life.run(9, Retry::Limited);
    assert_eq!(life.counts(), (State::Failed, 9, 1, 0), "the second in a row");
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
