//! Events between nodes that share a PostgreSQL store, by LISTEN and NOTIFY.
//!
//! The statement that writes tasks also sends the events, by [`notify`]: so an event is sent if and only if its change is
//! committed, and it costs no round trip. Each process ignores the events that it sent itself.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::mpsc;

use super::{ChangeEvent, Received};
use crate::clock::until_available;
use crate::database::{Gate, Outage, log_failure};

/// Name of the notification channel.
const CHANNEL: &str = "pausa_tasks";

/// Maximum number of received events that wait to be handled.
const BUFFER: usize = 1024;

/// A node could not subscribe to the events of other nodes.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for changes by other nodes: {0}")]
pub struct ListenError(#[from] sqlx::Error);

/// Maximum time of a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

impl ListenError {
    /// Returns true if the failure belongs to an outage that is logged.
    pub fn is_outage(&self) -> bool {
        Outage::of(&self.0).is_some()
    }
}

/// Returns the SQL expression that sends the payload, which is an SQL expression itself.
pub fn notify(payload: &str) -> String {
    format!("pg_notify('{CHANNEL}', {payload})")
}

/// Encodes an event that the process `source` sends.
pub fn encode(event: &ChangeEvent, source: &str) -> String {
    let ChangeEvent { id, version, state_changed, state, owned, short, due_at } = event;
    let due = due_at.map_or_else(|| "-".to_owned(), |due| due.as_microsecond().to_string());
    format!("{source} {id} {version} {state_changed} {} {owned} {short} {due}", state.as_str())
}

/// Decodes an event. None if the process `source` sent it, or if it cannot be decoded.
pub fn decode(payload: &str, source: &str) -> Option<ChangeEvent> {
    let mut parts = payload.split(' ');
    let mut next = || parts.next();
    if next()? == source {
        return None;
    }
    Some(ChangeEvent {
        id: next()?.parse().ok()?,
        version: next()?.parse().ok()?,
        state_changed: next()?.parse().ok()?,
        state: next()?.parse().ok()?,
        owned: next()?.parse().ok()?,
        short: next()?.parse().ok()?,
        due_at: match next()? {
            "-" => None,
            due => Some(Timestamp::from_microsecond(due.parse().ok()?).ok()?),
        },
    })
}

/// Receives the events of all processes but `source`. Reconnects by itself and reports a gap each time.
///
/// # Errors
/// If the first connection fails.
pub async fn listen(gate: &Gate, source: &str) -> Result<mpsc::Receiver<Received<ChangeEvent>>, ListenError> {
    let mut listener = connect(gate).await?;
    let (events, receiver) = mpsc::channel(BUFFER);
    let (gate, source) = (gate.clone(), source.to_owned());
    tokio::spawn(async move {
        loop {
            forward(&mut listener, &source, &events).await;
            listener = until_available(
                || connect(&gate),
                |error| log_failure!(error, %error, "could not listen for changes by other nodes; retrying"),
            )
            .await;
            if events.send(Received::Gap { missed: 0 }).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Connects and listens, on a pool of one connection, as sqlx demands.
async fn connect(gate: &Gate) -> Result<PgListener, ListenError> {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.acquire_timeout(CONNECT_LIMIT).connect_lazy_with(gate.address().options());
    let listening = async {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok::<PgListener, ListenError>(listener)
    };
    match gate.within(CONNECT_LIMIT, listening).await {
        Err(ListenError(error)) => Err(ListenError(gate.verdict(error).await)),
        listener => listener,
    }
}

/// Forwards events until the connection is lost or the receiver is dropped.
async fn forward(listener: &mut PgListener, source: &str, events: &mpsc::Sender<Received<ChangeEvent>>) {
    while let Ok(Some(notification)) = listener.try_recv().await {
        if let Some(event) = decode(notification.payload(), source)
            && events.send(Received::Delivered(event)).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::task::State;

    #[test]
    fn an_event_is_decoded_as_it_was_encoded_unless_it_is_the_processs_own() {
        for due_at in [None, Some(Timestamp::from_second(1_800_000_000).unwrap())] {
            let event = ChangeEvent {
                id: Clock::system().task_id(),
                version: 7,
                state_changed: true,
                state: State::Paused,
                owned: false,
                short: true,
                due_at,
            };
            let payload = encode(&event, "a");
            assert_eq!((decode(&payload, "b"), decode(&payload, "a")), (Some(event), None));
        }
        assert_eq!(decode("b no event", "a"), None);
    }
}
