//! A worker of the cluster that docker-compose.yml describes ends as an update does it: the other one goes on with its task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::cluster::call_until;
use super::topology::Topology;
use crate::chaos::folder::is_exact;
use crate::chaos::two_nodes::runner;
use crate::harness::csv;
use crate::harness::watch::Watch;

/// Rows of the import, and rows a second: it runs for longer than the story needs.
const ROWS: usize = 60_000;
const RATE: u64 = 6_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_gets_sigterm_hands_its_import_over_and_no_call_fails() {
    let mut cluster = Topology::start().await;
    let (file, url) = (csv::people(ROWS), cluster.proxy.url.clone());
    let upload = cluster.proxy.upload(&*file).await;
    let import = cluster.proxy.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": RATE })).await;
    let done = Arc::new(AtomicBool::new(false));
    let calls = tokio::spawn(call_until(Arc::clone(&done), url.clone()));
    cluster.proxy.until_done(&import, 10_000).await;
    let first = runner(&cluster.proxy.task(&import).await).to_owned();

    let mut watch = Watch::progress(&url, &import).await;
    let worker = cluster.workers.get_mut(first.strip_prefix("node ").unwrap()).unwrap();
    assert_eq!(worker.terminate().await, Some(0), "the task was released within the grace");
    let at_the_end = cluster.proxy.task(&import).await["progress"]["done"].as_u64().unwrap();
    assert!(at_the_end < ROWS as u64, "it was not over before the worker ended");
    let mut last = 0;
    while let Some(task) = watch.next().await {
        assert_eq!((&task["attempt"], &task["error"]), (&json!(0), &json!(null)), "{task}");
        let now = task["progress"]["done"].as_u64().unwrap();
        assert!(now >= last, "{now} after {last}");
        last = now;
    }

    let task = cluster.proxy.task(&import).await;
    assert_eq!((&task["state"], &task["attempt"]), (&json!("COMPLETED"), &json!(0)), "{task}");
    let second = runner(&task);
    assert!(second.starts_with("node worker-") && second != first, "{first} handed over to {second}: {task}");
    is_exact(&cluster.proxy, "people", &file).await;
    done.store(true, Ordering::Relaxed);
    let calls = calls.await.unwrap();
    println!("{calls} calls through the proxy, none failed; handed over at {at_the_end} of {ROWS} rows");
}
