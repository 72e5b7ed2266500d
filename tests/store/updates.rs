//! Changes of state since a moment.

use pausa::bus::ChangePosition;
use pausa::store::Store;
use pausa::task::change::End;
use pausa::task::{TaskId, Verb};

use super::test_store::{TestStore, at, create, node, plain, report, request, rows, running};
use crate::harness::caller;

/// Returns the tasks that changed since that second, in the order of their changes, with their versions.
async fn changed(store: &Store, second: i64) -> Vec<(TaskId, i64)> {
    let mut position = ChangePosition { at: at(second), id: uuid::Uuid::nil().into() };
    let mut found = Vec::new();
    loop {
        let changes = store.changes_after(position).await.unwrap();
        let Some((last, _)) = changes.last() else { return found };
        position = *last;
        found.extend(changes.iter().map(|(changed, version)| (changed.id, *version)));
    }
}

pub async fn changes_of_state_since_a_moment_are_found_in_their_order(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let run = running(&store).await;
    let waiting = create(&store, plain()).await;
    let paused = create(&store, plain()).await;
    let later = request_at(5);
    let paused = store.control(caller(), paused.id, Verb::Pause, later).await.unwrap();
    let done = store.end(&run, None, End::Done, request_at(7)).await.unwrap();
    assert_eq!((paused.updated_at, done.updated_at), (at(5), at(7)));
    let claimed = store.claim(&node("a"), at(9), 1).await.unwrap().remove(0);
    let reported = report(&store, &claimed, None, rows(3)).await.unwrap();
    assert_eq!((claimed.id, reported.updated_at), (waiting.id, at(9)), "a report changes no state");
    let all = [(paused.id, paused.version), (done.id, done.version), (reported.id, reported.version)];
    assert_eq!(changed(&store, 1).await, all);
    assert_eq!(changed(&store, 6).await, all[1..]);
    assert_eq!(changed(&store, 10).await, []);

    // A node of an earlier version leaves the time of the update as it is.
    let older = format!(
        "UPDATE tasks SET state = 'COMPLETED', owner = NULL, version = version + 1, updated_at = NULL, finished_at = {} \
         WHERE id = '{}'",
        at(20).as_microsecond(),
        waiting.id
    );
    test_store.execute(&older).await.unwrap();
    assert_eq!(changed(&store, 10).await, [(waiting.id, reported.version + 1)]);
    assert_eq!(store.get(caller(), waiting.id).await.unwrap().unwrap().updated_at, at(20));
}

fn request_at(second: i64) -> pausa::task::ControlRequest {
    pausa::task::ControlRequest { at: at(second), ..request() }
}

pub async fn more_changes_than_one_page_are_found_once(test_store: &TestStore) {
    let store = test_store.open().await;
    let tasks = std::iter::repeat_with(plain).take(2500).collect();
    let created = store.create_batch(caller(), tasks, super::test_store::MANY).await.unwrap();
    let mut wanted: Vec<_> = created.iter().map(|started| (started.task().id, 1)).collect();
    wanted.sort();
    assert_eq!(changed(&store, -1).await, wanted, "all changed at the same time");
}
