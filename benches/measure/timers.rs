//! Timers: how late they fire, how many fire and are started each second, and how many may wait.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pausa::clock::Clock;
use serde_json::json;

use crate::figures::{memory, percentile, timed};
use crate::harness::postgres::Postgres;
use crate::harness::server::Server;
use crate::load::{Connection, Receiver, batch, clients, hanging, operation};

/// Clients that start timers at the same time.
const CLIENTS: usize = 64;

/// Timers per second, duration in seconds, and timers in total.
pub const RATE: usize = 1000;
const SECONDS: usize = 10;
pub const COUNT: usize = RATE * SECONDS;

/// Number of timers in a backlog, and in a burst.
const BACKLOG: usize = 30_000;
const BURST: usize = 10_000;

/// Number of waiting timers, and number that one call starts.
const WAITING: usize = 1_000_000;
const BATCH: usize = 50;

/// Numbers of timers that one call starts in one commit.
const BATCHES: [usize; 2] = [1000, 100];

pub const ALLOWED: [(&str, &str); 2] = [("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_LOG", "warn")];

/// Number of receivers next to one that does not answer, and number of timers for that one.
const HOSTS: usize = 100;
const STUCK: usize = 1000;

/// Measures SQLite.
pub async fn sqlite() {
    let mut server = Server::with(&ALLOWED).await;
    lateness(&server, "1,000 a second", 1).await;
    creates(&server).await;
    batches(&server).await;
    backlog(&mut server, None).await;
    next_to_hanging_receiver(&Server::with(&ALLOWED).await).await;
}

/// Measures batches on SQLite.
pub async fn batches_sqlite() {
    batches(&Server::with(&ALLOWED).await).await;
}

/// Measures batches on PostgreSQL.
pub async fn batches_postgres() {
    let postgres = Postgres::start();
    let url = postgres.url();
    batches(&Server::with(&[&ALLOWED[..], &[("PAUSA_DATABASE_URL", url.as_str())]].concat()).await).await;
}

/// Measures both stores with a million waiting timers.
pub async fn many() {
    waiting(&mut Server::with(&ALLOWED).await).await;
    let postgres = Postgres::start();
    let url = postgres.url();
    println!("on PostgreSQL:");
    waiting(&mut Server::with(&[&ALLOWED[..], &[("PAUSA_DATABASE_URL", url.as_str())]].concat()).await).await;
}

/// Measures PostgreSQL, with one process and with two.
pub async fn postgres() {
    let postgres = Postgres::start();
    let (url, node) = (postgres.url(), |name| ("PAUSA_NODE", name));
    let files = tempfile::tempdir().unwrap();
    let folder = format!("file://{}", files.path().display());
    let shared = [("PAUSA_DATABASE_URL", url.as_str()), ("PAUSA_FILES_URL", folder.as_str())];
    let mut server = Server::with(&[&ALLOWED[..], &shared, &[node("a")]].concat()).await;
    lateness(&server, "1,000 a second", 1).await;
    creates(&server).await;
    batches(&server).await;
    backlog(&mut server, None).await;
    next_to_hanging_receiver(&server).await;
    let mut other = Server::with(&[&ALLOWED[..], &shared, &[node("b")]].concat()).await;
    lateness(&server, "1,000 a second, two processes", 1).await;
    backlog(&mut server, Some(&mut other)).await;
}

