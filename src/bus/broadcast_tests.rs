//! Tests of the subscribers of all tasks.

use super::*;
use crate::clock::Clock;
use crate::task::{NewTask, Unit};

fn task(version: i64, state: State) -> Arc<Task> {
    let clock = Clock::test(Timestamp::UNIX_EPOCH);
    let new = NewTask::new("counting", "{}", Unit::Rows);
    Arc::new(Task { version, state, ..Task::new(clock.task_id(), new, clock.now()) })
}

#[tokio::test]
async fn each_version_is_sent_once_and_no_older_one_follows() {
    let (all, running) = (Broadcast::default(), task(3, State::Running));
    let mut subscription = all.subscribe(false);
    let at = |version, state| Arc::new(Task { version, state, ..Task::clone(&running) });
    // Another node announced version 1. By the time it is read, this node has changed the task twice.
    assert!(all.needs(running.id, 1));
    all.send(&running);
    assert!(!all.needs(running.id, 2));
    for version in 1..=3 {
        all.send(&at(version, State::Running));
    }
    all.send(&at(4, State::Completed));
    drop(all);
    let mut versions = Vec::new();
    while let Some(received) = subscription.next().await {
        let Received::Delivered(ChangedTask::Task(task)) = received else { panic!("{received:?}") };
        versions.push(task.version);
    }
    assert_eq!(versions, [3, 4]);
}

#[tokio::test]
async fn a_large_task_is_not_kept_for_slow_subscribers() {
    let (all, running) = (Broadcast::default(), task(3, State::Running));
    let mut subscription = all.subscribe(false);
    all.send(&Arc::new(Task { spec: "x".repeat(LARGE + 1), ..Task::clone(&running) }));
    let received = subscription.next().await;
    assert!(matches!(received, Some(Received::Delivered(ChangedTask::Large(id, 3))) if id == running.id));
}

#[tokio::test]
async fn a_slow_subscriber_learns_since_when_it_missed_changes_and_goes_on_with_new_ones() {
    let all = Broadcast::default();
    let mut subscription = all.subscribe(false);
    let at = |second| Timestamp::from_second(second).unwrap();
    let changed = |second| Arc::new(Task { updated_at: at(second), ..Task::clone(&task(1, State::Queued)) });
    all.send(&changed(5));
    assert!(matches!(subscription.next().await, Some(Received::Delivered(_))));
    for second in [20, 10].into_iter().chain(30..30 + BACKLOG as i64) {
        all.send(&changed(second));
    }
    let gap = subscription.next().await;
    let Some(Received::Gap { missed, since }) = gap else { panic!("{gap:?}") };
    assert_eq!((missed, since), (BACKLOG as u64 + 2, at(10)));
    let next = changed(7);
    all.send(&next);
    assert!(matches!(subscription.next().await, Some(Received::Delivered(changed)) if changed.version().0 == next.id));
}

#[tokio::test]
async fn progress_comes_after_the_change_of_state_before_it_and_not_after_the_next_one() {
    let (all, started) = (Broadcast::default(), task(2, State::Running));
    let mut subscription = all.subscribe(true);
    let at = |version, state| Arc::new(Task { version, state, ..Task::clone(&started) });
    all.send(&started);
    all.report(&at(3, State::Running));
    all.report(&task(1, State::Running));
    let mut versions = Vec::new();
    for _ in 0..2 {
        let Some(Received::Delivered(changed)) = subscription.next().await else { panic!("no change") };
        versions.push(changed.version().1);
    }
    assert_eq!(versions, [2, 1], "the report of a task that has just started waits");
    all.send(&at(4, State::Paused));
    all.report(&at(3, State::Running));
    let next = subscription.next().await;
    assert!(matches!(next, Some(Received::Delivered(changed)) if changed.version() == (started.id, 4)));
    let more = tokio::time::timeout(2 * running::FLUSH, subscription.next()).await;
    assert!(more.is_err(), "nothing of a paused task: {more:?}");
}
