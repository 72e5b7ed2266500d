//! Time limits and limits of size for clients.

use std::time::Duration;

use super::ConfigError;
use super::reader::Reader;

/// The limits of HTTP.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Connections that are open at once, WebSockets included.
    pub max_connections: usize,
    /// Maximum time for a request's headers to arrive.
    pub headers: Duration,
    /// Maximum time that a connection stays open without a request.
    pub idle: Duration,
    /// Maximum time that a request's body may bring no byte.
    pub body_silence: Duration,
    /// Maximum time that a client may take no byte of an answer.
    pub send: Duration,
    /// Largest GraphQL request in JSON, in bytes.
    pub max_json_bytes: usize,
    /// Datasets that are streamed at once.
    pub max_streams: usize,
}

/// The limits of a WebSocket, in both protocols.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Maximum time until the client sends `connection_init`.
    pub init: Duration,
    /// Time between two pings.
    pub ping: Duration,
    /// Maximum time that one message to the client may take.
    pub send: Duration,
    /// Operations that run at once.
    pub max_operations: usize,
    /// Largest message from the client, in bytes.
    pub max_message_bytes: usize,
}

/// From a tenth of a second to a day.
const SECONDS: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// From 1 KiB to 64 MiB.
const BYTES: std::ops::RangeInclusive<i64> = 1 << 10..=64 << 20;

impl HttpLimits {
    pub(super) fn read(read: &Reader) -> Result<HttpLimits, ConfigError> {
        Ok(HttpLimits {
            max_connections: read.count("http.max_connections", 1..=1_000_000)?,
            headers: read.seconds("http.header_seconds", SECONDS)?,
            idle: read.seconds("http.idle_seconds", SECONDS)?,
            body_silence: read.seconds("http.body_seconds", SECONDS)?,
            send: read.seconds("http.send_seconds", SECONDS)?,
            max_json_bytes: read.count("http.max_json_bytes", BYTES)?,
            max_streams: read.count("http.max_streams", 1..=100_000)?,
        })
    }
}

impl SocketLimits {
    pub(super) fn read(read: &Reader) -> Result<SocketLimits, ConfigError> {
        Ok(SocketLimits {
            init: read.seconds("websocket.init_seconds", SECONDS)?,
            ping: read.seconds("websocket.ping_seconds", SECONDS)?,
            send: read.seconds("websocket.send_seconds", SECONDS)?,
            max_operations: read.count("websocket.max_operations", 1..=100_000)?,
            max_message_bytes: read.count("websocket.max_message_bytes", BYTES)?,
        })
    }
}
