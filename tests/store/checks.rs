//! Constraints that the database itself enforces for every writer.

use pausa::store::Store;
use pausa::task::change::End;
use pausa::task::{IdempotencyKey, ResultFile, Task, Verb};

use super::test_store::{TestStore, control, create, end, plain, running, task_with};
use crate::harness::caller;

/// Updates that are invalid in every state.
const NEVER: [&str; 24] = [
    "state = 'DONE'",
    "unit = 'MILES'",
    "epoch = -1",
    "version = 0",
    "done = -1",
    "done = 101",
    "active = -1",
    "attempt = -1",
    "crashes = -1",
    "failures = -1",
    "spec = NULL",
    "kind = NULL",
    "upload_id = 'never sent'",
    "expires_at = 1, expire_then = 'PAUSE'",
    "expires_at = 1, expire_then = NULL",
    "priority = 101",
    "priority = -101",
    "priority = NULL",
    "created_by = ''",
    "created_by = NULL",
    "notify_url = ''",
    "max_rows_per_second = -0.5",
    "error_line = 7",
    "error_code = 'INTERNAL', error_message = 'x', error_line = 0",
];

/// Updates that are invalid for a waiting task.
const WAITING: [&str; 10] = [
    "owner = 'a'",
    "state = 'RUNNING'",
    "state = 'SCHEDULED'",
    "state = 'PAUSED'",
    "paused_at = 1",
    "finished_at = 1",
    "state = 'COMPLETED'",
    "state = 'FAILED', finished_at = 1",
    "error_code = 'INTERNAL'",
    "result_name = 'x', result_size = 1, result_type = 't', result_sha256 = 's'",
];

const RUNNING: [&str; 3] = ["owner = NULL", "state = 'QUEUED'", "state = 'TERMINATED', finished_at = 1"];

const FINISHING: [&str; 4] = ["result_size = NULL", "result_type = NULL", "result_sha256 = NULL", "state = 'RUNNING'"];

const PAUSED: [&str; 3] = ["paused_at = NULL", "owner = 'a'", "state = 'QUEUED'"];

const COMPLETED: [&str; 3] = ["finished_at = NULL", "owner = 'a'", "state = 'TERMINATED'"];

pub async fn the_database_rejects_invalid_task_rows(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let result = ResultFile { name: "x".into(), size: 1, content_type: "t".into(), sha256: "s".into() };
    let run = running(&store).await;
    let finishing = end(&store, &*running(&store).await, End::Finish(Some(result.clone()))).await;
    let completed = end(&store, &*running(&store).await, End::Finish(Some(result))).await;
    let completed = end(&store, &completed, End::Complete).await;
    let paused = control(&store, &*create(&store, plain()).await, Verb::Pause).await;
    let waiting = create(&store, plain()).await;
    let cases: [(&Task, &[&str]); 6] = [
        (&waiting, &NEVER),
        (&waiting, &WAITING),
        (&run, &RUNNING),
        (&finishing, &FINISHING),
        (&paused, &PAUSED),
        (&completed, &COMPLETED),
    ];
    for (task, updates) in cases {
        for update in updates {
            refused(test_store, &store, task, update).await;
        }
    }
}

async fn refused(test_store: &TestStore, store: &Store, task: &Task, update: &str) {
    let sql = format!("UPDATE tasks SET {update} WHERE id = '{}'", task.id);
    match test_store.execute(&sql).await {
        Err(sqlx::Error::Database(_)) => {}
        other => panic!("{} with {update}: {other:?}", task.state),
    }
    assert_eq!(store.get(caller(), task.id).await.unwrap().unwrap(), (*task).clone().into(), "{update}");
}

pub async fn the_database_itself_enforces_unique_keys(test_store: &TestStore) {
    let store = test_store.open().await;
    let holder = create(
        &store,
        task_with(|new| {
            new.unique_key = Some("dataset:people".into());
            new.idempotency_key = Some(IdempotencyKey { text: "key".into(), input_sha256: None });
        }),
    );
    let (holder, other) = (holder.await, create(&store, plain()).await);
    refused(test_store, &store, &other, "exclusive = 'dataset:people'").await;
    refused(test_store, &store, &other, "idempotency_key = 'key'").await;
    refused(test_store, &store, &other, "input_sha256 = '1f'").await;
    refused(test_store, &store, &other, &format!("id = '{}'", holder.id)).await;
    let over = format!("UPDATE tasks SET state = 'TERMINATED', finished_at = 1 WHERE id = '{}'", holder.id);
    assert_eq!(test_store.execute(&over).await.unwrap(), 1);
    let taken = format!("UPDATE tasks SET exclusive = 'dataset:people' WHERE id = '{}'", other.id);
    assert_eq!(test_store.execute(&taken).await.unwrap(), 1);
    let lost =
        format!("INSERT INTO task_changes VALUES ('{}', 1, NULL, 'QUEUED', 1, 'x', NULL)", crate::harness::task_id());
    assert!(test_store.execute(&lost).await.is_err(), "a history row must reference a task");
}
