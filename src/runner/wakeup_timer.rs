//! Sleeping until the nearest of many moments, which may come nearer meanwhile.

use std::future::pending;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::sweep::ago;
use crate::clock::Clock;

/// The longest sleep, for a moment that nobody told of; the machine's clock may be set meanwhile, too.
const LOOK: Duration = Duration::from_secs(5);

/// The nearest moment that is known of, and who sleeps until then.
#[derive(Default)]
pub struct WakeupTimer {
    known: Mutex<Known>,
    wakeup: Notify,
}

#[derive(Default)]
struct Known {
    nearest: Option<Timestamp>,
    asleep: bool,
}

impl WakeupTimer {
    /// Something happens at `due`: whoever sleeps longer hears of it.
    pub fn set(&self, due: Timestamp) {
        let mut known = self.known();
        if known.nearest.is_none_or(|nearest| due < nearest) {
            known.nearest = Some(due);
            if known.asleep {
                self.wakeup.notify_one();
            }
        }
    }

    /// Forgets what was known, before the store is asked: what is set from now on may have come too late for its answer.
    pub fn clear(&self) {
        *self.known() = Known::default();
    }

    /// Sleeps until `early` before the nearest moment: `next`, as the store says, or one that was set since it was asked.
    pub async fn sleep(&self, clock: &Clock, next: Option<Timestamp>, early: Duration) {
        {
            let mut known = self.known();
            known.nearest = known.nearest.into_iter().chain(next).min();
            known.asleep = true;
        }
        let mut look = pin!(tokio::time::sleep(LOOK));
        loop {
            let nearest = self.known().nearest;
            let due = async {
                match nearest {
                    Some(nearest) => clock.sleep_until(ago(nearest, early)).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = &mut look => return,
                () = self.wakeup.notified() => {}
            }
        }
    }

    /// A panic while it was locked leaves a whole moment.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Whether somebody who sleeps until `next` still does, once `meanwhile` has happened.
    async fn sleeps(next: Option<Timestamp>, meanwhile: impl FnOnce(&WakeupTimer)) -> bool {
        let (alarm, clock) = (Arc::new(WakeupTimer::default()), Clock::test(at(0)));
        let mut sleep = Box::pin(alarm.sleep(&clock, next, Duration::from_millis(20)));
        if futures_util::poll!(sleep.as_mut()).is_ready() {
            return false;
        }
        meanwhile(&alarm);
        futures_util::poll!(sleep.as_mut()).is_pending()
    }

    #[tokio::test]
    async fn a_nearer_moment_ends_the_sleep_and_a_later_one_does_not() {
        assert!(sleeps(Some(at(9)), |_| {}).await);
        assert!(!sleeps(Some(at(0)), |_| {}).await, "it is there");
        assert!(!sleeps(Some(at(-5)), |_| {}).await);
        assert!(!sleeps(None, |alarm| alarm.set(at(0))).await);
        assert!(!sleeps(Some(at(9)), |alarm| alarm.set(at(0))).await);
        assert!(sleeps(Some(at(9)), |alarm| alarm.set(at(10))).await);
        assert!(sleeps(Some(at(9)), |alarm| alarm.set(at(5))).await, "it sleeps on, but not for as long");
    }

    #[tokio::test]
    async fn what_is_set_while_the_store_is_asked_is_not_forgotten() {
        let (alarm, clock) = (WakeupTimer::default(), Clock::test(at(0)));
        alarm.set(at(-9));
        alarm.clear();
        alarm.set(at(0));
        alarm.sleep(&clock, Some(at(9)), Duration::ZERO).await;
    }
}
