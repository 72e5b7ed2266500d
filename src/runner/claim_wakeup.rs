//! Wakes the loop that claims long tasks, and says what it may find.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Events since the last read of the claim loop.
#[derive(Default)]
pub struct ClaimWakeup {
    notify: Notify,
    queued: AtomicBool,
    ends: AtomicBool,
}

impl ClaimWakeup {
    /// A task became QUEUED.
    pub fn notify_queued(&self) {
        self.queued.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// A task waits for a node that ends it.
    pub fn notify_end(&self) {
        self.ends.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Anything may have happened.
    pub fn notify_all(&self) {
        self.queued.store(true, Ordering::Release);
        self.notify_end();
    }

    /// A slot is free.
    pub fn notify_slot(&self) {
        self.notify.notify_one();
    }

    /// Waits for the next of these.
    pub async fn notified(&self) {
        self.notify.notified().await;
    }

    /// Returns true if a task may have become QUEUED since the last call.
    pub fn take_queued(&self) -> bool {
        self.queued.swap(false, Ordering::AcqRel)
    }

    /// Returns true if a task may wait for its end since the last call.
    pub fn take_ends(&self) -> bool {
        self.ends.swap(false, Ordering::AcqRel)
    }
}
