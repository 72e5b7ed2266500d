//! Known state of a server: if it responds, and if not, the reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::Error;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Address;

/// The server does not respond. Its outage has a log line of its own.
#[derive(Clone, Debug, thiserror::Error)]
#[error("PostgreSQL at {server} is unavailable: {reason}")]
pub struct Outage {
    server: Arc<str>,
    reason: Arc<str>,
}

impl Outage {
    /// Returns the outage that an error reports.
    pub fn of(error: &Error) -> Option<&Outage> {
        match error {
            Error::Io(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

impl From<Outage> for Error {
    fn from(outage: Outage) -> Error {
        Error::Io(std::io::Error::new(std::io::ErrorKind::NotConnected, outage))
    }
}

/// Known state at a moment.
#[derive(Clone)]
pub(super) struct Availability {
    outage: Option<(Outage, Instant)>,
    /// Older connections are unusable: they are from before an outage or a restart.
    valid_since: Instant,
}

/// Known state of a server, and the tasks that wait for a change.
pub(super) struct ServerStatus {
    pub(super) address: Address,
    now: watch::Sender<Availability>,
    started: Instant,
    /// Time of the server's last answer, in milliseconds since `started`.
    answered: AtomicU64,
}

impl ServerStatus {
    /// The status of a server that responds.
    pub(super) fn new(address: Address) -> ServerStatus {
        let started = Instant::now();
        let now = watch::Sender::new(Availability { outage: None, valid_since: started });
        ServerStatus { address, now, started, answered: AtomicU64::new(0) }
    }

    /// Returns the outage, if the server does not respond.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.now.borrow().outage.as_ref().map(|(outage, _)| outage.clone())
    }

    /// Waits until an outage begins. Returns at once during one.
    pub(super) async fn outage_begins(&self) -> Outage {
        let mut now = self.now.subscribe();
        let begun = now.wait_for(|now| now.outage.is_some()).await;
        match begun.ok().and_then(|now| now.outage.clone()) {
            Some((outage, _)) => outage,
            None => std::future::pending().await,
        }
    }

    /// Waits until the monitor has to replace its connection.
    pub(super) async fn replaced(&self) {
        let mut now = self.now.subscribe();
        let before = now.borrow().valid_since;
        if now.wait_for(|now| now.valid_since != before).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns true if a connection of that age is from before the last outage.
    pub(super) fn is_outdated(&self, age: Duration) -> bool {
        Instant::now().checked_sub(age).is_none_or(|made| made < self.now.borrow().valid_since)
    }

    /// Returns true if the server answered a call since then.
    pub(super) fn has_answered_since(&self, moment: Instant) -> bool {
        let since = moment.saturating_duration_since(self.started).as_millis();
        u128::from(self.answered.load(Ordering::Relaxed)) > since
    }

    /// Notes that the server answered a call.
    pub(super) fn note_answer(&self) {
        let moment = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered.fetch_max(moment, Ordering::Relaxed);
    }

    /// Notes that a new connection of the monitor replaced one that was lost.
    pub(super) fn open(&self) {
        let mut ended = None;
        self.now.send_modify(|now| {
            ended = now.outage.take();
            now.valid_since = Instant::now();
        });
        if let Some((_, since)) = ended {
            let seconds = since.elapsed().as_secs();
            tracing::info!(server = %self.address, seconds, "PostgreSQL is available again");
        }
    }

    /// Notes that the server does not respond.
    pub(super) fn close(&self, reason: &str) {
        let outage = Outage { server: self.address.to_string().into(), reason: reason.into() };
        let begins = self.now.send_if_modified(|now| {
            let begins = now.outage.is_none();
            let since = now.outage.as_ref().map_or_else(Instant::now, |(_, since)| *since);
            now.outage = Some((outage, since));
            begins
        });
        if begins {
            tracing::warn!(server = %self.address, reason, "PostgreSQL is unavailable; calls fail until it responds");
        }
    }

    /// Returns true during an outage.
    pub(super) fn is_closed(&self) -> bool {
        self.now.borrow().outage.is_some()
    }
}
