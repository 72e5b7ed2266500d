//! `pausa backup` and `pausa restore`, and the cases that they refuse.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::csv;
use crate::harness::postgres::Postgres;
use crate::harness::server::{PATIENCE, Server, run};

/// Makes a backup, which must succeed. Returns the output.
async fn backed_up(data: &Path, folder: &Path) -> String {
    let (code, printed) = run(data, &["backup", folder.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{printed}");
    printed
}

/// Runs a command that must be refused. Returns the output.
async fn refused(data: &Path, arguments: &[&str]) -> String {
    let (code, printed) = run(data, arguments).await;
    assert_eq!(code, Some(1), "{printed}");
    printed.lines().last().unwrap().to_owned()
}

/// Starts a server with a dataset, a result and an upload.
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
async fn a_backup_of_a_running_and_of_a_stopped_server_can_be_restored() {
    let (mut server, file, export) = server().await;
    let scratch = tempfile::tempdir().unwrap();
    for round in ["running", "stopped", "killed"] {
        match round {
            "stopped" => assert_eq!(server.terminate().await, Some(0)),
            "killed" => {
                server.restart().await;
                server.kill().await;
            }
            _ => {}
        }
        let backup = scratch.path().join(round);
        let printed = backed_up(server.folder(), &backup).await;
        assert!(
            printed.starts_with(&format!("backup created in {}: 2 tasks, 1 datasets, 6 files", backup.display())),
            "{printed}"
        );
        let data = tempfile::tempdir().unwrap();
        let (code, printed) = run(data.path(), &["restore", backup.to_str().unwrap()]).await;
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("restored to") && printed.contains("2 tasks, 1 datasets"), "{printed}");
        let restored = Server::at(&[], data).await;
        assert!(restored.get(&format!("/download/{export}")).await.bytes().await.unwrap() == file.as_bytes());
        assert!(restored.exported("people").await == file.as_bytes(), "{round}");
    }
    assert_eq!(entries(scratch.path()).len(), 3, "there must be no other files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manifest_lists_each_file_and_a_damaged_backup_is_not_restored() {
    let (server, _, _) = server().await;
    let scratch = tempfile::tempdir().unwrap();
    let backup = scratch.path().join("backup");
    backed_up(server.folder(), &backup).await;
    let path = backup.join("manifest.json");
    let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&manifest["format"], &manifest["pausa"]), (&json!(1), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!((&manifest["tasks"], &manifest["missing"]), (&json!(2), &json!([])));
    let result =
        manifest["files"].as_array().unwrap().iter().find(|file| file["path"].as_str().unwrap().contains("results"));
    let result = backup.join(result.unwrap()["path"].as_str().unwrap());
    // The server's own file must not change, and it may be a hard link to this one.
    let bytes = std::fs::read(&result).unwrap();
    std::fs::remove_file(&result).unwrap();
    std::fs::write(&result, &bytes[1..]).unwrap();
    let data = tempfile::tempdir().unwrap();
    let printed = refused(data.path(), &["restore", backup.to_str().unwrap()]).await;
    assert!(printed.contains(&format!("{} is damaged", result.display())), "{printed}");
    assert_eq!(entries(data.path()), [data.path().join("pausa.lock")], "all restored files are removed");
    std::fs::write(&result, &bytes).unwrap();
    let newer = serde_json::to_string(&manifest).unwrap().replace("\"schema\":", "\"schema\":9");
    std::fs::write(&path, newer).unwrap();
    let printed = refused(data.path(), &["restore", backup.to_str().unwrap()]).await;
    assert!(printed.contains("this version supports schemas up to"), "{printed}");
    std::fs::remove_file(&path).unwrap();
    let printed = refused(data.path(), &["restore", backup.to_str().unwrap()]).await;
    assert!(printed.contains("manifest.json: ") && printed.contains("not a complete backup"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_damaged_files_of_the_server_are_reported() {
    let (mut server, _, export) = server().await;
    let scratch = tempfile::tempdir().unwrap();
    std::fs::remove_file(server.folder().join("files/results").join(&export)).unwrap();
    let printed = backed_up(server.folder(), &scratch.path().join("backup")).await;
    let warning = format!("warning: files/results/{export} is missing on the server and in the backup");
    assert_eq!(printed.lines().last(), Some(&*warning));
    server.terminate().await;
    let segment = entries(&server.folder().join("datasets.db-segments")).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(7);
    std::fs::write(&segment, bytes).unwrap();
    let damaged = scratch.path().join("damaged");
    let printed = refused(server.folder(), &["backup", damaged.to_str().unwrap()]).await;
    assert!(
        printed.contains(segment.file_name().unwrap().to_str().unwrap()) && printed.contains("is damaged"),
        "{printed}"
    );
    assert!(!damaged.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_that_are_not_empty_are_refused() {
    let (server, _, _) = server().await;
    let scratch = tempfile::tempdir().unwrap();
    let backup = scratch.path().join("backup");
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
    let free = scratch.path().join("free");
    let printed = refused(other.path(), &["backup", free.to_str().unwrap()]).await;
    assert!(printed.contains("No server has run with these settings"), "{printed}");
    let printed = refused(server.folder(), &["backup", scratch.path().join("none/backup").to_str().unwrap()]).await;
    assert!(printed.contains("none: No such file"), "{printed}");
    let printed = refused(server.folder(), &["backup", "/dev/full/backup"]).await;
    assert!(printed.contains("/dev/full"), "{printed}");
    assert_eq!(entries(scratch.path()).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_postgresql_and_files_in_a_bucket_are_backed_up_with_their_own_tools() {
    let postgres = tokio::task::spawn_blocking(Postgres::shared).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let store = format!("database_url={}", postgres.url());
    let cases = [(store.as_str(), "pg_dump"), ("files_url=s3://bucket/prefix", "the bucket s3://bucket/prefix")];
    for (command, (setting, named)) in
        ["backup", "restore"].into_iter().flat_map(|command| cases.map(|case| (command, case)))
    {
        let folder = data.path().join("backup");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("manifest.json"), "{}").unwrap();
        let printed = refused(data.path(), &["--set", setting, command, folder.to_str().unwrap()]).await;
        assert!(printed.contains(named) && printed.contains("folder or bucket of uploads and results"), "{printed}");
    }
}

/// Starts a backup of many files and returns when it has begun to write.
async fn begun(data: &Path, scratch: &TempDir) -> tokio::process::Child {
    let child = Command::new(env!("CARGO_BIN_EXE_pausa"))
        .args(["backup", scratch.path().join("backup").to_str().unwrap()])
        .env("PAUSA_DATA_DIR", data)
        .env_remove("PAUSA_BLESS")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // The program sends no event for this, so the folder is polled.
    while entries(scratch.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_backup_leaves_no_folder_of_its_name() {
    let server = Server::start().await;
    // Unfinished uploads are copied instead of linked, and this one is so large that the signal arrives in time.
    let unfinished = std::fs::File::create(server.folder().join("files/unfinished/large")).unwrap();
    unfinished.set_len(64 << 30).unwrap();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
        let scratch = tempfile::tempdir().unwrap();
        let child = begun(server.folder(), &scratch).await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        assert!(!ended.status.success());
        assert!(!scratch.path().join("backup").exists());
        if signal != rustix::process::Signal::KILL {
            let printed = String::from_utf8(ended.stderr).unwrap();
            assert!(
                ended.status.code().is_none() || printed.contains("interrupted; all created files were deleted"),
                "{printed}"
            );
            assert!(ended.status.code().is_none() || entries(scratch.path()).is_empty());
        }
    }
    let id = server.pi(100).await;
    server.until(&id, "COMPLETED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_restore_is_not_accepted_as_a_data_folder() {
    let (server, _, _) = server().await;
    let scratch = tempfile::tempdir().unwrap();
    let backup = scratch.path().join("backup");
    backed_up(server.folder(), &backup).await;
    let data = tempfile::tempdir().unwrap();
    // The state after a kill: all steps but the last.
    std::fs::copy(backup.join("datasets.db"), data.path().join("datasets.db")).unwrap();
    std::fs::copy(backup.join("pausa.db"), data.path().join("pausa.db.restoring")).unwrap();
    let printed = refused(data.path(), &[]).await;
    assert!(printed.contains("was not restored completely"), "{printed}");
    assert!(refused(data.path(), &["restore", backup.to_str().unwrap()]).await.contains("is not empty"));
}
