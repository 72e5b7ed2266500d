//! Acknowledged writes are durable. Deleted tasks are removed completely.

use futures_util::future::join_all;
use pausa::store::{Filter, Page};
use pausa::task::change::End;
use pausa::task::{PauseExpiry, Retry, Task, TaskError, Verb};

use super::test_store::{POLICY, TestStore, at, control, create, end, node, plain, report, request, rows, running};
use crate::harness::caller;

pub async fn a_task_is_deleted_only_if_it_is_unchanged_since_it_was_read(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let error = TaskError::new("BAD_USER_INPUT", "line 7");
    let failed = end(&store, &*running(&store).await, End::Fail(error)).await;
    // The task is resumed between the read and the deletion.
    let resumed = control(&store, &failed, Verb::Resume).await;
    assert!(!store.delete(caller(), &failed, at(9)).await.unwrap());
    assert_eq!(store.get(caller(), failed.id).await.unwrap().unwrap(), resumed);
    assert!(!store.delete(caller(), &resumed, at(9)).await.unwrap(), "the task is not finished");
    let again = store.claim(&node("a"), at(2), 1).await.unwrap().remove(0);
    let error = TaskError::new("BAD_USER_INPUT", "line 7");
    let failed = end(&store, &again, End::Fail(error)).await;
    assert!(store.delete(caller(), &failed, at(9)).await.unwrap());
    assert_eq!(store.get(caller(), failed.id).await.unwrap(), None);
    assert_eq!(store.history(caller(), failed.id).await.unwrap(), [], "its history is deleted too");
    assert!(!store.delete(caller(), &failed, at(9)).await.unwrap());
}

pub async fn one_node_at_a_time_purges_a_deleted_task_until_it_succeeds(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = running(&store).await;
    report(&store, &task, Some("{\"offset\":7}".into()), rows(7)).await.unwrap();
    let error = TaskError::new("BAD_USER_INPUT", "line 7");
    let failed = end(&store, &task, End::Fail(error)).await;
    assert_eq!(store.next_purge(&node("a")).await.unwrap(), None);
    assert!(store.delete(caller(), &failed, at(0)).await.unwrap());
    assert_eq!(store.next_purge(&node("a")).await.unwrap(), Some(at(60)), "the node that deleted it has a minute");
    assert!(store.claim_purges(&node("a"), at(59), 10).await.unwrap().is_empty());
    for (now, next) in [(60, 120), (120, 240), (240, 480)] {
        let taken = store.claim_purges(&node("a"), at(now), 10).await.unwrap().remove(0);
        let known = |task: &Task| (task.id, task.kind.clone(), task.spec.clone(), task.cursor.clone(), task.epoch);
        assert_eq!((known(&taken), taken.state), (known(&failed), failed.state));
        assert!(store.claim_purges(&node("a"), at(now), 10).await.unwrap().is_empty(), "no other node claims it now");
        assert_eq!(store.next_purge(&node("a")).await.unwrap(), Some(at(next)));
    }
    store.purged(failed.id).await.unwrap();
    assert_eq!(store.next_purge(&node("a")).await.unwrap(), None);
}

pub async fn all_data_is_present_after_the_store_is_reopened(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let run = running(&store).await;
    report(&store, &run, Some("{\"offset\":7}".into()), rows(7)).await.unwrap();
    let error = TaskError::new("UNAVAILABLE", "away");
    end(&store, &*running(&store).await, End::Retry(error, Retry::At(at(90)), POLICY)).await;
    let paused = create(&store, plain()).await;
    let expiry = Some(PauseExpiry { at: at(500), then: Verb::Resume });
    store.control(caller(), paused.id, Verb::Pause, pausa::task::ControlRequest { expiry, ..request() }).await.unwrap();
    let page = Page { limit: 10, ..Page::default() };
    let before = store.list(caller(), &Filter::default(), page).await.unwrap().0;
    let histories = join_all(before.iter().map(|task| store.history(caller(), task.id))).await;
    store.close().await;
    drop(store);

    let store = test_store.open().await;
    let after = store.list(caller(), &Filter::default(), page).await.unwrap().0;
    assert_eq!(after, before);
    for (task, history) in after.iter().zip(histories) {
        assert_eq!(store.history(caller(), task.id).await.unwrap(), history.unwrap());
    }
    assert!(
        store.heartbeat("a", pausa::store::NodeStatus::default(), at(1), super::test_store::LEASE).await.unwrap(),
        "the nodes are still listed"
    );
}

pub async fn many_concurrent_starts_are_present_after_the_store_is_reopened(test_store: &TestStore) {
    let store = test_store.open().await;
    let tasks: Vec<Task> = (0..64).map(|_| plain()).collect();
    join_all(tasks.iter().map(|task| create(&store, task.clone()))).await;
    drop(store);
    let store = test_store.open().await;
    for task in tasks {
        assert_eq!(*store.get(caller(), task.id).await.unwrap().unwrap(), task);
    }
    assert_eq!(store.count(caller(), &Filter::default()).await.unwrap().count, 64);
}
