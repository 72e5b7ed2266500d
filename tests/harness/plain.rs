//! An HTTP/1.1 connection that is used for as long as the server allows. It never retries: a broken request is an error.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An open connection.
pub struct PlainConnection {
    stream: BufReader<TcpStream>,
    host: String,
}

/// A response.
#[derive(Debug)]
pub struct PlainAnswer {
    pub status: u16,
    /// True if the server announced that it closes the connection.
    pub closes: bool,
    pub body: String,
}

impl PlainConnection {
    /// Connects to the server of a base URL.
    pub async fn open(url: &str) -> Result<PlainConnection> {
        let host = url.trim_start_matches("http://").to_owned();
        Ok(PlainConnection { stream: BufReader::new(TcpStream::connect(&host).await?), host })
    }

    /// Sends a GraphQL operation.
    pub async fn ask(&mut self, operation: &serde_json::Value) -> Result<PlainAnswer> {
        let (host, body) = (&self.host, operation.to_string());
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all((head + &body).as_bytes()).await?;
        self.answer().await
    }

    /// Returns true if the server has closed the connection.
    pub async fn is_closed(&mut self) -> bool {
        matches!(self.stream.read_u8().await, Err(error) if error.kind() == ErrorKind::UnexpectedEof)
    }

    async fn answer(&mut self) -> Result<PlainAnswer> {
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer =
            PlainAnswer { status: status.ok_or(ErrorKind::InvalidData)?, closes: false, body: String::new() };
        let mut length = None;
        loop {
            let line = self.line().await?.to_lowercase();
            match line.split_once(": ") {
                None => break,
                Some(("connection", value)) => answer.closes = value == "close",
                Some(("content-length", value)) => length = value.parse::<usize>().ok(),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length.ok_or(ErrorKind::InvalidData)?];
        self.stream.read_exact(&mut body).await?;
        answer.body = String::from_utf8(body).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        Ok(answer)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the connection ended without a response")),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
