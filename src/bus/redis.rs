//! Events between nodes by Redis or Valkey: PUBLISH and SUBSCRIBE on one channel for each task store.
//!
//! Redis is for promptness only. Without it, tasks continue, and nodes read from the store what changed.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{AsyncCommands, RedisError};

use super::channel::{ChannelError, EventChannel, EventStream};
use crate::redis_server::{Connected, RedisFailure, RedisServer, SharedConnection};

/// Number of sent messages after which a connection checks that its server is still the one to use.
const CHECK: u32 = 10;

/// The channel of a task store at Redis.
#[derive(Clone)]
pub struct RedisChannel {
    server: Arc<RedisServer>,
    name: String,
}

/// Sends messages. Connects when it sends.
pub struct RedisSender {
    connection: SharedConnection,
    name: String,
}

/// A connection that receives messages, and one that sends, to the same server.
struct RedisStream {
    connected: Connected,
    name: String,
    sent: u32,
    /// Keeps the subscription.
    _subscription: PubSubSink,
    messages: PubSubStream,
}

impl From<RedisFailure> for ChannelError {
    fn from(failure: RedisFailure) -> ChannelError {
        ChannelError::Failed(failure.to_string())
    }
}

impl RedisChannel {
    /// Returns the channel of the store with this ID. Does not connect.
    pub fn new(server: Arc<RedisServer>, store: &str) -> RedisChannel {
        RedisChannel { server, name: format!("pausa:{store}:tasks") }
    }

    /// Returns what sends to the channel. It connects when it sends.
    pub fn sender(&self) -> RedisSender {
        RedisSender { connection: SharedConnection::new(Arc::clone(&self.server)), name: self.name.clone() }
    }
}

impl RedisSender {
    /// Sends a message to all nodes.
    ///
    /// # Errors
    /// If Redis does not answer in time, or if another server has taken its place.
    pub async fn send(&mut self, message: &str) -> Result<(), ChannelError> {
        let connected = self.connection.get().await?;
        let sent = publish(connected, &self.name, message).await;
        if sent.is_err() {
            self.connection.close();
        }
        sent
    }
}

async fn publish(connected: &mut Connected, name: &str, message: &str) -> Result<(), ChannelError> {
    let sent: Result<(), RedisError> = connected.commands.publish(name, message).await;
    sent.map_err(|error| connected.refused(&error).into())
}

#[async_trait]
impl EventChannel for RedisChannel {
    async fn subscribe(&self) -> Result<Box<dyn EventStream>, ChannelError> {
        let connected = self.server.connect().await?;
        let (subscription, messages) = connected.subscribe(&self.name).await?;
        self.server.replace_connections();
        let name = self.name.clone();
        Ok(Box::new(RedisStream { connected, name, sent: 0, _subscription: subscription, messages }))
    }
}

#[async_trait]
impl EventStream for RedisStream {
    async fn next(&mut self) -> Result<String, ChannelError> {
        let message = self.messages.next().await.ok_or_else(|| self.connected.failed("the connection was closed"))?;
        message.get_payload().map_err(|error| ChannelError::Failed(format!("a message is not text: {error}")))
    }

    async fn send(&mut self, message: &str) -> Result<(), ChannelError> {
        self.sent += 1;
        if self.sent.is_multiple_of(CHECK) {
            self.connected.check().await?;
        }
        publish(&mut self.connected, &self.name, message).await
    }
}
