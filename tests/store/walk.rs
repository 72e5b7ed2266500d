//! Every state and every event, caused by its verb. The store must agree with the transition table.

use std::sync::Arc;

use pausa::access::Caller;
use pausa::store::{Error, Store};
use pausa::task::change::End;
use pausa::task::{Author, ControlRequest, Event, Refusal, Retry, State, Task, TaskError, Verb};

use super::test_store::{DEATHS, LEASE, POLICY, TestStore, at, create, node, profile, short, take_short, task_with};
use crate::harness::caller;

/// The time of the walk, and a start time in the future.
const NOW: i64 = 10;
const START: i64 = 1000;

/// Every pair of the table that a verb can cause. A task that has run has no future start, and only a task that waits
/// for its due time is claimed before it.
const PAIRS: usize = State::ALL.len() * Event::ALL.len() - 7 - 9;

pub async fn every_transition_of_the_table(test_store: &TestStore) {
    let store = test_store.open().await;
    let mut walked = 0;
    for state in State::ALL {
        for event in Event::ALL {
            for node in ["a", "b"] {
                store.join(&profile(node), at(NOW), LEASE).await.unwrap();
            }
            let early = event == Event::ResumeEarly;
            let brought = match event {
                Event::ClaimAhead if state == State::Scheduled => Some(create(&store, short(START)).await),
                Event::ClaimAhead => None,
                _ => bring(&store, state, early).await,
            };
            let Some(task) = brought else { continue };
            assert_eq!(task.state, state);
            // A claim requires a task without an owner. Every other event happens to a running task.
            let task = if event == Event::Claim { orphan(&store, task).await } else { task };
            step(&store, task, event).await;
            walked += 1;
        }
    }
    assert_eq!(walked, PAIRS);
}

async fn step(store: &Store, task: Arc<Task>, event: Event) {
    let lines = store.history(caller(), task.id).await.unwrap().len();
    let outcome = cause(store, &task, event).await;
    let now = store.get(caller(), task.id).await.unwrap().unwrap();
    let history = store.history(caller(), task.id).await.unwrap();
    match task.state.next(event) {
        Ok(next) => {
            assert_eq!(now.state, next, "{event} in {}: {outcome:?}", task.state.as_str());
            let shown = usize::from(next.shown() != task.state.shown());
            assert_eq!(history.len() - lines, shown, "{event} in {}", task.state.as_str());
            if shown == 1 {
                let last = history.last().unwrap();
                assert_eq!((last.from, last.to), (Some(task.state.shown()), next));
            }
        }
        Err(illegal) => {
            assert_eq!(now, task, "{event} in {}", task.state.as_str());
            assert_eq!(history.len(), lines);
            match outcome {
                None => {}
                Some(Refusal::LeaseLost) => assert!(task.owner.is_none()),
                Some(refusal) => assert_eq!(refusal, Refusal::Illegal(illegal)),
            }
        }
    }
    store.delete(caller(), &now, at(9)).await.unwrap();
}

/// Causes `event` by its verb. Returns the refusal if the verb reports one.
async fn cause(store: &Store, task: &Task, event: Event) -> Option<Refusal> {
    let error = || TaskError::new("INTERNAL", "a story's");
    let run = |end| async {
        refusal(store.end(&Arc::new(task.clone()), None, end, ControlRequest::by(Author::node("a"), at(NOW))).await)
    };
    let send = |verb| async move {
        refusal(store.control(caller(), task.id, verb, Caller::anonymous().request(at(NOW))).await)
    };
    match event {
        Event::Due => {
            store.process_due(at(NOW * START), 100).await.unwrap();
            None
        }
        Event::Claim => {
            store.claim(&node("b"), at(NOW), 100).await.unwrap();
            store.claim_ends(&node("b"), at(NOW), 100).await.unwrap();
            None
        }
        Event::ClaimAhead => {
            take_short(store, "b", NOW, START).await;
            None
        }
        Event::LeaseExpired => {
            store.rescue_all(at(NOW + 60), DEATHS).await.unwrap();
            None
        }
        Event::Finish => run(End::Finish(None)).await,
        Event::Complete => run(End::Complete).await,
        Event::Published => run(End::Published(None)).await,
        Event::Fail => run(End::Fail(error())).await,
        Event::Retry => run(End::Retry(error(), Retry::At(at(START)), POLICY)).await,
        Event::Remake => run(End::Remake(error(), Retry::At(at(START)), POLICY)).await,
        Event::Release => run(End::Release).await,
        Event::RolledBack => run(End::RolledBack).await,
        Event::RollbackFailed => run(End::RollbackFailed(error(), Retry::Never, POLICY)).await,
        Event::Pause => send(Verb::Pause).await,
        Event::Resume | Event::ResumeEarly => send(Verb::Resume).await,
        Event::Terminate => send(Verb::Terminate).await,
    }
}

fn refusal(outcome: Result<Arc<Task>, Error>) -> Option<Refusal> {
    match outcome {
        Ok(_) => None,
        Err(Error::Refused(refusal)) => Some(refusal),
        Err(error) => panic!("{error}"),
    }
}

/// Returns a task in `state`, with a future start if `early`. None if there is no such task.
async fn bring(store: &Store, state: State, early: bool) -> Option<Arc<Task>> {
    use State as S;
    let ran = matches!(state, S::Queued | S::Running | S::Finishing | S::Pausing);
    if early && (ran || state.is_final()) {
        return None;
    }
    let start_at = (early || state == S::Scheduled).then(|| at(START));
    let task = create(store, task_with(|new| new.start_at = start_at)).await;
    let waits = matches!(state, S::Scheduled | S::Queued);
    let task = if early || waits { task } else { store.claim(&node("a"), at(1), 1).await.unwrap().remove(0) };
    let send = |verb| store.control(caller(), task.id, verb, Caller::anonymous().request(at(2)));
    let end = |end| store.end(&task, None, end, ControlRequest::by(Author::node("a"), at(3)));
    let error = || TaskError::new("INTERNAL", "a story's");
    let brought = match state {
        S::Scheduled | S::Queued | S::Running => Ok(Arc::clone(&task)),
        S::Finishing => end(End::Finish(None)).await,
        S::Pausing => send(Verb::Pause).await,
        S::Paused if early => send(Verb::Pause).await,
        S::Paused => {
            send(Verb::Pause).await.unwrap();
            end(End::Release).await
        }
        S::Terminating => send(Verb::Terminate).await,
        S::Terminated => {
            send(Verb::Terminate).await.unwrap();
            end(End::RolledBack).await
        }
        S::Completed => {
            end(End::Finish(None)).await.unwrap();
            end(End::Complete).await
        }
        S::Failed => end(End::Fail(error())).await,
    };
    Some(brought.unwrap())
}

/// Returns the task after its node has died, if it had an owner. A running task keeps its owner, because it would be
/// queued otherwise.
async fn orphan(store: &Store, task: Arc<Task>) -> Arc<Task> {
    if task.owner.is_none() || task.state == State::Running {
        return task;
    }
    store.rescue_all(at(NOW), DEATHS).await.unwrap();
    store.join(&profile("b"), at(NOW), LEASE).await.unwrap();
    store.get(caller(), task.id).await.unwrap().unwrap()
}
