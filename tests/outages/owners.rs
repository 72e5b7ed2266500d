//! Datasets that do not fit their task store stop the start.

use serde_json::json;

use super::postgres;
use crate::datasets::database::{TestDatabase, execute};
use crate::harness::csv;
use crate::harness::server::{self, Server};
use crate::store::test_store::TestStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_datasets_beside_a_postgres_store_stop_the_start() {
    let postgres = postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let store = format!("database_url={}", postgres.url());
    let datasets = format!("datasets_url=sqlite:{}/d.db", folder.path().display());
    let (code, printed) = server::run(folder.path(), &["--set", &store, "--set", &datasets]).await;
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("invalid setting datasets_url") && printed.contains("other nodes cannot read"),
        "{printed}"
    );
    assert!(!folder.path().join("d.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_do_not_share_a_file_of_datasets() {
    let shared = tempfile::tempdir().unwrap();
    let file = shared.path().join("datasets.db").display().to_string();
    let url = format!("sqlite:{file}");
    let settings = [("PAUSA_DATASETS_URL", url.as_str())];
    let mut first = Server::with(&settings).await;
    let upload = first.upload(csv::people(100)).await;
    let id = first.import(&upload, json!({ "dataset": "people" })).await;
    first.until(&id, "COMPLETED").await;

    let other = tempfile::tempdir().unwrap();
    let setting = format!("datasets_url={url}");
    let (code, printed) = server::run(other.path(), &["--set", &setting]).await;
    assert_eq!(code, Some(1));
    assert!(printed.contains(&format!("{file} has the datasets of another task store")), "{printed}");

    // The first store goes on, and starts again.
    assert_eq!(first.rows("people").await, Some(100));
    assert_eq!(first.terminate().await, Some(0));
    first.restart().await;
    assert_eq!(first.rows("people").await, Some(100));
    first.terminate().await;

    // What the message says helps.
    let forgotten = std::process::Command::new("sqlite3").arg(&file).arg("DELETE FROM used_by").status().unwrap();
    assert!(forgotten.success());
    let next = Server::with(&settings).await;
    assert_eq!(next.rows("people").await, Some(100));
}

/// Two stores on PostgreSQL, and datasets in a third database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_do_not_share_a_database_of_datasets() {
    let (datasets, one, another) =
        (TestDatabase::postgres().await, TestStore::postgres().await, TestStore::postgres().await);
    let files = tempfile::tempdir().unwrap();
    let settings = [("PAUSA_DATASETS_URL", datasets.url.as_str())];
    let node = || Server::sharing(&one.url, &files, &settings);
    // Both nodes of the first store start for the first time, at the same time.
    let (mut first, second) = tokio::join!(node(), node());
    let upload = first.upload(csv::people(100)).await;
    let id = second.import(&upload, json!({ "dataset": "people" })).await;
    first.until(&id, "COMPLETED").await;

    let other = tempfile::tempdir().unwrap();
    let (store, shared) = (format!("database_url={}", another.url), format!("datasets_url={}", datasets.url));
    let (code, printed) = server::run(other.path(), &["--set", &store, "--set", &shared]).await;
    assert_eq!(code, Some(1));
    assert!(
        printed.contains(" has the datasets of another task store. Each store needs a database of its own"),
        "{printed}"
    );
    assert!(printed.contains("set datasets_url") && printed.contains("database \"story_"), "{printed}");
    // A store on SQLite is another one, too.
    let (code, printed) = server::run(other.path(), &["--set", &shared]).await;
    assert!(code == Some(1) && printed.contains(" has the datasets of another task store"), "{printed}");

    // The first store goes on, and starts again.
    assert_eq!(second.rows("people").await, Some(100));
    assert_eq!(first.terminate().await, Some(0));
    first.restart().await;
    assert_eq!(first.rows("people").await, Some(100));

    // What the message says helps.
    let forget = "DELETE FROM pausa_datasets.used_by";
    assert!(printed.contains(forget), "{printed}");
    execute(&datasets.url, forget).await;
    let next = Server::with(&[("PAUSA_DATASETS_URL", &datasets.url)]).await;
    assert_eq!(next.rows("people").await, Some(100));
}
