//! `kill -9` of a worker: another one takes its task over, with the default lease.

use std::time::Duration;

use pausa::clock::Clock;
use serde_json::{Value, json};

use super::{Carrier, Cluster};
use crate::figures::spread;
use crate::harness::csv;
use crate::harness::watch::Watch;

/// Number of kills for each kind.
const KILLS: u32 = 5;

/// Time from a node's start to the next kill: a node takes tasks over once it has renewed its lease for a whole lease. Longer by
/// this step from kill to kill, so that kills come at any moment between two renewals.
const SETTLED: Duration = Duration::from_secs(7);
const STEP: Duration = Duration::from_millis(370);

/// Rows of what is imported and exported, rows per second, and digits: each takes longer than a takeover.
const ROWS: usize = 100_000;
const RATE: u32 = 1000;
const EXPORTED: usize = 3_000_000;
const DIGITS: u32 = 20_000_000;

#[derive(Clone, Copy)]
enum Run {
    Import,
    Export,
    Pi,
}

pub async fn measure() {
    let mut cluster = Cluster::start(Carrier::Listen).await;
    let upload = cluster.api.upload(csv::wide(EXPORTED, 10)).await;
    let import = cluster.api.import(&upload, json!({ "dataset": "exported" })).await;
    cluster.api.until(&import, "COMPLETED").await;
    for (run, name) in [(Run::Import, "import"), (Run::Export, "export"), (Run::Pi, "computation of pi")] {
        let (mut claims, mut moves) = (Vec::new(), Vec::new());
        for kill in 0..KILLS {
            tokio::time::sleep(SETTLED + STEP * kill).await;
            let (claimed, moved) = takeover(&mut cluster, run).await;
            claims.push(claimed);
            moves.push(moved);
        }
        spread(&format!("{name}: from kill -9 to the claim of another node"), claims);
        spread(&format!("{name}: from kill -9 to the first progress there"), moves);
    }
}

/// Kills the worker of a running task, and restarts it afterwards. Returns how long the next claim took, and the next progress.
async fn takeover(cluster: &mut Cluster, run: Run) -> (Duration, Duration) {
    let id = match run {
        Run::Import => cluster.slow_import(ROWS, "imported", RATE).await,
        Run::Export => cluster.api.export("exported").await,
        Run::Pi => cluster.api.pi(DIGITS).await,
    };
    cluster.api.until_done(&id, 1).await;
    let (victim, _) = cluster.claim(&id).await;
    let (begin, killed) = (Clock::monotonic(), Clock::system().now());
    cluster.workers[victim].kill().await;
    let mut watch = Watch::progress(&cluster.api.url, &id).await;
    let done = |task: &Value| task["progress"]["done"].as_u64().unwrap();
    let before = done(&watch.until(|task| task["attempt"] == 1).await);
    watch.until(|task| done(task) > before || task["state"] == "COMPLETED").await;
    let moved = begin.elapsed();
    let (other, claimed) = cluster.claim(&id).await;
    assert_ne!(other, victim, "the killed node has the task again: {}", cluster.api.task(&id).await);
    cluster.api.control("terminate", &id).await;
    cluster.workers[victim].restart().await;
    (killed.duration_until(claimed).try_into().unwrap(), moved)
}
