//! Clients that stop in the middle of something, or send a byte from time to time: each is disconnected within its limit.

use std::time::Duration;

use futures_util::future::join_all;
use pausa::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frames;
use crate::harness::server::{PATIENCE, Server};

/// The limit of these stories. The defaults are 10 s and more.
const LIMIT: &str = "0.5";

/// The time in which a connection must be closed. It is less than any default.
const SOON: Duration = Duration::from_secs(9);

const HANDSHAKE: &str = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n";

async fn connected(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// Returns everything that the server sends until it closes the connection, which must be soon. Meanwhile the client sends `drops`,
/// a byte at a time.
async fn closed(socket: TcpStream, drops: &[u8]) -> String {
    let begin = Clock::monotonic();
    let (mut from, mut to) = socket.into_split();
    let trickle = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for byte in drops.iter().cycle().take(if drops.is_empty() { 0 } else { usize::MAX }) {
            pace.tick().await;
            if to.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut all = Vec::new();
    let read = async {
        // A connection reset also counts as closed.
        drop(from.read_to_end(&mut all).await);
    };
    tokio::select! {
        ended = tokio::time::timeout(PATIENCE, read) => ended.expect("the connection was not closed"),
        () = trickle => {}
    }
    let time = begin.elapsed();
    assert!(time < SOON, "closed after {time:?}");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_request_that_stops_or_trickles_in_is_closed_in_time() {
    let server = Server::with(&[("PAUSA_HTTP_HEADER_SECONDS", LIMIT)]).await;
    let stopped = format!("{HANDSHAKE}sec-websocket-version: 13\r\nsec-websocket-k");
    let begun = ["G", "GET /heal", "GET /healthz HTTP/1.1\r\nx", &stopped, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"];
    let cases = begun.into_iter().flat_map(|begun| [(begun, ""), (begun, "x")]);
    join_all(cases.map(async |(begun, drops)| {
        stops(connected(&server).await, begun, drops).await;
        stops(after_a_request(&server).await, begun, drops).await;
    }))
    .await;
}

async fn stops(mut socket: TcpStream, begun: &str, drops: &str) {
    socket.write_all(begun.as_bytes()).await.unwrap();
    let answer = closed(socket, drops.as_bytes()).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{begun:?} {drops:?}: {answer}");
}

/// Returns a connection on which a request was answered.
async fn after_a_request(server: &Server) -> TcpStream {
    let (mut socket, mut answer) = (connected(server).await, Vec::new());
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while !answer.ends_with(b"alive\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    socket
}

#[tokio::test]
async fn headers_that_never_end_are_closed_in_time() {
    let server = Server::with(&[("PAUSA_HTTP_HEADER_SECONDS", LIMIT)]).await;
    let mut socket = connected(&server).await;
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    closed(socket, b"a: b\r\n").await;
}

#[tokio::test]
async fn a_json_request_that_trickles_in_is_refused_in_time() {
    let server = Server::with(&[("PAUSA_HTTP_BODY_SECONDS", LIMIT), ("PAUSA_HTTP_DRAIN_SECONDS", LIMIT)]).await;
    let mut socket = connected(&server).await;
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = closed(socket, b" ").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// The handshake is complete, and nothing or half a frame follows.
#[tokio::test]
async fn a_websocket_that_stops_is_closed_in_time() {
    let limits = [("PAUSA_WEBSOCKET_SEND_SECONDS", LIMIT), ("PAUSA_WEBSOCKET_CLOSE_SECONDS", LIMIT)];
    let server = Server::with(&[&limits[..], &[("PAUSA_WEBSOCKET_INIT_SECONDS", LIMIT)]].concat()).await;
    let init = frames::masked(0x81, br#"{"type":"connection_init"}"#);
    for begun in [&[][..], &init[..1], &init[..9]] {
        for protocol in ["graphql-transport-ws", "graphql-ws"] {
            let socket = frames::sent(&server, protocol, begun).await;
            assert_eq!(frames::close_code(socket).await, 4408, "{protocol} {begun:?}");
        }
    }
    let server = Server::with(&[&limits[..], &[("PAUSA_WEBSOCKET_PING_SECONDS", LIMIT)]].concat()).await;
    for half in [&[][..], &init[..9]] {
        let socket = frames::sent(&server, "graphql-transport-ws", &[&init, half].concat()).await;
        assert!(closed(socket, b"").await.contains("connection_ack"), "{half:?}");
    }
}
