//! The folder of files vanishes and comes back, or loses a file: no task is stranded.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::folder::{is_exact, is_tidy, names, same_cells};
use crate::harness::csv;
use crate::harness::server::Server;
use crate::store::test_store::TestStore;

/// The folder of files of a server, which a story takes away.
struct FilesFolder {
    there: PathBuf,
    away: PathBuf,
}

impl FilesFolder {
    fn of(server: &Server) -> FilesFolder {
        let folder = server.folder();
        FilesFolder { there: folder.join("files"), away: folder.join("away") }
    }

    /// Takes it away. An empty folder stays if `mount_point`, as after an unmount.
    fn vanish(&self, mount_point: bool) {
        fs::rename(&self.there, &self.away).unwrap();
        if mount_point {
            fs::create_dir(&self.there).unwrap();
        }
    }

    fn come_back(&self, mount_point: bool) {
        if mount_point {
            fs::remove_dir(&self.there).unwrap();
        }
        fs::rename(&self.away, &self.there).unwrap();
    }
}

/// Waits until the task waits for the folder.
async fn waits_for_folder(server: &Server, id: &str) {
    server.until(id, "SCHEDULED").await;
    let task = server.task(id).await;
    assert_eq!(task["error"]["code"], "UNAVAILABLE", "{task}");
    assert!(task["error"]["message"].as_str().unwrap().contains("the folder of files"), "{task}");
}

