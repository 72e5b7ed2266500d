//! Connects what carries events between nodes, as the settings say.

use std::sync::Arc;

use crate::bus::Bus;
use crate::bus::listener::{self, RemoteEvents};
use crate::bus::postgres::PostgresChannel;
use crate::bus::publisher::Publisher;
use crate::bus::redis::RedisChannel;
use crate::clock::Clock;
use crate::config::{Config, EventTransport};
use crate::metrics::Metrics;
use crate::redis_server::RedisServer;
use crate::store::Store;

/// Returns the events of other nodes. None if no other node can use the store.
pub(super) async fn connect(
    config: &Config,
    redis: Option<&Arc<RedisServer>>,
    store: &Store,
    store_id: &str,
    bus: &Bus,
    clock: &Clock,
    metrics: &Metrics,
) -> Option<RemoteEvents> {
    let (source, gate) = (store.event_source()?, store.gate()?);
    Some(match (config.events, redis) {
        (EventTransport::Postgres, _) => {
            listener::listen(Arc::new(PostgresChannel::new(gate)), source, metrics.events.clone(), clock).await
        }
        (EventTransport::Redis, Some(redis)) => {
            let channel = RedisChannel::new(Arc::clone(redis), store_id);
            bus.publish_through(Publisher::start(channel.sender(), source, clock.clone()));
            listener::listen(Arc::new(channel), source, metrics.events.clone(), clock).await
        }
        // The settings allow Redis only with its URL.
        (EventTransport::Poll | EventTransport::Redis, _) => listener::poll(clock),
    })
}
