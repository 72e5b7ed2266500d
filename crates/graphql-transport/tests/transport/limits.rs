//! Operations of a caller who may start only some.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use graphql_transport::{LimitExceeded, OperationLimit, Settings};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::standin::{Server, serve_limited};
use super::{Socket, ask, code, form, hear, open, post, say, send, session, subscribe};

/// Admits this many operations.
struct Remaining(AtomicU32);

#[async_trait]
impl OperationLimit for Remaining {
    async fn admit(&self) -> Result<(), LimitExceeded> {
        let admitted = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let retry_after = Duration::from_millis(6_200);
        admitted.map(|_| ()).map_err(|_| LimitExceeded { message: "Too many.".to_owned(), retry_after })
    }
}

async fn serve(admitted: u32) -> Server {
    let limit = Arc::new(Remaining(AtomicU32::new(admitted)));
    serve_limited(0, Settings::default(), Some(limit)).await
}

fn is_refused(error: &Value) {
    let extensions = json!({ "code": "RATE_LIMITED", "retryAfterSeconds": 7 });
    assert_eq!(*error, json!({ "message": "Too many.", "extensions": extensions }));
}

#[tokio::test]
async fn a_request_above_the_limit_gets_429_and_does_nothing() {
    let server = serve(2).await;
    let count = json!({ "query": "mutation { count }" });
    assert_eq!(ask(&server, count.clone()).await, (StatusCode::OK, json!({ "data": { "count": 1 } })));
    assert_eq!(send(&server, form(10)).await.0, StatusCode::OK);
    let answer = post(&server).json(&count).send().await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::TOO_MANY_REQUESTS, "7")
    );
    let answer: Value = answer.json().await.unwrap();
    is_refused(&answer["errors"][0]);
    let (status, answer) = send(&server, form(10)).await;
    assert_eq!((status, code(&answer)), (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"));
    assert_eq!(*server.sink.stored.lock().unwrap(), [10], "the file was not read");
    let url = format!("http://{}/graphql?query=%7Bhello%7D", server.address);
    assert_eq!(reqwest::get(url).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
}

/// Refused operations end, and the socket stays open for others.
#[tokio::test]
async fn each_operation_of_a_socket_is_counted() {
    let server = serve(2).await;
    let mut socket = session(&server).await;
    for _ in 0..2 {
        say(&mut socket, subscribe("{hello}")).await;
        assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello ");
        assert_eq!(hear(&mut socket).await["type"], "complete");
    }
    for query in ["{hello}", "subscription{ticks(count:1)}"] {
        say(&mut socket, subscribe(query)).await;
        let refused = hear(&mut socket).await;
        assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("1")));
        is_refused(&refused["payload"][0]);
    }
    say(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await["type"], "pong");
}

#[tokio::test]
async fn the_older_protocol_gets_the_error_as_data() {
    let server = serve(0).await;
    let mut socket: Socket = open(&server, "graphql-ws").await;
    say(&mut socket, json!({ "type": "connection_init" })).await;
    assert_eq!(hear(&mut socket).await["type"], "connection_ack");
    say(&mut socket, json!({ "type": "start", "id": "1", "payload": { "query": "{hello}" } })).await;
    let refused = hear(&mut socket).await;
    assert_eq!(refused["type"], "data");
    is_refused(&refused["payload"]["errors"][0]);
    assert_eq!(hear(&mut socket).await, json!({ "type": "complete", "id": "1" }));
}
