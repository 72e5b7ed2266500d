//! Two API nodes behind a balancer are restarted one after the other, under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::balancer::Balancer;
use crate::harness::plain::PlainConnection;
use crate::harness::server::Server;
use crate::store::test_store::TestStore;

/// Number of calls during the restarts.
const CALLS: u64 = 2_000;

/// Seconds for which a node drains.
const DRAIN: &str = "2";

/// Calls of all clients: the number of those that were answered, and those that were refused or broken.
#[derive(Debug, Default)]
struct CallCounts {
    answered: AtomicU64,
    broken: Mutex<Vec<String>>,
    done: AtomicBool,
}

impl CallCounts {
    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn count(&self, call: Result<String, String>) {
        match call {
            Ok(body) if body.contains("startTimer") && !body.contains("errors") => {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(other) | Err(other) => self.broken.lock().unwrap().push(other),
        }
    }

    /// True once the restarts are over, or calls keep failing.
    fn is_over(&self) -> bool {
        self.done.load(Ordering::Relaxed) || self.broken.lock().unwrap().len() > 20
    }
}

fn operation() -> Value {
    let input = json!({ "url": "http://127.0.0.1:9/", "when": { "after": { "seconds": 86_400 } } });
    let query = "mutation($input: StartTimerInput!) { startTimer(input: $input) { id } }";
    json!({ "query": query, "variables": { "input": input } })
}

/// Calls over HTTP/1.1, on one connection after the other.
async fn call_http1(url: String, counts: Arc<CallCounts>) {
    let (mut open, operation) = (None, operation());
    while !counts.is_over() {
        let call = async {
            let mut connection = match open.take() {
                Some(connection) => connection,
                None => PlainConnection::open(&url).await?,
            };
            let answer = connection.ask(&operation).await?;
            open = (!answer.closes).then_some(connection);
            Ok(answer.body)
        };
        counts.count(call.await.map_err(|error: std::io::Error| error.to_string()));
    }
}

/// Calls over HTTP/2.
async fn call_http2(url: String, counts: Arc<CallCounts>) {
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let operation = operation();
    while !counts.is_over() {
        let call = async { client.post(format!("{url}/graphql")).json(&operation).send().await?.text().await };
        counts.count(call.await.map_err(|error: reqwest::Error| format!("{error:?}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_refused_or_broken_while_the_nodes_restart_one_by_one() {
    let (test_store, files) = (TestStore::postgres().await, tempfile::tempdir().unwrap());
    let settings = [("PAUSA_ROLE", "api"), ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_SHUTDOWN_DRAIN", DRAIN)];
    let node = || Server::sharing(&test_store.url, &files, &settings);
    let mut nodes = [node().await, node().await];
    let balancer = Balancer::start(nodes.iter().map(|node| node.url.clone()).collect()).await;
    let (mut clients, counts) = (JoinSet::new(), Arc::new(CallCounts::default()));
    for _ in 0..3 {
        clients.spawn(call_http1(balancer.url.clone(), Arc::clone(&counts)));
        clients.spawn(call_http2(balancer.url.clone(), Arc::clone(&counts)));
    }
    let mut restarts = 0;
    while restarts < 2 || (counts.answered() < CALLS && !counts.is_over()) {
        let node = &mut nodes[restarts % 2];
        assert_eq!(node.terminate().await, Some(0));
        node.restart().await;
        balancer.replace(restarts % 2, &node.url);
        restarts += 1;
    }
    counts.done.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let (answered, broken) = (counts.answered(), std::mem::take(&mut *counts.broken.lock().unwrap()));
    assert!(broken.is_empty(), "{answered} calls answered during {restarts} restarts, broken: {broken:?}");
    let data = nodes[0].data("{ tasks(first: 1) { totalCount } }", json!({})).await;
    assert_eq!(data["tasks"]["totalCount"], answered, "each answered call started one timer");
    println!("{answered} calls answered during {restarts} restarts, none refused or broken");
}
