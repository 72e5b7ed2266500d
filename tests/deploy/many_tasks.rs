//! Many tasks at once on the cluster that docker-compose.yml describes.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::topology::Topology;
use crate::chaos::folder::is_exact;
use crate::chaos::two_nodes::runner;
use crate::harness::receiver::Receiver;
use crate::harness::server::Server;
use crate::harness::{csv, now};

const TIMERS: usize = 1_000;
const IMPORTS: usize = 40;

/// Rows of an import. Each file has another first row, so that no import passes for another one.
const ROWS: usize = 2_000;

fn file(n: usize) -> String {
    csv::people(ROWS).replacen("name 1,", &format!("name of {n},"), 1)
}

/// Starts timers that are all due at the same moment, in two seconds. Returns their IDs.
async fn start_timers(server: &Server, url: &str) -> BTreeSet<String> {
    let at = (now() + jiff::SignedDuration::from_secs(2)).to_string();
    let query = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
    let timer = json!({ "url": url, "when": { "at": at } });
    let started = server.data(query, json!({ "inputs": vec![&timer; TIMERS] })).await;
    let started = started["startTimers"].as_array().unwrap().iter();
    started.map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

/// Returns how many tasks of that kind are in each state.
async fn states(server: &Server, kind: &str) -> Value {
    let query = "query($kinds: [TaskKind!]) { taskCounts(filter: { kinds: $kinds }) { state count } }";
    server.data(query, json!({ "kinds": [kind] })).await["taskCounts"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_due_timers_and_forty_imports_are_each_done_once() {
    let cluster = Topology::start().await;
    let (proxy, receiver) = (&cluster.proxy, Receiver::kind().await);
    let uploads = join_all((0..IMPORTS).map(|n| proxy.upload(file(n)))).await;
    let timers = start_timers(proxy, &receiver.url).await;
    let started =
        uploads.iter().enumerate().map(|(n, upload)| proxy.import(upload, json!({ "dataset": format!("set_{n}") })));
    let imports = join_all(started).await;

    receiver.until(TIMERS).await;
    let mut workers = BTreeSet::new();
    for (n, import) in imports.iter().enumerate() {
        proxy.until(import, "COMPLETED").await;
        let task = proxy.task(import).await;
        assert_eq!((&task["attempt"], &task["rowsImported"]), (&json!(0), &json!(ROWS)), "{task}");
        let claims = task["history"].as_array().unwrap().iter().filter(|change| change["to"] == "RUNNING").count();
        assert_eq!(claims, 1, "it ran once: {task}");
        workers.insert(runner(&task).to_owned());
        is_exact(proxy, &format!("set_{n}"), &file(n)).await;
    }
    for timer in &timers {
        proxy.until(timer, "COMPLETED").await;
    }
    let mut counts = HashMap::new();
    for hook in receiver.hooks() {
        *counts.entry(hook.id()).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "each timer fired once");
    assert_eq!(counts.into_keys().collect::<BTreeSet<_>>(), timers);
    assert_eq!(states(proxy, "TIMER").await, json!([{ "state": "COMPLETED", "count": TIMERS }]));
    assert_eq!(workers, BTreeSet::from(["node worker-1", "node worker-2"].map(str::to_owned)), "both took part");
}
