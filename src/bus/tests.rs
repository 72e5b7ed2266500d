//! Tests of what a node does with the events of other nodes.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::task::{NewTask, Progress, Unit};

/// A node whose store has some tasks, one of which it runs.
#[derive(Default)]
struct TestNode {
    stored: Vec<Arc<Task>>,
    running: Vec<(TaskId, i64)>,
    reads: Mutex<Vec<TaskId>>,
    observed: Mutex<Vec<TaskId>>,
    gaps: Mutex<u32>,
    /// Number of the next attempts to read that fail.
    failures: Mutex<u32>,
}

impl TestNode {
    fn attempt(&self) -> Result<(), Unread> {
        let mut failures = self.failures.lock().unwrap();
        let left = failures.checked_sub(1);
        *failures = left.unwrap_or(0);
        left.map_or(Ok(()), |_| Err(Unread))
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

impl Node for &TestNode {
    fn on_event(&self, _event: &ChangeEvent) {}

    fn on_gap(&self) {
        *self.gaps.lock().unwrap() += 1;
    }

    fn on_task(&self, task: &Task) {
        self.observed.lock().unwrap().push(task.id);
    }

    fn running(&self) -> Vec<(TaskId, i64)> {
        self.running.clone()
    }

    fn is_running(&self, id: TaskId) -> bool {
        self.running.iter().any(|(running, _)| *running == id)
    }

    async fn read(&self, id: TaskId) -> Result<Option<Arc<Task>>, Unread> {
        self.attempt()?;
        self.reads.lock().unwrap().push(id);
        Ok(self.stored.iter().find(|task| task.id == id).cloned())
    }

    async fn read_newer(&self, known: Vec<(TaskId, i64)>) -> Result<Vec<Arc<Task>>, Unread> {
        self.attempt()?;
        self.reads.lock().unwrap().extend(known.iter().map(|(id, _)| *id));
        let is_newer = |task: &&Arc<Task>| known.iter().any(|(id, version)| *id == task.id && task.version > *version);
        Ok(self.stored.iter().filter(is_newer).cloned().collect())
    }

    async fn changes_after(&self, position: ChangePosition) -> Result<Vec<(ChangePosition, i64)>, Unread> {
        self.attempt()?;
        let change = |task: &Arc<Task>| (ChangePosition { at: task.updated_at, id: task.id }, task.version);
        let mut changes: Vec<_> = self.stored.iter().map(change).filter(|(at, _)| *at > position).collect();
        changes.sort();
        changes.truncate(2);
        Ok(changes)
    }

    fn now(&self) -> Timestamp {
        at(0)
    }
}

fn task(version: i64) -> Arc<Task> {
    let clock = Clock::test(Timestamp::UNIX_EPOCH);
    let new = NewTask::new("import", "{}", Unit::Rows);
    Arc::new(Task { version, ..Task::new(clock.task_id(), new, clock.now()) })
}

/// Lets the bus handle these events, to the last one.
async fn follow(bus: &Bus, node: &TestNode, events: impl IntoIterator<Item = Received<ChangeEvent>>) {
    let (sender, receiver) = mpsc::channel(16);
    for event in events {
        sender.send(event).await.unwrap();
    }
    drop(sender);
    bus.follow(receiver, node).await;
}

fn event(task: &Task, state_changed: bool) -> Received<ChangeEvent> {
    let change = TaskChange { task: Arc::new(task.clone()), transition: None };
    Received::Delivered(ChangeEvent { state_changed, ..ChangeEvent::from(&change) })
}

fn gap(second: i64) -> Received<ChangeEvent> {
    Received::Gap { missed: 0, since: at(second) }
}

#[tokio::test]
async fn after_a_gap_watched_and_running_tasks_are_read() {
    let (watched, running, other) = (task(7), task(3), task(2));
    let bus = Bus::default();
    let known = Arc::new(Task { version: 4, ..Task::clone(&watched) });
    let (watch, mut all) = (bus.watch(&known), bus.subscribe(false));
    let node = TestNode {
        stored: vec![Arc::clone(&watched), Arc::clone(&running), other],
        running: vec![(running.id, 2)],
        ..TestNode::default()
    };
    follow(&bus, &node, [gap(0)]).await;
    assert_eq!(*node.gaps.lock().unwrap(), 1);
    let both = BTreeSet::from([watched.id, running.id]);
    for seen in [&node.reads, &node.observed] {
        assert_eq!(seen.lock().unwrap().iter().copied().collect::<BTreeSet<_>>(), both);
    }
    assert_eq!(watch.borrow().version, 7);
    drop(bus);
    assert!(all.next().await.is_none(), "its tasks have not changed since the gap");
}

/// Returns the versions that the subscriber is sent until the bus is gone.
async fn versions(bus: Bus, mut all: ChangeSubscription) -> Vec<i64> {
    drop(bus);
    let mut versions = Vec::new();
    while let Some(received) = all.next().await {
        let Received::Delivered(changed) = received else { panic!("{received:?}") };
        versions.push(changed.version().1);
    }
    versions
}

/// Tasks whose versions and times of change are these.
fn changed(changes: impl IntoIterator<Item = (i64, i64)>) -> Vec<Arc<Task>> {
    let changed = |(version, second)| Arc::new(Task { updated_at: at(second), ..Task::clone(&task(version)) });
    changes.into_iter().map(changed).collect()
}

#[tokio::test]
async fn after_a_gap_subscribers_of_all_tasks_are_sent_once_what_changed_since_then() {
    let bus = Bus::default();
    let all = bus.subscribe(false);
    let stored = changed([(1, -60), (2, -2), (3, 0), (4, 10), (5, 20)]);
    bus.broadcast.send(&stored[2]);
    let node = TestNode { stored, ..TestNode::default() };
    follow(&bus, &node, [gap(0), gap(0)]).await;
    assert_eq!(versions(bus, all).await, [3, 2, 4, 5], "a commit may come some seconds after the moment of its change");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_now_is_read_later() {
    let stored = changed([(1, -60), (2, 1), (3, 2)]);
    let node = TestNode { stored: stored.clone(), failures: Mutex::new(4), ..TestNode::default() };
    let bus = Bus::default();
    let all = bus.subscribe(false);
    let (sender, receiver) = mpsc::channel(16);
    sender.send(event(&stored[0], true)).await.unwrap();
    sender.send(gap(0)).await.unwrap();
    let read = async {
        let mut all = all;
        let mut versions = Vec::new();
        for _ in 0..3 {
            let Some(Received::Delivered(changed)) = all.next().await else { panic!("no change") };
            versions.push(changed.version().1);
        }
        drop(sender);
        versions
    };
    let (versions, ()) = tokio::join!(read, bus.follow(receiver, &node));
    assert_eq!(versions, [1, 2, 3]);
    assert_eq!(*node.failures.lock().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_write_with_an_unknown_outcome_changes_are_read() {
    let node = TestNode { stored: changed([(2, 1)]), ..TestNode::default() };
    let bus = Bus::default();
    let mut all = bus.subscribe(false);
    let (sender, receiver) = mpsc::channel(16);
    bus.publish_uncertain(at(0));
    let read = async {
        let received = all.next().await;
        drop(sender);
        received
    };
    let (received, ()) = tokio::join!(read, bus.follow(receiver, &node));
    assert!(matches!(received, Some(Received::Delivered(changed)) if changed.version().1 == 2));
}

#[tokio::test]
async fn a_task_that_nobody_here_needs_is_not_read() {
    let (bus, changed) = (Bus::default(), task(5));
    let node = TestNode { stored: vec![Arc::clone(&changed)], ..TestNode::default() };
    follow(&bus, &node, [event(&changed, true)]).await;
    assert!(node.reads.lock().unwrap().is_empty());

    let mut all = bus.subscribe(false);
    follow(&bus, &node, [event(&changed, false), event(&changed, true), event(&changed, true)]).await;
    assert_eq!(*node.reads.lock().unwrap(), [changed.id], "one read serves all");
    assert!(matches!(all.next().await, Some(Received::Delivered(ChangedTask::Task(task))) if task.version == 5));
}

/// A task that another node runs, as its watchers here know it, and a run's report of `done` rows in version `version`.
fn running(epoch: i64) -> Arc<Task> {
    Arc::new(Task { state: State::Running, epoch, owner: Some("b".to_owned()), ..Task::clone(&task(4)) })
}

fn reported(known: &Task, version: i64, done: u64) -> Task {
    let progress = Progress { done, ..known.progress.clone() };
    Task { version, progress, cursor: Some(format!("[{done}]")), ..known.clone() }
}

#[tokio::test]
async fn watchers_get_what_a_run_at_another_node_reports_without_a_read() {
    let (bus, known) = (Bus::default(), running(1));
    let (watch, node) = (bus.watch(&known), TestNode::default());
    // Events come in another order, and a report says less than an earlier one.
    for (version, done, seen, newest) in [(7, 70, 70, 7), (5, 50, 70, 7), (8, 60, 70, 8)] {
        follow(&bus, &node, [event(&reported(&known, version, done), false)]).await;
        let watched = watch.borrow().clone();
        assert_eq!((watched.progress.done, watched.version), (seen, newest), "progress never goes back");
    }
    assert_eq!(watch.borrow().cursor.as_deref(), Some("[60]"));
    assert!(node.reads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_report_that_does_not_fit_what_watchers_know_is_read_from_the_store() {
    let known = running(1);
    let next_run = Task { epoch: 2, ..reported(&known, 6, 50) };
    let paused = Task { state: State::Paused, ..reported(&known, 6, 50) };
    let finishing = Task { state: State::Finishing, attempt: 2, ..reported(&known, 6, 50) };
    let after_pause = (&Arc::new(paused.clone()), &next_run);
    for (known, stored) in [(&known, &next_run), after_pause, (&known, &paused), (&known, &finishing)] {
        let (bus, newest) = (Bus::default(), Arc::new(Task { version: 7, ..stored.clone() }));
        let node = TestNode { stored: vec![Arc::clone(&newest)], ..TestNode::default() };
        let watch = bus.watch(known);
        follow(&bus, &node, [event(&newest, false), event(&newest, false)]).await;
        assert_eq!(*node.reads.lock().unwrap(), [newest.id], "one read for all watchers, and for both events");
        assert_eq!(*watch.borrow(), newest);
    }
}
