//! Concurrent writes in PostgreSQL commit in their order or not at all, whatever happens in between.

use jiff::Timestamp;
use pausa::datasets::{Batch, Checkpoint, Column, ColumnType, CommitLease, Error, PublishMode, Staging};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::datasets::database::{TestDatabase, batch, execute, firsts, numbers, page, plan, until};
use crate::harness::caller;

async fn begin(staging: &mut Box<dyn Staging>, rows: Batch, cursor: &str) {
    staging.begin_write(rows, cursor.into()).await.unwrap();
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

async fn backend(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_starts_later_commits_later() {
    let database = TestDatabase::postgres().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    assert!(staging.write_slots() > 1);
    // The first write of each pair has by far the most rows to copy.
    for pair in 0..10 {
        let from = pair * 3000;
        let checkpoint = Checkpoint {
            cursor: "on the way".into(),
            rejects: format!("{pair},").into_bytes(),
            ..Checkpoint::default()
        };
        staging.begin_write(numbers(from + 1, from + 2999), checkpoint).await.unwrap();
        begin(&mut staging, numbers(from + 3000, from + 3000), &format!("at {}", from + 3000)).await;
        for rows in [2999, 1] {
            let written = staging.finish_write().await;
            assert_eq!((written.batch.len(), written.outcome), (rows, Ok(())));
        }
    }
    staging.close().await.unwrap();
    assert_eq!(database.datasets.staged_cursor(task, 2).await.unwrap().as_deref(), Some("at 30000"));
    let (mut rejects, mut from) = (Vec::new(), 0);
    while let Some((piece, next)) = database.datasets.rejects(task, from).await.unwrap() {
        rejects.extend(piece);
        from = next;
    }
    assert_eq!(rejects, b"0,1,2,3,4,5,6,7,8,9,");
    assert_eq!(database.datasets.publish(task, 2, Timestamp::UNIX_EPOCH).await.unwrap(), 30_000);
    let page = page(&database.datasets, &"sales".parse().unwrap(), 2990, 20).await;
    assert_eq!(firsts(&page), firsts(&numbers(2991, 3010)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_row_cancels_the_next_write_and_both_are_returned() {
    let database = TestDatabase::postgres().await;
    let (task, mut plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    plan.columns.push(Column { name: "a, column \"b\"".into(), kind: ColumnType::Integer });
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(batch(&[&["0", "0"]]), "at 1".into()).await.unwrap();
    begin(&mut staging, batch(&[&["1", "1"], &["2", "two"], &["3", "3"]]), "at 4").await;
    begin(&mut staging, batch(&[&["4", "4"]]), "at 5").await;
    let mut refused = staging.finish_write().await;
    let Err(Error::Cell { row, column, reason }) = refused.outcome else { panic!("{:?}", refused.outcome) };
    assert_eq!((row, column.as_str()), (1, "a, column \"b\""), "{reason}");
    assert!(reason.contains("two"), "{reason}");
    let next = staging.finish_write().await;
    assert_eq!(next.outcome, Err(Error::Cancelled));

    refused.batch.remove_row(row);
    begin(&mut staging, refused.batch, "at 3").await;
    begin(&mut staging, next.batch, "at 4").await;
    assert_eq!(staging.finish_write().await.outcome, Ok(()));
    assert_eq!(staging.finish_write().await.outcome, Ok(()));
    staging.close().await.unwrap();
    assert_eq!(database.datasets.publish(task, 2, Timestamp::UNIX_EPOCH).await.unwrap(), 4);
    let rows = "array_agg((pausa_row, c1, \"a, column \"\"b\"\"\")::text ORDER BY pausa_row)";
    let expected = r#"ARRAY['(1,0,0)', '(2,1,1)', '(3,3,3)', '(4,4,4)']"#;
    execute(&database.url, &format!("DO $$ BEGIN ASSERT (SELECT {rows} FROM sales) = {expected}; END $$")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_lost_between_copy_and_commit_leaves_no_row() {
    let database = TestDatabase::postgres().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 2), "at 2".into()).await.unwrap();
    let mut heir = PgConnection::connect(&database.url).await.unwrap();
    let raise = format!("BEGIN; UPDATE pausa_datasets.staging SET epoch = 2 WHERE task = '{task}'");
    run(&mut heir, raise).await;
    begin(&mut staging, numbers(3, 4), "at 4").await;
    begin(&mut staging, numbers(5, 6), "at 6").await;
    // The first write has copied its rows and is about to commit. The second waits for it.
    let waits =
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut observer = PgConnection::connect(&database.url).await.unwrap();
    until(&mut observer, waits).await;
    run(&mut heir, "COMMIT".into()).await;
    assert_eq!(staging.finish_write().await.outcome, Err(Error::LeaseLost));
    assert_eq!(staging.finish_write().await.outcome, Err(Error::Cancelled));
    staging.close().await.unwrap();
    assert_eq!(database.datasets.publish(task, 2, Timestamp::UNIX_EPOCH).await.unwrap(), 2);
    assert_eq!(database.firsts("sales").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_write_keeps_no_resources() {
    let database = TestDatabase::postgres().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    // The first write cannot commit before the second is cancelled.
    run(&mut other, format!("BEGIN; SELECT FROM pausa_datasets.staging WHERE task = '{task}' FOR UPDATE")).await;
    begin(&mut staging, numbers(1, 2), "at 2").await;
    begin(&mut staging, numbers(3, 4), "at 4").await;
    let waits =
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut observer = PgConnection::connect(&database.url).await.unwrap();
    until(&mut observer, waits).await;
    staging.cancel_writes();
    run(&mut other, "COMMIT".into()).await;
    // The first write commits. Cancellation does not wait until it is on disk.
    assert!(matches!(staging.finish_write().await.outcome, Ok(()) | Err(Error::Cancelled)));
    assert_eq!(staging.finish_write().await.outcome, Err(Error::Cancelled));
    staging.close().await.unwrap();
    let mut staging = database.datasets.stage(task, 2, &plan).await.unwrap();
    assert_eq!(staging.cursor(), Some("at 2"));
    begin(&mut staging, numbers(3, 5), "at 5").await;
    staging.close().await.unwrap();
    let open = "SELECT count(*) = 0 FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until(&mut other, &format!("({open})")).await;
    let cursor = database.datasets.staged_cursor(task, 3).await.unwrap().unwrap();
    let rows = database.datasets.publish(task, 3, Timestamp::UNIX_EPOCH).await.unwrap();
    assert!([("at 2", 2), ("at 5", 5)].contains(&(cursor.as_str(), rows)), "{cursor}: {rows} rows");
}

/// Returns a connection that froze with a COPY open, its backend, and a connection that reads the staging's table, such
/// as a backup.
async fn frozen(database: &TestDatabase, task: &str) -> (PgConnection, i32, PgConnection) {
    let mut frozen = PgConnection::connect(&database.url).await.unwrap();
    let pid = backend(&mut frozen).await;
    run(&mut frozen, "BEGIN".into()).await;
    let sql = format!("COPY pausa_datasets.\"{task}\" FROM STDIN");
    let mut copy = frozen.copy_in_raw(&sql).await.unwrap();
    copy.send(&b"3\tnever seen\n"[..]).await.unwrap();
    // The client sends nothing more, and does not disconnect.
    std::mem::forget(copy);
    let mut reader = PgConnection::connect(&database.url).await.unwrap();
    run(&mut reader, format!("BEGIN; SELECT FROM pausa_datasets.\"{task}\"")).await;
    (frozen, pid, reader)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_copy_is_stopped_with_its_staging_and_a_reader_is_not() {
    for publish in [true, false] {
        let database = TestDatabase::postgres().await;
        let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
        let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
        staging.write(numbers(1, 2), "at 2".into()).await.unwrap();
        let (_frozen, pid, mut reader) = frozen(&database, &task.to_string()).await;
        let mut observer = PgConnection::connect(&database.url).await.unwrap();
        // Taking over does not wait for the frozen connection.
        assert_eq!(database.datasets.staged_cursor(task, 2).await.unwrap().as_deref(), Some("at 2"));
        let datasets = database.datasets.clone();
        let ending = tokio::spawn(async move {
            match publish {
                true => datasets.publish(task, 2, Timestamp::UNIX_EPOCH).await.map(|rows| assert_eq!(rows, 2)),
                false => datasets.discard(task, 2).await.map(|published| assert!(!published)),
            }
        });
        until(&mut observer, &format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {pid}")).await;
        run(&mut reader, "COMMIT".into()).await;
        ending.await.unwrap().unwrap();
        assert_eq!(database.files().await, usize::from(publish));
        let late = staging.write(numbers(3, 3), "late".into()).await;
        assert_eq!(late.err(), Some(Error::LeaseLost), "the table it copies to no longer exists");
    }
}

#[tokio::test]
async fn a_table_that_lost_rows_is_not_published() {
    let database = TestDatabase::postgres().await;
    let plan = plan("sales", PublishMode::Create, 1);
    for (loss, rows) in
        [("DELETE FROM t WHERE pausa_row = 2", 2), ("UPDATE t SET pausa_row = 9 WHERE pausa_row = 3", 3)]
    {
        let task = crate::harness::task_id();
        let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
        staging.write(numbers(1, 3), "at 3".into()).await.unwrap();
        staging.close().await.unwrap();
        execute(&database.url, &loss.replace(" t ", &format!(" pausa_datasets.\"{task}\" "))).await;
        let refused = database.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await;
        let Err(Error::Failed(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains(&format!("has {rows} rows")), "{text}");
        assert_eq!(database.datasets.count(caller()).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_of_a_run_without_its_lease_commits_nothing() {
    let database = TestDatabase::postgres().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 2), "at 2".into()).await.unwrap();
    let lost = Checkpoint { lease: CommitLease::new(|| false), ..Checkpoint::from("at 9") };
    let refused = staging.write(numbers(3, 9), lost).await.unwrap_err();
    assert!(refused.is_unavailable(), "{refused}");
    staging.close().await.unwrap();
    assert_eq!(database.datasets.staged_cursor(task, 1).await.unwrap().as_deref(), Some("at 2"));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    let held = Checkpoint { lease: CommitLease::new(|| true), ..Checkpoint::from("at 9") };
    staging.write(numbers(3, 9), held).await.unwrap();
    staging.close().await.unwrap();
    assert_eq!(database.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap(), 9);
}
