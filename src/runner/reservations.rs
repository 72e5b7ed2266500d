//! Reservations and permits of short tasks, counted by concurrency key: slow tasks of one key do not delay other keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::lock::lock;
use crate::store::ClaimDecision;

/// Maximum number of reserved tasks of a key beyond its active ones: claimed early, or waiting for a permit.
const AHEAD: usize = 256;

/// Maximum number of reserved tasks of all keys, for each task that may be active.
const RESERVED_PER_ACTIVE: usize = 4;

/// Reserved tasks of a key are limited to those that end within this time. A key without a free permit on which no task
/// ended for longer is stuck.
const HORIZON: Duration = Duration::from_secs(1);

/// Minimum delay of a deferred task.
const MIN_DEFERRAL: Duration = Duration::from_millis(20);

/// Range of the maximum delay of a deferred task. Within it, the maximum is the time by which the task is overdue: a key that
/// becomes faster is noticed soon, and an old task is not read too often.
const MAX_DEFERRAL_OF_NEW: Duration = Duration::from_millis(500);
const MAX_DEFERRAL_OF_OLD: Duration = Duration::from_secs(30);

/// Assumed time between two ends of a key's tasks before it is measured.
const INITIAL_INTERVAL: Duration = Duration::from_millis(1);

/// Maximum number of active short tasks.
#[derive(Clone, Copy, Debug)]
pub struct ShortTaskLimits {
    /// In total.
    pub total: usize,
    /// Of one concurrency key.
    pub per_key: usize,
}

impl ShortTaskLimits {
    /// Maximum number of reserved tasks of a key beyond its active ones.
    fn ahead(self) -> usize {
        AHEAD.min(self.total)
    }
}

/// The reservations of this node.
pub struct Reservations {
    limits: ShortTaskLimits,
    keys: Mutex<HashMap<String, KeyReservations>>,
    reserved: AtomicUsize,
    permits: Arc<Semaphore>,
    released: Notify,
}

/// The reservations of one key.
struct KeyReservations {
    reserved: usize,
    permits: Arc<Semaphore>,
    /// Smoothed time between the ends of two tasks.
    interval: Duration,
    last_end: Instant,
    /// Due time of the last deferred task.
    deferred_until: Option<Timestamp>,
}

/// Free reservations at one moment: used for one claim.
pub struct Capacity {
    now: Timestamp,
    per_key: usize,
    keys: HashMap<String, KeyCapacity>,
}

struct KeyCapacity {
    free: usize,
    interval: Duration,
    deferred_until: Timestamp,
}

/// Reservation of a short task that this node has claimed.
pub struct Reservation {
    reservations: Arc<Reservations>,
    key: String,
}

/// The right of a short task to be active, until this is dropped.
pub struct ActivePermit {
    _of_key: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Reservations {
    /// No reservations.
    pub fn new(limits: ShortTaskLimits) -> Reservations {
        let permits = Arc::new(Semaphore::new(limits.total));
        Reservations { limits, keys: Mutex::default(), reserved: AtomicUsize::new(0), permits, released: Notify::new() }
    }

    /// Returns how many more tasks may be reserved in total.
    pub fn free(&self) -> usize {
        (RESERVED_PER_ACTIVE * self.limits.total).saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    /// Returns the free reservations of each key.
    pub fn capacity(&self, now: Timestamp) -> Capacity {
        let per_key = self.limits.per_key + self.limits.ahead();
        let of_key = |(key, entry): (&String, &KeyReservations)| (key.clone(), entry.capacity(self.limits, now));
        Capacity { now, per_key, keys: self.keys().iter().map(of_key).collect() }
    }

    /// Records until when tasks were deferred, so that the next claim defers tasks to later moments.
    pub fn record_deferrals(&self, capacity: &Capacity) {
        let mut keys = self.keys();
        for (key, decided) in &capacity.keys {
            if let Some(entry) = keys.get_mut(key) {
                entry.deferred_until = Some(decided.deferred_until);
            }
        }
    }

    /// Reserves a task of `key`.
    pub fn reserve(self: &Arc<Self>, key: &str) -> Reservation {
        let mut keys = self.keys();
        let entry = keys.entry(key.to_owned()).or_insert_with(|| KeyReservations::new(self.limits.per_key));
        entry.reserved += 1;
        self.reserved.fetch_add(1, Ordering::Relaxed);
        Reservation { reservations: Arc::clone(self), key: key.to_owned() }
    }

    /// Waits until a task may be reserved.
    pub async fn wait_until_free(&self) {
        while self.free() == 0 {
            self.released.notified().await;
        }
    }

    /// Counts stay valid if a thread panics while it holds the lock.
    fn keys(&self) -> MutexGuard<'_, HashMap<String, KeyReservations>> {
        lock(&self.keys)
    }
}

impl KeyReservations {
    fn new(permits: usize) -> KeyReservations {
        let permits = Arc::new(Semaphore::new(permits));
        let (interval, last_end) = (INITIAL_INTERVAL, Clock::monotonic());
        KeyReservations { reserved: 0, permits, interval, last_end, deferred_until: None }
    }

