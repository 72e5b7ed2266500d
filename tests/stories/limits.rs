//! Clients that are silent, slow or too many: each has a limit, and none occupies resources for long.

use reqwest::{Method, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::uploads::uploads;
use crate::harness::server::{PATIENCE, Server};
use crate::harness::tus::Tus;
use crate::harness::watch::Watch;

async fn connected(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// Returns everything that the server sends until it closes the connection.
async fn rest(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut all))
        .await
        .expect("the connection was not closed in time");
    // A connection reset also counts as closed.
    drop(ended);
    String::from_utf8_lossy(&all).into_owned()
}

/// Waits until there are this many upload files.
async fn until_uploads(server: &Server, count: usize) {
    let come = async {
        // The server sends no event when files appear or disappear, so the folder is polled.
        while uploads(server) != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, come).await.unwrap();
}

#[tokio::test]
async fn a_connection_whose_headers_do_not_arrive_or_that_is_idle_is_closed() {
    let server = Server::with(&[("PAUSA_HTTP_HEADER_SECONDS", "0.3"), ("PAUSA_HTTP_IDLE_SECONDS", "0.6")]).await;
    for begun in ["", "GET /healthz HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = connected(&server).await;
        socket.write_all(begun.as_bytes()).await.unwrap();
        assert!(!rest(&mut socket).await.contains("HTTP/1.1 200"), "{begun}");
    }
    let mut socket = connected(&server).await;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The next request on a connection has the same time limit for its headers as the first.
    let mut socket = connected(&server).await;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\n").await.unwrap();
    assert_eq!(rest(&mut socket).await.matches("HTTP/1.1 200").count(), 1);
}

#[tokio::test]
async fn a_connection_with_an_active_request_is_not_idle() {
    let limits = [("PAUSA_HTTP_HEADER_SECONDS", "0.1"), ("PAUSA_HTTP_IDLE_SECONDS", "0.1")];
    let timer = [("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"), ("PAUSA_TIMER_ATTEMPTS", "1")];
    let server = Server::with(&[limits, timer].concat()).await;
    // Nothing listens on this port. The timer fires long after every limit has passed.
    let input = json!({ "url": "http://127.0.0.1:9/", "when": { "after": { "seconds": 1.5 } } });
    let id = server.timer(input).await;
    let mut watch = Watch::progress(&server.url, &id).await;
    let query = "subscription($id: ID!) { taskProgress(id: $id) { state } }";
    let body = json!({ "query": query, "variables": { "id": id } });
    let asked = server.client().post(format!("{}/graphql", server.url)).json(&body);
    let parts = asked.header("accept", "multipart/mixed;subscriptionSpec=1.0").send().await.unwrap();
    watch.until(|task| task["state"] == "FAILED").await;
    assert!(parts.text().await.unwrap().ends_with("--graphql--\r\n"));
}

#[tokio::test]
async fn http_2_is_supported_and_its_idle_connections_are_closed() {
    let server = Server::with(&[("PAUSA_HTTP_IDLE_SECONDS", "0.3"), ("PAUSA_HTTP_MAX_CONNECTIONS", "1")]).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let ask = || client.post(format!("{}/graphql", server.url)).json(&json!({ "query": "{ server { version } }" }));
    let answers = futures_util::future::join_all((0..50).map(|_| ask().send())).await;
    for answer in answers.into_iter().map(Result::unwrap) {
        assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, 200));
    }
    // Only one connection is allowed, so this is answered when the other one is closed.
    assert_eq!(server.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_disconnected() {
    let limits = [("PAUSA_HTTP_SEND_SECONDS", "0.5"), ("PAUSA_HTTP_IDLE_SECONDS", "0.5")];
    let server = Server::with(&[&limits[..], &[("PAUSA_HTTP_MAX_CONNECTIONS", "1")]].concat()).await;
    let cell = "x".repeat(1 << 20);
    let upload = server.upload("cell\n".to_owned() + &format!("{cell}\n").repeat(40)).await;
    // Only one connection is allowed, so no subscription can be open meanwhile.
    let id = server.import(&upload, json!({ "dataset": "large" })).await;
    while server.task(&id).await["state"] != "COMPLETED" {}
    let mut socket = connected(&server).await;
    socket.write_all(b"GET /datasets/large.csv HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    socket.readable().await.unwrap();
    // This is answered when the connection that reads nothing is closed.
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert!(rest(&mut socket).await.len() < 40 << 20);
}

#[tokio::test]
async fn an_upload_that_stops_sending_leaves_no_file() {
    let server = Server::with(&[("PAUSA_HTTP_BODY_SECONDS", "0.5")]).await;
    let part = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\na\n1\n";
    let graphql =
        |name: &str, text: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
    let operations = json!({ "variables": { "file": null },
        "query": "mutation($file: Upload!) { startImport(input: { source: { upload: $file }, dataset: \"a\" }) { id } }" });
    let graphql =
        graphql("operations", &operations.to_string()) + &graphql("map", r#"{"file":["variables.file"]}"#) + part;
    let form = "content-type: multipart/form-data; boundary=b\r\n";
    let preflight = format!("{form}apollo-require-preflight: 1\r\n");
    for (path, headers, begun) in
        [("/uploads", "", "half"), ("/uploads", form, part), ("/graphql", &preflight, &graphql)]
    {
        let mut socket = connected(&server).await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: 9000\r\n\r\n{begun}");
        socket.write_all(head.as_bytes()).await.unwrap();
        until_uploads(&server, 1).await;
        let answer = rest(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{path} {headers}: {answer}");
        until_uploads(&server, 0).await;
    }
    let mut socket = connected(&server).await;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    assert!(rest(&mut socket).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_tus_part_that_stops_sending_keeps_its_bytes() {
    let server = Server::with(&[("PAUSA_HTTP_BODY_SECONDS", "0.5")]).await;
    let upload = Tus::begin(&server, 10).await;
    let mut socket = upload.hang(0, b"1234", 10).await;
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("4 bytes were received"), "{answer}");
    assert_eq!(upload.offset().await, 4);
    assert_eq!(upload.send(4, b"567890").await, (204, "10".to_owned()));
}

#[tokio::test]
async fn a_json_request_above_the_configured_limit_is_refused() {
    let server = Server::with(&[("PAUSA_HTTP_MAX_JSON_BYTES", "2000")]).await;
    let asked = server.client().request(Method::POST, format!("{}/graphql", server.url));
    let answer = asked.json(&json!({ "query": "x".repeat(3_000) })).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "TOO_LARGE");
}
