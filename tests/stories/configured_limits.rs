//! Limits that the operator sets: each is enforced with its own value.

use reqwest::header::HeaderMap;
use reqwest::{StatusCode, multipart};
use serde_json::{Value, json};

use crate::harness::server::Server;

/// Returns the message of the only error, which must be BAD_USER_INPUT.
async fn refused(server: &Server, query: &str) -> String {
    let error = server.refusal(query, json!({})).await;
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    error["message"].as_str().unwrap().to_owned()
}

/// A query that is nested `depth` levels deep.
fn nested(depth: usize) -> String {
    let inner = "ofType { ".repeat(depth - 2);
    format!("{{ __type(name: \"Query\") {{ {inner} name {}", " }".repeat(depth))
}

#[tokio::test]
async fn a_document_above_a_limit_is_refused_with_the_limit() {
    let server = Server::with(&[
        ("PAUSA_GRAPHQL_MAX_DEPTH", "5"),
        ("PAUSA_GRAPHQL_MAX_COMPLEXITY", "40"),
        ("PAUSA_GRAPHQL_MAX_SELECTIONS", "9"),
        ("PAUSA_GRAPHQL_MAX_NESTING", "10"),
        ("PAUSA_GRAPHQL_MAX_FRAGMENT_DEPTH", "1"),
        ("PAUSA_GRAPHQL_MAX_ALIASES", "2"),
        ("PAUSA_GRAPHQL_MAX_DIRECTIVES", "1"),
        ("PAUSA_GRAPHQL_MAX_ERRORS", "2"),
    ])
    .await;
    for (query, expected) in [
        (nested(6), "nested too deep"),
        ("{ tasks(first: 50) { nodes { id state } } }".to_owned(), "At most 40 are allowed"),
        (format!("{{ server {{ {} }} }}", "version ".repeat(9)), "expands to 10 selections; at most 9"),
        (format!("{{ tasks(filter: {}", "[".repeat(10)), "at most 10 brackets"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { __typename }".to_owned(), "more than 1 levels"),
        ("{ a: __typename b: __typename c: __typename }".to_owned(), "has 3 aliases; at most 2"),
        ("{ __typename @skip(if: false) @include(if: true) }".to_owned(), "has 2 directives; at most 1"),
    ] {
        let text = refused(&server, &query).await;
        assert!(text.contains(expected), "{query}: {text}");
    }
    let answer = server.ask("{ a b c }", json!({})).await;
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2, "{answer}");
    server
        .data(
            "{ tasks(first: 5) { nodes { id state } } server { version } ...A } fragment A on Query { __typename }",
            json!({}),
        )
        .await;
}

#[tokio::test]
async fn limits_can_be_raised() {
    assert!(refused(&Server::start().await, &nested(40)).await.contains("nested too deep"));
    let server = Server::with(&[("PAUSA_GRAPHQL_MAX_DEPTH", "40"), ("PAUSA_HTTP_MAX_HEADERS", "300")]).await;
    server.data(&nested(40), json!({})).await;
    assert_eq!(with_headers(&server, 250, 1).await, StatusCode::OK);
    assert_eq!(with_headers(&server, 350, 1).await, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

/// Sends a request with so many headers whose values have `length` bytes.
async fn with_headers(server: &Server, count: usize, length: usize) -> StatusCode {
    let header = |number| (format!("x-{number}").parse().unwrap(), "x".repeat(length).parse().unwrap());
    let headers: HeaderMap = (0..count).map(header).collect();
    server.client().get(format!("{}/healthz", server.url)).headers(headers).send().await.unwrap().status()
}

#[tokio::test]
async fn headers_above_the_limits_are_refused() {
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let settings = [("PAUSA_HTTP_MAX_HEADER_BYTES", "8192"), ("PAUSA_HTTP_HTTP2_MAX_HEADER_BYTES", "2048")];
    let server = Server::with(&settings).await;
    assert_eq!(with_headers(&server, 1, 6_000).await, StatusCode::OK);
    assert_eq!(with_headers(&server, 1, 9_000).await, too_large);
    assert_eq!(with_headers(&server, 150, 1).await, too_large);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for (length, status) in [(1_000, StatusCode::OK), (3_000, too_large)] {
        let asked = client.get(format!("{}/healthz", server.url)).header("x-long", "x".repeat(length));
        assert_eq!(asked.send().await.unwrap().status(), status, "{length}");
    }
}

#[tokio::test]
async fn files_ranges_and_metadata_have_limits() {
    let server = Server::with(&[
        ("PAUSA_GRAPHQL_MAX_FILES", "1"),
        ("PAUSA_HTTP_MAX_RANGES", "2"),
        ("PAUSA_HTTP_MAX_METADATA_BYTES", "256"),
    ])
    .await;
    let operations = json!({ "query": "{ __typename }", "variables": { "a": null, "b": null } });
    let form = multipart::Form::new()
        .text("operations", operations.to_string())
        .text("map", r#"{"0":["variables.a"],"1":["variables.b"]}"#);
    let asked = server.client().post(format!("{}/graphql", server.url)).header("apollo-require-preflight", "1");
    let answer: Value = asked.multipart(form).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["message"], "A request may contain at most 1 files.");

    let id = server.pi(100).await;
    server.until(&id, "COMPLETED").await;
    for (ranges, status) in [("bytes=0-1,3-4", 206), ("bytes=0-1,3-4,6-7", 200)] {
        let asked = server.client().get(format!("{}/download/{id}", server.url)).header("range", ranges);
        assert_eq!(asked.send().await.unwrap().status(), status, "{ranges}");
    }

    for (length, status) in [(200, 201), (300, 400)] {
        let asked = server.client().post(format!("{}/uploads", server.url)).header("tus-resumable", "1.0.0");
        let asked =
            asked.header("upload-length", "1").header("upload-metadata", format!("k{}", "x".repeat(length - 1)));
        assert_eq!(asked.send().await.unwrap().status(), status, "{length}");
    }
}

#[tokio::test]
async fn a_silent_subscription_over_http_sends_heartbeats_as_often_as_set() {
    let server = Server::with(&[("PAUSA_GRAPHQL_HEARTBEAT_SECONDS", "0.1")]).await;
    let body = json!({ "query": "subscription { taskChanges { id } }" });
    for (accept, beat) in [("multipart/mixed;subscriptionSpec=1.0", "\r\n{}\r\n"), ("text/event-stream", ":\n\n")] {
        let asked = server.client().post(format!("{}/graphql", server.url)).json(&body).header("accept", accept);
        let (mut answer, mut text) = (asked.send().await.unwrap(), String::new());
        while text.matches(beat).count() < 3 {
            text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
        }
    }
}