    fn capacity(&self, limits: ShortTaskLimits, now: Timestamp) -> KeyCapacity {
        let silence = self.last_end.elapsed();
        let stuck = self.permits.available_permits() == 0 && silence > HORIZON;
        let interval = if stuck { self.interval.max(silence / 8) } else { self.interval };
        let within_horizon = HORIZON.as_micros() / interval.as_micros().max(1);
        let ahead = limits.ahead().min(usize::try_from(within_horizon).unwrap_or(AHEAD));
        let all_end = after(now, interval.saturating_mul(u32::try_from(self.reserved).unwrap_or(u32::MAX)));
        let deferred_until = self.deferred_until.map_or(all_end, |until| until.max(all_end));
        KeyCapacity { free: (limits.per_key + ahead).saturating_sub(self.reserved), interval, deferred_until }
    }

    fn task_ended(&mut self) {
        self.interval = (self.interval * 15 + self.last_end.elapsed()) / 16;
        self.last_end = Clock::monotonic();
        self.reserved -= 1;
    }
}

impl Capacity {
    /// Decides if a task of `key` is claimed or deferred. Its attempt became due at `due`.
    pub fn choose(&mut self, key: &str, due: Timestamp) -> ClaimDecision {
        let (now, per_key) = (self.now, self.per_key);
        let unused = || KeyCapacity { free: per_key, interval: INITIAL_INTERVAL, deferred_until: now };
        let capacity = self.keys.entry(key.to_owned()).or_insert_with(unused);
        if capacity.free > 0 {
            capacity.free -= 1;
            return ClaimDecision::Take;
        }
        let overdue = Duration::try_from(due.duration_until(now)).unwrap_or_default();
        let latest = after(now, overdue.clamp(MAX_DEFERRAL_OF_NEW, MAX_DEFERRAL_OF_OLD));
        let until = capacity.deferred_until.max(after(now, MIN_DEFERRAL)).min(latest);
        capacity.deferred_until = after(until, capacity.interval);
        ClaimDecision::Defer(until)
    }
}

impl Reservation {
    /// Waits until the task may be active: first for a permit of its key, then for one of all. So a key whose permits are
    /// taken takes no permit of others.
    pub async fn activate(&self) -> Option<ActivePermit> {
        let of_key = self.reservations.keys().get(&self.key).map(|entry| Arc::clone(&entry.permits))?;
        // Neither semaphore is ever closed.
        let of_key = of_key.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.reservations.permits).acquire_owned().await.ok()?;
        Some(ActivePermit { _of_key: of_key, _of_all: of_all })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reservations.reserved.fetch_sub(1, Ordering::Relaxed);
        let mut keys = self.reservations.keys();
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.task_ended();
            if entry.reserved == 0 {
                keys.remove(&self.key);
            }
        }
        drop(keys);
        self.reservations.released.notify_one();
    }
}

fn after(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "reservations_tests.rs"]
mod tests;
