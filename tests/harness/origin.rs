//! A file server on loopback, controlled by the story: it supports range requests or not, disconnects, or stops
//! sending.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::server::PATIENCE;

/// The file and the behavior of the server.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The file.
    pub body: Vec<u8>,
    /// The ETag of the file.
    pub tag: Option<&'static str>,
    /// If true, the server answers range requests that have the correct If-Range.
    pub ranges: bool,
    /// The server closes the connection after this many bytes of a body.
    pub cut: Option<usize>,
    /// The server sends this many bytes of a body, then nothing more.
    pub hold: Option<usize>,
    /// The server sends this response head instead: complete, but without its last line end.
    pub head: Option<String>,
}

/// The server. It stops at the end of the test.
pub struct Origin {
    /// URL of the file.
    pub url: String,
    script: Arc<Mutex<Script>>,
    heads: watch::Sender<Vec<String>>,
    left: watch::Sender<usize>,
}

impl Origin {
    /// Starts the server.
    pub async fn start(script: Script) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/rows.csv", listener.local_addr().unwrap());
        let origin = Origin {
            url,
            script: Arc::new(Mutex::new(script)),
            heads: watch::Sender::default(),
            left: watch::Sender::new(0),
        };
        let (script, heads, left) = (Arc::clone(&origin.script), origin.heads.clone(), origin.left.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(socket, Arc::clone(&script), heads.clone(), left.clone()));
            }
        });
        origin
    }

    /// Changes how the server answers later requests.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// Returns the heads of all requests, in lowercase.
    pub fn requests(&self) -> Vec<String> {
        self.heads.borrow().clone()
    }

    /// Waits until the server has received this many requests.
    pub async fn until_asked(&self, times: usize) {
        let mut heads = self.heads.subscribe();
        tokio::time::timeout(PATIENCE, heads.wait_for(|heads| heads.len() >= times)).await.unwrap().unwrap();
    }

    /// Waits until this many clients have closed a connection on which the server stopped sending.
    pub async fn until_left(&self, clients: usize) {
        let mut left = self.left.subscribe();
        tokio::time::timeout(PATIENCE, left.wait_for(|left| *left >= clients)).await.unwrap().unwrap();
    }
}

async fn answer(
    mut socket: TcpStream,
    script: Arc<Mutex<Script>>,
    heads: watch::Sender<Vec<String>>,
    left: watch::Sender<usize>,
) {
    let mut lines = BufReader::new(&mut socket).lines();
    let mut head = String::new();
    while let Ok(Some(line)) = lines.next_line().await
        && !line.is_empty()
    {
        head += &(line.to_lowercase() + "\n");
    }
    heads.send_modify(|heads| heads.push(head.clone()));
    let script = script.lock().unwrap().clone();
    if let Some(answer) = &script.head {
        let _ =
            socket.write_all(format!("{answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).await;
        return;
    }
    let header =
        |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned));
    let same = header("if-range").is_none_or(|tag| Some(tag.as_str()) == script.tag);
    let from: Option<usize> =
        header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from = from.filter(|_| script.ranges && same).unwrap_or(0);
    let size = script.body.len();
    let mut answer = match from {
        0 => format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n"),
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\ncontent-range: bytes {from}-{}/{size}\r\n",
            size - from,
            size - 1
        ),
    };
    if let Some(tag) = script.tag {
        answer += &format!("etag: {tag}\r\n");
    }
    let rest = &script.body[from..];
    let some = script.cut.or(script.hold).unwrap_or(rest.len()).min(rest.len());
    let sent = async {
        socket.write_all((answer + "connection: close\r\n\r\n").as_bytes()).await?;
        socket.write_all(&rest[..some]).await?;
        socket.flush().await
    };
    if sent.await.is_ok() && script.hold.is_some() && some < rest.len() {
        // The read ends when the client closes the connection.
        let _ = socket.read(&mut [0]).await;
        left.send_modify(|left| *left += 1);
    }
}
