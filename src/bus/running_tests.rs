//! Tests of the progress of running tasks.

use jiff::Timestamp;

use super::*;
use crate::clock::Clock;
use crate::task::{NewTask, Unit};

fn running(version: i64) -> Arc<Task> {
    let clock = Clock::test(Timestamp::UNIX_EPOCH);
    let task = Task::new(clock.task_id(), NewTask::new("counting", "{}", Unit::Rows), clock.now());
    Arc::new(Task { version, state: State::Running, owner: Some("a".to_owned()), ..task })
}

fn at(task: &Arc<Task>, version: i64) -> Arc<Task> {
    Arc::new(Task { version, ..Task::clone(task) })
}

fn versions((tasks, _): (Vec<Arc<Task>>, u64)) -> Vec<i64> {
    tasks.iter().map(|task| task.version).collect()
}

#[test]
fn a_task_is_announced_at_most_twice_a_second_and_its_last_report_is() {
    let (mut tasks, first, begin) = (RunningTasks::default(), running(1), Instant::now());
    let mut now = begin;
    tasks.observe_state(&first, now);
    let mut announced = 0;
    for version in 2..=31 {
        now += Duration::from_millis(100);
        announced += u32::from(tasks.observe_report(&at(&first, version), now));
    }
    assert_eq!(announced, 6, "in three seconds");
    assert!(!tasks.observe_report(&at(&first, 32), now) && !tasks.flush(now));
    now += QUIET;
    assert!(tasks.flush(now) && !tasks.flush(now));
    assert_eq!(versions(tasks.after(0)), [32]);
    assert_eq!(versions(tasks.after(tasks.last())), [0; 0]);
}

#[test]
fn a_subscriber_takes_the_newest_snapshot_of_each_task_once() {
    let (mut tasks, one, other, begin) = (RunningTasks::default(), running(1), running(1), Instant::now());
    tasks.observe_report(&one, begin);
    tasks.observe_report(&other, begin);
    let (number, now) = (tasks.last(), begin + MIN_INTERVAL);
    assert!(tasks.observe_report(&at(&one, 5), now) && !tasks.observe_report(&at(&one, 4), now));
    assert_eq!((versions(tasks.after(0)), versions(tasks.after(number))), (vec![1, 5], vec![5]));
    tasks.observe_state(&Arc::new(Task { state: State::Paused, ..Task::clone(&at(&one, 6)) }), now);
    assert_eq!(versions(tasks.after(0)), [1], "its state was sent to everybody");
    tasks.observe_state(&Arc::new(Task { state: State::Completed, ..Task::clone(&at(&other, 2)) }), now);
    assert!(tasks.tasks.is_empty() && tasks.announced.is_empty(), "only running tasks are kept");
}
