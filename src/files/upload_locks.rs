//! One request at a time writes to an upload, and a new one interrupts the old one. A client whose network failed returns while
//! the server still waits at the old connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::lock::lock;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The uploads that requests of this node use. Clones share them.
#[derive(Clone, Default)]
pub struct UploadLocks(Arc<Mutex<HashMap<String, LockEntry>>>);

#[derive(Clone, Default)]
struct LockEntry {
    in_use: Arc<tokio::sync::Mutex<()>>,
    newest: CancellationToken,
}

/// Exclusive use of an upload on this node, until it is dropped.
pub struct UploadLock {
    superseded: CancellationToken,
    _in_use: OwnedMutexGuard<()>,
}

impl UploadLocks {
    /// Interrupts the request that uses the upload, and waits until it has ended.
    pub async fn take(&self, id: &str) -> UploadLock {
        let superseded = CancellationToken::new();
        let in_use = {
            let mut entries = self.entries();
            // No request has an entry that only this table refers to.
            entries.retain(|_, entry| Arc::strong_count(&entry.in_use) > 1);
            let entry = entries.entry(id.to_owned()).or_default();
            std::mem::replace(&mut entry.newest, superseded.clone()).cancel();
            Arc::clone(&entry.in_use)
        };
        let _in_use = in_use.lock_owned().await;
        UploadLock { superseded, _in_use }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, LockEntry>> {
        lock(&self.0)
    }
}

impl UploadLock {
    /// Waits until another request wants the upload.
    pub fn superseded(&self) -> WaitForCancellationFuture<'_> {
        self.superseded.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_request_interrupts_the_one_before() {
        let locks = UploadLocks::default();
        let first = locks.take("a").await;
        let other = locks.take("b").await;
        let again = locks.clone();
        let second = crate::spawn::spawn(async move { again.take("a").await });
        first.superseded().await;
        assert!(!other.superseded.is_cancelled());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.superseded.is_cancelled());
        drop((second, other));
        let _next = locks.take("c").await;
        assert_eq!(locks.entries().len(), 1);
    }
}
