//! The time since which events or changes are lost, until somebody replaces them.

use std::sync::Mutex;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::lock;

/// The time since which something is lost. None if nothing is.
#[derive(Default)]
pub(super) struct LostSince {
    since: Mutex<Option<Timestamp>>,
    noted: Notify,
}

impl LostSince {
    /// Notes a loss since that time.
    pub fn note(&self, since: Timestamp) {
        let mut known = lock(&self.since);
        *known = Some(known.map_or(since, |known| known.min(since)));
        self.noted.notify_one();
    }

    /// Waits until something is lost. Returns since when. May be dropped without losing a note.
    pub async fn next(&self) -> Timestamp {
        loop {
            if let Some(since) = lock(&self.since).take() {
                return since;
            }
            self.noted.notified().await;
        }
    }
}
