//! Limits of WebSockets.

use std::time::Duration;

use super::super::ConfigError;
use super::super::reader::SettingReader;
use super::{BYTES, SECONDS};

/// Limits of a WebSocket connection, for both protocols.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Timeout for the client's `connection_init`.
    pub init: Duration,
    /// Time between two pings.
    pub ping: Duration,
    /// Timeout for sending one message to the client.
    pub send: Duration,
    /// Timeout for a client to end a connection that the server has ended.
    pub close: Duration,
    /// Maximum number of concurrent operations.
    pub max_operations: usize,
    /// Maximum size of a message from the client, in bytes.
    pub max_message_bytes: usize,
}

impl SocketLimits {
    pub(in crate::config) fn load(settings: &SettingReader) -> Result<SocketLimits, ConfigError> {
        Ok(SocketLimits {
            init: settings.seconds("websocket.init_seconds", SECONDS)?,
            ping: settings.seconds("websocket.ping_seconds", SECONDS)?,
            send: settings.seconds("websocket.send_seconds", SECONDS)?,
            close: settings.seconds("websocket.close_seconds", SECONDS)?,
            max_operations: settings.count("websocket.max_operations", 1..=100_000)?,
            max_message_bytes: settings.count("websocket.max_message_bytes", BYTES)?,
        })
    }
}
