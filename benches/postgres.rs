//! Imports into PostgreSQL, measured through the whole server beside `psql \copy`: `cargo bench --bench postgres`.
//!
//! Both write to one private server, in turn; the peer's table is a plain one that is made and dropped each time.

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "the stories use more of the harness than the measurements do")]
mod harness;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::csv;
use harness::postgres::Postgres;
use harness::server::Server;
use harness::watch::Watch;
use pausa::clock::Clock;
use serde_json::{Value, json};

/// Rounds of each comparison.
const ROUNDS: usize = 7;

/// Pauses that are timed.
const PAUSES: usize = 200;

/// Rows at which an import is terminated, to see that the time is the same.
const TERMINATED_AT: [u64; 3] = [10_000, 1_000_000, 10_000_000];

#[tokio::main]
async fn main() {
    let postgres = Postgres::start();
    let server = Server::with(&[("PAUSA_DATASETS_URL", &postgres.url())]).await;
    for (rows, columns) in [(1_000_000, 10), (120_000, 20)] {
        imports(&server, &postgres.url(), rows, columns).await;
    }
    pauses(&server).await;
    terminations(&server).await;
}

async fn imports(server: &Server, url: &str, rows: usize, columns: usize) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, csv::wide(rows, columns)).unwrap();
    let upload = server.upload(fs::read(&file).unwrap()).await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let peer = psql_copy(url, &file, columns);
        let own = import(server, &upload, "bench").await;
        drop_dataset(server, "bench").await;
        // The first round warms the caches.
        if round > 0 {
            theirs.push(peer);
            ours.push(own);
        }
    }
    println!("  each: psql {theirs:.0?}, Pausa {ours:.0?}");
    let (peer, own) = (percentile(&mut theirs, 0.5), percentile(&mut ours, 0.5));
    println!(
        "import {rows} x {columns}: psql \\copy {}, Pausa {} ({:.0} rows/s), {:.2} times as fast",
        ms(peer),
        ms(own),
        rows as f64 / own.as_secs_f64(),
        peer.as_secs_f64() / own.as_secs_f64()
    );
}

/// From the call to COMPLETED.
async fn import(server: &Server, upload: &str, dataset: &str) -> Duration {
    let begin = Clock::monotonic();
    let id = server.import(upload, json!({ "dataset": dataset })).await;
    server.until(&id, "COMPLETED").await;
    begin.elapsed()
}

async fn drop_dataset(server: &Server, name: &str) {
    server.data("mutation($name: String!) { dropDataset(name: $name) }", json!({ "name": name })).await;
}

/// The peer's import alone: its table is there before.
fn psql_copy(url: &str, file: &Path, columns: usize) -> Duration {
    let columns: Vec<_> = (1..=columns).map(|column| format!("c{column} text")).collect();
    psql(url, &format!("CREATE TABLE peer ({})", columns.join(", ")));
    let begin = Clock::monotonic();
    psql(url, &format!("\\copy peer FROM '{}' WITH (FORMAT csv, HEADER)", file.display()));
    let took = begin.elapsed();
    psql(url, "DROP TABLE peer");
    took
}

fn psql(url: &str, command: &str) {
    let status = Command::new("psql").args([url, "--no-psqlrc", "--quiet", "--command", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// From the call of pause to PAUSED and from that of resume to the first new row, at full speed.
async fn pauses(server: &Server) {
    let upload = server.upload(csv::wide(3_000_000, 10)).await;
    let (mut paused, mut resumed) = (Vec::new(), Vec::new());
    let mut round = 0;
    while paused.len() < PAUSES {
        let dataset = format!("paused{round}");
        let id = server.import(&upload, json!({ "dataset": dataset })).await;
        round += 1;
        server.until_done(&id, 1).await;
        loop {
            let begin = Clock::monotonic();
            let answer = server.verb("pause", &id).await;
            let took = begin.elapsed();
            if answer["data"]["pause"]["state"] != "PAUSED" {
                break;
            }
            paused.push(took);
            let done = answer["data"]["pause"]["progress"]["done"].as_u64().unwrap();
            let mut watch = Watch::progress(&server.url, &id).await;
            let begin = Clock::monotonic();
            server.control("resume", &id).await;
            let moved = |task: &Value| task["progress"]["done"].as_u64() > Some(done);
            watch.until(|task| moved(task) || task["state"] == "COMPLETED").await;
            resumed.push(begin.elapsed());
        }
        server.until(&id, "COMPLETED").await;
        drop_dataset(server, &dataset).await;
    }
    // In the order of their position in the file: what resuming costs early and late.
    let late = resumed.split_off(resumed.len() / 2);
    spread("pause of a running import", paused);
    spread("resume to its first new row, the first half", resumed);
    spread("resume to its first new row, the second half", late);
}

/// From the call of terminate to TERMINATED, early and late.
async fn terminations(server: &Server) {
    let upload = server.upload(csv::wide(12_000_000, 2)).await;
    for rows in TERMINATED_AT {
        let mut times = Vec::new();
        for _ in 0..3 {
            let id = server.import(&upload, json!({ "dataset": "ended" })).await;
            server.until_done(&id, rows).await;
            let begin = Clock::monotonic();
            assert_eq!(server.control("terminate", &id).await, "TERMINATED");
            times.push(begin.elapsed());
        }
        spread(&format!("terminate at {rows} rows"), times);
    }
}

fn spread(what: &str, mut times: Vec<Duration>) {
    println!(
        "{what} ({} times): median {}, p99 {}, worst {}",
        times.len(),
        ms(percentile(&mut times, 0.5)),
        ms(percentile(&mut times, 0.99)),
        ms(percentile(&mut times, 1.0))
    );
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let last = times.len() - 1;
    times[(last as f64 * share).ceil() as usize]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
