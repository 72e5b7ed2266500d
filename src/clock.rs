//! Time and ids, as arguments: nothing else in the crate asks the machine for the time.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::{ContextV7, Uuid};

use crate::task::TaskId;

/// Tells the time and makes ids. Cloning is cheap; the clones share one source.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    System(Mutex<ContextV7>),
    Test(Mutex<Frozen>),
}

struct Frozen {
    now: Timestamp,
    ids: ContextV7,
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Clock {
        Clock(Arc::new(Source::System(Mutex::new(ContextV7::new()))))
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn test(now: Timestamp) -> Clock {
        let ids = ContextV7::new();
        Clock(Arc::new(Source::Test(Mutex::new(Frozen { now, ids }))))
    }

    /// The present moment, in whole microseconds as the store keeps them.
    pub fn now(&self) -> Timestamp {
        let now = match &*self.0 {
            Source::System(_) => system_now(),
            Source::Test(frozen) => lock(frozen).now,
        };
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// A reading that never goes back, for measuring how long something took.
    #[expect(clippy::disallowed_methods, reason = "this module is where time is read")]
    pub fn monotonic() -> Instant {
        Instant::now()
    }

    /// A new task's id: a UUID of version 7, so that ids sort by the moment they were made.
    pub fn task_id(&self) -> TaskId {
        TaskId::from(self.uuid())
    }

    /// A new UUID of version 7.
    pub fn uuid(&self) -> Uuid {
        let now = self.now();
        match &*self.0 {
            Source::System(ids) => uuid_at(now, &lock(ids)),
            Source::Test(frozen) => uuid_at(now, &lock(frozen).ids),
        }
    }

    /// Moves a test clock; the machine's own clock stays as it is.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Test(frozen) = &*self.0 {
            let mut frozen = lock(frozen);
            frozen.now += by;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is where time is read")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

fn uuid_at(now: Timestamp, ids: &ContextV7) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(ids, seconds, nanos))
}

/// A poisoned lock still guards a whole value here: each critical section writes it in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_moves_only_when_told_and_its_ids_sort() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let clock = Clock::test(start);
        let first = clock.task_id();
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::from_secs(90_000));
        assert_eq!(clock.now().as_second(), 1_700_090_000);
        assert!(first.to_string() < clock.task_id().to_string());
    }
}
