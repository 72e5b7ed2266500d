//! Time and IDs as arguments. Nothing else in the crate reads the time of the machine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use uuid::{ContextV7, Uuid};

use crate::task::TaskId;

/// Delay between two attempts while a database is unavailable.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Returns the time and makes IDs. Cloning is cheap; clones share one time.
#[derive(Clone)]
pub struct Clock(Arc<ClockSource>);

struct ClockSource {
    ids: Mutex<ContextV7>,
    /// Time of a test. None: the time of the machine.
    frozen: Option<watch::Sender<Timestamp>>,
}

/// Repeats `attempt` until it succeeds, 250 ms after each failure. `log` gets each error.
pub async fn until_available<T, E, F>(mut attempt: impl FnMut() -> F, log: impl Fn(&E)) -> T
where
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => log(&error),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

impl Clock {
    /// Returns the clock of the machine.
    pub fn system() -> Clock {
        Clock::from(None)
    }

    /// Returns a clock that stops at `now` until [`Clock::advance`] moves it.
    pub fn test(now: Timestamp) -> Clock {
        Clock::from(Some(watch::Sender::new(now)))
    }

    fn from(frozen: Option<watch::Sender<Timestamp>>) -> Clock {
        Clock(Arc::new(ClockSource { ids: Mutex::new(ContextV7::new()), frozen }))
    }

    /// Returns the current time, in whole microseconds as the store keeps it.
    pub fn now(&self) -> Timestamp {
        let now = self.0.frozen.as_ref().map_or_else(system_now, |now| *now.borrow());
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// Sleeps until `at`. Never returns earlier.
    pub async fn sleep_until(&self, at: Timestamp) {
        if let Some(now) = &self.0.frozen {
            // The clock owns the sender, so the channel is open.
            let _ = now.subscribe().wait_for(|now| *now >= at).await;
            return;
        }
        while let Ok(left) = Duration::try_from(self.now().duration_until(at))
            && !left.is_zero()
        {
            tokio::time::sleep(left).await;
        }
    }

    /// Returns a monotonic time, to measure durations.
    #[expect(clippy::disallowed_methods, reason = "this module is where time is read")]
    pub fn monotonic() -> Instant {
        Instant::now()
    }

    /// Returns a new task ID: a UUID of version 7, so that IDs sort by the time of their creation.
    pub fn task_id(&self) -> TaskId {
        TaskId::from(self.uuid())
    }

    /// Returns a new UUID of version 7.
    pub fn uuid(&self) -> Uuid {
        uuid_at(self.now(), &lock(&self.0.ids))
    }

    /// Moves a test clock and wakes those who sleep until then. Has no effect on the clock of the machine.
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

/// Locks a value that stays consistent even if a holder of the lock panics.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_moves_only_by_advance_and_its_ids_sort() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let clock = Clock::test(start);
        let first = clock.task_id();
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::from_secs(90_000));
        assert_eq!(clock.now().as_second(), 1_700_090_000);
        assert!(first.to_string() < clock.task_id().to_string());
    }

    #[tokio::test]
    async fn a_sleep_ends_when_the_test_clock_reaches_its_end() {
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
    async fn a_sleep_by_the_clock_of_the_machine_never_ends_early() {
        let clock = Clock::system();
        let at = clock.now() + SignedDuration::from_millis(3);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    }
}
