//! Behavior of a store in a file.

use futures_util::future::join_all;
use pausa::store::{Error, Store};
use pausa::task::Refusal;

use super::test_store::{MANY, TestStore, create, plain, task_with};
use crate::harness::caller;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_served_by_only_one_process() {
    let test_store = TestStore::sqlite();
    let store = test_store.open().await;
    assert!(store.is_single_process());
    assert_eq!(store.event_source(), None, "there are no other nodes");
    assert!(Store::file(&test_store.url).unwrap().is_file());
    assert_eq!(Store::file("postgres://host/database"), None);
}

/// Concurrent writes share one commit. A write that the store or the database rejects does not affect the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_write_does_not_affect_others_in_its_commit() {
    let test_store = TestStore::sqlite();
    let store = test_store.open().await;
    let twice = plain();
    create(&store, twice.clone()).await;
    let holder = create(&store, task_with(|new| new.unique_key = Some("x".into()))).await;
    let writes = (0..60).map(|n| match n % 4 {
        // The same ID again: the database rejects the row.
        0 => twice.clone(),
        1 => task_with(|new| new.unique_key = Some("x".into())),
        2 => task_with(|new| new.upload = Some("never sent".into())),
        _ => plain(),
    });
    let outcomes = join_all(writes.map(|task| store.create(caller(), task, MANY))).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match (n % 4, outcome) {
            (0, Err(Error::Failed(_))) => {}
            (2, Err(Error::NoUpload(id))) => assert_eq!(id, "never sent"),
            (1, Err(Error::Refused(Refusal::Conflict(id)))) if id == holder.id => {}
            (3, Ok(started)) => {
                let task = started.into_task();
                assert_eq!(store.get(caller(), task.id).await.unwrap().unwrap(), task);
            }
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
}
