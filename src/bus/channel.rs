//! Channels that carry messages between nodes.

use async_trait::async_trait;

use crate::database::Outage;

/// Reason for which a channel does not carry messages now.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The channel failed. The text names the server and the cause.
    #[error("{0}")]
    Failed(String),
    /// PostgreSQL does not respond.
    #[error(transparent)]
    Outage(#[from] Outage),
}

impl ChannelError {
    /// Returns true if the failure belongs to an outage that has a log line of its own.
    pub fn is_outage(&self) -> bool {
        matches!(self, ChannelError::Outage(_))
    }
}

/// A channel that carries messages between nodes. Messages may be lost; a connection that is lost says so.
#[async_trait]
pub trait EventChannel: Send + Sync + 'static {
    /// Connects. The connection receives every message from now on.
    async fn subscribe(&self) -> Result<Box<dyn EventStream>, ChannelError>;
}

/// A connection that receives messages.
#[async_trait]
pub trait EventStream: Send {
    /// Waits for the next message. May be dropped without losing one.
    async fn next(&mut self) -> Result<String, ChannelError>;

    /// Sends a message to all nodes, this one among them.
    async fn send(&mut self, message: &str) -> Result<(), ChannelError>;
}
