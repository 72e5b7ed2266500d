//! Tests of what a node does with the events of other nodes.

use std::collections::BTreeSet;
use std::sync::Mutex;

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

    async fn read(&self, id: TaskId) -> Option<Arc<Task>> {
        self.reads.lock().unwrap().push(id);
        self.stored.iter().find(|task| task.id == id).cloned()
    }

    async fn read_newer(&self, known: Vec<(TaskId, i64)>) -> Vec<Arc<Task>> {
        self.reads.lock().unwrap().extend(known.iter().map(|(id, _)| *id));
        let is_newer = |task: &&Arc<Task>| known.iter().any(|(id, version)| *id == task.id && task.version > *version);
        self.stored.iter().filter(is_newer).cloned().collect()
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

#[tokio::test]
async fn after_a_gap_watched_and_running_tasks_are_read_and_subscribers_of_all_tasks_are_told() {
    let (watched, running, other) = (task(7), task(3), task(2));
    let bus = Bus::default();
    let known = Arc::new(Task { version: 4, ..Task::clone(&watched) });
    let (watch, mut all) = (bus.watch(&known), bus.subscribe());
    let node = TestNode {
        stored: vec![Arc::clone(&watched), Arc::clone(&running), other],
        running: vec![(running.id, 2)],
        ..TestNode::default()
    };
    follow(&bus, &node, [Received::Gap { missed: 0 }]).await;
    assert_eq!(*node.gaps.lock().unwrap(), 1);
    let both = BTreeSet::from([watched.id, running.id]);
    for seen in [&node.reads, &node.observed] {
        assert_eq!(seen.lock().unwrap().iter().copied().collect::<BTreeSet<_>>(), both);
    }
    assert_eq!(watch.borrow().version, 7);
    assert!(matches!(all.next().await, Some(Received::Gap { missed: 0 })));
}

#[tokio::test]
async fn a_task_that_nobody_here_needs_is_not_read() {
    let (bus, changed) = (Bus::default(), task(5));
    let node = TestNode { stored: vec![Arc::clone(&changed)], ..TestNode::default() };
    follow(&bus, &node, [event(&changed, true)]).await;
    assert!(node.reads.lock().unwrap().is_empty());

    let mut all = bus.subscribe();
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
