//! Behavior of PostgreSQL only: texts without NUL, tables of other applications, writers that freeze, and its own
//! clients.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use pausa::datasets::{Batch, ColumnFilter, Error, PageLimit, PublishMode, RowWindow, Selection, Snapshot, connect};
use sqlx::{Connection, PgConnection};

use crate::datasets::database::{TestDatabase, batch, every, execute, numbers, page, plan, until};
use crate::harness::caller;

/// True when the index of the rows exists. The index and the statistics are created shortly after the dataset.
const INDEXED: &str = "SELECT count(*) = 1 FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'sales'";

#[tokio::test]
async fn a_rejected_cell_is_reported_and_other_rows_can_be_written() {
    let database = TestDatabase::postgres().await;
    let mut staging =
        database.datasets.stage(crate::harness::task_id(), 1, &plan("sales", PublishMode::Create, 2)).await.unwrap();
    let mut bad = batch(&[&["a", "b"], &["c", "d\0"]]);
    let refused = staging.write(bad.clone(), "x".into()).await.unwrap_err();
    assert!(matches!(&refused, Error::Cell { row: 1, column, .. } if column == "c2"), "{refused}");
    bad.remove_row(1);
    staging.write(bad, "y".into()).await.unwrap();
}

#[tokio::test]
async fn a_row_too_large_for_a_page_is_reported() {
    let database = TestDatabase::postgres().await;
    let mut staging =
        database.datasets.stage(crate::harness::task_id(), 1, &plan("wide", PublishMode::Create, 1500)).await.unwrap();
    let mut wide = Batch::new(1500);
    wide.push_row((0..1500).map(|_| Some("x"))).unwrap();
    wide.push_row((0..1500).map(|_| Some("0123456789"))).unwrap();
    let refused = staging.write(wide.clone(), "x".into()).await.unwrap_err();
    assert!(matches!(&refused, Error::Cell { row: 1, .. }), "{refused}");
    wide.remove_row(1);
    staging.write(wide, "y".into()).await.unwrap();
}

#[tokio::test]
async fn a_table_of_another_application_is_not_changed() {
    let database = TestDatabase::postgres().await;
    execute(&database.url, "CREATE TABLE theirs (a text); INSERT INTO theirs VALUES ('kept')").await;
    let stage =
        async |mode| database.datasets.stage(crate::harness::task_id(), 1, &plan("theirs", mode, 1)).await.err();
    assert_eq!(stage(PublishMode::Create).await, Some(Error::Exists("theirs".parse().unwrap())));
    for mode in [PublishMode::Replace, PublishMode::Append] {
        assert!(matches!(stage(mode).await, Some(Error::Failed(text)) if text.contains("theirs")));
    }
    execute(&database.url, "DO $$ BEGIN ASSERT (SELECT a FROM theirs) = 'kept'; END $$").await;
}

