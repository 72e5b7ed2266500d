//! Each metric family changes as the server works.

use futures_util::stream;
use serde_json::json;
use tokio::sync::mpsc;

use super::{promtool, scrape, until};
use crate::harness::csv;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::Server;
use crate::harness::watch::Watch;

#[tokio::test]
async fn requests_operations_and_the_process_are_counted() {
    let server = Server::start().await;
    server.data("{ server { version } }", json!({})).await;
    server.refusal("mutation { pause(id: \"x\") { id } }", json!({})).await;
    server.refusal("{ nothing }", json!({})).await;
    for path in ["/nowhere", "/elsewhere", "/download/x", "/datasets/a.csv", "/datasets/b.csv"] {
        server.get(path).await;
    }
    let seen = scrape(&server).await;
    promtool::check_metrics(&seen.text);
    seen.is(&[
        (r#"pausa_http_requests_total{method="POST",route="/graphql",code="200"}"#, 3.0),
        (r#"pausa_http_requests_total{method="GET",route="unmatched",code="404"}"#, 2.0),
        (r#"pausa_http_requests_total{method="GET",route="/datasets/{file}",code="404"}"#, 2.0),
        (r#"pausa_http_requests_total{method="GET",route="/download/{id}",code="404"}"#, 1.0),
        (r#"pausa_http_request_duration_seconds_count{route="/graphql"}"#, 3.0),
        (r#"pausa_graphql_operations_total{type="query",code="OK"}"#, 1.0),
        (r#"pausa_graphql_operations_total{type="mutation",code="BAD_USER_INPUT"}"#, 1.0),
        (r#"pausa_graphql_operation_duration_seconds_count{type="mutation"}"#, 1.0),
        (r#"pausa_graphql_errors_total{code="BAD_USER_INPUT"}"#, 2.0),
        (concat!(r#"pausa_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
    ]);
    assert!(seen.value("process_resident_memory_bytes") > 1e6);
    assert!(seen.value("process_open_fds") > 3.0 && seen.value("process_max_fds") > seen.value("process_open_fds"));
    let up = crate::harness::now().as_second() as f64 - seen.value("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&up), "up for {up} seconds");
    assert!(seen.has("process_cpu_seconds_total"));
}

#[tokio::test]
async fn prometheus_receives_the_format_that_it_requests() {
    let server = Server::start().await;
    let request = server.client().get(format!("{}/metrics", server.url));
    let answer =
        request.header("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_stops_and_results_are_counted() {
    let server = Server::start().await;
    let file = csv::people(3_000);
    let upload = server.upload(&*file).await;
    let id = server.import(&upload, json!({ "dataset": "people", "maxRowsPerSecond": 2_000 })).await;
    server.until_done(&id, 200).await;
    server.control("pause", &id).await;
    let paused = server.until(&id, "PAUSED").await["progress"]["done"].as_u64().unwrap();
    let rows = r#"pausa_task_rows_total{kind="import"}"#;
    scrape(&server).await.is(&[
        (rows, paused as f64),
        (r#"pausa_stop_duration_seconds_count{verb="pause"}"#, 1.0),
        (r#"pausa_tasks_unfinished{kind="import",state="PAUSED"}"#, 1.0),
        ("pausa_tasks_running", 0.0),
    ]);
    assert_eq!(server.control("pause", &id).await, "PAUSED");
    server.control("resume", &id).await;
    server.until(&id, "COMPLETED").await;
    let doomed = server.import(&upload, json!({ "dataset": "doomed", "maxRowsPerSecond": 100 })).await;
    server.until_done(&doomed, 1).await;
    server.control("terminate", &doomed).await;
    let doomed = server.until(&doomed, "TERMINATED").await["progress"]["done"].as_u64().unwrap();
    let pi = server.pi(5_000).await;
    server.until(&pi, "COMPLETED").await;
    let export = server.export("people").await;
    server.until(&export, "COMPLETED").await;
    let result = server.get(&format!("/download/{export}")).await.bytes().await.unwrap();
    let streamed = server.get("/datasets/people.csv").await.bytes().await.unwrap();
    let seen = until(&server, "pausa_downloads_active", |active| active == 0.0).await;
    promtool::check_metrics(&seen.text);
    seen.is(&[
        (rows, 3_000.0 + doomed as f64),
        (r#"pausa_task_rows_total{kind="export"}"#, 3_000.0),
        (r#"pausa_task_digits_total{kind="pi"}"#, 5_000.0),
        (r#"pausa_task_result_bytes_total{kind="export"}"#, result.len() as f64),
        ("pausa_download_bytes_total", (result.len() + streamed.len()) as f64),
        ("pausa_upload_bytes_total", file.len() as f64),
        ("pausa_uploads_active", 0.0),
        (r#"pausa_stop_duration_seconds_count{verb="pause"}"#, 1.0),
        (r#"pausa_stop_duration_seconds_count{verb="terminate"}"#, 1.0),
        (r#"pausa_task_changes_total{kind="import",state="COMPLETED"}"#, 1.0),
        (r#"pausa_datasets_call_duration_seconds_count{verb="publish"}"#, 1.0),
        ("pausa_store_up", 1.0),
        ("pausa_store_unavailable_errors_total", 0.0),
    ]);
    for sample in [
        r#"pausa_store_call_duration_seconds_count{verb="start"}"#,
        r#"pausa_store_call_duration_seconds_count{verb="read"}"#,
        r#"pausa_datasets_call_duration_seconds_count{verb="write"}"#,
        r#"pausa_datasets_call_duration_seconds_count{verb="read"}"#,
        r#"pausa_store_connections{state="idle"}"#,
        "pausa_store_connections_max",
        "pausa_data_disk_free_bytes",
    ] {
        assert!(seen.value(sample) > 0.0, "{sample} in\n{}", seen.text);
    }
    assert!(seen.value("pausa_data_disk_size_bytes") >= seen.value("pausa_data_disk_free_bytes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_counted_while_it_is_sent() {
    let server = Server::start().await;
    let (to, parts) = mpsc::unbounded_channel::<std::io::Result<Vec<u8>>>();
    let body = stream::unfold(parts, async |mut parts| Some((parts.recv().await?, parts)));
    let request = server.client().post(format!("{}/uploads", server.url)).body(reqwest::Body::wrap_stream(body));
    let sending = tokio::spawn(request.send());
    to.send(Ok(b"a,b\n".to_vec())).unwrap();
    until(&server, "pausa_upload_bytes_total", |bytes| bytes == 4.0).await.is(&[("pausa_uploads_active", 1.0)]);
    to.send(Ok(b"1,2\n".to_vec())).unwrap();
    drop(to);
    assert_eq!(sending.await.unwrap().unwrap().status(), 201);
    until(&server, "pausa_uploads_active", |active| active == 0.0).await.is(&[("pausa_upload_bytes_total", 8.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_of_timers_are_counted_by_their_outcome() {
    let settings = [
        ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"),
        ("PAUSA_TIMER_BACKOFF_SECONDS", "0.05"),
        ("PAUSA_TIMER_ATTEMPTS", "2"),
    ];
    let server = Server::with(&settings).await;
    let receiver = Receiver::start(|hook, before| match hook.path.split('/').nth(1).unwrap() {
        "gone" => Answer::Status(410),
        "busy" => Answer::Status(503),
        "once" => Answer::Status(if before == 0 { 500 } else { 200 }),
        "never" => Answer::Never,
        _ => Answer::Status(200),
    });
    let receiver = receiver.await;
    for (path, end) in [("good", "COMPLETED"), ("gone", "FAILED"), ("busy", "FAILED"), ("once", "COMPLETED")] {
        let when = json!({ "after": { "seconds": 0.0 } });
        let id = server.timer(json!({ "url": format!("{}/{path}", receiver.url), "when": when })).await;
        server.until(&id, end).await;
    }
    let slow = json!({ "url": format!("{}/never", receiver.url), "when": { "after": { "seconds": 0.0 } },
        "delivery": "AT_MOST_ONCE", "timeoutSeconds": 0.2 });
    let slow = server.timer(slow).await;
    server.until(&slow, "FAILED").await;
    scrape(&server).await.is(&[
        (r#"pausa_timer_attempts_total{outcome="success"}"#, 2.0),
        (r#"pausa_timer_attempts_total{outcome="gone"}"#, 1.0),
        (r#"pausa_timer_attempts_total{outcome="retried"}"#, 2.0),
        (r#"pausa_timer_attempts_total{outcome="failed"}"#, 1.0),
        (r#"pausa_timer_attempts_total{outcome="timed_out"}"#, 1.0),
        (r#"pausa_timer_attempts_total{outcome="unknown"}"#, 0.0),
        ("pausa_timer_lateness_seconds_count", 7.0),
        ("pausa_timers_overdue", 0.0),
    ]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_open_subscriptions_are_counted() {
    let server = Server::start().await;
    let upload = server.upload("a\n1\n").await;
    let later = server.import(&upload, json!({ "dataset": "later", "startAt": "2999-01-01T00:00:00Z" })).await;
    let mut watch = Watch::progress(&server.url, &later).await;
    watch.next().await.unwrap();
    let (open, delivered) = (
        r#"pausa_subscriptions_open{subscription="taskProgress"}"#,
        r#"pausa_events_delivered_total{subscription="taskProgress"}"#,
    );
    scrape(&server).await.is(&[(open, 1.0), (delivered, 1.0)]);
    server.control("terminate", &later).await;
    watch.until(|task| task["state"] == "TERMINATED").await;
    drop(watch);
    let seen = until(&server, open, |open| open == 0.0).await;
    assert!(seen.value(delivered) >= 2.0);
    seen.is(&[
        (r#"pausa_graphql_operations_total{type="subscription",code="OK"}"#, 1.0),
        ("pausa_events_lagged_total", 0.0),
        ("pausa_events_gaps_total", 0.0),
    ]);
}

#[tokio::test]
async fn a_worker_node_has_metrics_too() {
    let server = Server::with(&[("PAUSA_ROLE", "worker")]).await;
    let seen = scrape(&server).await;
    promtool::check_metrics(&seen.text);
    assert!(seen.has("process_cpu_seconds_total") && seen.has("pausa_tasks_oldest_queued_age_seconds"));
    assert_eq!(server.get("/graphql").await.status(), 404);
    scrape(&server).await.is(&[(r#"pausa_http_requests_total{method="GET",route="/metrics",code="200"}"#, 1.0)]);
}
