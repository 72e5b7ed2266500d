//! Results as Server-Sent Events.

use std::time::Duration;

use futures_util::StreamExt;
use graphql_transport::Settings;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::post;
use super::standin::serve;

async fn events(asked: RequestBuilder) -> Response {
    let answer = asked.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    answer
}

/// Returns the events without the comments.
fn told(text: &str) -> String {
    text.split_inclusive("\n\n").filter(|event| *event != ":\n\n").collect()
}

#[tokio::test]
async fn each_operation_may_be_answered_with_events() {
    let server = serve(0, Settings::default()).await;
    let next = |data: &str| format!("event: next\ndata: {{\"data\":{data}}}\n\n");
    let complete = "event: complete\ndata:\n\n";
    for (query, expected) in [
        ("{hello}", next(r#"{"hello":"hello "}"#)),
        ("mutation{echo(text:\"a\\nb\")}", next(r#"{"echo":"a\nb"}"#)),
        ("subscription{ticks(count:2)}", next(r#"{"ticks":1}"#) + &next(r#"{"ticks":2}"#)),
    ] {
        let answer = events(post(&server).json(&json!({"query": query}))).await.text().await.unwrap();
        assert!(answer.starts_with(":\n\n"));
        assert_eq!(told(&answer), expected + complete, "{query}");
    }
    let answer = events(post(&server).json(&json!({"query": "{nope}"}))).await.text().await.unwrap();
    assert!(answer.contains("BAD_USER_INPUT") && answer.ends_with(complete), "{answer}");
}

#[tokio::test]
async fn a_subscription_by_get_is_answered_with_events_and_a_mutation_is_not() {
    let server = serve(0, Settings::default()).await;
    let get = |query: &str| {
        let url = format!("http://{}/graphql?query={query}", server.address);
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::new().request(Method::GET, url)
    };
    let answer = events(get("subscription{ticks(count:1)}")).await.text().await.unwrap();
    assert!(answer.contains(r#"{"ticks":1}"#), "{answer}");
    let refused = get("mutation{count}").header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(refused.status(), 405);
}

#[tokio::test]
async fn a_silent_subscription_has_comments_and_ends_at_shutdown_without_complete() {
    let shutdown = CancellationToken::new();
    let settings = Settings { heartbeat: Duration::from_millis(50), shutdown: shutdown.clone(), ..Settings::default() };
    let server = serve(0, settings).await;
    let query = "subscription{ticks(count:1 every:1000000)}";
    let mut body = events(post(&server).json(&json!({"query": query}))).await.bytes_stream();
    for _ in 0..3 {
        assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
    }
    shutdown.cancel();
    while let Some(comment) = body.next().await {
        assert_eq!(comment.unwrap(), ":\n\n");
    }
}
