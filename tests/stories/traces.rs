//! Traces, as a collector receives them.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::harness::collector::{Collector, Traced, attribute};
use crate::harness::server::Server;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Batches follow each other quickly, so that stories do not wait for spans.
const QUICK: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of(traced: &Traced, key: &str) -> Option<String> {
    attribute(&traced.span.attributes, key)
}

/// Starts a waiting computation of pi by a request that belongs to a trace.
async fn start(server: &Server) -> String {
    let query = "mutation Begin { startPiJob(input: { digits: 1000, startAt: \"2999-01-01T00:00:00Z\" }) { id } }";
    let headers = HeaderMap::from_iter([("traceparent".parse().unwrap(), parent().parse().unwrap())]);
    let sent = server.client().post(format!("{}/graphql?secret=hunter2", server.url)).headers(headers);
    let answer: Value = sent.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap();
    answer["data"]["startPiJob"]["id"].as_str().unwrap().to_owned()
}

fn parent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

#[tokio::test]
async fn a_run_is_linked_to_the_request_that_started_its_task_even_after_a_crash() {
    let collector = Collector::start().await;
    let mut server = Server::with(&[("PAUSA_OTLP_ENDPOINT", &collector.url), ("PAUSA_NODE", "night"), QUICK]).await;
    let id = start(&server).await;

    let request = collector.until(|traced| traced.span.name == "POST /graphql").await;
    assert_eq!((hex(&request.span.trace_id), hex(&request.span.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!(of(&request, "http.response.status_code").as_deref(), Some("200"));
    let resource = |key| attribute(&request.resource, key);
    assert_eq!(resource("service.name").as_deref(), Some("pausa"));
    assert_eq!(resource("service.instance.id").as_deref(), Some("night"));
    assert_eq!(resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));

    let operation = collector.until(|traced| traced.span.name == "graphql mutation Begin").await;
    assert_eq!(operation.span.parent_span_id, request.span.span_id);
    assert_eq!(of(&operation, "graphql.operation.type").as_deref(), Some("mutation"));
    let written = collector.until(|traced| traced.span.name == "store.create").await;
    assert_eq!((hex(&written.span.trace_id), &written.span.parent_span_id), (TRACE.into(), &operation.span.span_id));

    server.kill().await;
    server.restart().await;
    // Another process runs the task now. It knows the request only from the task's row.
    server.control("terminate", &id).await;
    server.until(&id, "TERMINATED").await;
    let run = collector.until(|traced| traced.span.name == "run pi").await;
    assert_eq!(of(&run, "task.id").as_deref(), Some(&*id));
    assert_eq!(of(&run, "task.outcome").as_deref(), Some("TERMINATED"));
    assert_eq!(of(&run, "task.epoch").as_deref(), Some("1"));
    assert!(run.span.parent_span_id.is_empty() && hex(&run.span.trace_id) != TRACE);
    let links: Vec<_> = run.span.links.iter().map(|link| (hex(&link.trace_id), link.span_id.clone())).collect();
    assert_eq!(links, [(TRACE.to_owned(), operation.span.span_id.clone())]);
    let end = collector.until(|traced| traced.span.name == "store.end").await;
    assert_eq!(end.span.parent_span_id, run.span.span_id);

    assert_eq!(server.terminate().await, Some(0));
    let polls = collector.spans().into_iter().filter(|traced| traced.span.name.starts_with("store."));
    assert!(
        polls.into_iter().all(|traced| !traced.span.parent_span_id.is_empty()),
        "polling the store must not start a trace"
    );
    assert!(!format!("{:?}", collector.spans()).contains("hunter2"));
}

#[tokio::test]
async fn remaining_spans_are_sent_when_the_server_stops() {
    let collector = Collector::start().await;
    let settings = [("PAUSA_OTLP_ENDPOINT", &*collector.url), ("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let mut server = Server::with(&settings).await;
    let id = server.pi(100).await;
    server.until(&id, "COMPLETED").await;
    assert_eq!(server.terminate().await, Some(0));
    let run = collector.spans().into_iter().find(|traced| traced.span.name == "run pi").unwrap();
    assert_eq!(of(&run, "task.outcome").as_deref(), Some("COMPLETED"));
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_delay_a_shutdown() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut server = Server::with(&[("PAUSA_OTLP_ENDPOINT", &url), QUICK]).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    // The first batch is being sent and will never be answered.
    let connection = silent.accept().await.unwrap();
    let grace = std::time::Duration::from_secs(10);
    let code = tokio::time::timeout(grace, server.terminate()).await.expect("the server did not stop in time");
    assert_eq!(code, Some(0));
    drop(connection);
}

#[tokio::test]
async fn an_unavailable_collector_is_logged_once() {
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{away}");
    let settings = [("PAUSA_OTLP_ENDPOINT", &*url), ("PAUSA_LOG", "info,pausa=trace"), QUICK];
    let (mut server, log) = Server::logging(&settings).await;
    for _ in 0..3 {
        let id = server.pi(100).await;
        server.until(&id, "COMPLETED").await;
    }
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    assert_eq!(log.matches("could not send traces").count(), 1, "{log}");
    assert!(!log.contains("otel.name") && !log.contains("store.create"), "the log must not contain spans: {log}");
}

#[tokio::test]
async fn an_invalid_endpoint_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for endpoint in
        ["localhost:4318", "grpc://localhost:4317", "http://me:hunter2@localhost:4318", "http://h/?key=hunter2"]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pausa"));
        command.env("PAUSA_DATA_DIR", folder.path()).env_remove("PAUSA_BLESS").kill_on_drop(true);
        let ended = command.env("PAUSA_OTLP_ENDPOINT", endpoint).output().await.unwrap();
        let text = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{endpoint}: {text}");
        assert!(text.contains("otlp_endpoint") && text.contains("http://HOST:PORT"), "{endpoint}: {text}");
        assert!(!text.contains("me:hunter2"), "{text}");
    }
}
