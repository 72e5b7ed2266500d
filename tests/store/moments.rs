//! Changes that happen automatically at their due time.

use pausa::task::change::End;
use pausa::task::{ControlRequest, PauseExpiry, Retry, State, TaskError, Verb};

use super::test_store::{POLICY, TestStore, at, control, create, end, node, plain, request, running, task_with};
use crate::harness::caller;

pub async fn a_start_in_the_future_waits_for_its_time(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    assert_eq!(store.next_due().await.unwrap(), None);
    let later = create(&store, task_with(|new| new.start_at = Some(at(60)))).await;
    let soon = create(&store, task_with(|new| new.start_at = Some(at(30)))).await;
    assert_eq!((later.state, soon.state), (State::Scheduled, State::Scheduled));
    assert!(store.claim(&node("a"), at(1), 10).await.unwrap().is_empty());
    assert_eq!(store.next_due().await.unwrap(), Some(at(30)));
    assert!(store.process_due(at(29), 10).await.unwrap().is_empty());

    let moved = store.process_due(at(60), 1).await.unwrap();
    assert_eq!((moved.len(), moved[0].id, moved[0].state), (1, soon.id, State::Queued), "the earliest first");
    assert_eq!(store.next_due().await.unwrap(), Some(at(60)));
    assert_eq!(store.process_due(at(60), 10).await.unwrap().len(), 1);
    assert_eq!(store.next_due().await.unwrap(), None);

    // A task that is paused and resumed before its start waits again.
    let start = create(&store, task_with(|new| new.start_at = Some(at(90)))).await;
    assert_eq!(control(&store, &start, Verb::Pause).await.due_at, None);
    assert!(store.process_due(at(100), 10).await.unwrap().is_empty(), "a paused task does not start");
    let resumed = control(&store, &start, Verb::Resume).await;
    assert_eq!((resumed.state, resumed.due_at), (State::Scheduled, Some(at(90))));
}

pub async fn a_failed_attempt_waits_for_its_retry(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = running(&store).await;
    let error = TaskError::new("UNAVAILABLE", "the disk is full");
    let waits = end(&store, &task, End::Retry(error.clone(), Retry::At(at(7)), POLICY)).await;
    assert_eq!((waits.state, waits.due_at, waits.error.as_ref()), (State::Scheduled, Some(at(7)), Some(&error)));
    assert_eq!(store.process_due(at(7), 10).await.unwrap()[0].state, State::Queued);

    let task = store.claim(&node("a"), at(8), 1).await.unwrap().remove(0);
    control(&store, &task, Verb::Pause).await;
    let paused = end(&store, &task, End::Retry(error, Retry::At(at(9)), POLICY)).await;
    assert_eq!((paused.state, paused.due_at), (State::Paused, None), "a retry does not end a pause");
    assert!(store.process_due(at(1000), 10).await.unwrap().is_empty());
}

fn until(seconds: i64, then: Verb) -> ControlRequest {
    ControlRequest { expiry: Some(PauseExpiry { at: at(seconds), then }), ..request() }
}

pub async fn a_pause_expires_as_requested(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let resumes = create(&store, plain()).await;
    store.control(caller(), resumes.id, Verb::Pause, until(50, Verb::Resume)).await.unwrap();
    // A second pause changes the expiry. A pause without an expiry keeps the previous one.
    store.control(caller(), resumes.id, Verb::Pause, until(20, Verb::Resume)).await.unwrap();
    let paused = control(&store, &resumes, Verb::Pause).await;
    assert_eq!((paused.state, paused.due_at), (State::Paused, Some(at(20))));

    let ends = create(&store, plain()).await;
    let default =
        ControlRequest { default_expiry: Some(PauseExpiry { at: at(30), then: Verb::Terminate }), ..request() };
    store.control(caller(), ends.id, Verb::Pause, default).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));
    assert!(store.process_due(at(19), 10).await.unwrap().is_empty());

    let moved: Vec<_> = store.process_due(at(40), 10).await.unwrap().iter().map(|task| (task.id, task.state)).collect();
    assert_eq!(moved, [(resumes.id, State::Queued), (ends.id, State::Terminating)]);
    let why = store.history(caller(), ends.id).await.unwrap().pop().unwrap();
    assert_eq!((why.by.as_str(), why.reason.as_deref()), ("system", Some("the pause expired")));
    let now = store.get(caller(), ends.id).await.unwrap().unwrap();
    assert_eq!((now.due_at, now.expiry, now.paused_at), (None, None, None));

    // An expiry that is requested while the run still stops applies once the task is paused.
    let task = store.claim(&node("a"), at(41), 1).await.unwrap().remove(0);
    store.control(caller(), task.id, Verb::Pause, until(45, Verb::Resume)).await.unwrap();
    assert!(store.process_due(at(60), 10).await.unwrap().is_empty(), "it is not paused yet");
    end(&store, &task, End::Release).await;
    assert_eq!(store.process_due(at(60), 10).await.unwrap()[0].state, State::Queued);
}

pub async fn a_failed_end_is_not_retried_before_it_is_due(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = control(&store, &*running(&store).await, Verb::Terminate).await;
    let error = TaskError::new("UNAVAILABLE", "away");
    let waits = end(&store, &task, End::Retry(error, Retry::At(at(20)), POLICY)).await;
    assert_eq!((waits.state, waits.owner.as_deref()), (State::Terminating, None));
    assert!(store.claim_ends(&node("b"), at(19), 10).await.unwrap().is_empty());
    let again = store.claim_ends(&node("b"), at(20), 10).await.unwrap().remove(0);
    assert_eq!((again.id, again.due_at), (task.id, None));
}
