//! Timeouts and size limits for clients.

use std::time::Duration;

use super::ConfigError;
use super::reader::SettingReader;

/// Limits of HTTP connections and requests.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Maximum number of open connections, WebSockets included.
    pub max_connections: usize,
    /// Timeout for the headers of a request.
    pub headers: Duration,
    /// Time after which a connection without a request is closed.
    pub idle: Duration,
    /// Timeout while a request body delivers no data.
    pub body_silence: Duration,
    /// Timeout while a client reads none of the response.
    pub send: Duration,
    /// Maximum size of a GraphQL request in JSON, in bytes.
    pub max_json_bytes: usize,
    /// Maximum number of datasets streamed at once.
    pub max_streams: usize,
}

/// Limits of a WebSocket connection, for both protocols.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Timeout for the client's `connection_init`.
    pub init: Duration,
    /// Time between two pings.
    pub ping: Duration,
    /// Timeout for sending one message to the client.
    pub send: Duration,
    /// Maximum number of concurrent operations.
    pub max_operations: usize,
    /// Maximum size of a message from the client, in bytes.
    pub max_message_bytes: usize,
}

/// Range of timeouts, in seconds: a tenth of a second to a day.
const SECONDS: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// Range of size limits, in bytes: 1 KiB to 64 MiB.
const BYTES: std::ops::RangeInclusive<i64> = 1 << 10..=64 << 20;

impl HttpLimits {
    pub(super) fn load(settings: &SettingReader) -> Result<HttpLimits, ConfigError> {
        Ok(HttpLimits {
            max_connections: settings.count("http.max_connections", 1..=1_000_000)?,
            headers: settings.seconds("http.header_seconds", SECONDS)?,
            idle: settings.seconds("http.idle_seconds", SECONDS)?,
            body_silence: settings.seconds("http.body_seconds", SECONDS)?,
            send: settings.seconds("http.send_seconds", SECONDS)?,
            max_json_bytes: settings.count("http.max_json_bytes", BYTES)?,
            max_streams: settings.count("http.max_streams", 1..=100_000)?,
        })
    }
}

impl SocketLimits {
    pub(super) fn load(settings: &SettingReader) -> Result<SocketLimits, ConfigError> {
        Ok(SocketLimits {
            init: settings.seconds("websocket.init_seconds", SECONDS)?,
            ping: settings.seconds("websocket.ping_seconds", SECONDS)?,
            send: settings.seconds("websocket.send_seconds", SECONDS)?,
            max_operations: settings.count("websocket.max_operations", 1..=100_000)?,
            max_message_bytes: settings.count("websocket.max_message_bytes", BYTES)?,
        })
    }
}
