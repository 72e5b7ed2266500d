//! WebSocket frames that break RFC 6455, or that are too long: the client is told why the connection ends.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::server::{PATIENCE, Server};

/// Times for which the server waits for a client that does not answer a Close frame, and then does not end the connection.
const PATIENCE_OF_SERVER: [(&str, &str); 2] =
    [("PAUSA_WEBSOCKET_SEND_SECONDS", "0.5"), ("PAUSA_WEBSOCKET_CLOSE_SECONDS", "0.5")];

/// Opens a WebSocket, and sends bytes that the server need not read to their end.
pub async fn sent(server: &Server, protocol: &str, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: {protocol}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    socket.write_all(bytes).await.unwrap();
    socket
}

/// Returns the code of the Close frame. The connection then ends without a reset.
pub async fn close_code(mut socket: TcpStream) -> u16 {
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all[0], 0x88, "a Close frame");
    u16::from_be_bytes([all[2], all[3]])
}

/// Returns a frame whose mask is zero.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => frame.extend([[0x80 | 126].as_slice(), &(length as u16).to_be_bytes()].concat()),
        length => frame.extend([[0x80 | 127].as_slice(), &(length as u64).to_be_bytes()].concat()),
    }
    [frame, vec![0; 4], payload.to_vec()].concat()
}

#[tokio::test]
async fn a_websocket_says_with_a_code_why_it_refuses_a_frame() {
    let server = Server::with(&PATIENCE_OF_SERVER).await;
    let init = json!({ "type": "connection_init" }).to_string();
    let unmasked = [&[0x81, init.len() as u8], init.as_bytes()].concat();
    let halves = [masked(0x01, b"\"\xe2"), masked(0x80, b"x\"")].concat();
    for (frame, code) in [
        (masked(0x81, b"\xff\xfe"), 1007),
        (halves, 1007),
        (unmasked, 1002),
        (masked(0x83, b"x"), 1002),
        (masked(0x8b, b"x"), 1002),
        (masked(0x89, &[b'x'; 126]), 1002),
        (masked(0xc1, b"{}"), 1002),
        (masked(0x80, b"x"), 1002),
        (masked(0x81, &vec![b'x'; 4 << 20]), 1009),
        (masked(0x81, b"{}"), 4400),
        (masked(0x82, b"{}"), 4400),
    ] {
        for protocol in ["graphql-transport-ws", "graphql-ws"] {
            let socket = sent(&server, protocol, &frame).await;
            let begin = &frame[..frame.len().min(8)];
            assert_eq!(close_code(socket).await, code, "{protocol}: {begin:x?} of {} bytes", frame.len());
        }
    }
}

#[tokio::test]
async fn a_websocket_whose_client_never_closes_ends_by_itself() {
    let server = Server::with(&[&PATIENCE_OF_SERVER[..], &[("PAUSA_HTTP_MAX_CONNECTIONS", "1")]].concat()).await;
    let mut socket = sent(&server, "graphql-transport-ws", &masked(0x81, b"{}")).await;
    let mut all = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut all)).await.unwrap().unwrap();
    // Only one connection is allowed: this one is answered when the server waits no longer for the client of the other.
    assert_eq!(server.get("/healthz").await.status(), 200);
    drop(socket);
}
