//! The topology of docker-compose.yml as processes: the same variables, the same configuration of the same proxy.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::process::Command;

use super::compose::variables;
use super::manifests::{documents, file};
use crate::harness::csv;
use crate::harness::plain::PlainConnection;
use crate::harness::receiver::Receiver;
use crate::harness::server::{PATIENCE, Server};
use crate::metrics::until;
use crate::store::test_store::TestStore;

/// Number of timers.
const TIMERS: usize = 20;

/// The processes of docker-compose.yml.
struct Topology {
    api: Vec<Server>,
    workers: Vec<Server>,
    proxy: Server,
    _test_store: TestStore,
    _folder: tempfile::TempDir,
}

impl Topology {
    async fn start() -> Topology {
        let (test_store, folder) = (TestStore::postgres().await, tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("database_url"), &test_store.url).unwrap();
        let compose = documents(&["docker-compose.yml"]).remove(0);
        let (mut api, mut workers, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        for name in ["api-1", "api-2", "worker-1", "worker-2"] {
            let port = free_port();
            let settings = settings(&compose["services"][name], &folder, port);
            let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let server = Server::with(&settings).await;
            match name.starts_with("api") {
                true => (api.push(server), ports.push(port)),
                false => (workers.push(server), ()),
            };
        }
        let proxy = start_proxy(&ports).await;
        Topology { api, workers, proxy, _test_store: test_store, _folder: folder }
    }
}

/// The variables of a service, with the services of this machine.
fn settings(service: &Value, folder: &tempfile::TempDir, port: u16) -> Vec<(String, String)> {
    let mut variables = variables(service, folder.path().to_str().unwrap());
    variables.remove("PAUSA_DATA_DIR");
    for (name, value) in [
        ("PAUSA_LISTEN", format!("127.0.0.1:{port}")),
        ("PAUSA_FILES_URL", format!("file://{}/files", folder.path().display())),
        ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true".to_owned()),
        ("PAUSA_LOG", "warn".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    variables.into_iter().collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts the proxy in front of API nodes, and waits until it has found one.
async fn start_proxy(nodes: &[u16]) -> Server {
    let unpacked = file("target/caddy/caddy");
    let port = free_port();
    let mut command = Command::new(if unpacked.exists() { unpacked } else { PathBuf::from("caddy") });
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file("deploy/compose/Caddyfile"));
    command.env("PROXY_PORT", port.to_string()).stderr(Stdio::null()).kill_on_drop(true);
    for (index, node) in nodes.iter().enumerate() {
        command.env(format!("API_{}", index + 1), format!("127.0.0.1:{node}"));
    }
    let child = command.spawn().expect("caddy is needed: run scripts/needs.sh");
    let proxy = Server::reached_at(child, &format!("http://127.0.0.1:{port}"));
    let ready = async {
        let probe = format!("{}/readyz", proxy.url);
        while !proxy.client().get(&probe).send().await.is_ok_and(|answer| answer.status() == 200) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("the proxy is not ready");
    proxy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topology_of_docker_compose_imports_exports_computes_and_sends() {
    let mut topology = Topology::start().await;
    let (proxy, receiver) = (&topology.proxy, Receiver::kind().await);
    assert_eq!(proxy.get("/metrics").await.status(), 404, "metrics are for the inside");

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
    let by = task["history"][1]["by"].as_str().unwrap();
    assert!(by.starts_with("node worker-"), "{by}");

    let (done, url) = (Arc::new(AtomicBool::new(false)), proxy.url.clone());
    let calls = tokio::spawn(call_until(Arc::clone(&done), url));
    for node in &mut topology.api {
        assert_eq!(node.terminate().await, Some(0));
        node.restart().await;
        // The proxy has found it again.
        let called = r#"pausa_http_requests_total{method="POST",route="/graphql",code="200"}"#;
        until(node, called, |calls| calls > 0.0).await;
    }
    for worker in &mut topology.workers {
        assert_eq!(worker.terminate().await, Some(0));
    }
    done.store(true, Ordering::Relaxed);
    println!("{} calls through the proxy while each API node was restarted", calls.await.unwrap());
}

/// Calls through the proxy until `done`. Each call must be answered. Returns their number.
async fn call_until(done: Arc<AtomicBool>, url: String) -> usize {
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
