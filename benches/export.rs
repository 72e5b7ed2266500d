//! Exports, measured through the whole server beside public tools: `cargo bench --bench export`.
//!
//! Each figure is that of the real program in a release build, from the call of startExport to COMPLETED, in turn with
//! `sqlite3 -csv` and `psql \copy to` on the same rows.

#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "the stories use more of the harness than the measurements do")]
mod harness;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::csv;
use harness::postgres::Postgres;
use harness::server::Server;
use harness::watch::Watch;
use pausa::clock::Clock;
use serde_json::{Value, json};

/// Rounds of each comparison, after one that warms the caches.
const ROUNDS: usize = 7;

const ROWS: usize = 1_000_000;
const COLUMNS: usize = 10;

/// Pauses that are timed.
const CALLS: usize = 100;

const START: &str = "mutation($input: StartExportInput!) { startExport(input: $input) { id } }";

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let file = csv::wide(ROWS, COLUMNS);
    let server = Server::start().await;
    fill(&server, &file).await;
    let database = folder.path().join("peer.db");
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, &file).unwrap();
    let import = format!(".import --csv {} t", rows.display());
    assert!(Command::new("sqlite3").arg(&database).arg(import).status().unwrap().success());
    let peer = || sqlite_export(&database, &folder.path().join("peer.csv"));
    compare(&server, "SQLite", "sqlite3 -csv", peer).await;
    packings(&server).await;
    stream(&server, file.len()).await;
    pages(&server).await;
    pauses(&server).await;
    println!("peak memory: {:.0} MB", memory(server.pid()));
    drop(server);

    let postgres = Postgres::start();
    let url = postgres.url();
    let server = Server::with(&[("PAUSA_DATASETS_URL", &url)]).await;
    fill(&server, &file).await;
    let peer = || psql_export(&url, &folder.path().join("peer.csv"));
    compare(&server, "PostgreSQL", "psql \\copy to", peer).await;
    stream(&server, file.len()).await;
    pages(&server).await;
    pauses(&server).await;
    println!("peak memory: {:.0} MB", memory(server.pid()));
}

async fn fill(server: &Server, file: &str) {
    let upload = server.upload(file).await;
    let id = server.import(&upload, json!({ "dataset": "t" })).await;
    server.until(&id, "COMPLETED").await;
}

async fn start(server: &Server, input: Value) -> String {
    server.data(START, json!({ "input": input })).await["startExport"]["id"].as_str().unwrap().to_owned()
}

async fn export(server: &Server, input: Value) -> Duration {
    let begin = Clock::monotonic();
    let id = start(server, input).await;
    server.until(&id, "COMPLETED").await;
    begin.elapsed()
}

async fn compare(server: &Server, place: &str, name: &str, peer: impl Fn() -> Duration) {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (their, own) = (peer(), export(server, json!({ "dataset": "t" })).await);
        if round > 0 {
            theirs.push(their);
            ours.push(own);
        }
    }
    let (their, own) = (percentile(&mut theirs, 0.5), percentile(&mut ours, 0.5));
    println!(
        "export of {ROWS} x {COLUMNS} from {place}: {name} {}, Pausa {} ({:.0} rows/s), {:.2} times as fast",
        ms(their),
        ms(own),
        ROWS as f64 / own.as_secs_f64(),
        their.as_secs_f64() / own.as_secs_f64()
    );
}

fn sqlite_export(database: &Path, to: &Path) -> Duration {
    let begin = Clock::monotonic();
    let mut command = Command::new("sqlite3");
    command.args(["-csv", "-header"]).arg(database).arg("SELECT * FROM t").stdout(File::create(to).unwrap());
    assert!(command.status().unwrap().success());
    begin.elapsed()
}

fn psql_export(url: &str, to: &Path) -> Duration {
    let columns: Vec<_> = (1..=COLUMNS).map(|column| format!("c{column}")).collect();
    let copy = format!("\\copy t ({}) to '{}' csv header", columns.join(","), to.display());
    let begin = Clock::monotonic();
    assert!(Command::new("psql").args(["-q", "-d", url, "-c", &copy]).status().unwrap().success());
    begin.elapsed()
}

async fn packings(server: &Server) {
    for compression in ["GZIP", "ZIP"] {
        let took = export(server, json!({ "dataset": "t", "compression": compression })).await;
        println!("the same as {compression}: {}", ms(took));
    }
    let filter = json!([{ "column": "c1", "from": "1", "to": "2" }]);
    let took = export(server, json!({ "dataset": "t", "where": filter })).await;
    println!("a tenth of the rows, chosen by a filter and counted first: {}", ms(took));
}

async fn stream(server: &Server, size: usize) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Clock::monotonic();
        let mut answer = server.get("/datasets/t.csv").await;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
        }
        assert_eq!(bytes, size);
        times.push(begin.elapsed());
    }
    println!("GET /datasets/t.csv: {}", ms(percentile(&mut times, 0.5)));
}

/// Pages of 50 rows at the begin and at the end.
async fn pages(server: &Server) {
    let query =
        "query($after: String) { dataset(name: \"t\") { rows(first: 50, after: $after) { nodes { number } } } }";
    for after in [0, ROWS - 50] {
        let mut times = Vec::new();
        for _ in 0..CALLS {
            let begin = Clock::monotonic();
            server.data(query, json!({ "after": after.to_string() })).await;
            times.push(begin.elapsed());
        }
        let (median, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        println!("a page of 50 rows behind row {after}: {}, p99 {}", ms(median), ms(p99));
    }
}

/// From the call of pause to PAUSED, at full speed.
async fn pauses(server: &Server) {
    let mut times = Vec::new();
    while times.len() < CALLS {
        let id = start(server, json!({ "dataset": "t" })).await;
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
            watch.until(|task| task["progress"]["done"].as_u64() > Some(done) || task["state"] == "COMPLETED").await;
        }
    }
    let (median, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    println!("pause of a running export ({} times): median {}, p99 {}", times.len(), ms(median), ms(p99));
}

/// The most memory that the process had, in megabytes.
fn memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let last = times.len() - 1;
    times[(last as f64 * share).ceil() as usize]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
