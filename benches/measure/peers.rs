//! Lateness of other job queues with 1,000 due jobs per second, in alternation with Pausa: BullMQ on Redis and graphile-worker on
//! PostgreSQL. Each has its own store, synced to disk as its documentation recommends, and runs 100 jobs at once.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use jiff::SignedDuration;
use pausa::clock::Clock;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::figures::percentile;
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;
use crate::load::Receiver;
use crate::timers::{ALLOWED, COUNT, RATE, late};

const ROUNDS: usize = 3;

/// Time to start another queue and add its jobs.
const AHEAD: SignedDuration = SignedDuration::from_secs(15);

/// Measures all in alternation. Prints the medians of the rounds.
pub async fn measure() {
    install().await;
    let names = ["BullMQ", "Pausa on SQLite", "graphile-worker", "Pausa on PostgreSQL"];
    let mut all = names.map(|name| (name, Vec::new()));
    for _ in 0..ROUNDS {
        let redis = Redis::start().await;
        all[0].1.push(peer("bullmq.js", &redis.url).await);
        all[1].1.push(late(&Server::with(&ALLOWED).await, 1).await);
        all[2].1.push(peer("graphile-worker.js", &Postgres::start().url()).await);
        let postgres = Postgres::start();
        let url = postgres.url();
        let server = Server::with(&[&ALLOWED[..], &[("PAUSA_DATABASE_URL", url.as_str())]].concat()).await;
        all[3].1.push(late(&server, 1).await);
    }
    for (name, mut rounds) in all {
        let mut of = |share| {
            let mut each: Vec<_> = rounds.iter_mut().map(|late| percentile(late, share)).collect();
            percentile(&mut each, 0.5)
        };
        println!(
            "lateness of {name}, medians of {ROUNDS} rounds: median {:.2} ms, p99 {:.2} ms, worst {:.2} ms",
            of(0.5),
            of(0.99),
            of(1.0)
        );
    }
}

/// Returns the lateness of the jobs, in milliseconds.
async fn peer(script: &str, store: &str) -> Vec<f64> {
    let receiver = Receiver::start().await;
    let first = Clock::system().now() + AHEAD;
    let numbers = [first.as_millisecond(), RATE as i64, COUNT as i64].map(|number| number.to_string());
    let mut node = Command::new("node");
    node.arg(script).args([store, &receiver.url]).args(numbers).current_dir(folder());
    assert!(node.status().await.unwrap().success(), "{script}");
    let came = receiver.until(COUNT).await;
    let late = came.iter().map(|(id, at)| {
        let number: usize = id[24..].parse().unwrap();
        first.duration_until(*at).as_secs_f64() * 1e3 - (number * 1000) as f64 / RATE as f64
    });
    late.collect()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

async fn install() {
    // Not `ci`: registries that mirror only packages of some systems refuse it.
    let install = ["install", "--no-audit", "--no-fund", "--silent"];
    let npm = Command::new("npm").args(install).current_dir(folder()).status().await;
    assert!(npm.unwrap().success(), "npm install in benches/peers");
}

/// Server that is stopped at the end.
struct Redis {
    url: String,
    _child: Child,
    _folder: TempDir,
}

impl Redis {
    async fn start() -> Redis {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"]);
        command.current_dir(folder.path()).stdout(Stdio::null()).kill_on_drop(true);
        let child =
            command.spawn().expect("redis-server is missing: apt-get install -y --no-install-recommends redis-server");
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::task::yield_now().await;
        }
        Redis { url: format!("redis://127.0.0.1:{port}"), _child: child, _folder: folder }
    }
}