/// Measures many receivers, without and with one that does not answer.
async fn next_to_hanging_receiver(server: &Server) {
    lateness(server, &format!("1,000 a second for {HOSTS} receivers"), HOSTS).await;
    let url = hanging().await;
    let stuck = format!(r#"{{ url: "{url}", when: {{ after: {{ }} }}, timeoutSeconds: 600, label: "stuck" }}"#);
    clients(&server.url, CLIENTS, move |n| (n < STUCK).then(|| operation(std::slice::from_ref(&stuck)))).await;
    lateness(server, &format!("the same, next to {STUCK} for one that does not answer"), HOSTS).await;
    let query = "mutation { controlTasks(verb: TERMINATE, filter: { label: \"stuck\" }) { changed } }";
    let changed = server.data(query, json!({})).await["controlTasks"]["changed"].take();
    assert_eq!(changed, STUCK);
}

fn at(url: &str, at: Timestamp) -> String {
    format!(r#"{{ url: "{url}", when: {{ at: "{at}" }} }}"#)
}

fn hour(url: &str) -> String {
    format!(r#"{{ url: "{url}", when: {{ after: {{ hours: 1 }} }} }}"#)
}

/// Measures how late webhooks arrive, at `hosts` receivers.
async fn lateness(server: &Server, what: &str, hosts: usize) {
    let mut late = late(server, hosts).await;
    let early = late.iter().filter(|late| **late < 0.0).count();
    let [median, p99, worst] = [0.5, 0.99, 1.0].map(|share| percentile(&mut late, share));
    println!(
        "lateness at {what} ({} timers): median {median:.2} ms, p99 {p99:.2} ms, worst {worst:.2} ms, {early} early",
        late.len()
    );
}

/// Returns the lateness of each timer, in milliseconds.
pub async fn late(server: &Server, hosts: usize) -> Vec<f64> {
    let receiver = Receiver::start().await;
    let mut urls = vec![receiver.url.clone()];
    while urls.len() < hosts {
        urls.push(receiver.open_port().await);
    }
    let first = Clock::system().now() + SignedDuration::from_secs(8);
    let one = move |n: usize| first + SignedDuration::from_micros(i64::try_from(n * 1_000_000 / RATE).unwrap());
    let calls = move |n: usize| (n < COUNT).then(|| operation(&[at(&urls[n % urls.len()], one(n))]));
    let (started, _) = clients(&server.url, CLIENTS, calls).await;
    let came = receiver.until(started.len()).await;
    let late = started.iter().map(|(id, due)| due.duration_until(came[id]).as_secs_f64() * 1e3).collect();
    assert_eq!(receiver.count(), started.len(), "each arrived once");
    late
}

/// Measures starts by many clients, each on disk when answered: at rest, and while a burst is due.
async fn creates(server: &Server) {
    let receiver = Receiver::start().await;
    let end = Clock::monotonic() + Duration::from_secs(SECONDS as u64);
    let url = receiver.url.clone();
    let calls = move |_: usize| (Clock::monotonic() < end).then(|| operation(&[hour(&url)]));
    let (started, mut idle) = clients(&server.url, CLIENTS, calls).await;
    print_creates("creates", started.len(), &mut idle);

    let due = Clock::system().now() + SignedDuration::from_secs(8);
    let url = receiver.url.clone();
    clients(&server.url, CLIENTS, move |n| (n < BURST).then(|| operation(&[at(&url, due)]))).await;
    tokio::time::sleep(Clock::system().now().duration_until(due).try_into().unwrap()).await;
    let (begin, url, taking) = (Clock::monotonic(), receiver.url.clone(), receiver.clone());
    let calls = move |_: usize| (taking.count() < BURST).then(|| operation(&[hour(&url)]));
    let (started, mut busy) = clients(&server.url, CLIENTS, calls).await;
    println!("{BURST} timers due at one moment arrived within {:.2} s", begin.elapsed().as_secs_f64());
    print_creates("creates meanwhile", started.len(), &mut busy);
}

/// Measures starts by one client, many in each call, one call after the other.
async fn batches(server: &Server) {
    for size in BATCHES {
        let inputs = vec![json!({ "url": "http://127.0.0.1:9/hook", "when": { "after": { "hours": 1 } } }); size];
        let (operation, mut connection) = (batch(&inputs), Connection::to(&server.url).await);
        connection.ask(&operation).await;
        let (begin, mut took) = (Clock::monotonic(), Vec::new());
        while begin.elapsed() < Duration::from_secs(SECONDS as u64) {
            let call = Clock::monotonic();
            let answer = connection.ask(&operation).await;
            took.push(call.elapsed().as_secs_f64() * 1e3);
            assert_eq!(answer.matches("\"id\"").count(), size, "{answer}");
        }
        let rate = (took.len() * size) as f64 / begin.elapsed().as_secs_f64();
        let [median, p99] = [0.5, 0.99].map(|share| percentile(&mut took, share));
        println!("creates by one client, {size} in a call: {rate:.0} a second, a call {median:.1} ms, p99 {p99:.1} ms");
    }
}

fn print_creates(what: &str, count: usize, times: &mut [(std::time::Instant, Duration)]) {
    let begin = times.iter().map(|(begin, _)| *begin).min().unwrap();
    let end = times.iter().map(|(begin, took)| *begin + *took).max().unwrap();
    let mut took: Vec<_> = times.iter().map(|(_, took)| took.as_secs_f64() * 1e3).collect();
    let [median, p99, worst] = [0.5, 0.99, 1.0].map(|share| percentile(&mut took, share));
    let rate = count as f64 / (end - begin).as_secs_f64();
    println!(
        "{what} by {CLIENTS} clients: {rate:.0} a second, median {median:.1} ms, p99 {p99:.1} ms, worst {worst:.1} ms"
    );
}

/// Measures timers that became due while no process ran.
async fn backlog(server: &mut Server, mut other: Option<&mut Server>) {
    let receiver = Receiver::start().await;
    let due = Clock::system().now() + SignedDuration::from_secs(12);
    let url = receiver.url.clone();
    let calls = move |n: usize| {
        (n < BACKLOG / BATCH).then(|| operation(&(0..BATCH).map(|_| at(&url, due)).collect::<Vec<_>>()))
    };
    clients(&server.url, 8, calls).await;
    server.kill().await;
    if let Some(other) = &mut other {
        other.kill().await;
    }
    let wait = Clock::system().now().duration_until(due) + SignedDuration::from_secs(2);
    tokio::time::sleep(wait.try_into().unwrap()).await;
    let processes = 1 + usize::from(other.is_some());
    server.restart().await;
    if let Some(other) = other {
        other.restart().await;
    }
    receiver.until(1).await;
    let took = timed(receiver.until(BACKLOG)).await.as_secs_f64();
    println!("a backlog of {BACKLOG}, {processes} processes: {:.0} fires a second", BACKLOG as f64 / took);
}

/// Measures memory at rest, a start, and lateness, with many waiting timers.
async fn waiting(server: &mut Server) {
    let url = "http://127.0.0.1:9";
    let calls =
        move |n: usize| (n < WAITING / BATCH).then(|| operation(&(0..BATCH).map(|_| hour(url)).collect::<Vec<_>>()));
    let took = timed(clients(&server.url, 8, calls)).await;
    println!("{WAITING} timers started, {BATCH} in each call: {:.0} a second", WAITING as f64 / took.as_secs_f64());
    server.kill().await;
    let start = timed(server.restart()).await;
    println!("a start with them: {:.2} s, after kill -9", start.as_secs_f64());
    lateness(server, &format!("1,000 a second next to {WAITING} waiting timers"), 1).await;
    println!("memory with them: {:.0} MB", memory(server.pid(), "VmRSS"));
}
