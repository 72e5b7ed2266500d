//! Buckets of requests that all nodes share: one round trip for each request.
//!
//! While Redis does not answer, there is no connection, and no request waits for one.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, Script, ServerErrorKind};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{Connected, RedisFailure, RedisServer};
use crate::spawn::spawn;

/// Maximum time of the round trip. After that, the node counts the request itself.
const ROUND_TRIP: Duration = Duration::from_millis(250);

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// Time between two checks that the server is still the one to use: all nodes must count at the same.
const CHECK: Duration = Duration::from_secs(5);

/// Counts a request in the bucket KEYS[1]. ARGV: the interval of the rate and the allowance of a burst, in microseconds. Returns the
/// microseconds to wait, or 0. The time is the server's, so clocks of nodes do not matter.
const TAKE: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local full = tonumber(redis.call('GET', KEYS[1])) or now
    local after = math.max(full, now) + tonumber(ARGV[1])
    local early = after - now - tonumber(ARGV[2])
    if early > 0 then return math.ceil(early) end
    redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
    return 0";

/// Buckets that all nodes of a task store share. Clones share the connection.
#[derive(Clone)]
pub struct SharedBuckets {
    rule: Arc<Rule>,
    connection: Arc<RwLock<Option<MultiplexedConnection>>>,
    failures: mpsc::Sender<RedisFailure>,
}

struct Rule {
    script: Script,
    /// Prefix of the keys. The braces keep all keys on one node of a Cluster, which is then the one to connect to.
    prefix: String,
    interval: u64,
    allowance: u64,
}

impl SharedBuckets {
    /// Returns the buckets of the store with this ID. Connects in the background, until the last clone is dropped.
    pub fn start(server: Arc<RedisServer>, store: &str, interval: Duration, allowance: Duration) -> SharedBuckets {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let prefix = format!("pausa:{{{store}}}:requests:");
        let (interval, allowance) = (micros(interval), micros(allowance));
        let rule = Arc::new(Rule { script: Script::new(TAKE), prefix, interval, allowance });
        let (failures, failed) = mpsc::channel(1);
        let buckets = SharedBuckets { rule, connection: Arc::default(), failures };
        let (rule, connection) = (Arc::clone(&buckets.rule), Arc::clone(&buckets.connection));
        spawn(keep_connected(server, rule, connection, failed));
        buckets
    }

    /// Counts a request of that caller. Returns the time to wait, or zero if it is admitted. None if Redis does not answer now.
    pub async fn take(&self, caller: &str) -> Option<Duration> {
        let mut connection = self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let failure = match timeout(ROUND_TRIP, self.rule.take(&mut connection, caller)).await {
            Ok(Ok(wait)) => return Some(Duration::from_micros(wait)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ROUND_TRIP:?}"),
        };
        // The first failure of a connection is enough.
        let _ = self.failures.try_send(RedisFailure::new(failure));
        None
    }
}

impl Rule {
    async fn take(&self, connection: &mut MultiplexedConnection, caller: &str) -> Result<u64, RedisError> {
        let key = format!("{}{caller}", self.prefix);
        self.script.key(key).arg(self.interval).arg(self.allowance).invoke_async(connection).await
    }

    /// Connects to the server that has the buckets: of a Cluster, one node.
    async fn connect(&self, server: &Arc<RedisServer>) -> Result<Connected, RedisFailure> {
        let mut connected = server.connect().await?;
        match self.take(&mut connected.commands, "").await {
            Ok(_) => Ok(connected),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                let (host, port) = moved_to(&error).ok_or_else(|| connected.refused(&error))?;
                let mut owner = server.connect_to(host, port).await?;
                self.take(&mut owner.commands, "").await.map_err(|error| owner.refused(&error))?;
                Ok(owner)
            }
            Err(error) => Err(connected.refused(&error)),
        }
    }
}

/// Returns the host and the port that a node of a Cluster names instead of itself.
fn moved_to(error: &RedisError) -> Option<(&str, u16)> {
    let (address, _slot) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// Connects, and again after each failure. Logs the first failure of an outage, and its end.
async fn keep_connected(
    server: Arc<RedisServer>,
    rule: Arc<Rule>,
    connection: Arc<RwLock<Option<MultiplexedConnection>>>,
    mut failed: mpsc::Receiver<RedisFailure>,
) {
    let set = |new| *connection.write().unwrap_or_else(PoisonError::into_inner) = new;
    let mut out = false;
    loop {
        let failure = match rule.connect(&server).await {
            Ok(mut connected) => {
                if std::mem::take(&mut out) {
                    tracing::info!("the nodes count requests together again");
                }
                set(Some(connected.commands.clone()));
                // Failures of an earlier connection say nothing about this one.
                while failed.try_recv().is_ok() {}
                let Some(failure) = until_failed(&mut connected, &mut failed).await else { return };
                set(None);
                failure
            }
            Err(failure) => failure,
        };
        if !std::mem::replace(&mut out, true) {
            tracing::warn!(error = %failure, "cannot count requests at Redis; this node counts its own until it works");
        }
        tokio::select! {
            () = sleep(RETRY) => {}
            () = closed(&mut failed) => return,
        }
    }
}

/// Waits until the connection fails, or its server is no longer the one to use. None once the last clone of the buckets is dropped.
async fn until_failed(connected: &mut Connected, failed: &mut mpsc::Receiver<RedisFailure>) -> Option<RedisFailure> {
    loop {
        tokio::select! {
            failure = failed.recv() => return failure.map(|failure| connected.failed(&failure.to_string())),
            () = sleep(CHECK) => if let Err(failure) = connected.check().await { return Some(failure) },
        }
    }
}

/// Waits until the last clone of the buckets is dropped.
async fn closed(failed: &mut mpsc::Receiver<RedisFailure>) {
    while failed.recv().await.is_some() {}
}
