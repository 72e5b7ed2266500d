//! Updates: what each state allows, all or nothing, and what the history says.

use jiff::SignedDuration;

use super::*;
use crate::clock::Clock;
use crate::task::{Author, NewTask, NodeIdentity, Unit, Verb};

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn later(seconds: i64) -> Timestamp {
    AT + SignedDuration::from_secs(seconds)
}

fn request() -> ControlRequest {
    ControlRequest::by(Author::caller("client"), later(5))
}

fn task(start: Option<i64>) -> Task {
    let new = NewTask { start_at: start.map(later), ..NewTask::new("odd", "{}", Unit::Rows) };
    Task::new(Clock::test(AT).task_id(), new, AT)
}

fn field(outcome: Result<Option<StateChange>, Refusal>) -> &'static str {
    match outcome {
        Err(Refusal::Inapplicable { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_that_the_state_does_not_allow_leaves_all_values_as_they_are() {
    let queued = task(None);
    let expiry = Some(PauseExpiry { at: later(9), then: Verb::Resume });
    let given = TaskUpdate { priority: Some(7), ..TaskUpdate::default() };
    for (update, wanted) in [
        (TaskUpdate { start_at: Some(later(9)), ..given.clone() }, "startAt"),
        (TaskUpdate { fires_at: Some(later(9)), ..given.clone() }, "firesAt"),
        (TaskUpdate { expiry, ..given.clone() }, "pauseExpiry"),
    ] {
        let mut task = queued.clone();
        assert_eq!(field(task.update(&update, &request())), wanted);
        assert_eq!(task, queued);
    }
    let mut over = queued.clone();
    over.control(Verb::Terminate, &request()).unwrap();
    over.state = State::Terminated;
    for (update, wanted) in [
        (TaskUpdate { max_rows_per_second: Some(1.0), ..given.clone() }, "maxRowsPerSecond"),
        (TaskUpdate { notify_url: Some(String::new()), ..given.clone() }, "notifyUrl"),
    ] {
        assert_eq!(field(over.clone().update(&update, &request())), wanted);
    }
    assert!(over.update(&given, &request()).unwrap().is_some(), "a finished task may get another priority");
}

#[test]
fn a_start_moves_with_its_due_time_until_the_task_has_run() {
    let mut moved = task(Some(60));
    let update = TaskUpdate { start_at: Some(later(90)), ..TaskUpdate::default() };
    let change = moved.update(&update, &request()).unwrap().unwrap();
    assert_eq!((moved.start_at, moved.due_at, moved.updated_at), (Some(later(90)), Some(later(90)), later(5)));
    assert_eq!((change.from, change.to), (Some(State::Scheduled), State::Scheduled));
    moved.process_due(later(90)).unwrap();
    moved.claim(&NodeIdentity { id: "a".into(), name: "a".into() }, later(91)).unwrap();
    assert_eq!(field(moved.update(&update, &request())), "startAt");
}

#[test]
fn a_paused_task_keeps_the_end_of_its_pause_when_its_start_moves() {
    let mut paused = Task { concurrency_key: Some("host".into()), ..task(Some(60)) };
    let expiry = Some(PauseExpiry { at: later(30), then: Verb::Resume });
    paused.control(Verb::Pause, &ControlRequest { expiry, ..request() }).unwrap();
    let update = TaskUpdate { fires_at: Some(later(90)), ..TaskUpdate::default() };
    paused.update(&update, &request()).unwrap().unwrap();
    assert_eq!((paused.start_at, paused.due_at), (Some(later(90)), Some(later(30))));
    paused.control(Verb::Resume, &request()).unwrap();
    assert_eq!((paused.state, paused.due_at), (State::Scheduled, Some(later(90))));
}

#[test]
fn the_history_says_what_changed_and_hides_urls() {
    let mut task = task(None);
    let update = TaskUpdate {
        label: Some("new".into()),
        tags: Some(vec!["a".into(), "b".into()]),
        max_rows_per_second: Some(0.0),
        notify_url: Some("http://me:secret@example.org".into()),
        ..TaskUpdate::default()
    };
    let change = task.update(&update, &request().with_reason("busy hours")).unwrap().unwrap();
    let said = "changed label to new, tags to a b, maxRowsPerSecond to 0, notifyUrl: busy hours";
    assert_eq!((change.by.as_str(), change.reason.as_deref()), ("client", Some(said)));
    assert_eq!(task.update(&update, &request()).unwrap(), None, "nothing is left to change");
    let away = TaskUpdate { label: Some(String::new()), tags: Some(Vec::new()), ..TaskUpdate::default() };
    task.update(&away, &request()).unwrap().unwrap();
    assert_eq!((task.label, task.tags.len()), (None, 0));
}
