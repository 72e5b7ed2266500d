//! Time and IDs as arguments. Nothing else in the crate reads the time of the machine.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use uuid::{ContextV7, Uuid};

use crate::lock::lock;
use crate::numbers::micros;
use crate::task::TaskId;

/// The clock of [`Clock::uptime`]. It counts while the machine is suspended, if the system has such a clock.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::Monotonic;

/// Value of [`ClockSource::followed`] before the first reading.
const UNMEASURED: i64 = i64::MIN;

/// Returns the time and makes IDs. Cloning is cheap; clones share one time.
///
/// It is the time of the machine until [`Clock::follow`] gets a reading of another clock, such as the database's. From then on
/// it is that clock's time, whatever the clock of the machine shows and whenever that is set.
#[derive(Clone)]
pub struct Clock(Arc<ClockSource>);

struct ClockSource {
    ids: Mutex<ContextV7>,
    /// Time of a test. None: the time of the machine, or of the clock that is followed.
    frozen: Option<watch::Sender<Timestamp>>,
    /// Time of the followed clock minus the uptime, in microseconds.
    followed: AtomicI64,
}

/// A reading of another clock, between two readings of [`Clock::uptime`].
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// Uptime before the request for the time.
    pub before: Duration,
    /// Time that the other clock returned.
    pub time: Timestamp,
    /// Uptime after the answer.
    pub after: Duration,
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
        Clock(Arc::new(ClockSource { ids: Mutex::new(ContextV7::new()), frozen, followed: AtomicI64::new(UNMEASURED) }))
    }

    /// Returns the current time, in whole microseconds as the store keeps it.
    pub fn now(&self) -> Timestamp {
        let now = match &self.0.frozen {
            Some(now) => *now.borrow(),
            None => self.followed_now().unwrap_or_else(system_now),
        };
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    fn followed_now(&self) -> Option<Timestamp> {
        let followed = self.0.followed.load(Ordering::Relaxed);
        let now = micros(Clock::uptime()).saturating_add(followed);
        (followed != UNMEASURED).then(|| Timestamp::from_microsecond(now).ok()).flatten()
    }

    /// Follows another clock from now on. A reading is exact to half its round trip: it changes nothing if it agrees with earlier
    /// ones to that extent. Has no effect on a test clock.
    pub fn follow(&self, reading: ClockReading) {
        let ClockReading { before, time, after } = reading;
        let measured = time.as_microsecond() - micros((before + after) / 2);
        let error = micros(after.saturating_sub(before) / 2);
        let followed = self.0.followed.load(Ordering::Relaxed);
        if followed == UNMEASURED || followed.abs_diff(measured) > error.unsigned_abs() {
            self.0.followed.store(measured, Ordering::Relaxed);
        }
    }

    /// Returns how far the clock of the machine is ahead of this one. Zero unless this one follows another.
    pub fn machine_ahead(&self) -> SignedDuration {
        let followed = self.followed_now().filter(|_| self.0.frozen.is_none());
        followed.map_or(SignedDuration::ZERO, |now| now.duration_until(system_now()))
    }

    /// Returns the time since the machine started, including the time in which it was suspended. It cannot be set.
    pub fn uptime() -> Duration {
        let uptime = clock_gettime(UPTIME);
        Duration::new(u64::try_from(uptime.tv_sec).unwrap_or(0), u32::try_from(uptime.tv_nsec).unwrap_or(0))
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

    /// A reading that an exchange of `trip` got just now from a clock that is `ahead` of the machine's.
    fn reading(ahead: SignedDuration, trip: Duration) -> ClockReading {
        let after = Clock::uptime();
        let time = system_now() + ahead - SignedDuration::try_from(trip / 2).unwrap();
        ClockReading { before: after.checked_sub(trip).unwrap(), time, after }
    }

    #[test]
    fn a_clock_follows_another_one_to_the_error_of_its_readings() {
        let (clock, hour, trip) = (Clock::system(), SignedDuration::from_hours(1), Duration::from_millis(20));
        assert_eq!(clock.machine_ahead(), SignedDuration::ZERO);
        clock.follow(reading(hour, trip));
        let near = |expected: SignedDuration| (clock.machine_ahead() + expected).abs() < SignedDuration::from_millis(9);
        assert!(near(hour), "{:?}", clock.machine_ahead());
        assert!(clock.now().duration_until(system_now() + hour).abs() < SignedDuration::from_millis(9));
        // Within the error of a slow exchange the earlier reading is as good.
        clock.follow(reading(hour + SignedDuration::from_millis(900), Duration::from_secs(2)));
        assert!(near(hour), "{:?}", clock.machine_ahead());
        clock.follow(reading(hour + SignedDuration::from_millis(900), trip));
        assert!(near(hour + SignedDuration::from_millis(900)), "{:?}", clock.machine_ahead());
    }

    #[test]
    fn a_test_clock_follows_no_other() {
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let clock = Clock::test(start);
        clock.follow(reading(SignedDuration::from_hours(1), Duration::ZERO));
        assert_eq!((clock.now(), clock.machine_ahead()), (start, SignedDuration::ZERO));
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