#[tokio::test]
async fn a_dataset_is_a_table_like_any_other() {
    let database = TestDatabase::postgres().await;
    database.import("Sales", PublishMode::Create, &[&["a", "b"], &["c", "d"]]).await;
    execute(&database.url, r#"DO $$ BEGIN ASSERT (SELECT c2 FROM public."Sales" WHERE pausa_row = 2) = 'd'; END $$"#)
        .await;
}

#[tokio::test]
async fn a_frozen_writer_is_stopped_by_its_successor() {
    let database = TestDatabase::postgres().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 2), "at 2".into()).await.unwrap();
    let mut frozen = PgConnection::connect(&database.url).await.unwrap();
    let held = format!("BEGIN; UPDATE pausa_datasets.staging SET rows = 99 WHERE task = '{task}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(held)).execute(&mut frozen).await.unwrap();
    let heir = database.datasets.stage(task, 2, &plan).await.unwrap();
    assert_eq!(heir.cursor(), Some("at 2"));
    assert!(frozen.ping().await.is_err(), "its transaction cannot be committed");
    assert_eq!(database.datasets.publish(task, 2, Timestamp::UNIX_EPOCH).await.unwrap(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let answer = connect("postgres://postgres@localhost/none?host=%2Fnonexistent").await;
    let error = answer.err().unwrap().to_string();
    assert!(error.contains("cannot use PostgreSQL at /nonexistent") && error.contains("no socket"), "{error}");
}

#[tokio::test]
async fn a_page_of_a_large_dataset_reads_only_nearby_blocks() {
    let database = TestDatabase::postgres().await;
    database.fill("sales", PublishMode::Create, numbers(1, 60_000)).await;
    let mut watcher = PgConnection::connect(&database.url).await.unwrap();
    until(&mut watcher, INDEXED).await;
    let counted =
        "SELECT coalesce(heap_blks_read + heap_blks_hit, 0)::bigint, coalesce(idx_blks_read + idx_blks_hit, 0)::bigint
        FROM pg_statio_user_tables WHERE relname = 'sales' AND schemaname = 'public'";
    for (after, wanted) in [(0, 50), (30_000, 50), (59_950, 50), (60_000, 0)] {
        let pool = database.reconnect().await;
        let before: (i64, i64) = sqlx::query_as(counted).fetch_one(&mut watcher).await.unwrap();
        let rows = page(&pool, &"sales".parse().unwrap(), after, 50).await;
        assert_eq!(rows.len(), wanted);
        if wanted == 0 {
            continue;
        }
        // PostgreSQL adds a connection's counts to the statistics when it ends.
        drop(pool);
        let counting = async {
            loop {
                let now: (i64, i64) = sqlx::query_as(counted).fetch_one(&mut watcher).await.unwrap();
                if now.1 > before.1 {
                    return now.0 - before.0;
                }
            }
        };
        let blocks = tokio::time::timeout(crate::harness::server::PATIENCE, counting).await.unwrap();
        assert!((1..=150).contains(&blocks), "{blocks} of more than 300 blocks were read for the page after {after}");
    }
}

#[tokio::test]
async fn an_index_missing_after_a_crash_is_created_at_the_next_start() {
    let database = TestDatabase::postgres().await;
    let task = database.fill("sales", PublishMode::Create, numbers(1, 100)).await;
    let mut watcher = PgConnection::connect(&database.url).await.unwrap();
    until(&mut watcher, INDEXED).await;
    execute(&database.url, &format!("DROP INDEX public.\"{task}_rows\"")).await;
    let started = database.reconnect().await;
    until(&mut watcher, INDEXED).await;
    assert_eq!(page(&started, &"sales".parse().unwrap(), 98, 50).await.len(), 2);
}

#[tokio::test]
async fn rows_stored_out_of_order_are_read_in_order() {
    let database = TestDatabase::postgres().await;
    database.fill("sales", PublishMode::Create, numbers(1, 20_000)).await;
    // An update moves rows to the end of the table, and a vacuum frees their old positions for other rows.
    let disorder = "UPDATE public.sales SET c1 = c1 WHERE pausa_row % 7 = 3; VACUUM public.sales;
        UPDATE public.sales SET c1 = c1 WHERE pausa_row > 15000";
    for statement in disorder.split(';') {
        execute(&database.url, statement).await;
    }
    let snapshot =
        database.datasets.pin(caller(), crate::harness::task_id().into(), &"sales".parse().unwrap()).await.unwrap();
    let expected: String = (1..=20_000).map(|n| format!("{n}\r\n")).collect();
    assert!(database.lines(&snapshot, &every(&snapshot), 5000).await == expected);
    for after in [0, 1, 9_999, 19_000] {
        let gathered = gathered(&database, &snapshot, after).await;
        assert!(expected.ends_with(&gathered) && gathered.lines().count() as u64 == 20_000 - after);
    }
    let filter = ColumnFilter { column: "c1".into(), from: Some("2".into()), ..ColumnFilter::default() };
    let selection = Selection::of(&snapshot.columns, None, &[filter]).unwrap();
    let expected: String =
        (1..=20_000).map(|n| n.to_string()).filter(|n| n.as_str() >= "2").map(|n| n + "\r\n").collect();
    assert!(database.lines(&snapshot, &selection, 777).await == expected);
}

/// Returns all rows after number `after`, as an export reads them.
async fn gathered(database: &TestDatabase, snapshot: &Snapshot, after: u64) -> String {
    let reader = database.datasets.reader(snapshot, &every(snapshot));
    let limit = PageLimit { rows: u64::MAX, bytes: 10_000, guard: false };
    let pages = pausa::datasets::pages(reader, RowWindow { after, last: snapshot.rows }, 4096, limit);
    let lines: Vec<_> = pages.map_ok(|page| page.lines.into_bytes()).try_collect().await.unwrap();
    String::from_utf8(lines.concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_read_ends_when_it_is_stopped() {
    let database = TestDatabase::postgres().await;
    database.import("sales", PublishMode::Create, &[&["a"], &["b"]]).await;
    let snapshot =
        database.datasets.pin(caller(), crate::harness::task_id().into(), &"sales".parse().unwrap()).await.unwrap();
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    let mut onlooker = PgConnection::connect(&database.url).await.unwrap();
    // The index is created first, so that no other statement waits for the table.
    until(&mut onlooker, INDEXED).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE public.sales IN ACCESS EXCLUSIVE MODE").execute(&mut holder).await.unwrap();
    let reader = database.datasets.reader(&snapshot, &every(&snapshot));
    let (all, limit) = (RowWindow { after: 0, last: 2 }, PageLimit { rows: 100, bytes: 1000, guard: false });
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move { (reader.read(all, limit).await, reader.count(all).await) }
    });
    let waiting = "FROM pg_locks WHERE NOT granted AND relation = 'public.sales'::regclass";
    until(&mut onlooker, &format!("SELECT count(*) = 1 {waiting}")).await;
    reader.stop();
    let (page, count) = tokio::time::timeout(crate::harness::server::PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!((page.unwrap().rows, count.unwrap()), (0, 0));
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    until(&mut onlooker, &format!("SELECT count(*) = 0 {waiting}")).await;
}
