//! Time and ids, as arguments: nothing else in the crate asks the machine for the time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use uuid::{ContextV7, Uuid};

use crate::task::TaskId;

/// Tells the time and makes ids. Cloning is cheap; the clones share one source.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

struct Source {
    ids: Mutex<ContextV7>,
    /// The present moment of a test; none: the machine tells.
    frozen: Option<watch::Sender<Timestamp>>,
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Clock {
        Clock::from(None)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn test(now: Timestamp) -> Clock {
        Clock::from(Some(watch::Sender::new(now)))
    }

    fn from(frozen: Option<watch::Sender<Timestamp>>) -> Clock {
        Clock(Arc::new(Source { ids: Mutex::new(ContextV7::new()), frozen }))
    }

    /// The present moment, in whole microseconds as the store keeps them.
    pub fn now(&self) -> Timestamp {
        let now = self.0.frozen.as_ref().map_or_else(system_now, |now| *now.borrow());
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Sleeps until `at`, and never less.
    pub async fn sleep_until(&self, at: Timestamp) {
        if let Some(now) = &self.0.frozen {
            // The sender is this clock's own.
            let _ = now.subscribe().wait_for(|now| *now >= at).await;
            return;
        }
        while let Ok(left) = Duration::try_from(self.now().duration_until(at))
            && !left.is_zero()
        {
            tokio::time::sleep(left).await;
        }
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
        uuid_at(self.now(), &lock(&self.0.ids))
    }

    /// Moves a test clock, and wakes who sleeps until then; the machine's own clock stays as it is.
    pub fn advance(&self, by: SignedDuration) {
        if let Some(now) = &self.0.frozen {
            now.send_modify(|now| *now += by);
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

    #[tokio::test]
    async fn who_sleeps_wakes_when_the_test_clock_is_there() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let clock = Clock::test(start);
        clock.sleep_until(start).await;
        let mut sleep = Box::pin(clock.sleep_until(start + SignedDuration::from_secs(90_000)));
        clock.advance(SignedDuration::from_secs(89_999));
        assert!(futures_util::poll!(sleep.as_mut()).is_pending());
        clock.advance(SignedDuration::from_secs(1));
        sleep.await;
    }

    #[tokio::test]
    async fn the_machine_never_wakes_anybody_too_early() {
        let clock = Clock::system();
        let at = clock.now() + SignedDuration::from_millis(3);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    }
}
