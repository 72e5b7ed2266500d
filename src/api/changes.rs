//! Events of a taskChanges subscription: the newest tasks, then each change, and after a loss the tasks that changed meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::kinds::TaskObject;
use crate::access::Caller;
use crate::bus::{ChangePosition, ChangeSubscription, ChangedTask, Received};
use crate::clock::Clock;
use crate::database::log_failure;
use crate::metrics::Subscribed;
use crate::retry::until_available;
use crate::store::{self, Filter, Page, Store};
use crate::task::{Task, TaskId};

/// Number of tasks that are read at once.
const READ_AT_ONCE: usize = 16;

/// Number of versions that are remembered of the tasks that were read.
const REMEMBERED: usize = 1024;

/// Time for which they are remembered: an event of such a change arrives within it.
const EXPIRY: Duration = Duration::from_secs(10);

/// Parts of a taskChanges subscription.
pub struct Subscriber {
    /// Only tasks that match.
    pub filter: Filter,
    /// The changes from the beginning of the subscription on.
    pub events: ChangeSubscription,
    /// The store.
    pub store: Store,
    /// Caller that subscribes.
    pub caller: Caller,
    /// The time.
    pub clock: Clock,
    /// Counts what is delivered.
    pub subscribed: Subscribed,
}

/// State of a taskChanges subscription.
struct ChangeStream {
    subscriber: Subscriber,
    /// Tasks that were read and not sent yet.
    ready: VecDeque<Arc<Task>>,
    /// Tasks that are to be read, in the order in which they are sent.
    unread: VecDeque<TaskId>,
    /// Changes that must be read after those. None if none were missed.
    missed: Option<MissedChanges>,
    read: ReadVersions,
}

/// The changes that a subscriber missed.
struct MissedChanges {
    position: ChangePosition,
    /// Events announce the changes after that time.
    until: Timestamp,
}

/// Versions of the tasks that were read, and not delivered by the bus. Events of these or older versions may follow.
#[derive(Default)]
struct ReadVersions {
    versions: VecDeque<(TaskId, i64)>,
    expires: Option<Instant>,
}

impl ReadVersions {
    fn note(&mut self, task: &Task) {
        self.expires = Some(Instant::now() + EXPIRY);
        self.versions.push_back((task.id, task.version));
        if self.versions.len() > REMEMBERED {
            self.versions.pop_front();
        }
    }

    /// Returns true if the subscriber has that version or a newer one.
    fn contains(&mut self, (id, version): (TaskId, i64)) -> bool {
        if self.expires.take_if(|at| *at < Instant::now()).is_some() {
            self.versions = VecDeque::new();
        }
        self.versions.iter().any(|known| known.0 == id && known.1 >= version)
    }
}

impl Subscriber {
    /// Returns what the subscriber is sent: first the tasks `initial`, as they are now.
    pub fn stream(self, initial: Vec<TaskId>) -> impl Stream<Item = TaskObject> {
        let (ready, missed, read) = Default::default();
        let changes = ChangeStream { subscriber: self, ready, unread: initial.into(), missed, read };
        stream::unfold(changes, |mut changes| async move {
            let task = changes.next().await?;
            changes.subscriber.subscribed.delivered();
            Some((TaskObject::from(task), changes))
        })
    }
}

impl ChangeStream {
    async fn next(&mut self) -> Option<Arc<Task>> {
        loop {
            if let Some(task) = self.ready.pop_front() {
                return Some(task);
            }
            if !self.unread.is_empty() {
                self.read_tasks().await;
            } else if let Some(missed) = self.missed.take() {
                self.read_missed(missed).await;
            } else {
                let received = self.subscriber.events.next().await?;
                self.receive(received).await;
            }
        }
    }

    async fn receive(&mut self, received: Received<ChangedTask>) {
        match received {
            Received::Delivered(changed) if self.read.contains(changed.version()) => {}
            Received::Delivered(ChangedTask::Task(task)) => {
                self.ready.extend(Some(task).filter(|task| self.subscriber.filter.matches(task)));
            }
            Received::Delivered(ChangedTask::Large(id, _)) => self.unread.push_back(id),
            Received::Gap { missed, since } => {
                self.subscriber.subscribed.lagged(missed);
                self.missed =
                    Some(MissedChanges { position: ChangePosition::before(since), until: self.subscriber.clock.now() });
            }
        }
    }

    /// Reads some of the tasks that are to be read. Those that were deleted, or do not match any more, are not sent.
    async fn read_tasks(&mut self) {
        let mut ids: Vec<_> = self.unread.drain(..self.unread.len().min(READ_AT_ONCE)).collect();
        let filter = Filter { ids: Some(ids.clone()), ..Filter::default() };
        let page = Page { limit: READ_AT_ONCE as u32, from_end: true, ..Page::default() };
        let read = async || self.subscriber.store.list(&self.subscriber.caller, &filter, page).await;
        let (mut tasks, more) = until_available(read, log).await;
        let place = |id: TaskId| ids.iter().position(|other| *other == id);
        tasks.sort_by_key(|task| place(task.id));
        tasks.iter().for_each(|task| self.read.note(task));
        if more {
            // Together they are too large.
            ids.retain(|id| tasks.iter().all(|task| task.id != *id));
            ids.into_iter().rev().for_each(|id| self.unread.push_front(id));
        }
        self.ready.extend(tasks.into_iter().filter(|task| self.subscriber.filter.matches(task)));
    }

    /// Finds out which tasks changed, in the order of their changes.
    async fn read_missed(&mut self, missed: MissedChanges) {
        let read = async || self.subscriber.store.changes_after(missed.position).await;
        let changes = until_available(read, log).await;
        if let Some((last, _)) = changes.last().filter(|(last, _)| last.at <= missed.until) {
            self.missed = Some(MissedChanges { position: *last, ..missed });
        }
        let new = changes.into_iter().filter(|(changed, version)| !self.read.contains((changed.id, *version)));
        let new: Vec<_> = new.map(|(changed, _)| changed.id).collect();
        self.unread.extend(new);
    }
}

fn log(error: &store::Error) {
    log_failure!(error, %error, "could not read tasks for a subscriber; retrying");
}
