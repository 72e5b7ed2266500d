//! A tus client that stops, disconnects and resumes as a story requires.

use std::path::PathBuf;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::server::{PATIENCE, Server};

/// The client of one upload.
pub struct Tus<'a> {
    pub server: &'a Server,
    /// Path of the upload's URL.
    pub path: String,
    /// Path of the incomplete file on the server's disk.
    pub unfinished: PathBuf,
}

/// Returns a tus request.
pub fn asked(server: &Server, method: Method, path: &str) -> RequestBuilder {
    server.client().request(method, format!("{}{path}", server.url)).header("tus-resumable", "1.0.0")
}

/// Returns the value of a header. Empty if it is missing.
pub fn text(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

impl<'a> Tus<'a> {
    /// Creates an upload of this many bytes.
    pub async fn begin(server: &'a Server, length: usize) -> Tus<'a> {
        let created = asked(server, Method::POST, "/uploads").header("upload-length", length).send().await.unwrap();
        assert_eq!((created.status().as_u16(), text(&created, "tus-resumable").as_str()), (201, "1.0.0"));
        Tus::at(server, text(&created, "location"))
    }

    /// Returns a client for an existing upload.
    pub fn at(server: &'a Server, path: String) -> Tus<'a> {
        Tus { server, path, unfinished: server.folder().join("files/unfinished") }
    }

    /// Returns the upload's ID.
    pub fn id(&self) -> &str {
        self.path.trim_start_matches("/uploads/")
    }

    /// Returns a request that sends a part.
    pub fn part(&self, offset: usize, bytes: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = asked(self.server, Method::PATCH, &self.path).header("upload-offset", offset).body(bytes);
        request.header("content-type", "application/offset+octet-stream")
    }

    /// Sends a part. Returns the status and the new offset.
    pub async fn send(&self, offset: usize, bytes: &[u8]) -> (u16, String) {
        let answer = self.part(offset, bytes.to_vec()).send().await.unwrap();
        (answer.status().as_u16(), text(&answer, "upload-offset"))
    }

    /// Sends the beginning of a part and keeps the connection open.
    pub async fn hang(&self, offset: usize, bytes: &[u8], length: usize) -> TcpStream {
        let mut socket = TcpStream::connect(self.server.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "PATCH {} HTTP/1.1\r\nhost: x\r\ntus-resumable: 1.0.0\r\nupload-offset: {offset}\r\n\
             content-type: application/offset+octet-stream\r\ncontent-length: {length}\r\n\r\n",
            self.path
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket
    }

    /// Returns the offset that the server reports.
    pub async fn offset(&self) -> usize {
        let answer = asked(self.server, Method::HEAD, &self.path).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), text(&answer, "cache-control").as_str()), (200, "no-store"));
        text(&answer, "upload-offset").parse().unwrap()
    }

    /// Returns the number of bytes in the incomplete file.
    pub fn there(&self) -> u64 {
        std::fs::metadata(self.unfinished.join(self.id())).map_or(0, |known| known.len())
    }

    /// Waits until this many bytes are in the incomplete file.
    pub async fn until_there(&self, bytes: u64) {
        let come = async {
            // The server sends no event for received bytes, so the file is polled.
            while self.there() < bytes {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, come).await.unwrap();
    }

    /// Waits until the file no longer exists.
    pub async fn until_gone(&self) {
        let gone = async {
            // The server sends no event for this, so the file is polled.
            while self.there() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.unwrap();
    }

    /// Imports the upload and returns the number of rows.
    pub async fn rows(&self, dataset: &str) -> Option<u64> {
        let id = self.server.import(self.id(), json!({ "dataset": dataset })).await;
        self.server.until(&id, "COMPLETED").await;
        self.server.rows(dataset).await
    }
}
