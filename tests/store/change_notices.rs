//! Change notifications: each change is delivered once, with whether the state changed.

use std::sync::Arc;

use pausa::store::Store;
use pausa::task::change::End;
use pausa::task::{ControlRequest, PauseExpiry, State, Task, Verb};

use super::test_store::{
    ChangeLog, LEASE, TestStore, at, control, create, end, node, plain, profile, report, request, rescue, rows,
    running, task_with,
};
use crate::harness::caller;
use crate::harness::server::PATIENCE;

fn drain(changes: &ChangeLog) -> Vec<(State, i64, bool)> {
    let mut changes = changes.lock().unwrap();
    changes.drain(..).map(|(task, changed)| (task.state, task.version, changed)).collect()
}

async fn claimed(store: &Store) -> Arc<Task> {
    store.claim(&node("a"), at(1), 1).await.unwrap().remove(0)
}

pub async fn each_change_is_delivered_once(test_store: &TestStore) {
    let (store, changes) = test_store.changes().await;
    store.join(&profile("a"), at(0), LEASE).await.unwrap();
    let task = create(&store, task_with(|new| new.start_at = Some(at(1)))).await;
    store.process_due(at(1), 10).await.unwrap();
    let run = claimed(&store).await;
    report(&store, &run, None, rows(1)).await.unwrap();
    control(&store, &task, Verb::Pause).await;
    assert_eq!(
        drain(&changes),
        [
            (State::Scheduled, 1, true),
            (State::Queued, 2, true),
            (State::Running, 3, true),
            (State::Running, 4, false),
            (State::Pausing, 5, true),
        ]
    );
    // The node dies, and another node records PAUSED for the task. Only that changes the state.
    rescue(test_store, &store, 60).await;
    store.join(&profile("a"), at(60), LEASE).await.unwrap();
    let settling = store.claim_ends(&node("a"), at(60), 10).await.unwrap().remove(0);
    end(&store, &settling, End::Release).await;
    assert_eq!(
        drain(&changes),
        [(State::Pausing, 6, false), (State::Pausing, 7, false), (State::Paused, 8, true)],
        "a new owner is not a new state"
    );
    control(&store, &task, Verb::Resume).await;
    let run = claimed(&store).await;
    end(&store, &run, End::Finish(None)).await;
    end(&store, &run, End::Complete).await;
    assert_eq!(
        drain(&changes),
        [
            (State::Queued, 9, true),
            (State::Running, 10, true),
            (State::Finishing, 11, false),
            (State::Completed, 12, true),
        ],
        "clients see publishing as RUNNING"
    );
}

pub async fn a_call_without_effect_delivers_no_change(test_store: &TestStore) {
    let (store, changes) = test_store.changes().await;
    store.join(&profile("a"), at(0), LEASE).await.unwrap();
    let task = create(&store, plain()).await;
    claimed(&store).await;
    drain(&changes);
    control(&store, &task, Verb::Resume).await;
    assert!(store.end(&task, None, End::Release, request()).await.is_err());
    assert!(store.process_due(at(100), 10).await.unwrap().is_empty());
    let before = store.get(caller(), task.id).await.unwrap().unwrap();
    assert_eq!(drain(&changes), []);
    assert_eq!(before.version, 2);
}

/// A client may disconnect during its call. If the change is written, it is delivered too.
pub async fn a_change_is_delivered_even_if_its_caller_disconnects(test_store: &TestStore) {
    let (store, changes) = test_store.changes().await;
    let task = create(&store, plain()).await;
    drain(&changes);
    {
        let mut pausing = Box::pin(store.control(caller(), task.id, Verb::Pause, request()));
        // The future is polled once, so that the call has begun, and is then dropped.
        assert!(futures_util::poll!(pausing.as_mut()).is_pending());
    }
    // The store sends no event for a call without effect, so the row is polled.
    let paused = async {
        while store.get(caller(), task.id).await.unwrap().unwrap().state != State::Paused {
            tokio::task::yield_now().await;
        }
        while changes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, paused).await.expect("the change was not delivered in time");
    assert_eq!(drain(&changes), [(State::Paused, 2, true)]);
}

pub async fn pause_running_notifies_the_run_and_leaves_waiting_tasks_unchanged(test_store: &TestStore) {
    let (store, changes) = test_store.changes().await;
    store.join(&profile("a"), at(0), LEASE).await.unwrap();
    let waiting = create(&store, task_with(|new| new.start_at = Some(at(500)))).await;
    assert_eq!(store.pause_running(caller(), waiting.id, request()).await.unwrap(), None);
    assert_eq!(store.get(caller(), waiting.id).await.unwrap(), Some(waiting));

    let run = running(&store).await;
    drain(&changes);
    let pausing = store.pause_running(caller(), run.id, request()).await.unwrap().unwrap();
    assert_eq!(drain(&changes), [(State::Pausing, run.version + 1, true)]);
    // A repeated request may set another expiry.
    let expiry = Some(PauseExpiry { at: at(500), then: Verb::Resume });
    let again = store.pause_running(caller(), run.id, ControlRequest { expiry, ..request() }).await.unwrap().unwrap();
    assert_eq!((again.expiry, again.version), (expiry, pausing.version + 1));
    store.sync_task(run.id).await.unwrap();
    assert_eq!(drain(&changes)[1..], [(State::Pausing, again.version + 1, false)]);
    assert_eq!(end(&store, &run, End::Release).await.state, State::Paused);
    assert_eq!(store.pause_running(caller(), run.id, request()).await.unwrap(), None);
    assert!(
        store
            .pause_running(caller(), crate::harness::task_id(), request())
            .await
            .unwrap_err()
            .to_string()
            .contains("not found")
    );
}
