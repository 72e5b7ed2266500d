//! Applies the events of other nodes, and reads the changes that this node missed.
//!
//! A task is read only if somebody here needs more of it than the event has, and once for all of them. What cannot be read now is
//! read later: the node remembers which tasks, or since when it missed changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Bus, ChangeEvent, Node, Received, Unread};
use crate::database::CALL_LIMIT;
use crate::retry::RETRY_DELAY;
use crate::task::{State, TaskId};

/// Maximum time between the moment of a change, as the task has it, and its commit: twice that of a call of the store.
const COMMIT_DELAY: Duration = CALL_LIMIT.saturating_mul(2);

/// Maximum number of tasks that are remembered one by one.
const TASKS: usize = 1024;

/// A place in the order of changes: the time of a change, and the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangePosition {
    /// Time of the change.
    pub at: Timestamp,
    /// The task.
    pub id: TaskId,
}

impl ChangePosition {
    /// Returns the place before all changes that may have been committed since `since`.
    pub fn before(since: Timestamp) -> ChangePosition {
        ChangePosition {
            at: since.checked_sub(COMMIT_DELAY).unwrap_or(Timestamp::MIN),
            id: TaskId::from(uuid::Uuid::nil()),
        }
    }
}

/// Changes that a node must read from the store.
#[derive(Default)]
struct Missed {
    tasks: BTreeSet<TaskId>,
    /// Changes since then. None if none were missed.
    since: Option<Timestamp>,
    /// Earliest time of the next attempt. None if the last one did not fail.
    next_attempt: Option<Instant>,
    /// Changes since then are read once more at that time: a commit whose outcome is unknown may come late.
    later: Option<(Instant, Timestamp)>,
}

impl Missed {
    fn add_task(&mut self, event: &ChangeEvent, now: Timestamp) {
        self.tasks.insert(event.id);
        if self.tasks.len() > TASKS {
            self.tasks.clear();
            self.add_changes(now);
        }
    }

    fn add_changes(&mut self, since: Timestamp) {
        self.since = Some(self.since.map_or(since, |known| known.min(since)));
    }

    fn add_uncertain(&mut self, since: Timestamp) {
        self.add_changes(since);
        let since = self.later.map_or(since, |(_, known)| known.min(since));
        self.later = Some((Instant::now() + COMMIT_DELAY, since));
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.since.is_none()
    }

    /// Waits until something is to be read again. Forever if nothing is.
    async fn due(&self) {
        let attempt = self.next_attempt.filter(|_| !self.is_empty());
        match attempt.into_iter().chain(self.later.map(|(at, _)| at)).min() {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Takes what is to be read once more now.
    fn take_later(&mut self) {
        if let Some((_, since)) = self.later.take_if(|(at, _)| *at <= Instant::now()) {
            self.add_changes(since);
        }
    }
}

impl Bus {
    /// Handles the events of other nodes until their sender is dropped.
    pub async fn follow(&self, mut events: mpsc::Receiver<Received<ChangeEvent>>, node: impl Node) {
        let mut missed = Missed::default();
        loop {
            tokio::select! {
                received = events.recv() => match received {
                    Some(Received::Delivered(event)) => self.receive(&event, &node, &mut missed).await,
                    Some(Received::Gap { since, .. }) => {
                        node.on_gap();
                        missed.add_changes(since);
                    }
                    None => return,
                },
                since = self.uncertain.next() => missed.add_uncertain(since),
                () = missed.due() => missed.take_later(),
            }
            self.catch_up(&node, &mut missed).await;
        }
    }

    async fn receive(&self, event: &ChangeEvent, node: &impl Node, missed: &mut Missed) {
        node.on_event(event);
        let watched = self.watches.follow(event);
        let reported = !event.state_changed && self.broadcast.follow(event);
        let changed = event.state_changed && self.broadcast.needs(event.id, event.version);
        let wanted = node.is_running(event.id) || watched || reported || changed;
        if wanted && self.read(event.id, event.state_changed, node).await.is_err() {
            missed.add_task(event, node.now());
        }
    }

    /// Reads a task, for all who need it here. `state_changed`: the subscribers of all tasks may not know its state.
    async fn read(&self, id: TaskId, state_changed: bool, node: &impl Node) -> Result<(), Unread> {
        if let Some(task) = node.read(id).await? {
            node.on_task(&task);
            self.watches.update(&task);
            if state_changed {
                self.broadcast.send(&task);
            } else if task.state == State::Running {
                self.broadcast.report(&task);
            }
        }
        Ok(())
    }

    /// Reads what was missed, unless the last attempt has just failed.
    async fn catch_up(&self, node: &impl Node, missed: &mut Missed) {
        if missed.is_empty() || missed.next_attempt.is_some_and(|next| next > Instant::now()) {
            return;
        }
        let caught_up = self.read_missed(node, missed).await;
        missed.next_attempt = caught_up.err().map(|Unread| Instant::now() + RETRY_DELAY);
    }

    async fn read_missed(&self, node: &impl Node, missed: &mut Missed) -> Result<(), Unread> {
        while let Some(id) = missed.tasks.first().copied() {
            self.read(id, true, node).await?;
            missed.tasks.remove(&id);
        }
        if let Some(since) = missed.since {
            self.read_changes(since, node).await?;
            missed.since = None;
        }
        Ok(())
    }

    /// Reads the tasks that are watched or run on this node, if they changed, and those that the subscribers of all tasks were not
    /// sent since then.
    async fn read_changes(&self, since: Timestamp, node: &impl Node) -> Result<(), Unread> {
        let mut known = BTreeMap::new();
        for (id, version) in [self.watches.versions(), self.broadcast.running(), node.running()].concat() {
            known.entry(id).and_modify(|oldest: &mut i64| *oldest = version.min(*oldest)).or_insert(version);
        }
        for task in node.read_newer(known.into_iter().collect()).await? {
            node.on_task(&task);
            self.watches.update(&task);
            if task.state == State::Running {
                self.broadcast.report(&task);
            }
        }
        let mut position = ChangePosition::before(since);
        while self.broadcast.is_subscribed() {
            let changes = node.changes_after(position).await?;
            let Some((last, _)) = changes.last() else { return Ok(()) };
            position = *last;
            for (changed, version) in changes {
                if self.broadcast.needs(changed.id, version) {
                    self.read(changed.id, true, node).await?;
                }
            }
        }
        Ok(())
    }
}
