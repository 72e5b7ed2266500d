//! Events between nodes that share a PostgreSQL store, by LISTEN and NOTIFY.
//!
//! The statement that writes tasks also sends the events, by [`notify`]: so an event is sent if and only if its change is
//! committed, and it costs no round trip. Each process ignores the events that it sent itself.

use std::io::ErrorKind;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::channel::{ChannelError, EventChannel, EventStream};
use crate::database::{Gate, Outage, SESSION};

/// Name of the notification channel.
const CHANNEL: &str = "pausa_tasks";

/// Maximum time to connect, and to send a message.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const SEND_LIMIT: Duration = Duration::from_secs(2);

/// Returns the SQL expression that sends the payload, which is an SQL expression itself.
pub fn notify(payload: &str) -> String {
    format!("pg_notify('{CHANNEL}', {payload})")
}

/// The notification channel of a database.
pub struct PostgresChannel(Gate);

impl PostgresChannel {
    /// Returns the channel of the database behind `gate`.
    pub fn new(gate: &Gate) -> PostgresChannel {
        PostgresChannel(gate.clone())
    }
}

#[async_trait]
impl EventChannel for PostgresChannel {
    /// Connects and listens, on a pool of one connection, as sqlx demands.
    async fn subscribe(&self) -> Result<Box<dyn EventStream>, ChannelError> {
        let gate = &self.0;
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.acquire_timeout(CONNECT_LIMIT).after_connect(|connection, _| {
            Box::pin(async move { sqlx::raw_sql(SESSION).execute(connection).await.map(drop) })
        });
        let pool = pool.connect_lazy_with(gate.address().options());
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok::<PgListener, sqlx::Error>(listener)
        };
        match gate.within(CONNECT_LIMIT, listening.boxed()).await {
            Ok(listener) => Ok(Box::new(PostgresStream { listener, gate: gate.clone() })),
            Err(error) => Err(verdict(gate, error).await),
        }
    }
}

/// A connection that listens.
struct PostgresStream {
    listener: PgListener,
    gate: Gate,
}

#[async_trait]
impl EventStream for PostgresStream {
    async fn next(&mut self) -> Result<String, ChannelError> {
        let closed = || std::io::Error::new(ErrorKind::ConnectionReset, "the connection that listens was closed");
        match self.listener.try_recv().await {
            Ok(Some(notification)) => Ok(notification.payload().to_owned()),
            Ok(None) => Err(verdict(&self.gate, closed().into()).await),
            Err(error) => Err(verdict(&self.gate, error).await),
        }
    }

    /// Sends on the connection that listens. So a beat that returns shows that this connection works both ways.
    async fn send(&mut self, message: &str) -> Result<(), ChannelError> {
        let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(message);
        match self.gate.within(SEND_LIMIT, query.execute(&mut self.listener).boxed()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(verdict(&self.gate, error).await),
        }
    }
}

/// Returns the outage, if the server does not respond, or else the failure of the connection.
async fn verdict(gate: &Gate, error: sqlx::Error) -> ChannelError {
    let error = gate.verdict(error).await;
    Outage::of(&error).cloned().map_or_else(|| ChannelError::Failed(error.to_string()), ChannelError::Outage)
}
