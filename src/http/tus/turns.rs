//! Who writes to an upload: one request at a time, and the one that came last. A client whose network broke comes again
//! while the server still waits at the old connection; that request then ends, keeps its bytes, and makes room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The uploads that requests of this node work on. Clones share them.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<String, Seat>>>);

#[derive(Clone, Default)]
struct Seat {
    taken: Arc<tokio::sync::Mutex<()>>,
    last: CancellationToken,
}

/// The right to work on an upload, until it is dropped.
pub struct Turn {
    over: CancellationToken,
    _taken: OwnedMutexGuard<()>,
}

impl Turns {
    /// Ends the turn of whoever works on the upload, and waits until that has let go.
    pub async fn take(&self, id: &str) -> Turn {
        let over = CancellationToken::new();
        let taken = {
            let mut seats = self.seats();
            // One that only this table knows is nobody's.
            seats.retain(|_, seat| Arc::strong_count(&seat.taken) > 1);
            let seat = seats.entry(id.to_owned()).or_default();
            std::mem::replace(&mut seat.last, over.clone()).cancel();
            Arc::clone(&seat.taken)
        };
        let _taken = taken.lock_owned().await;
        Turn { over, _taken }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<String, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
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
        let turns = Turns::default();
        let first = turns.take("a").await;
        let other = turns.take("b").await;
        let again = turns.clone();
        let second = tokio::spawn(async move { again.take("a").await });
        first.over().await;
        assert!(!other.over.is_cancelled());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.over.is_cancelled());
        drop((second, other));
        let _next = turns.take("c").await;
        assert_eq!(turns.seats().len(), 1);
    }
}
