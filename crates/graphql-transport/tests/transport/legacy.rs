//! The older `graphql-ws` protocol within its limits, and mutations whose clients leave.

use std::time::Duration;

use futures_util::StreamExt;
use graphql_transport::Settings;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::standin::serve;
use super::{Socket, hear, open, post, say};

fn start(id: &str, query: &str) -> Value {
    json!({"type": "start", "id": id, "payload": {"query": query}})
}

async fn closed_with(socket: &mut Socket) -> Value {
    let mut last = hear(socket).await;
    while !last.is_number() {
        last = hear(socket).await;
    }
    last
}

#[tokio::test]
async fn the_older_protocol_answers_as_before() {
    let server = serve(0, Settings::default()).await;
    let mut socket = open(&server, "graphql-ws").await;
    say(&mut socket, json!({"type": "connection_init", "payload": {}})).await;
    assert_eq!(hear(&mut socket).await, json!({"type": "connection_ack"}));
    say(&mut socket, start("1", "{hello}")).await;
    let data = json!({"type": "data", "id": "1", "payload": {"data": {"hello": "hello "}}});
    assert_eq!(hear(&mut socket).await, data);
    assert_eq!(hear(&mut socket).await, json!({"type": "complete", "id": "1"}));
    say(&mut socket, start("2", "{nope}")).await;
    let refused = hear(&mut socket).await;
    assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert_eq!(hear(&mut socket).await, json!({"type": "complete", "id": "2"}));
    say(&mut socket, start("3", "subscription{ticks(count:1000000 every:0)}")).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["ticks"], 1);
    say(&mut socket, json!({"type": "stop", "id": "3"})).await;
    say(&mut socket, start("4", "{hello}")).await;
    while hear(&mut socket).await["id"] != "4" {}
    say(&mut socket, json!({"type": "connection_terminate"})).await;
    assert_eq!(closed_with(&mut socket).await, 1000);
}

#[tokio::test]
async fn the_older_protocol_closes_who_sends_no_init_or_starts_without_it() {
    let soon = Duration::from_millis(300);
    let server = serve(0, Settings { init_timeout: soon, ..Settings::default() }).await;
    let init = json!({"type": "connection_init"});
    let twice = vec![init.clone(), init];
    for (messages, code) in
        [(vec![], 4408), (vec![start("1", "{hello}")], 4401), (twice, 4429), (vec![json!({"type": "nonsense"})], 4400)]
    {
        let mut socket = open(&server, "graphql-ws").await;
        for message in messages {
            say(&mut socket, message).await;
        }
        assert_eq!(closed_with(&mut socket).await, code);
    }
}

#[tokio::test]
async fn the_older_protocol_takes_so_many_operations_and_messages_so_large() {
    let settings = Settings { max_operations: 2, max_message_bytes: 2_000, ..Settings::default() };
    let server = serve(0, settings).await;
    let mut socket = open(&server, "graphql-ws").await;
    say(&mut socket, json!({"type": "connection_init"})).await;
    for id in ["1", "2", "3"] {
        say(&mut socket, start(id, "subscription{ticks(count:1 every:1000000)}")).await;
    }
    assert_eq!(hear(&mut socket).await["type"], "connection_ack");
    let refused = hear(&mut socket).await;
    let told = (&refused["type"], &refused["id"], &refused["payload"]["extensions"]["code"]);
    assert_eq!(told, (&json!("error"), &json!("3"), &json!("TOO_BUSY")));
    say(&mut socket, start("4", &"x".repeat(3_000))).await;
    assert_eq!(closed_with(&mut socket).await, 1009);
}

#[tokio::test]
async fn the_older_protocol_is_kept_alive_and_drops_who_answers_no_ping() {
    let settings = Settings { ping_interval: Duration::from_millis(100), ..Settings::default() };
    let sockets = settings.sockets.clone();
    let server = serve(0, settings).await;
    let mut socket = open(&server, "graphql-ws").await;
    say(&mut socket, json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut socket).await["type"], "connection_ack");
    let mut seen = (false, false);
    while seen != (true, true) {
        match socket.next().await.unwrap().unwrap() {
            Message::Ping(_) => seen.0 = true,
            Message::Text(text) => seen.1 = text.as_str() == r#"{"type":"ka"}"#,
            _ => {}
        }
    }
    // The client reads nothing from here on, so no ping is answered.
    sockets.close();
    sockets.wait().await;
    drop(socket);
}

#[tokio::test]
async fn a_mutation_that_has_begun_runs_to_its_end_when_its_client_leaves() {
    let query = "mutation{first:waits second:waits}";
    let settings = Settings::default();
    let tracked = settings.sockets.clone();
    let server = serve(0, settings).await;
    let gate = &server.gate;
    for protocol in ["http", "graphql-transport-ws", "graphql-ws"] {
        if protocol == "http" {
            let asked = tokio::spawn(post(&server).json(&json!({"query": query})).send());
            gate.reached.notified().await;
            asked.abort();
            gate.left.notified().await;
        } else {
            let mut socket = open(&server, protocol).await;
            say(&mut socket, json!({"type": "connection_init"})).await;
            let kind = if protocol == "graphql-ws" { "start" } else { "subscribe" };
            say(&mut socket, json!({"type": kind, "id": "1", "payload": {"query": query}})).await;
            gate.reached.notified().await;
            assert_eq!(tracked.len(), 2, "the socket and its mutation");
            drop(socket);
            while tracked.len() > 1 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(tracked.len(), 1, "{protocol}: the mutation is under way");
        gate.open.notify_one();
        gate.passed.notified().await;
        gate.reached.notified().await;
        gate.open.notify_one();
        gate.passed.notified().await;
        while !tracked.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
