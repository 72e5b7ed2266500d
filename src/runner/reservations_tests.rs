//! Limits of reserved and active tasks, and the order of deferred ones.

use std::task::Poll;

use super::*;

const LIMITS: ShortTaskLimits = ShortTaskLimits { total: 16, per_key: 4 };

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn deferred(capacity: &mut Capacity, due: Timestamp) -> Timestamp {
    match capacity.choose("full", due) {
        ClaimDecision::Defer(until) => until,
        ClaimDecision::Take => panic!("the key is full"),
    }
}

#[test]
fn a_full_key_defers_its_own_tasks_one_after_the_other_and_no_others() {
    let reservations = Arc::new(Reservations::new(LIMITS));
    let reserved: Vec<_> = (0..LIMITS.per_key + LIMITS.ahead()).map(|_| reservations.reserve("full")).collect();
    let mut capacity = reservations.capacity(now());
    let (first, second) = (deferred(&mut capacity, now()), deferred(&mut capacity, now()));
    assert!(first >= after(now(), MIN_DEFERRAL) && second > first && second <= after(now(), MAX_DEFERRAL_OF_NEW));
    assert_eq!(capacity.choose("other", now()), ClaimDecision::Take);
    reservations.record_deferrals(&capacity);
    let third = deferred(&mut reservations.capacity(now()), now());
    assert!(third > second, "the next claim continues after the deferred tasks");
    let last = (0..10_000).map(|_| deferred(&mut capacity, now())).last();
    assert_eq!(last, Some(after(now(), MAX_DEFERRAL_OF_NEW)), "however slow the key is");
    let overdue = (0..100_000).map(|_| deferred(&mut capacity, now() - HORIZON)).last();
    assert_eq!(overdue, Some(after(now(), HORIZON)));
    drop(reserved);
    assert_eq!(reservations.capacity(now()).choose("full", now()), ClaimDecision::Take);
}

/// Returns the permits that are free at once.
async fn activated(reserved: impl Iterator<Item = &Reservation>) -> Vec<ActivePermit> {
    let mut permits = Vec::new();
    for reservation in reserved {
        let mut permit = Box::pin(reservation.activate());
        if let Poll::Ready(permit) = futures_util::poll!(permit.as_mut()) {
            permits.push(permit.unwrap());
        }
    }
    permits
}

#[tokio::test]
async fn active_tasks_are_limited_for_each_key_and_in_total() {
    let reservations = Arc::new(Reservations::new(LIMITS));
    assert_eq!(reservations.free(), RESERVED_PER_ACTIVE * LIMITS.total);
    let reserved: Vec<_> = (0..40).map(|n| reservations.reserve(&format!("key {}", n % 8))).collect();
    let permits = activated(reserved.iter()).await;
    assert_eq!(permits.len(), LIMITS.total, "of eight keys with four permits each");
    assert_eq!(reservations.free(), RESERVED_PER_ACTIVE * LIMITS.total - reserved.len());
    drop(permits);
    let of_one = activated(reserved.iter().filter(|reservation| reservation.key == "key 0")).await;
    assert_eq!(of_one.len(), LIMITS.per_key, "of the five reserved tasks of that key");
}
