//! The subscriptions. All subscribers of a node share one snapshot of each change.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, Subscription as GraphqlSubscription};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::filter::TaskFilter;
use super::kinds::TaskObject;
use crate::bus::{ChangeSubscription, Received, Snapshot};
use crate::gql::error::{self, Result};
use crate::metrics::Subscribed;
use crate::state::AppState;
use crate::store::{Filter, Page, Store};
use crate::task::Task;

/// Between two updates of one task to one watcher.
const PACE: Duration = Duration::from_millis(100);

/// Tasks that a watcher is told anew who fell behind.
const ANEW: u32 = 1000;

/// The subscriptions.
pub struct Subscription;

/// Subscriptions.
#[GraphqlSubscription]
impl Subscription {
    /// Sends the task as it is now, then after each change, at most ten times per second. Completes after the final state.
    /// Intermediate updates may be dropped for slow clients; the final state is always delivered.
    async fn task_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
    ) -> Result<impl Stream<Item = TaskObject>> {
        let app = ctx.data_unchecked::<AppState>();
        let id = error::parse_task_id(&id)?;
        let read =
            || async { app.store.get(id).await.map_err(error::from_store)?.ok_or_else(|| error::task_not_found(id)) };
        let changes = app.bus.watch(&read().await?);
        // Read again: what changed between the first read and the watch is in neither.
        let now = read().await?;
        Ok(paced(now, changes, app.metrics.events.subscribed("taskProgress")))
    }

    /// Sends each matching task after each change of its state, from now on. A client that falls more than 1,024 changes
    /// behind receives the current state of the newest 1,000 matching tasks instead of each change.
    async fn task_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match. Default: all.")] filter: Option<TaskFilter>,
    ) -> Result<impl Stream<Item = TaskObject>> {
        let app = ctx.data_unchecked::<AppState>();
        let filter = filter.unwrap_or_default().parse(app)?;
        let subscribed = app.metrics.events.subscribed("taskChanges");
        Ok(changes(filter, app.bus.subscribe(), app.store.clone(), subscribed))
    }
}

/// Where a watcher of one task stands.
struct Watcher {
    next: Option<Arc<Task>>,
    changes: watch::Receiver<Arc<Task>>,
    seen: i64,
    last: Option<Instant>,
    subscribed: Subscribed,
}

fn paced(
    now: Arc<Task>,
    changes: watch::Receiver<Arc<Task>>,
    subscribed: Subscribed,
) -> impl Stream<Item = TaskObject> {
    let watcher = Watcher { seen: now.version, next: Some(now), changes, last: None, subscribed };
    stream::unfold(Some(watcher), |watcher| async move {
        let mut watcher = watcher?;
        let task = watcher.next().await?;
        watcher.subscribed.delivered();
        let over = task.state.is_final();
        Some((TaskObject::from(task), (!over).then_some(watcher)))
    })
}

impl Watcher {
    async fn next(&mut self) -> Option<Arc<Task>> {
        if let Some(task) = self.next.take() {
            return Some(task);
        }
        let seen = self.seen;
        self.changes.wait_for(|task| task.version > seen).await.ok()?;
        if let Some(last) = self.last {
            let over = self.changes.wait_for(|task| task.state.is_final());
            // The final state does not wait for its turn.
            let _ = tokio::time::timeout_at(last + PACE, over).await;
        }
        let task = Arc::clone(&self.changes.borrow_and_update());
        self.seen = task.version;
        self.last = Some(Instant::now());
        Some(task)
    }
}

/// The task of a change; none if it was deleted meanwhile.
async fn changed(snapshot: Snapshot, store: &Store) -> Option<Arc<Task>> {
    match snapshot {
        Snapshot::Task(task) => Some(task),
        Snapshot::Large(id) => store.get(id).await.unwrap_or_else(|error| {
            tracing::warn!(task = %id, %error, "a changed task was not read");
            None
        }),
    }
}

fn changes(
    filter: Filter,
    events: ChangeSubscription,
    store: Store,
    subscribed: Subscribed,
) -> impl Stream<Item = TaskObject> {
    let start = (filter, events, store, Vec::new(), subscribed);
    stream::unfold(start, |(filter, mut events, store, mut anew, subscribed)| async move {
        loop {
            if let Some(task) = anew.pop() {
                subscribed.delivered();
                return Some((TaskObject::from(task), (filter, events, store, anew, subscribed)));
            }
            match events.next().await? {
                Received::Delivered(snapshot) => {
                    anew.extend(changed(snapshot, &store).await.filter(|task| filter.matches(task)));
                }
                Received::Gap { missed } => {
                    subscribed.lagged(missed);
                    let page = Page { limit: ANEW, ..Page::default() };
                    anew = store.list(&filter, page).await.unwrap_or_default().0;
                }
            }
        }
    })
}
