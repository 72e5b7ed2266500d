//! Who writes to an upload: one request at a time, and the one that came last. A client whose network broke comes again
//! while the server still waits at the old connection; that request then ends, keeps its bytes, and makes room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The uploads that requests of this node work on. Clones share them.
#[derive(Clone, Default)]
pub struct UploadLocks(Arc<Mutex<HashMap<String, LockEntry>>>);

#[derive(Clone, Default)]
struct LockEntry {
    taken: Arc<tokio::sync::Mutex<()>>,
    last: CancellationToken,
}

/// The right to work on an upload, until it is dropped.
pub struct UploadLock {
    over: CancellationToken,
    _taken: OwnedMutexGuard<()>,
}

impl UploadLocks {
    /// Ends the lock of whoever works on the upload, and waits until that has let go.
    pub async fn take(&self, id: &str) -> UploadLock {
        let over = CancellationToken::new();
        let taken = {
            let mut entries = self.entries();
            // One that only this table knows is nobody's.
            entries.retain(|_, entry| Arc::strong_count(&entry.taken) > 1);
            let entry = entries.entry(id.to_owned()).or_default();
            std::mem::replace(&mut entry.last, over.clone()).cancel();
            Arc::clone(&entry.taken)
        };
        let _taken = taken.lock_owned().await;
        UploadLock { over, _taken }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, LockEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadLock {
    /// Another request wants to work on the upload.
    pub fn over(&self) -> WaitForCancellationFuture<'_> {
        self.over.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_one_to_come_is_the_next() {
        let locks = UploadLocks::default();
        let first = locks.take("a").await;
        let other = locks.take("b").await;
        let again = locks.clone();
        let second = tokio::spawn(async move { again.take("a").await });
        first.over().await;
        assert!(!other.over.is_cancelled());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.over.is_cancelled());
        drop((second, other));
        let _next = locks.take("c").await;
        assert_eq!(locks.entries().len(), 1);
    }
}
