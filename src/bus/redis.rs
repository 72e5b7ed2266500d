//! Events between nodes by Redis or Valkey: PUBLISH and SUBSCRIBE on one channel for each task store.
//!
//! Redis is for promptness only. Without it, tasks go on, and nodes read from the store what changed.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSubSink, PubSubStream};
use redis::{AsyncCommands, Client, RedisError};

use super::channel::{ChannelError, EventChannel, EventStream};

/// Maximum time to connect, and to wait for an answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Longest time between two attempts to connect.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// A Redis server, and the name of the channel there.
#[derive(Clone)]
pub struct RedisChannel {
    client: Client,
    name: String,
}

/// Sends messages. Connects again by itself; each call has a limit.
pub struct RedisSender {
    channel: RedisChannel,
    connection: ConnectionManager,
}

/// A connection that hears messages, and one that sends.
struct RedisStream {
    sender: RedisSender,
    /// Keeps the subscription.
    _subscription: PubSubSink,
    messages: PubSubStream,
}

impl RedisChannel {
    /// Returns the channel of the store with this ID. Does not connect.
    ///
    /// # Errors
    /// A URL that is not of Redis.
    pub fn open(url: &str, store: &str) -> Result<RedisChannel, ChannelError> {
        let client =
            Client::open(url).map_err(|error| ChannelError::Failed(format!("invalid URL of Redis: {error}")))?;
        Ok(RedisChannel { client, name: format!("pausa:{store}:tasks") })
    }

    /// Returns what sends to the channel. It connects when it sends.
    ///
    /// # Errors
    /// A URL whose settings contradict each other.
    pub fn sender(&self) -> Result<RedisSender, ChannelError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(Some(LIMIT))
            .set_max_delay(MAX_DELAY)
            .set_number_of_retries(1);
        let connection = self.client.get_connection_manager_lazy(config);
        Ok(RedisSender { channel: self.clone(), connection: connection.map_err(|error| self.failed(&error))? })
    }

    /// Returns the error with the address of the server. It never has the password.
    fn failed(&self, error: &RedisError) -> ChannelError {
        ChannelError::Failed(format!("Redis at {}: {error}", self.client.get_connection_info().addr()))
    }
}

impl fmt::Debug for RedisChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisChannel({} at {})", self.name, self.client.get_connection_info().addr())
    }
}

impl RedisSender {
    /// Sends a message to all nodes.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn send(&mut self, message: &str) -> Result<(), ChannelError> {
        let sent: Result<(), RedisError> = self.connection.publish(&self.channel.name, message).await;
        sent.map_err(|error| self.channel.failed(&error))
    }
}

#[async_trait]
impl EventChannel for RedisChannel {
    async fn subscribe(&self) -> Result<Box<dyn EventStream>, ChannelError> {
        // Not one that subscribes again by itself: it would hide what it missed.
        let connection = self.client.get_async_pubsub().await.map_err(|error| self.failed(&error))?;
        let (mut subscription, messages) = connection.split();
        subscription.subscribe(&self.name).await.map_err(|error| self.failed(&error))?;
        Ok(Box::new(RedisStream { sender: self.sender()?, _subscription: subscription, messages }))
    }
}

#[async_trait]
impl EventStream for RedisStream {
    async fn next(&mut self) -> Result<String, ChannelError> {
        let channel = &self.sender.channel;
        let closed = || {
            ChannelError::Failed(format!(
                "Redis at {}: the connection was closed",
                channel.client.get_connection_info().addr()
            ))
        };
        let message = self.messages.next().await.ok_or_else(closed)?;
        message.get_payload().map_err(|error| ChannelError::Failed(format!("a message is not text: {error}")))
    }

    async fn send(&mut self, message: &str) -> Result<(), ChannelError> {
        self.sender.send(message).await
    }
}
