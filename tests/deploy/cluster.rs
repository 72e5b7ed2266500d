//! Stories of the cluster that docker-compose.yml describes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::process::Command;
use tokio::time::Instant;

use super::manifests::file;
use super::topology::Topology;
use crate::chaos::two_nodes::{runner, taken_over};
use crate::harness::csv;
use crate::harness::plain::PlainConnection;
use crate::harness::receiver::Receiver;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::watch::Watch;
use crate::metrics::until;

/// Number of timers.
const TIMERS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_of_docker_compose_imports_exports_computes_and_sends_while_nodes_restart() {
    let mut cluster = Topology::start().await;
    let (proxy, receiver) = (&cluster.proxy, Receiver::kind().await);
    assert_eq!(proxy.get("/metrics").await.status(), 404, "metrics are for the inside");
    take_the_tour(proxy).await;

    let file = csv::people(20_000);
    let upload = proxy.upload(file.clone()).await;
    let import = proxy.import(&upload, json!({ "dataset": "people" })).await;
    let (pi, mut timers) = (proxy.pi(20_000).await, Vec::new());
    for _ in 0..TIMERS {
        let input = json!({ "url": receiver.url, "when": { "after": { "seconds": 0.5 } } });
        timers.push(proxy.timer(input).await);
    }
    let imported = proxy.until(&import, "COMPLETED").await;
    assert_eq!(imported["rowsImported"], 20_000);
    assert!(proxy.exported("people").await == file.as_bytes(), "the export is the imported file");
    proxy.until(&pi, "COMPLETED").await;
    let digits = proxy.get(&format!("/download/{pi}")).await;
    assert_eq!(digits.status(), 200);
    assert!(digits.bytes().await.unwrap().len() > 8_000);
    for timer in &timers {
        assert_eq!(proxy.until(timer, "COMPLETED").await["attempt"], 0);
    }
    assert_eq!(receiver.count(), TIMERS);
    let task = proxy.task(&import).await;
    assert!(runner(&task).starts_with("node worker-"), "{task}");

    let (done, url) = (Arc::new(AtomicBool::new(false)), proxy.url.clone());
    let calls = tokio::spawn(call_until(Arc::clone(&done), url));
    for node in &mut cluster.api {
        assert_eq!(node.terminate().await, Some(0));
        node.restart().await;
        // The proxy has found it again.
        let called = r#"pausa_http_requests_total{method="POST",route="/graphql",code="200"}"#;
        until(node, called, |calls| calls > 0.0).await;
    }
    for worker in cluster.workers.values_mut() {
        assert_eq!(worker.terminate().await, Some(0));
    }
    done.store(true, Ordering::Relaxed);
    println!("{} calls through the proxy while each API node was restarted", calls.await.unwrap());
}

/// Runs the tour with curl, which checks each answer.
async fn take_the_tour(server: &Server) {
    let tour = Command::new(file("client-examples/curl/tour.sh")).arg(&server.url).kill_on_drop(true).output();
    let tour = tokio::time::timeout(PATIENCE, tour).await.unwrap().unwrap();
    let printed = String::from_utf8([tour.stdout, tour.stderr].concat()).unwrap();
    assert!(tour.status.success(), "{printed}");
}

/// Calls through the proxy until `done`. Each call must be answered. Returns their number.
pub async fn call_until(done: Arc<AtomicBool>, url: String) -> usize {
    let (mut calls, operation) = (0, json!({ "query": "{ server { version } }" }));
    let mut connection = PlainConnection::open(&url).await.unwrap();
    while !done.load(Ordering::Relaxed) {
        let answer = connection.ask(&operation).await.unwrap();
        assert!(answer.status == 200 && answer.body.contains("version"), "call {calls}: {answer:?}");
        if answer.closes {
            connection = PlainConnection::open(&url).await.unwrap();
        }
        calls += 1;
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_goes_on_after_kill_9_and_nothing_is_left_in_the_bucket() {
    let mut cluster = Topology::start().await;
    let proxy = &cluster.proxy;
    let file = csv::people(40_000);
    let upload = proxy.upload(&*file).await;
    let import = proxy.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 8_000 })).await;
    let done = proxy.until_done(&import, 10_000).await["progress"]["done"].as_u64().unwrap();
    let task = proxy.task(&import).await;
    let name = runner(&task).strip_prefix("node ").unwrap().to_owned();
    cluster.workers.get_mut(&name).unwrap().kill().await;
    taken_over(proxy, &import, 1, done).await;
    proxy.until(&import, "COMPLETED").await;

    let export = proxy.export("people").await;
    proxy.until(&export, "COMPLETED").await;
    let exported = proxy.get(&format!("/download/{export}")).await.bytes().await.unwrap();
    assert!(exported == file.as_bytes(), "every row is there once");
    let pi = proxy.pi(2_000_000).await;
    proxy.until_done(&pi, 1).await;
    assert_eq!(proxy.control("terminate", &pi).await, "TERMINATED");
    for task in [&import, &export, &pi] {
        proxy.data("mutation($id: ID!) { deleteTask(id: $id) }", json!({ "id": task })).await;
    }
    // The upload stays for a day.
    let mut left = cluster.objects.keys("").await;
    left.retain(|key| !key.starts_with(&format!("files/uploads/{upload}/")));
    assert_eq!(left, ["files/store-id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_while_s3_and_redis_are_killed_and_continue_by_themselves() {
    let mut cluster = Topology::start().await;
    // More than a node reads ahead.
    let file = csv::wide(400_000, 15);
    let upload = cluster.proxy.upload(&*file).await;
    let import = cluster.proxy.import(&upload, json!({ "dataset": "rows", "maxRowsPerSecond": 100_000 })).await;
    cluster.proxy.until_done(&import, 1).await;
    cluster.objects.store.kill();
    cluster.redis.kill();
    let mut watch = Watch::progress(&cluster.proxy.url, &import).await;
    watch.until(|task| task["error"]["code"] == "UNAVAILABLE").await;
    assert_eq!(cluster.proxy.get("/readyz").await.status(), 200, "a restart of the node would not help");
    cluster.objects.store.restart().await;
    cluster.redis.restart().await;
    let begun = Instant::now();
    watch.until(|task| task["state"] == "RUNNING").await;
    println!("the import continued {:?} after the S3 store was back", begun.elapsed());
    watch.until(|task| task["state"] == "COMPLETED").await;
    assert_eq!(cluster.proxy.task(&import).await["attempt"], 0);
    assert!(cluster.proxy.exported("rows").await == file.as_bytes(), "every row is there once");
}
