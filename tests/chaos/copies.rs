//! Copies of a data folder that other programs make while a server writes to it.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::folder::is_exact;
use crate::harness::csv;
use crate::harness::server::{Server, run};

const COPIES: usize = 8;

/// Copies a folder with `cp -r`. Ignores files that disappear meanwhile.
async fn copied(from: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Command::new("cp").arg("-r").arg(format!("{}/.", from.display())).arg(folder.path()).output().await.unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_running_server_refuses_to_start_and_says_why() {
    let mut server = Server::with(&[("PAUSA_MAX_RUNNING", "8")]).await;
    let file = csv::people(30_000);
    let upload = server.upload(&*file).await;
    let mut tasks = vec![server.import(&upload, json!({ "dataset": "slow", "maxRowsPerSecond": 5000 })).await];
    for _ in 0..COPIES {
        tasks.push(server.pi(20_000).await);
        let id = server.import(&upload, json!({ "dataset": "again", "mode": "REPLACE" })).await;
        server.until_done(&id, 1).await;
        let copy = copied(server.folder()).await;
        let (code, said) = run(copy.path(), &[]).await;
        assert_eq!(code, Some(1), "{said}");
        let store = copy.path().join("pausa.db");
        assert!(said.contains(&format!("{} was copied from the folder of a running server", store.display())));
        assert!(said.contains("`pausa backup FOLDER`") && !said.contains("panicked"), "{said}");
        server.until(&id, "COMPLETED").await;
    }
    for id in &tasks {
        server.until(id, "COMPLETED").await;
    }
    // The server itself starts again after a crash. So does a copy made before, once the lock file is deleted.
    server.kill().await;
    let copy = copied(server.folder()).await;
    assert!(run(copy.path(), &[]).await.1.contains("delete"));
    std::fs::remove_file(copy.path().join("pausa.lock")).unwrap();
    let copy = Server::at(&[], copy).await;
    is_exact(&copy, "slow", &file).await;
    server.restart().await;
    // A copy made after a clean end starts at once.
    assert_eq!(server.terminate().await, Some(0));
    let copy = Server::at(&[], copied(server.folder()).await).await;
    is_exact(&copy, "again", &file).await;
}
