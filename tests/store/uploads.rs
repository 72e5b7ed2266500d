//! Uploads are kept while a task uses them, and deleted some time later.

use std::sync::Arc;

use futures_util::future::{join, join_all};
use pausa::store::{Error, Store, Upload};
use pausa::task::change::End;
use pausa::task::{Task, Verb};

use super::test_store::{MANY, TestStore, at, control, create, end, node, task_with};
use crate::harness::caller;

/// Returns an upload that was received completely at second `second`.
pub fn whole(id: &str, second: i64) -> Upload {
    Upload {
        id: id.into(),
        name: Some("Übung.csv".into()),
        metadata: None,
        size: Some(7),
        sha256: Some("00".into()),
        created_at: at(second),
        used_at: at(second),
    }
}

fn reader(id: &str) -> pausa::task::Task {
    task_with(|new| new.upload = Some(id.into()))
}

pub async fn an_upload_unused_for_long_is_deleted_once(test_store: &TestStore) {
    let store = test_store.open().await;
    for n in 0..30 {
        store.add_upload(caller(), &whole(&format!("{n}"), n)).await.unwrap();
    }
    assert_eq!(store.next_unused().await.unwrap(), Some(at(0)));
    assert!(store.use_upload(caller(), "3", at(50)).await.unwrap());
    // Two nodes look at the same time. Each upload is returned to only one of them.
    let other = test_store.open().await;
    let (one, two) = join(store.delete_unused(at(19), 100), other.delete_unused(at(19), 100)).await;
    let mut deleted = [one.unwrap(), two.unwrap()].concat();
    deleted.extend(store.delete_unused(at(19), 100).await.unwrap());
    deleted.sort_by_key(|id| id.parse::<u32>().unwrap());
    let due: Vec<_> = (0..20).filter(|n| *n != 3).map(|n: u32| n.to_string()).collect();
    assert_eq!(deleted, due);
    assert_eq!(store.delete_unused(at(100), 4).await.unwrap(), ["20", "21", "22", "23"], "the oldest first");
    assert_eq!(store.next_unused().await.unwrap(), Some(at(24)));
    assert!(!store.use_upload(caller(), "0", at(50)).await.unwrap(), "it is deleted");
}

/// Terminates the task and returns it.
async fn terminated(store: &Store, task: &Task) -> Arc<Task> {
    control(store, task, Verb::Terminate).await;
    let claimed = store.claim_ends(&node("a"), at(1), 1).await.unwrap().remove(0);
    end(store, &claimed, End::RolledBack).await
}

pub async fn an_upload_is_kept_while_any_of_two_tasks_uses_it(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    store.add_upload(caller(), &whole("shared", 0)).await.unwrap();
    let (one, two) = (create(&store, reader("shared")).await, create(&store, reader("shared")).await);
    let (one, two) = (terminated(&store, &one).await, terminated(&store, &two).await);
    assert_eq!(store.next_unused().await.unwrap(), None);
    assert!(!store.delete_upload(caller(), "shared").await.unwrap());
    assert!(store.delete(caller(), &one, at(70)).await.unwrap());
    assert_eq!(store.delete_unused(at(1000), 10).await.unwrap(), [""; 0]);
    assert!(store.delete(caller(), &two, at(80)).await.unwrap());
    // The retention time starts when the last task is deleted.
    assert_eq!(store.next_unused().await.unwrap(), Some(at(80)));
    assert_eq!(store.delete_unused(at(79), 10).await.unwrap(), [""; 0]);
    assert_eq!(store.delete_unused(at(80), 10).await.unwrap(), ["shared"]);
}

pub async fn a_start_and_the_deletion_of_its_upload_never_both_succeed(test_store: &TestStore) {
    let store = test_store.open().await;
    for n in 0..30 {
        let id = format!("{n}");
        store.add_upload(caller(), &whole(&id, n)).await.unwrap();
        let start = store.create(caller(), reader(&id), MANY);
        let (started, deleted) = match n % 3 {
            0 => join(start, store.delete_unused(at(100), 10)).await,
            1 => {
                let (deleted, started) = join(store.delete_unused(at(100), 10), start).await;
                (started, deleted)
            }
            _ => {
                join(start, async {
                    store.delete_upload(caller(), &id).await.map(|gone| vec![id.clone(); gone.into()])
                })
                .await
            }
        };
        let deleted = deleted.unwrap().contains(&id);
        match started {
            Ok(_) => assert!(!deleted, "{n}"),
            Err(Error::NoUpload(none)) => assert!(deleted && none == id),
            Err(error) => panic!("{n}: {error}"),
        }
        assert_eq!(store.upload(caller(), &id).await.unwrap().is_none(), deleted);
    }
}

pub async fn only_a_complete_upload_can_be_imported(test_store: &TestStore) {
    let store = test_store.open().await;
    let begun = Upload { size: None, sha256: None, metadata: Some("filename YQ==".into()), ..whole("parts", 0) };
    store.add_upload(caller(), &begun).await.unwrap();
    assert_eq!(store.upload(caller(), "parts").await.unwrap(), Some(begun));
    let refused = join_all([store.create(caller(), reader("parts"), MANY), store.create(caller(), reader("no"), MANY)]);
    for refused in refused.await {
        assert!(matches!(refused, Err(Error::NoUpload(_))), "{refused:?}");
    }
    assert!(store.size_upload(caller(), "parts", 9).await.unwrap());
    assert!(!store.size_upload(caller(), "parts", 10).await.unwrap(), "the size is already set");
    assert!(store.complete_upload(caller(), "parts", 9, "ff", at(5)).await.unwrap());
    let found = store.upload(caller(), "parts").await.unwrap().unwrap();
    assert_eq!((found.size, found.sha256.as_deref(), found.used_at), (Some(9), Some("ff"), at(5)));
    create(&store, reader("parts")).await;
    assert!(!store.complete_upload(caller(), "no", 9, "ff", at(5)).await.unwrap());
}
