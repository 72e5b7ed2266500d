//! Callers that send more requests than the limit allows.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::callers::{TRUSTED, is_limited, query, request, until_refused};
use crate::harness::csv;
use crate::harness::server::{self, PATIENCE, Server};
use crate::harness::watch::Watch;

/// Slow enough that a busy machine does not refill a bucket while a story empties it.
const RATE: (&str, &str) = ("PAUSA_HTTP_REQUESTS_PER_SECOND", "1");
const BURST: (&str, &str) = ("PAUSA_HTTP_REQUEST_BURST", "10");

#[tokio::test]
async fn a_caller_above_the_limit_gets_429_and_others_and_probes_are_served() {
    let server = Server::with(&[RATE, BURST, TRUSTED]).await;
    let (admitted, refusal) = until_refused(&[&server], "198.51.100.7").await;
    assert!(admitted >= 10, "{admitted}");
    let seconds = is_limited(refusal).await;
    assert!((1..=2).contains(&seconds), "{seconds}");
    let again = async {
        while query(&server, "198.51.100.7").send().await.unwrap().status() == 429 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the caller is admitted again");
    assert_eq!(query(&server, "198.51.100.8").send().await.unwrap().status(), 200);
    for path in ["/healthz", "/readyz", "/metrics", "/", "/graphiql"] {
        for _ in 0..20 {
            assert_eq!(
                request(&server, Method::GET, path, "198.51.100.7").send().await.unwrap().status(),
                200,
                "{path}"
            );
        }
    }
    // One caller has all addresses of an IPv6 network of 64 bits.
    until_refused(&[&server], "2001:db8::1").await;
    is_limited(query(&server, "2001:db8::ffff").send().await.unwrap()).await;
    let answer = query(&server, "198.51.100.7").header("accept", "application/graphql-response+json").send();
    let (answer, _) = (answer.await.unwrap(), until_refused(&[&server], "198.51.100.7").await);
    assert_eq!(answer.headers()["content-type"], "application/graphql-response+json; charset=utf-8");
    let metrics = server.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains(r#"pausa_graphql_errors_total{code="RATE_LIMITED"}"#), "{metrics}");
    assert!(metrics.contains(r#"method="POST",route="/graphql",code="429""#), "{metrics}");
}

#[tokio::test]
async fn uploads_and_downloads_count_as_graphql_requests_do() {
    let server = Server::with(&[RATE, BURST, TRUSTED]).await;
    let upload = server.upload(csv::people(10)).await;
    let id = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&id, "COMPLETED").await;
    for (n, (method, path)) in
        [(Method::POST, "/uploads"), (Method::GET, "/datasets/people.csv"), (Method::GET, "/download/none")]
            .into_iter()
            .enumerate()
    {
        let caller = format!("203.0.113.{n}");
        until_refused(&[&server], &caller).await;
        is_limited(request(&server, method, path, &caller).body("a\n1\n").send().await.unwrap()).await;
    }
    let mut statuses = Vec::new();
    while !statuses.contains(&429) {
        let answer = request(&server, Method::GET, "/datasets/people.csv", "203.0.113.9").send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    assert!(statuses.len() > 10 && statuses[..10].iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn each_operation_of_a_websocket_counts() {
    let server = Server::with(&[RATE, BURST]).await;
    let mut socket = Watch::open(&server.url, "__typename", "{ __typename }", json!({})).await;
    let mut admitted = 0;
    let errors = loop {
        match socket.result().await {
            Ok(_) => admitted += 1,
            Err(errors) => break errors,
        }
        socket.ask("{ __typename }").await;
    };
    assert!(admitted >= 9, "{admitted}");
    assert_eq!(errors[0]["extensions"]["code"], "RATE_LIMITED", "{errors}");
    assert!(errors[0]["extensions"]["retryAfterSeconds"].as_u64().unwrap() >= 1, "{errors}");
    let again = async {
        loop {
            socket.ask("{ __typename }").await;
            if socket.result().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the socket stays open, and operations are admitted again");
}

/// A client that is not a trusted proxy cannot choose its address.
#[tokio::test]
async fn without_trusted_proxies_all_requests_of_an_address_count_together() {
    let server = Server::with(&[RATE, BURST]).await;
    until_refused(&[&server], "198.51.100.7").await;
    is_limited(query(&server, "198.51.100.8").send().await.unwrap()).await;
}

#[tokio::test]
async fn wrong_limits_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (setting, expected) in [
        ("http.requests_per_second=-1", "a whole number from 0 to 1000000"),
        ("http.request_burst=5", "0, or http.requests_per_second to be set"),
        ("http.trusted_proxies=10.0.0.0/40", "addresses or networks such as 10.0.0.0/8"),
    ] {
        let (code, printed) = server::run(folder.path(), &["--set", setting]).await;
        assert!(code != Some(0) && printed.contains(expected), "{setting}: {printed}");
    }
}
