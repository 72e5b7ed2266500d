//! Sleeps until the nearest of many moments. A nearer moment may be set meanwhile.

use std::future::pending;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::deletion::before;
use crate::clock::Clock;
use crate::lock::lock;

/// Maximum sleep, for moments that were not set. The machine's clock may also be set meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(5);

/// Nearest moment that is known, and the wake-up of who sleeps until then.
#[derive(Default)]
pub struct WakeupTimer {
    known: Mutex<NextWakeup>,
    wakeup: Notify,
}

#[derive(Default)]
struct NextWakeup {
    nearest: Option<Timestamp>,
    asleep: bool,
}

impl WakeupTimer {
    /// Sets a moment. Wakes a sleeper whose moment is later.
    pub fn set(&self, due: Timestamp) {
        let mut known = self.known();
        if known.nearest.is_none_or(|nearest| due < nearest) {
            known.nearest = Some(due);
            if known.asleep {
                self.wakeup.notify_one();
            }
        }
    }

    /// Clears the known moment, before the store is queried: the query may miss what is set from now on.
    pub fn clear(&self) {
        *self.known() = NextWakeup::default();
    }

    /// Sleeps until `early` before the nearest moment: `next`, which the store returned, or one that was set since the query.
    pub async fn sleep(&self, clock: &Clock, next: Option<Timestamp>, early: Duration) {
        {
            let mut known = self.known();
            known.nearest = known.nearest.into_iter().chain(next).min();
            known.asleep = true;
        }
        let mut longest = pin!(tokio::time::sleep(MAX_SLEEP));
        loop {
            let nearest = self.known().nearest;
            let due = async {
                match nearest {
                    Some(nearest) => clock.sleep_until(before(nearest, early)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = &mut longest => return,
                () = self.wakeup.notified() => {}
            }
        }
    }

    /// The moment stays valid if a thread panics while it holds the lock.
    fn known(&self) -> MutexGuard<'_, NextWakeup> {
        lock(&self.known)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Returns true if a sleep until `next` continues after `meanwhile`.
    async fn sleeps(next: Option<Timestamp>, meanwhile: impl FnOnce(&WakeupTimer)) -> bool {
        let (timer, clock) = (Arc::new(WakeupTimer::default()), Clock::test(at(0)));
        let mut sleep = Box::pin(timer.sleep(&clock, next, Duration::from_millis(20)));
        if futures_util::poll!(sleep.as_mut()).is_ready() {
            return false;
        }
        meanwhile(&timer);
        futures_util::poll!(sleep.as_mut()).is_pending()
    }

    #[tokio::test]
    async fn a_nearer_moment_ends_the_sleep_and_a_later_one_does_not() {
        assert!(sleeps(Some(at(9)), |_| {}).await);
        assert!(!sleeps(Some(at(0)), |_| {}).await, "the moment has come");
        assert!(!sleeps(Some(at(-5)), |_| {}).await);
        assert!(!sleeps(None, |timer| timer.set(at(0))).await);
        assert!(!sleeps(Some(at(9)), |timer| timer.set(at(0))).await);
        assert!(sleeps(Some(at(9)), |timer| timer.set(at(10))).await);
        assert!(sleeps(Some(at(9)), |timer| timer.set(at(5))).await, "it continues, but ends sooner");
    }

    #[tokio::test]
    async fn a_moment_that_is_set_during_the_query_is_kept() {
        let (timer, clock) = (WakeupTimer::default(), Clock::test(at(0)));
        timer.set(at(-9));
        timer.clear();
        timer.set(at(0));
        timer.sleep(&clock, Some(at(9)), Duration::ZERO).await;
    }
}