async fn tasks_wait_while_the_folder_is_away(mount_point: bool) {
    let server = Server::with(&[("PAUSA_RETRY_LIMIT", "3")]).await;
    let folder = FilesFolder::of(&server);
    let file = csv::people(3_000);
    let upload = server.upload(&*file).await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;
    let slow = "mutation { startExport(input: { dataset: \"people\", maxRowsPerSecond: 3000 }) { id } }";
    let running = server.data(slow, json!({})).await["startExport"]["id"].as_str().unwrap().to_owned();
    server.until_done(&running, 200).await;
    folder.vanish(mount_point);
    let again = server.import(&upload, json!({ "dataset": "again" })).await;
    let (export, ended) = (server.export("people").await, server.export("people").await);
    for id in [&running, &again, &export, &ended] {
        waits_for_folder(&server, id).await;
    }
    assert_eq!(server.control("terminate", &ended).await, "TERMINATED");
    let deleted = server.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": ended })).await;
    assert_eq!(deleted["deleteTask"], *ended);
    folder.come_back(mount_point);
    for id in [&running, &again, &export] {
        server.until(id, "COMPLETED").await;
    }
    for id in [&running, &export] {
        same_cells(&server.get(&format!("/download/{id}")).await.bytes().await.unwrap(), &file);
    }
    is_exact(&server, "again", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_for_a_folder_that_is_gone() {
    tasks_wait_while_the_folder_is_away(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_for_a_folder_that_is_not_mounted() {
    tasks_wait_while_the_folder_is_away(true).await;
}

/// Puts a finished task back to the moment before its result is published, as a crash then leaves it, and loses its file.
async fn lose_result(server: &mut Server, id: &str) {
    server.kill().await;
    fs::remove_file(server.folder().join("files/results").join(id)).unwrap();
    let url = format!("sqlite:{}", server.folder().join("pausa.db").display());
    let test_store = TestStore::of(url);
    let back = format!("UPDATE tasks SET state = 'FINISHING', finished_at = NULL WHERE id = '{id}'");
    assert_eq!(test_store.execute(&back).await.unwrap(), 1);
    server.restart().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_file_that_is_lost_is_made_again() {
    let mut server = Server::start().await;
    let file = csv::people(500);
    let upload = server.upload(&*file).await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;
    let (export, pi) = (server.export("people").await, server.pi(2_000).await);
    for id in [&export, &pi] {
        server.until(id, "COMPLETED").await;
        let before = server.task(id).await;
        lose_result(&mut server, id).await;
        server.until(id, "COMPLETED").await;
        let mut after = server.task(id).await;
        assert_eq!(after["result"], before["result"], "the same bytes");
        let history = after["history"].take();
        let remade = history.as_array().unwrap().iter().any(|change| {
            change["to"] == "SCHEDULED" && change["reason"].as_str().is_some_and(|why| why.contains("finished file"))
        });
        assert!(remade, "{history}");
    }
    is_tidy(&server, &[&import], &[&export, &pi]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_can_never_be_published_fails_and_is_rolled_back() {
    let server = Server::with(&[("PAUSA_RETRY_LIMIT", "2")]).await;
    let file = csv::people(500);
    let upload = server.upload(&*file).await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;
    // Nothing can be renamed into a file.
    let results = server.folder().join("files/results");
    fs::remove_dir(&results).unwrap();
    fs::write(&results, "not a folder").unwrap();
    let export = server.export("people").await;
    server.until(&export, "FAILED").await;
    let failed = server.task(&export).await;
    assert_eq!(failed["error"]["code"], "INTERNAL", "{failed}");
    assert_eq!(names(&server, "files/work"), [] as [&str; 0], "rolled back");
    fs::remove_file(&results).unwrap();
    fs::create_dir(&results).unwrap();
    server.control("resume", &export).await;
    server.until(&export, "COMPLETED").await;
    same_cells(&server.get(&format!("/download/{export}")).await.bytes().await.unwrap(), &file);
    is_tidy(&server, &[&import], &[&export]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn working_files_of_tasks_that_are_gone_are_swept_at_the_start() {
    let mut server = Server::start().await;
    let upload = server.upload(csv::people(500)).await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;
    server.kill().await;
    let gone = server.folder().join("files/work").join(crate::harness::task_id().to_string());
    let ended = server.folder().join("files/work").join(&import);
    for folder in [&gone, &ended] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("export"), "left over").unwrap();
    }
    server.restart().await;
    let swept = async {
        while gone.exists() || ended.exists() {
            server.get("/healthz").await;
        }
    };
    tokio::time::timeout(crate::harness::server::PATIENCE, swept).await.unwrap();
    is_tidy(&server, &[&import], &[]);
}

/// Starts an import whose third line is bad.
async fn import_with_rejects(server: &Server, limit: u32) -> String {
    let upload = server.upload("a,b\n1,2\n3\n4,5\n").await;
    let input = json!({ "dataset": format!("most{limit}"), "onBadRow": "SKIP", "maxBadRows": limit });
    server.import(&upload, input).await
}

const REJECTS: &str = "pausa_line,pausa_column,pausa_reason,a,b\r\n3,,1 field instead of 2,3\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_that_are_lost_are_answered_with_410() {
    let server = Server::start().await;
    let (most, none) = (import_with_rejects(&server, 1).await, import_with_rejects(&server, 0).await);
    for (id, state) in [(&most, "COMPLETED"), (&none, "FAILED")] {
        server.until(id, state).await;
        let path = format!("/download/{id}/rejects");
        assert_eq!(server.get(&path).await.text().await.unwrap(), REJECTS);
        fs::remove_file(server.folder().join("files/results").join(id)).unwrap();
        let lost = server.get(&path).await;
        assert_eq!(lost.status(), 410, "{state}");
        let answer: serde_json::Value = lost.json().await.unwrap();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{answer}");
        let deleted = server.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": id })).await;
        assert_eq!(deleted["deleteTask"], **id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_that_cannot_be_put_in_their_place_are_made_again() {
    let server = Server::with(&[("PAUSA_RETRY_LIMIT", "100"), ("PAUSA_RETRY_BACKOFF_SECONDS", "0.05")]).await;
    let results = server.folder().join("files/results");
    fs::remove_dir(&results).unwrap();
    fs::write(&results, "not a folder").unwrap();
    let id = import_with_rejects(&server, 1).await;
    server.until(&id, "SCHEDULED").await;
    fs::remove_file(&results).unwrap();
    fs::create_dir(&results).unwrap();
    server.until(&id, "COMPLETED").await;
    assert_eq!(server.get(&format!("/download/{id}/rejects")).await.text().await.unwrap(), REJECTS);
    assert_eq!(server.rows("most1").await, Some(2));
    is_tidy(&server, &[&id], &[&id]);
}
