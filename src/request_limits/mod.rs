//! Limits the rate of each caller's requests: at all nodes together by Redis if it is set, otherwise at this node.
//!
//! Redis is for promptness only. Without it, a node counts the requests that it gets itself, and no request fails.

mod bucket;
mod counter;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bucket::Bucket;
use counter::Counter;

use crate::clock::Clock;
use crate::config::{RequestRate, caller_address};
use crate::redis_server::{RedisServer, SharedBuckets};

/// Limits the rate of each caller's requests. Clones share the counts.
#[derive(Clone)]
pub struct RequestLimiter {
    rate: RequestRate,
    own: Arc<Counter>,
    shared: Option<SharedBuckets>,
}

impl RequestLimiter {
    /// Returns a limiter. With Redis, it counts for all nodes of the store with this ID.
    pub fn start(rate: RequestRate, redis: Option<(Arc<RedisServer>, &str)>) -> RequestLimiter {
        let bucket = Bucket::of(rate);
        let shared =
            redis.map(|(server, store)| SharedBuckets::start(server, store, bucket.interval, bucket.allowance));
        RequestLimiter { rate, own: Arc::new(Counter::new(bucket, Clock::monotonic())), shared }
    }

    /// Returns the limit.
    pub fn rate(&self) -> RequestRate {
        self.rate
    }

    /// Counts a request of the caller with that address.
    ///
    /// # Errors
    /// The time after which the next request is admitted.
    pub async fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let caller = caller_address(address);
        let counted = match &self.shared {
            Some(shared) => shared.take(&caller.to_string()).await,
            None => None,
        };
        match counted.unwrap_or_else(|| self.own.take(caller, Clock::monotonic())) {
            Duration::ZERO => Ok(()),
            wait => Err(wait),
        }
    }
}
