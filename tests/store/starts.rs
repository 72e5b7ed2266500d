//! Task starts: one task for each idempotency key, one active task for each unique_key, and at most the allowed
//! backlog.

use futures_util::future::join_all;
use pausa::store::{Error, Filter, Started};
use pausa::task::change::End;
use pausa::task::{IdempotencyKey, Refusal, State, Task, TaskError, Verb};

use super::test_store::{MANY, TestStore, at, control, create, end, node, plain, running, task_with};
use super::uploads::whole;
use crate::harness::caller;

fn key(text: &str, input: &str) -> IdempotencyKey {
    IdempotencyKey { text: text.to_owned(), input_sha256: Some(input.to_owned()) }
}

pub async fn a_task_is_read_as_it_was_written(test_store: &TestStore) {
    let store = test_store.open().await;
    store.add_upload(caller(), &whole("up", 0)).await.unwrap();
    let task = task_with(|new| {
        new.label = Some("A label, with 'quotes' and \"more\"".into());
        new.start_at = Some(at(60));
        new.unique_key = Some("dataset:people".into());
        new.idempotency_key = Some(key("a key", "1f"));
        new.upload = Some("up".into());
    });
    let started = store.create(caller(), task.clone(), MANY).await.unwrap();
    assert!(matches!(started, Started::New(_)));
    assert_eq!(*store.get(caller(), task.id).await.unwrap().unwrap(), task);
    assert_eq!(*store.repeated(caller(), "import", &key("a key", "1f")).await.unwrap().unwrap(), task);
    assert_eq!(*store.conflicting_task(caller(), "dataset:people").await.unwrap().unwrap(), task);
    assert_eq!(store.get(caller(), crate::harness::task_id()).await.unwrap(), None);
    assert_eq!(store.repeated(caller(), "import", &key("another", "1f")).await.unwrap(), None);
    assert!(!store.delete_upload(caller(), "up").await.unwrap(), "a task reads it");
}

fn with_key() -> Task {
    task_with(|new| new.idempotency_key = Some(key("once", "1f")))
}

pub async fn a_key_starts_one_task(test_store: &TestStore) {
    let store = test_store.open().await;
    let first = create(&store, with_key()).await;
    match store.create(caller(), with_key(), MANY).await.unwrap() {
        Started::Same(same) => assert_eq!(same, first),
        Started::New(_) => panic!("the same key started a second task"),
    }
    // A repeated start succeeds even when a new one would be refused.
    assert!(matches!(store.create(caller(), with_key(), 0).await.unwrap(), Started::Same(_)));
}

pub async fn a_key_belongs_to_its_kind_and_input(test_store: &TestStore) {
    let store = test_store.open().await;
    let first = create(&store, with_key()).await;
    let other_kind = task_with(|new| {
        new.idempotency_key = Some(key("once", "1f"));
        new.kind = "export".to_owned();
    });
    let other_input = task_with(|new| new.idempotency_key = Some(key("once", "2f")));
    for task in [other_kind, other_input] {
        let (kind, key) = (task.kind.clone(), task.idempotency_key.clone().unwrap());
        for refusal in [
            store.create(caller(), task, MANY).await.map(Started::into_task).map(Some),
            store.repeated(caller(), &kind, &key).await,
        ] {
            match refusal.unwrap_err() {
                Error::KeyReused { key, task } => assert_eq!((&*key, task), ("once", first.id)),
                error => panic!("{error}"),
            }
        }
    }
    assert_eq!(store.count(caller(), &Filter::default()).await.unwrap().count, 1);
}

pub async fn a_key_that_was_stored_without_its_input_belongs_to_its_kind(test_store: &TestStore) {
    let store = test_store.open().await;
    let first = create(&store, with_key()).await;
    assert_eq!(test_store.execute("UPDATE tasks SET input_sha256 = NULL").await.unwrap(), 1);
    let again = store.create(caller(), with_key(), MANY).await.unwrap();
    assert_eq!(again.task().id, first.id);
    let other = store.repeated(caller(), "export", &key("once", "1f")).await;
    assert!(matches!(other, Err(Error::KeyReused { .. })), "{other:?}");
}

pub async fn twenty_starts_at_once_with_one_key_start_one_task(test_store: &TestStore) {
    let store = test_store.open().await;
    let starts = (0..20).map(|_| store.create(caller(), with_key(), MANY));
    let started: Vec<_> = join_all(starts).await.into_iter().map(Result::unwrap).collect();
    let new = started.iter().filter(|started| matches!(started, Started::New(_))).count();
    assert_eq!(new, 1);
    let mut ids: Vec<_> = started.into_iter().map(|started| started.into_task().id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(store.count(caller(), &Filter::default()).await.unwrap().count, 1);
}

fn filling() -> Task {
    task_with(|new| new.unique_key = Some("dataset:people".into()))
}

pub async fn a_unique_key_is_reserved_until_the_task_is_finished(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let first = create(&store, filling()).await;
    let refused = store.create(caller(), filling(), MANY).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Conflict(holder))) if holder == first.id));

    control(&store, &first, Verb::Terminate).await;
    let refused = store.create(caller(), filling(), MANY).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Conflict(_)))), "the first task is being rolled back");
    let rolling_back = store.claim_ends(&node("a"), at(1), 10).await.unwrap().remove(0);
    assert_eq!(end(&store, &rolling_back, End::RolledBack).await.state, State::Terminated);

    let second = create(&store, filling()).await;
    assert_eq!(store.conflicting_task(caller(), "dataset:people").await.unwrap().unwrap().id, second.id);
}

pub async fn twenty_starts_at_once_with_one_unique_key_start_one_task(test_store: &TestStore) {
    let store = test_store.open().await;
    let started = join_all((0..20).map(|_| store.create(caller(), filling(), MANY))).await;
    let (begun, refused): (Vec<_>, Vec<_>) = started.into_iter().partition(Result::is_ok);
    assert_eq!((begun.len(), refused.len()), (1, 19));
    for refusal in refused {
        assert!(matches!(refusal, Err(Error::Refused(Refusal::Conflict(_)))), "{refusal:?}");
    }
}

pub async fn a_failed_task_is_not_resumed_while_another_has_its_unique_key(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    create(&store, filling()).await;
    let first = store.claim(&node("a"), at(1), 1).await.unwrap().remove(0);
    let error = TaskError::new("BAD_USER_INPUT", "line 7");
    let failed = end(&store, &first, End::Fail(error)).await;
    let second = create(&store, filling()).await;

    let refused = store.control(caller(), first.id, Verb::Resume, super::test_store::request()).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::Conflict(holder))) if holder == second.id));
    assert_eq!(store.get(caller(), first.id).await.unwrap().unwrap(), failed, "the task must not change");
    assert!(failed.epoch > 0);
}

pub async fn a_start_is_refused_when_too_many_tasks_wait(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    running(&store).await;
    for _ in 0..3 {
        store.create(caller(), plain(), 3).await.unwrap();
    }
    match store.create(caller(), plain(), 3).await {
        Err(Error::TooBusy { waiting: 3, limit: 3 }) => {}
        other => panic!("{other:?}"),
    }
    store.claim(&node("a"), at(1), 1).await.unwrap();
    store.create(caller(), plain(), 3).await.unwrap();
}
