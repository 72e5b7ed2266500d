//! Pause, resume and terminate at full speed.

use std::time::Duration;

use pausa::clock::Clock;
use serde_json::Value;

use crate::figures::spread;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

/// Number of pauses that are measured.
pub const PAUSES: usize = 200;

/// Measures the time from pause to PAUSED, and from resume to the first new progress, `times` times. `begin` starts the n-th task.
pub async fn pauses(server: &Server, what: &str, times: usize, mut begin: impl AsyncFnMut(usize) -> String) {
    let (mut paused, mut resumed) = (Vec::new(), Vec::new());
    for round in 0.. {
        if paused.len() >= times {
            break;
        }
        let id = begin(round).await;
        server.until_done(&id, 1).await;
        while let Some((took, done)) = pause(server, &id).await {
            paused.push(took);
            resumed.push((done, resume(server, &id, done).await));
        }
        server.until(&id, "COMPLETED").await;
    }
    spread(&format!("pause of a running {what}"), paused);
    resumed.sort_unstable_by_key(|(done, _)| *done);
    let late = resumed.split_off(resumed.len() / 2);
    let limit = late[0].0;
    let durations = |all: Vec<(u64, Duration)>| all.into_iter().map(|(_, took)| took).collect();
    spread(&format!("resume of an {what} before {limit}, to the first progress"), durations(resumed));
    spread(&format!("resume of an {what} from {limit} on, to the first progress"), durations(late));
}

/// Returns the time of a pause, and the amount done. None if the task had ended.
async fn pause(server: &Server, id: &str) -> Option<(Duration, u64)> {
    let begin = Clock::monotonic();
    let answer = server.verb("pause", id).await;
    let took = begin.elapsed();
    let task = &answer["data"]["pause"];
    (task["state"] == "PAUSED").then(|| (took, task["progress"]["done"].as_u64().unwrap()))
}

async fn resume(server: &Server, id: &str, done: u64) -> Duration {
    let mut watch = Watch::progress(&server.url, id).await;
    let begin = Clock::monotonic();
    server.control("resume", id).await;
    let moved = |task: &Value| task["progress"]["done"].as_u64() > Some(done);
    watch.until(|task| moved(task) || task["state"] == "COMPLETED").await;
    begin.elapsed()
}

/// Measures the time from terminate to TERMINATED, `times` times, after `rows` rows.
pub async fn terminations(
    server: &Server,
    what: &str,
    rows: u64,
    times: usize,
    mut begin: impl AsyncFnMut() -> String,
) {
    let mut took = Vec::new();
    for _ in 0..times {
        let id = begin().await;
        server.until_done(&id, rows).await;
        let begin = Clock::monotonic();
        assert_eq!(server.control("terminate", &id).await, "TERMINATED");
        took.push(begin.elapsed());
    }
    spread(&format!("terminate of an {what} at {rows}"), took);
}
