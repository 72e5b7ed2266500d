//! Each family moves as the server works.

use serde_json::json;

use super::{promtool, scrape};
use crate::harness::server::Server;

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
    for (sample, value) in [
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
    ] {
        assert!(seen.value(sample) == value, "{sample} {} in\n{}", seen.value(sample), seen.text);
    }
    assert!(seen.value("process_resident_memory_bytes") > 1e6);
    assert!(seen.value("process_open_fds") > 3.0 && seen.value("process_max_fds") > seen.value("process_open_fds"));
    let up = crate::harness::now().as_second() as f64 - seen.value("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&up), "up for {up} seconds");
    assert!(seen.has("process_cpu_seconds_total"));
}

#[tokio::test]
async fn prometheus_gets_the_format_that_it_asks_for() {
    let server = Server::start().await;
    let request = server.client().get(format!("{}/metrics", server.url));
    let answer =
        request.header("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.text().await.unwrap().ends_with("# EOF\n"));
}
