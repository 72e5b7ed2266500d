//! The file of an import blocks for longer than a run may take to stop: PAUSED and TERMINATED wait for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::harness::csv;
use crate::harness::server::Server;

/// Returns a server with a running import, and the path of its segment.
async fn importing() -> (Server, String, PathBuf) {
    let server = Server::start().await;
    // So fast that it writes most of the time, and so long that it does not end.
    let upload = server.upload(csv::people(400_000)).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 40_000 })).await;
    server.until_done(&id, 1).await;
    let path = server.folder().join(format!("datasets.db-segments/{id}.db"));
    (server, id, path)
}

/// Locks the segment, so that each write of it waits.
fn locked(segment: &Path) -> Connection {
    let segment = Connection::open(segment).unwrap();
    segment.busy_timeout(Duration::from_secs(10)).unwrap();
    segment.execute_batch("BEGIN IMMEDIATE").unwrap();
    segment
}

/// Returns true if the server's process has the file open.
fn is_open(server: &Server, file: &Path) -> bool {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let mut links = files.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    links.any(|link| link == file)
}

/// Repeats the request until the stop is confirmed or the run is aborted. Each call answers after a second, and a run has two to
/// stop.
async fn request(server: &Server, verb: &str, id: &str) -> String {
    for _ in 0..3 {
        let state = server.verb_state(verb, id).await;
        if !state.ends_with("ING") {
            return state;
        }
    }
    server.task(id).await["state"].as_str().unwrap().to_owned()
}

/// Pauses while the segment is locked, until a pause meets a write in progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_waits_for_the_write_of_a_run_that_is_aborted() {
    let (server, id, path) = importing().await;
    loop {
        let segment = locked(&path);
        // The next write begins meanwhile, and waits.
        for _ in 0..100 {
            server.task(&id).await;
        }
        let state = server.verb_state("pause", &id).await;
        let state = if state == "PAUSED" { state } else { request(&server, "pause", &id).await };
        assert!(state != "PAUSED" || !is_open(&server, &path), "PAUSED while its file is written");
        drop(segment);
        let paused = server.until(&id, "PAUSED").await;
        assert!(!is_open(&server, &path));
        let segment = Connection::open(&path).unwrap();
        let rows: i64 = segment.query_row("SELECT rows FROM _pausa", [], |row| row.get(0)).unwrap();
        assert_eq!(paused["progress"]["done"], rows);
        if state == "PAUSING" {
            break;
        }
        server.control("resume", &id).await;
        server.until_done(&id, u64::try_from(rows).unwrap() + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_a_run_that_was_aborted_as_it_opened_its_segment() {
    let (server, id, path) = importing().await;
    for (verb, end) in [("pause", "PAUSED"), ("terminate", "TERMINATED")] {
        server.control("pause", &id).await;
        server.until(&id, "PAUSED").await;
        let segment = locked(&path);
        server.control("resume", &id).await;
        server.until(&id, "RUNNING").await;
        let state = request(&server, verb, &id).await;
        assert!(state != end || !is_open(&server, &path), "{end} while its file is open");
        drop(segment);
        server.until(&id, end).await;
        assert!(!is_open(&server, &path));
    }
    assert!(!path.exists());
}
