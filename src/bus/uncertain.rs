//! Writes whose outcome this process does not know.

use std::sync::Mutex;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::lock;

/// The time since which this process may have changed tasks without knowing it.
#[derive(Default)]
pub(super) struct Uncertain {
    since: Mutex<Option<Timestamp>>,
    noted: Notify,
}

impl Uncertain {
    /// Notes that changes since then are uncertain.
    pub fn note(&self, since: Timestamp) {
        let mut known = lock(&self.since);
        *known = Some(known.map_or(since, |known| known.min(since)));
        self.noted.notify_one();
    }

    /// Waits until changes are uncertain. Returns since when. May be dropped without losing a note.
    pub async fn next(&self) -> Timestamp {
        loop {
            if let Some(since) = lock(&self.since).take() {
                return since;
            }
            self.noted.notified().await;
        }
    }
}
