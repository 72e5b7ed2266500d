//! kill -9 at random moments, many times: each row is stored exactly once, and progress never goes back.

use std::io::{Cursor, Read};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::folder::{is_exact, is_tidy, same_cells};
use super::random::Random;
use crate::harness::csv;
use crate::harness::server::Server;
use crate::harness::watch::Watch;
use crate::store::test_store::TestStore;

const KILLS: u32 = 20;

/// SHA-256 of `3.` and the decimals.
const SHA256: &str = "6fba00bd4d732bf518635d1e28e5292c8db6ee4c26285fe43d5ae9d104655cd9";
const DIGITS: u32 = 100_000;

/// A task, as it was last read.
struct Observed {
    id: String,
    step: u64,
    done: u64,
    paused: bool,
    over: bool,
}

impl Observed {
    fn new(id: String, step: u64) -> Observed {
        Observed { id, step, done: 0, paused: false, over: false }
    }

    fn runs(&self) -> bool {
        !self.over && !self.paused
    }

    /// Checks and records what is read: progress does not go back, no task fails, and a paused task does not move.
    fn observe(&mut self, task: &Value) {
        let done = task["progress"]["done"].as_u64().unwrap();
        assert!(done >= self.done, "{} went back to {done} from {}", self.id, self.done);
        assert_ne!(task["state"], "FAILED", "{task}");
        if self.paused {
            assert_eq!((task["state"].as_str(), done), (Some("PAUSED"), self.done));
        }
        self.done = done;
        self.over = task["state"] == "COMPLETED";
    }
}

/// Its nodes died as often as they may, each without a row: the next run only rolls it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_whose_nodes_died_too_often_fails_with_nothing_left() {
    let mut server = Server::with(&[("PAUSA_CRASH_LIMIT", "1")]).await;
    let file = csv::people(1500);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 500 })).await;
    server.until_done(&id, 200).await;
    server.kill().await;
    let test_store = TestStore::of(format!("sqlite:{}", server.folder().join("pausa.db").display()));
    assert_eq!(test_store.execute("UPDATE tasks SET crashes = 1").await.unwrap(), 1);
    server.restart().await;
    server.until(&id, "FAILED").await;
    let failed = server.task(&id).await;
    let error = json!({ "code": "INTERNAL", "message": "the node that ran the task died 2 times in a row" });
    assert_eq!((&failed["error"], server.rows("people").await), (&error, None));
    is_tidy(&server, &[], &[]);
    server.verb("resume", &id).await;
    server.until(&id, "COMPLETED").await;
    is_exact(&server, "people", &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_no_row_and_duplicate_none() {
    let mut random = Random::new();
    let mut server = Server::with(&[("PAUSA_MAX_RUNNING", "8"), ("PAUSA_CRASH_LIMIT", "100")]).await;
    let (slow, quick) = (csv::people(6000), csv::wide(60_000, 4));
    let (slow_upload, quick_upload) = (server.upload(&*slow).await, server.upload(&*quick).await);
    let slow_id = server.import(&slow_upload, json!({ "dataset": "slow", "maxRowsPerSecond": 1000 })).await;
    let quick_id = server.import(&quick_upload, json!({ "dataset": "quick", "maxRowsPerSecond": 30_000 })).await;
    let pi = server.pi(DIGITS).await;
    let mut tasks = vec![Observed::new(slow_id, 200), Observed::new(quick_id, 8000), Observed::new(pi, 5000)];
    for kill in 1..=KILLS {
        // Once the dataset exists, it is exported again and again.
        if tasks[1].over && tasks[3..].iter().all(|task| task.over) {
            tasks.push(Observed::new(server.export("quick").await, 10_000));
        }
        keep_one_running(&server, &mut tasks).await;
        wait_for_progress(&server, &mut tasks, &mut random).await;
        pause_one(&server, &mut tasks, &mut random).await;
        keep_one_running(&server, &mut tasks).await;
        server.kill().await;
        server.restart().await;
        for task in &mut tasks {
            task.observe(&server.task(&task.id).await);
            if task.paused && (random.once_in(2) || kill == KILLS) {
                task.paused = false;
                server.control("resume", &task.id).await;
            }
        }
    }
    finish(&server, &mut tasks, &slow, &quick).await;
}

/// Waits until a running task has progressed by a random amount, and a random time longer.
async fn wait_for_progress(server: &Server, tasks: &mut [Observed], random: &mut Random) {
    let running: Vec<_> = (0..tasks.len()).filter(|n| tasks[*n].runs()).collect();
    let task = &mut tasks[random.pick(&running)];
    let wanted = task.done + random.between(1, task.step);
    let mut watch = Watch::progress(&server.url, &task.id).await;
    loop {
        let now = watch.next().await.unwrap();
        task.observe(&now);
        if task.over || task.done >= wanted {
            break;
        }
    }
    // This number of requests is the random delay.
    for _ in 0..random.between(0, 30) {
        server.get("/healthz").await;
    }
}

/// Pauses one of the tasks now and then, but not the last running one.
async fn pause_one(server: &Server, tasks: &mut [Observed], random: &mut Random) {
    let running: Vec<_> = (0..tasks.len()).filter(|n| tasks[*n].runs()).collect();
    if running.len() < 2 || random.once_in(2) {
        return;
    }
    let task = &mut tasks[random.pick(&running[1..])];
    let mut answer = server.verb("pause", &task.id).await;
    let now = answer["data"]["pause"].take();
    if now["state"] == "PAUSED" {
        task.observe(&now);
        task.paused = true;
    }
}

/// Starts a task if none runs, however slow the machine was until now.
async fn keep_one_running(server: &Server, tasks: &mut Vec<Observed>) {
    if tasks.iter().any(Observed::runs) {
        return;
    }
    match tasks.iter_mut().find(|task| task.paused) {
        Some(task) => {
            task.paused = false;
            server.control("resume", &task.id).await;
        }
        None => tasks.push(Observed::new(server.export("quick").await, 10_000)),
    }
}

async fn finish(server: &Server, tasks: &mut [Observed], slow: &str, quick: &str) {
    for task in tasks.iter_mut() {
        server.until(&task.id, "COMPLETED").await;
        task.observe(&server.task(&task.id).await);
    }
    assert_eq!((tasks[0].done, tasks[1].done), (6000, 60_000));
    is_exact(server, "slow", slow).await;
    is_exact(server, "quick", quick).await;
    for export in &tasks[3..] {
        let bytes = server.get(&format!("/download/{}", export.id)).await.bytes().await.unwrap();
        same_cells(&bytes, quick);
    }
    let zip = server.get(&format!("/download/{}", tasks[2].id)).await.bytes().await.unwrap();
    let mut digits = String::new();
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    archive.by_index(0).unwrap().read_to_string(&mut digits).unwrap();
    assert_eq!(pausa::files::hex(&Sha256::digest(&digits)), SHA256);

    let exports = "{ tasks(filter: { kinds: [EXPORT, PI] }, first: 500) { edges { node { id } } } }";
    let made = server.data(exports, json!({})).await;
    let made: Vec<_> = made["tasks"]["edges"].as_array().unwrap().iter().collect();
    let results: Vec<_> = made.iter().map(|edge| edge["node"]["id"].as_str().unwrap()).collect();
    is_tidy(server, &[&tasks[0].id, &tasks[1].id], &results);
}
