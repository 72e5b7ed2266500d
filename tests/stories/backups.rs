//! `pausa backup` and `pausa restore`, and what they refuse.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::server::{PATIENCE, Server, run};

/// Makes a backup, which must go well.
async fn backed_up(data: &Path, folder: &Path) -> String {
    let (code, said) = run(data, &["backup", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{said}");
    said
}

/// A command that must be refused, and what it says.
async fn refused(data: &Path, arguments: &[&str]) -> String {
    let (code, said) = run(data, arguments).await;
    assert_eq!(code, Some(1), "{said}");
    said.lines().last().unwrap().to_owned()
}

/// A server with a dataset, a result and an upload.
async fn server() -> (Server, String, String) {
    let server = Server::start().await;
    let file = csv::people(500);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    let export = server.export("people").await;
    server.until(&export, "COMPLETED").await;
    (server, file, export)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_and_of_a_stopped_server_is_restored() {
    let (mut server, file, export) = server().await;
    let place = tempfile::tempdir().unwrap();
    for round in ["running", "stopped", "killed"] {
        match round {
            "stopped" => assert_eq!(server.terminate().await, Some(0)),
            "killed" => {
                server.restart().await;
                server.kill().await;
            }
            _ => {}
        }
        let backup = place.path().join(round);
        let said = backed_up(server.folder(), &backup).await;
        assert!(
            said.starts_with(&format!("backup created in {}: 2 tasks, 1 datasets, 5 files", backup.display())),
            "{said}"
        );
        let data = tempfile::tempdir().unwrap();
        let (code, said) = run(data.path(), &["restore", backup.to_str().unwrap()]).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("restored to") && said.contains("2 tasks, 1 datasets"), "{said}");
        let restored = Server::at(&[], data).await;
        assert!(restored.get(&format!("/download/{export}")).await.bytes().await.unwrap() == file.as_bytes());
        assert!(restored.exported("people").await == file.as_bytes(), "{round}");
    }
    assert_eq!(entries(place.path()).len(), 3, "nothing else is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_tells_each_file_and_a_changed_one_is_not_restored() {
    let (server, _, _) = server().await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    backed_up(server.folder(), &backup).await;
    let path = backup.join("manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&manifest["format"], &manifest["pausa"]), (&json!(1), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!((&manifest["tasks"], &manifest["missing"]), (&json!(2), &json!([])));
    let result =
        manifest["files"].as_array().unwrap().iter().find(|file| file["path"].as_str().unwrap().contains("results"));
    let result = backup.join(result.unwrap()["path"].as_str().unwrap());
    // The file of the server itself must not change with it: they may be one.
    let bytes = std::fs::read(&result).unwrap();
    std::fs::remove_file(&result).unwrap();
    std::fs::write(&result, &bytes[1..]).unwrap();
    let data = tempfile::tempdir().unwrap();
    let said = refused(data.path(), &["restore", backup.to_str().unwrap()]).await;
    assert!(said.contains(&format!("{} is damaged", result.display())), "{said}");
    assert_eq!(entries(data.path()), [data.path().join("pausa.lock")], "nothing is left of it");
    std::fs::write(&result, &bytes).unwrap();
    let newer = serde_json::to_string(&manifest).unwrap().replace("\"schema\":", "\"schema\":9");
    std::fs::write(&path, newer).unwrap();
    let said = refused(data.path(), &["restore", backup.to_str().unwrap()]).await;
    assert!(said.contains("this version supports schemas up to"), "{said}");
    std::fs::remove_file(&path).unwrap();
    let said = refused(data.path(), &["restore", backup.to_str().unwrap()]).await;
    assert!(said.contains("manifest.json: ") && said.contains("not a complete backup"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_itself_lacks_or_has_damaged_is_told() {
    let (mut server, _, export) = server().await;
    let place = tempfile::tempdir().unwrap();
    std::fs::remove_file(server.folder().join("files/results").join(&export)).unwrap();
    let said = backed_up(server.folder(), &place.path().join("backup")).await;
    let warning = format!("warning: files/results/{export} is missing on the server and in the backup");
    assert_eq!(said.lines().last(), Some(&*warning));
    server.terminate().await;
    let segment = entries(&server.folder().join("datasets.db-segments")).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(7);
    std::fs::write(&segment, bytes).unwrap();
    let damaged = place.path().join("damaged");
    let said = refused(server.folder(), &["backup", damaged.to_str().unwrap()]).await;
    assert!(said.contains(segment.file_name().unwrap().to_str().unwrap()) && said.contains("is damaged"), "{said}");
    assert!(!damaged.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_hold_something_are_refused() {
    let (server, _, _) = server().await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    let named = backup.to_str().unwrap();
    std::fs::create_dir(&backup).unwrap();
    backed_up(server.folder(), &backup).await;
    assert!(refused(server.folder(), &["backup", named]).await.contains("is not empty"));
    assert!(refused(server.folder(), &["restore", named]).await.contains("a server is running on"));
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("notes.txt"), "mine").unwrap();
    assert!(refused(other.path(), &["restore", named]).await.contains("is not empty"));
    assert_eq!(entries(other.path()).len(), 1);
    assert!(refused(other.path(), &["backup", named]).await.contains("is not empty"));
    let free = place.path().join("free");
    let said = refused(other.path(), &["backup", free.to_str().unwrap()]).await;
    assert!(said.contains("No server has run with these settings"), "{said}");
    let said = refused(server.folder(), &["backup", place.path().join("none/backup").to_str().unwrap()]).await;
    assert!(said.contains("none: No such file"), "{said}");
    let said = refused(server.folder(), &["backup", "/dev/full/backup"]).await;
    assert!(said.contains("/dev/full"), "{said}");
    assert_eq!(entries(place.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_postgresql_is_left_to_its_own_tools() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let store = format!("database_url={}", postgres.url());
    for command in ["backup", "restore"] {
        let folder = data.path().join("backup");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("manifest.json"), "{}").unwrap();
        let said = refused(data.path(), &["--set", &store, command, folder.to_str().unwrap()]).await;
        assert!(said.contains("pg_dump") && said.contains("folder of uploads and results"), "{said}");
    }
}

/// Starts a backup of many files, and answers it once it has begun to write.
async fn begun(data: &Path, place: &TempDir) -> tokio::process::Child {
    let child = Command::new(env!("CARGO_BIN_EXE_pausa"))
        .args(["backup", place.path().join("backup").to_str().unwrap()])
        .env("PAUSA_DATA_DIR", data)
        .env_remove("PAUSA_BLESS")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Nothing tells of it; it is looked for.
    while entries(place.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_backup_leaves_nothing_under_its_name() {
    let server = Server::start().await;
    // Copied rather than linked as it is unfinished, and so large that a signal comes in time.
    let unfinished = std::fs::File::create(server.folder().join("files/unfinished/large")).unwrap();
    unfinished.set_len(64 << 30).unwrap();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
        let place = tempfile::tempdir().unwrap();
        let child = begun(server.folder(), &place).await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        assert!(!ended.status.success());
        assert!(!place.path().join("backup").exists());
        if signal != rustix::process::Signal::KILL {
            let said = String::from_utf8(ended.stderr).unwrap();
            assert!(
                ended.status.code().is_none() || said.contains("interrupted; all created files were deleted"),
                "{said}"
            );
            assert!(ended.status.code().is_none() || entries(place.path()).is_empty());
        }
    }
    let id = server.pi(100).await;
    server.until(&id, "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_was_killed_is_not_taken_for_a_data_folder() {
    let (server, _, _) = server().await;
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("backup");
    backed_up(server.folder(), &backup).await;
    let data = tempfile::tempdir().unwrap();
    // What a kill leaves: all but the last step.
    std::fs::copy(backup.join("datasets.db"), data.path().join("datasets.db")).unwrap();
    std::fs::copy(backup.join("pausa.db"), data.path().join("pausa.db.restoring")).unwrap();
    let said = refused(data.path(), &[]).await;
    assert!(said.contains("was not restored completely"), "{said}");
    assert!(refused(data.path(), &["restore", backup.to_str().unwrap()]).await.contains("is not empty"));
}
