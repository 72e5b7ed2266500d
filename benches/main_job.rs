//! The main job, measured through the whole server: `cargo bench --bench main_job`.
//!
//! Each figure is that of the real program in a release build; imports are timed beside `sqlite3 .import`, in turn.

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "the stories use more of the harness than the measurements do")]
mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::csv;
use harness::server::Server;
use harness::watch::Watch;
use pausa::clock::Clock;
use serde_json::{Value, json};

/// Rounds of each comparison.
const ROUNDS: usize = 5;

/// Pauses, and calls, that are timed.
const CALLS: usize = 200;

#[tokio::main]
async fn main() {
    println!("{}", machine());
    starts().await;
    for (rows, columns) in [(1_000_000, 10), (120_000, 20)] {
        imports(rows, columns).await;
    }
    side_by_side().await;
    pauses().await;
    busy_calls().await;
    digits().await;
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("machine: {cores} cores, {}", model.trim_start_matches(['\t', ' ', ':']))
}

/// A start with an empty folder, memory at rest, and how soon a start of a task is answered.
async fn starts() {
    let mut cold = Vec::new();
    let mut rest = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Clock::monotonic();
        let server = Server::start().await;
        cold.push(begin.elapsed());
        rest.push(memory(server.pid(), "VmRSS"));
    }
    let server = Server::start().await;
    let upload = server.upload(csv::wide(1_000_000, 10)).await;
    let mut answers = Vec::new();
    for n in 0..20 {
        let begin = Clock::monotonic();
        server.import(&upload, json!({ "dataset": format!("d{n}") })).await;
        answers.push(begin.elapsed());
    }
    println!("cold start to ready: median {}", ms(percentile(&mut cold, 0.5)));
    rest.sort_unstable_by(f64::total_cmp);
    println!("memory at rest: median {:.1} MB", rest[rest.len() / 2]);
    println!(
        "startImport of 1,000,000 rows answers: median {}, worst {}",
        ms(percentile(&mut answers, 0.5)),
        ms(percentile(&mut answers, 1.0))
    );
}

async fn imports(rows: usize, columns: usize) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    fs::write(&file, csv::wide(rows, columns)).unwrap();
    let server = Server::start().await;
    let upload = server.upload(fs::read(&file).unwrap()).await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let peer = sqlite_import(&file, &folder.path().join(format!("peer{round}.db")));
        let begin = Clock::monotonic();
        let id = server.import(&upload, json!({ "dataset": format!("d{round}") })).await;
        server.until(&id, "COMPLETED").await;
        // The first round warms the caches.
        if round > 0 {
            theirs.push(peer);
            ours.push(begin.elapsed());
        }
    }
    let (peer, own) = (percentile(&mut theirs, 0.5), percentile(&mut ours, 0.5));
    println!(
        "import {rows} x {columns}: sqlite3 .import {}, Pausa {} ({:.0} rows/s), {:.2} times as fast",
        ms(peer),
        ms(own),
        rows as f64 / own.as_secs_f64(),
        peer.as_secs_f64() / own.as_secs_f64()
    );
}

fn sqlite_import(file: &Path, database: &Path) -> Duration {
    let begin = Clock::monotonic();
    let import = format!(".import --csv {} t", file.display());
    let status = Command::new("sqlite3").arg(database).arg(import).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    begin.elapsed()
}

/// Five imports at once.
async fn side_by_side() {
    let server = Server::with(&[("PAUSA_MAX_RUNNING", "5")]).await;
    let upload = server.upload(csv::wide(120_000, 20)).await;
    let begin = Clock::monotonic();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(server.import(&upload, json!({ "dataset": format!("d{n}") })).await);
    }
    for id in &ids {
        server.until(id, "COMPLETED").await;
    }
    let peak = memory(server.pid(), "VmHWM");
    println!("five imports of 120000 x 20 at once: {}, peak memory {peak:.0} MB", ms(begin.elapsed()));
}

/// From the call of pause to PAUSED, at full speed.
async fn pauses() {
    let server = Server::start().await;
    let upload = server.upload(csv::wide(3_000_000, 10)).await;
    let mut times = Vec::new();
    let mut round = 0;
    while times.len() < CALLS {
        let id = server.import(&upload, json!({ "dataset": format!("d{round}") })).await;
        round += 1;
        server.until_done(&id, 1).await;
        loop {
            let begin = Clock::monotonic();
            let answer = server.verb("pause", &id).await;
            let took = begin.elapsed();
            if answer["data"]["pause"]["state"] != "PAUSED" {
                break;
            }
            times.push(took);
            let done = answer["data"]["pause"]["progress"]["done"].as_u64().unwrap();
            let mut watch = Watch::progress(&server.url, &id).await;
            server.control("resume", &id).await;
            let moved = |task: &Value| task["progress"]["done"].as_u64() > Some(done);
            watch.until(|task| moved(task) || task["state"] == "COMPLETED").await;
        }
    }
    println!(
        "pause of a running import ({} times): median {}, p99 {}, worst {}",
        times.len(),
        ms(percentile(&mut times, 0.5)),
        ms(percentile(&mut times, 0.99)),
        ms(percentile(&mut times, 1.0))
    );
}

/// Calls while every core computes.
async fn busy_calls() {
    let server = Server::start().await;
    for _ in 0..2 {
        let id = server.pi(20_000_000).await;
        server.until(&id, "RUNNING").await;
    }
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let begin = Clock::monotonic();
        server.data("{ tasks { nodes { id state progress { done } } } }", json!({})).await;
        times.push(begin.elapsed());
    }
    println!(
        "a list of tasks while every core computes ({CALLS} calls): median {}, p99 {}",
        ms(percentile(&mut times, 0.5)),
        ms(percentile(&mut times, 0.99))
    );
}

/// Digits of pi, from the call to COMPLETED.
async fn digits() {
    let server = Server::start().await;
    for digits in [100_000, 1_000_000] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begin = Clock::monotonic();
            let id = server.pi(digits).await;
            server.until(&id, "COMPLETED").await;
            times.push(begin.elapsed());
        }
        println!("{digits} digits of pi, zip included: median {}", ms(percentile(&mut times, 0.5)));
    }
}

/// A line of /proc/PID/status, in megabytes.
fn memory(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024.0 / 1e6
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let last = times.len() - 1;
    times[(last as f64 * share).ceil() as usize]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
