//! The columns of the tables, which are defined in the program and in two series of migrations.

use std::sync::Arc;

use pausa::store::Store;
use pausa::store::columns::{ColumnDef, HISTORY_COLUMNS, TASK_COLUMNS};
use pausa::task::change::End;
use pausa::task::{ControlRequest, IdempotencyKey, InputPlace, PauseExpiry, ResultFile, Retry, TaskError, Unit, Verb};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::test_store::{
    POLICY, TestStore, at, control, create, end, node, plain, report, request, rows, running, short, task_with,
};
use crate::harness::caller;

/// Returns the names and types of a table's columns, sorted by name.
async fn columns_of(test_store: &TestStore, table: &str) -> Vec<(String, String)> {
    sqlx::any::install_default_drivers();
    let sql = match test_store.url.starts_with("postgres") {
        true => format!(
            "SELECT CAST(column_name AS TEXT) AS name, CAST(upper(data_type) AS TEXT) AS type \
             FROM information_schema.columns WHERE table_schema = 'pausa' AND table_name = '{table}'"
        ),
        false => format!("SELECT name, type FROM pragma_table_info('{table}')"),
    };
    let mut connection = AnyConnection::connect(&test_store.url).await.unwrap();
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
    let mut columns: Vec<_> = rows.iter().map(|row| (row.get("name"), row.get("type"))).collect();
    columns.sort();
    columns
}

fn sorted(defs: impl Iterator<Item = ColumnDef>) -> Vec<(String, String)> {
    let mut columns: Vec<_> = defs.map(|def| (def.name.to_owned(), def.sql_type.to_owned())).collect();
    columns.sort();
    columns
}

pub async fn the_tables_have_the_columns_that_the_program_defines(test_store: &TestStore) {
    test_store.open().await;
    assert_eq!(columns_of(test_store, "tasks").await, sorted(TASK_COLUMNS.iter().map(|column| column.def)));
    assert_eq!(columns_of(test_store, "task_changes").await, sorted(HISTORY_COLUMNS.into_iter()));
}

pub async fn a_unit_defined_by_the_embedding_program_is_preserved(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    for name in ["PAGES", "Zürich \u{1f600}", "DIGITS"] {
        let task = create(&store, task_with(|new| new.unit = Unit::from(name))).await;
        let run = store.claim(&node("a"), at(1), 1).await.unwrap().remove(0);
        let done = end(&store, &run, End::Done).await;
        assert_eq!((done.id, done.progress.unit.as_str()), (task.id, name));
        assert_eq!(store.get(caller(), task.id).await.unwrap(), Some(done));
    }
}

async fn same(store: &Store, task: Arc<pausa::task::Task>) {
    assert_eq!(store.get(caller(), task.id).await.unwrap(), Some(task));
}

pub async fn a_task_with_every_value_is_read_as_it_was_written(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let text = |name: &str| Some(format!("{name} \u{1f600}"));
    let full = task_with(|new| {
        new.label = text("label");
        new.start_at = Some(at(5));
        new.unique_key = text("unique key");
        new.tags = vec!["a \"tag\"".to_owned(), "z\u{1f600}".to_owned()];
        new.priority = -7;
        new.notify_url = text("http://example.org/");
        new.created_by = "someone".to_owned();
        new.idempotency_key = Some(IdempotencyKey { text: "key".into(), input_sha256: text("sha256") });
    });
    let full = create(&store, pausa::task::Task { trace_parent: text("parent"), ..full }).await;
    same(&store, full).await;
    same(&store, create(&store, short(60)).await).await;

    let run = running(&store).await;
    same(&store, report(&store, &run, text("cursor"), rows(7)).await.unwrap()).await;
    let place = InputPlace { line: Some(7), column: Some(2), column_name: text("name") };
    let error = TaskError { place, retryable: true, ..TaskError::new("OUT_OF_PAPER", "tray 2") };
    same(&store, end(&store, &run, End::Retry(error, Retry::At(at(9)), POLICY)).await).await;

    let result = ResultFile { name: "x".into(), size: 7, content_type: "t".into(), sha256: "s".into() };
    same(&store, end(&store, &*running(&store).await, End::Finish(Some(result))).await).await;

    let waiting = create(&store, plain()).await;
    let expiry = Some(PauseExpiry { at: at(500), then: Verb::Terminate });
    same(
        &store,
        store.control(caller(), waiting.id, Verb::Pause, ControlRequest { expiry, ..request() }).await.unwrap(),
    )
    .await;
    same(&store, control(&store, &waiting, Verb::Terminate).await).await;
}
