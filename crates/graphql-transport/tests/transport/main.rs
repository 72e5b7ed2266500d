//! Stories about the transport, told to a real server by HTTP and WebSocket clients.

mod clients;
mod differential;
mod events;
mod legacy;
mod limits;
mod persisted;
mod shapes;
mod standin;
mod usages;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use graphql_transport::Settings;
use reqwest::{RequestBuilder, StatusCode, multipart};
use serde_json::{Value, json};
use standin::{LARGEST, Server, serve};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const UPLOAD: &str = r#"{"query":"mutation($file:Upload!){upload(file:$file)}","variables":{"file":null}}"#;

fn post(server: &Server) -> RequestBuilder {
    // If reqwest is built with TLS, it needs a provider even for http. The first test installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new().post(format!("http://{}/graphql", server.address))
}

async fn ask(server: &Server, body: Value) -> (StatusCode, Value) {
    let newer = "application/graphql-response+json";
    let answer = post(server).header("accept", newer).json(&body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap()
}

async fn open(server: &Server, protocol: &'static str) -> Socket {
    let url = format!("ws://{}/graphql", server.address);
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    connect_async(request).await.unwrap().0
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

/// The next message, past pings.
async fn hear(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Close(frame) => return json!(u16::from(frame.unwrap().code)),
            _ => {}
        }
    }
}

async fn session(server: &Server) -> Socket {
    let mut socket = open(server, "graphql-transport-ws").await;
    say(&mut socket, json!({"type": "connection_init"})).await;
    assert_eq!(hear(&mut socket).await["type"], "connection_ack");
    socket
}

fn subscribe(query: &str) -> Value {
    json!({"type": "subscribe", "id": "1", "payload": {"query": query}})
}

