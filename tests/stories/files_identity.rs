//! The folder of files belongs to one task store. A start with another folder is refused and says what to do.

use std::fs;

use serde_json::json;

use super::folders::refused;
use crate::harness::csv;
use crate::harness::server::Server;
use crate::store::test_store::TestStore;

/// Returns a server with a finished import.
async fn with_a_task(settings: &[(&str, &str)]) -> Server {
    let server = Server::with(settings).await;
    let upload = server.upload(csv::people(20)).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_folder_is_refused() {
    let test_store = TestStore::postgres().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = |folder: &tempfile::TempDir| format!("file://{}", folder.path().display());
    let (first_url, second_url) = (url(&first), url(&second));
    let store = ("PAUSA_DATABASE_URL", test_store.url.as_str());
    let _server = with_a_task(&[store, ("PAUSA_FILES_URL", &first_url)]).await;
    let data = tempfile::tempdir().unwrap();
    let data = ("PAUSA_DATA_DIR", data.path().to_str().unwrap());
    let printed = refused(&[data, store, ("PAUSA_FILES_URL", &second_url)]).await;
    let missing = format!("{}/store-id is missing", second.path().display());
    assert!(printed.contains(&missing) && printed.contains("PAUSA_FILES_URL"), "{printed}");

    let other = TestStore::postgres().await;
    let _other = with_a_task(&[("PAUSA_DATABASE_URL", &other.url), ("PAUSA_FILES_URL", &second_url)]).await;
    let printed = refused(&[data, store, ("PAUSA_FILES_URL", &second_url)]).await;
    assert!(printed.contains("the files belong to another task store"), "{printed}");

    let new = TestStore::postgres().await;
    let printed = refused(&[data, ("PAUSA_DATABASE_URL", &new.url), ("PAUSA_FILES_URL", &second_url)]).await;
    assert!(printed.contains("this store is new") && printed.contains("delete the file"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_for_the_first_time_together_agree() {
    let (test_store, files) = (TestStore::postgres().await, tempfile::tempdir().unwrap());
    let node = || Server::sharing(&test_store.url, &files, &[]);
    let (one, two, three) = tokio::join!(node(), node(), node());
    for server in [one, two, three] {
        assert_eq!(server.get("/readyz").await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_and_a_folder_without_an_id_get_one() {
    let mut server = with_a_task(&[]).await;
    server.kill().await;
    let marker = server.folder().join("files/store-id");
    fs::remove_file(&marker).unwrap();
    let test_store = TestStore::of(format!("sqlite:{}", server.folder().join("pausa.db").display()));
    assert_eq!(test_store.execute("DELETE FROM store_facts WHERE name = 'files'").await.unwrap(), 1);
    server.restart().await;
    let id = fs::read_to_string(&marker).unwrap();
    server.kill().await;
    server.restart().await;
    assert_eq!(fs::read_to_string(&marker).unwrap(), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_lost_for_good_can_be_given_up() {
    let mut server = with_a_task(&[]).await;
    server.kill().await;
    let files = server.folder().join("files");
    let id = fs::read_to_string(files.join("store-id")).unwrap();
    fs::remove_dir_all(&files).unwrap();
    let printed = refused(&[("PAUSA_DATA_DIR", server.folder().to_str().unwrap())]).await;
    assert!(printed.contains("store-id") && printed.contains(id.trim()), "{printed}");
    fs::write(files.join("store-id"), id).unwrap();
    server.restart().await;
    assert_eq!(server.rows("people").await, Some(20));
}