fn form(bytes: u64) -> multipart::Form {
    let file = multipart::Part::bytes(vec![b'x'; bytes as usize]).file_name("a.csv");
    multipart::Form::new().text("operations", UPLOAD).text("map", r#"{"0":["variables.file"]}"#).part("0", file)
}

async fn send(server: &Server, form: multipart::Form) -> (StatusCode, Value) {
    let request = post(server).header("apollo-require-preflight", "true");
    let answer = request.multipart(form).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn released(server: &Server) -> Vec<String> {
    server.sink.changed.notified().await;
    server.sink.released.lock().unwrap().clone()
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_a_code_and_without_data() {
    let server = serve(0, Settings::default()).await;
    for query in ["{", "{nope}", "query($n:Int!){number(of:$n)}", "{number(of of:1)}", ""] {
        let (status, answer) = ask(&server, json!({"query": query})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(code(&answer), "BAD_USER_INPUT");
        assert!(answer.get("data").is_none());
    }
    let answer = post(&server).json(&json!([{"query": "{hello}"}])).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let long = json!({"query": "x".repeat(2 << 20)});
    let (status, answer) = ask(&server, long).await;
    assert_eq!((status, code(&answer)), (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"));
}

#[tokio::test]
async fn a_missing_variable_is_found_before_the_first_mutation_runs() {
    let server = serve(0, Settings::default()).await;
    let query = "mutation($t:String!){count echo(text:$t)}";
    let (_, answer) = ask(&server, json!({"query": query})).await;
    assert_eq!(code(&answer), "BAD_USER_INPUT");
    let (_, answer) = ask(&server, json!({"query": "mutation{count}"})).await;
    assert_eq!(answer["data"]["count"], 1);
}

#[tokio::test]
async fn hostile_queries_are_refused() {
    let server = serve(0, Settings::default()).await;
    let spread = |times: usize, last: usize| -> String {
        let fragment = |n| format!("fragment f{n} on Query{{{}}}", format!("...f{} ", n + 1).repeat(times));
        (0..last).map(fragment).collect()
    };
    let end = |n: usize| format!("fragment f{n} on Query{{hello}}");
    for query in [
        format!("{{...f0}}{}{}", spread(2, 30), end(30)),
        format!("{{...f0}}{}{}", spread(1, 20_000), end(20_000)),
        "{...a}fragment a on Query{...a ...a}".to_owned(),
        format!("{{hello(name:{}", "[".repeat(400_000)),
        "{query".repeat(100_000),
    ] {
        let (status, answer) = ask(&server, json!({"query": query})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(code(&answer), "BAD_USER_INPUT");
    }
}

#[tokio::test]
async fn a_failing_resolver_is_internal_and_its_text_stays_here() {
    let server = serve(0, Settings::default()).await;
    for query in ["{hello panics}", "{hello fails}"] {
        let (status, answer) = ask(&server, json!({"query": query})).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(code(&answer), "INTERNAL");
        assert!(!answer.to_string().contains("secret"));
    }
    let mut socket = session(&server).await;
    for query in ["{panics}", "subscription{breaks}"] {
        say(&mut socket, subscribe(query)).await;
        let mut last = hear(&mut socket).await;
        if last["payload"]["data"]["breaks"] == 1 {
            last = hear(&mut socket).await;
        }
        assert_eq!(code(&last["payload"]), "INTERNAL");
        assert_eq!(hear(&mut socket).await["type"], "complete");
    }
}

#[tokio::test]
async fn a_file_reaches_its_variable_and_is_released_afterwards() {
    let server = serve(0, Settings::default()).await;
    let (status, answer) = send(&server, form(3 << 20)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["data"]["upload"], "upload-1");
    assert_eq!(*server.sink.stored.lock().unwrap(), [3 << 20]);
    assert_eq!(released(&server).await, ["upload-1"]);
    let foreign = post(&server).header("origin", "http://evil.example");
    let answer = foreign.multipart(form(1)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_was_stored_is_released_where_a_later_file_is_too_large_or_missing() {
    let server = serve(0, Settings::default()).await;
    let two = |second: Option<u64>| {
        let query = "mutation($files:[Upload!]!){uploads(files:$files)}";
        let operations = json!({"query": query, "variables": {"files": [null, null]}});
        let form = multipart::Form::new()
            .text("operations", operations.to_string())
            .text("map", r#"{"a":["variables.files.0"],"b":["variables.files.1"]}"#)
            .part("a", multipart::Part::bytes(b"a".as_slice()).file_name("a"));
        second.into_iter().fold(form, |form, length| {
            let bytes = vec![b'x'; length as usize];
            form.part("b", multipart::Part::bytes(bytes).file_name("b"))
        })
    };
    let (status, answer) = send(&server, two(Some(LARGEST + 1))).await;
    assert_eq!((status, code(&answer)), (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"));
    assert_eq!(released(&server).await, ["upload-1"]);
    let (status, answer) = send(&server, two(None)).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
    assert_eq!(released(&server).await, ["upload-1", "upload-2"]);
}

#[tokio::test]
async fn an_upload_whose_connection_breaks_is_released() {
    use tokio::io::AsyncWriteExt;
    let server = serve(0, Settings::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let part =
        |name: &str, text: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
    let operations = r#"{"query":"mutation($a:[Upload!]!){uploads(files:$a)}","variables":{"a":[null,null]}}"#;
    let map = r#"{"0":["variables.a.0"],"1":["variables.a.1"]}"#;
    let body = part("operations", operations) + &part("map", map) + &part("0", "x") + "--b\r\n";
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\napollo-require-preflight: 1\r\ncontent-length: 9999\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(released(&server).await, ["upload-1"]);
}

#[tokio::test]
async fn operations_of_one_socket_run_side_by_side_and_can_be_stopped() {
    let server = serve(0, Settings::default()).await;
    let mut socket = session(&server).await;
    say(&mut socket, subscribe("subscription{ticks(count:1000000 every:0)}")).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["ticks"], 1);
    let other = json!({"type": "subscribe", "id": "2", "payload": {"query": "{hello}"}});
    say(&mut socket, other).await;
    while hear(&mut socket).await["id"] != "2" {}
    say(&mut socket, json!({"type": "complete", "id": "1"})).await;
    say(&mut socket, json!({"type": "ping", "payload": {"mark": 1}})).await;
    while hear(&mut socket).await["type"] != "pong" {}
    say(&mut socket, subscribe("{nope}")).await;
    let refused = hear(&mut socket).await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("1")));
}

#[tokio::test]
async fn a_broken_protocol_closes_with_its_code() {
    let soon = Duration::from_millis(300);
    let server = serve(0, Settings { init_timeout: soon, ..Settings::default() }).await;
    let init = json!({"type": "connection_init"});
    for (messages, code) in [
        (vec![json!({"type": "nonsense"})], 4400),
        (vec![subscribe("{hello}")], 4401),
        (vec![init.clone(), init], 4429),
        (vec![], 4408),
    ] {
        let mut socket = open(&server, "graphql-transport-ws").await;
        for message in messages {
            say(&mut socket, message).await;
        }
        let mut last = hear(&mut socket).await;
        while !last.is_number() {
            last = hear(&mut socket).await;
        }
        assert_eq!(last, code);
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_ping_unanswered_is_dropped() {
    let often = Duration::from_millis(100);
    let settings = Settings { ping_interval: often, ..Settings::default() };
    let sockets = settings.sockets.clone();
    let server = serve(0, settings).await;
    let socket = session(&server).await;
    assert_eq!(sockets.len(), 1);
    sockets.close();
    sockets.wait().await;
    drop(socket);
}

#[tokio::test]
async fn an_event_of_a_multipart_subscription_comes_with_its_boundary() {
    let server = serve(0, Settings::default()).await;
    let body = json!({"query": "subscription{ticks(count:2)}"});
    let apollo = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json";
    let answer = post(&server).header("accept", apollo).json(&body).send().await.unwrap();
    let part = |n| {
        let json = format!("{{\"payload\":{{\"data\":{{\"ticks\":{n}}}}}}}");
        format!("\r\ncontent-type: application/json\r\n\r\n{json}\r\n--graphql")
    };
    let whole = format!("--graphql{}{}--\r\n", part(1), part(2));
    assert_eq!(answer.text().await.unwrap(), whole);
    let body = json!({"query": "subscription{nope}"});
    let answer = post(&server).header("accept", apollo).json(&body).send().await.unwrap();
    assert_eq!(code(&answer.json().await.unwrap()), "BAD_USER_INPUT");
}

#[tokio::test]
async fn at_shutdown_every_subscription_ends_in_order() {
    let settings = Settings::default();
    let (shutdown, sockets) = (settings.shutdown.clone(), settings.sockets.clone());
    let server = serve(0, settings).await;
    let endless = "subscription{ticks(count:1000000)}";
    let mut socket = session(&server).await;
    say(&mut socket, subscribe(endless)).await;
    let mut old = open(&server, "graphql-ws").await;
    let read = |query: &str| {
        let request = post(&server).header("accept", "multipart/mixed");
        request.json(&json!({"query": query})).send()
    };
    let mut busy = read(endless).await.unwrap();
    let silent = read("subscription{ticks(count:1 every:1000000)}").await.unwrap();
    let mut parts = Vec::new();
    while !parts.ends_with(b"}\r\n--graphql") {
        parts.extend(busy.chunk().await.unwrap().unwrap());
    }
    hear(&mut socket).await;
    shutdown.cancel();
    parts.extend(busy.bytes().await.unwrap());
    assert!(parts.ends_with(b"}\r\n--graphql--\r\n"));
    assert_eq!(silent.text().await.unwrap(), "--graphql--\r\n");
    for socket in [&mut socket, &mut old] {
        let mut last = hear(socket).await;
        while !last.is_number() {
            last = hear(socket).await;
        }
        assert_eq!(last, 1001);
        assert!(socket.next().await.is_none_or(|end| end.is_err()));
    }
    sockets.close();
    sockets.wait().await;
}
