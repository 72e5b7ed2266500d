//! The subscriptions. All subscribers of a node share one snapshot of each change.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::filter::TaskFilter;
use super::kinds::TaskObject;
use crate::access::Caller;
use crate::bus::{ChangeSubscription, ChangedTask, Received};
use crate::database::log_failure;
use crate::gql::error::{self, Result};
use crate::metrics::Subscribed;
use crate::state::AppState;
use crate::store::{Filter, Page, Store};
use crate::task::Task;

/// Minimum time between two updates of one task to one subscriber.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum tasks that a subscriber receives again after it missed changes.
const RESEND_LIMIT: u32 = 1000;

/// The subscriptions.
pub struct SubscriptionRoot;

/// Subscriptions.
#[Subscription(name = "Subscription")]
impl SubscriptionRoot {
    /// Sends the task as it is now, then after each change, at most ten times per second. Completes after the final state.
    /// Intermediate updates may be dropped for slow clients; the final state is always delivered.
    async fn task_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "ID of the task.")] id: ID,
    ) -> Result<impl Stream<Item = TaskObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let id = error::parse_task_id(&id)?;
        let read = || async {
            app.store.get(caller, id).await.map_err(error::from_store)?.ok_or_else(|| error::task_not_found(id))
        };
        let changes = app.bus.watch(&read().await?);
        // A change between the first read and the subscription is in neither, so read again.
        let now = read().await?;
        Ok(progress_stream(now, changes, app.metrics.events.subscribed("taskProgress")))
    }

    /// Sends each matching task after each change of its state, from now on. A client that falls more than 1,024 changes
    /// behind receives the current state of the newest 1,000 matching tasks instead of each change.
    async fn task_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match. Default: all.")] filter: Option<TaskFilter>,
    ) -> Result<impl Stream<Item = TaskObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let filter = filter.unwrap_or_default().parse(app)?;
        let subscribed = app.metrics.events.subscribed("taskChanges");
        let (events, store, caller) = (app.bus.subscribe(), app.store.clone(), caller.clone());
        Ok(change_stream(ChangeStream { filter, events, store, caller, pending: Vec::new(), subscribed }))
    }
}

/// State of one taskProgress subscription.
struct ProgressStream {
    first: Option<Arc<Task>>,
    changes: watch::Receiver<Arc<Task>>,
    sent_version: i64,
    last_sent: Option<Instant>,
    subscribed: Subscribed,
}

fn progress_stream(
    now: Arc<Task>,
    changes: watch::Receiver<Arc<Task>>,
    subscribed: Subscribed,
) -> impl Stream<Item = TaskObject> {
    let progress = ProgressStream { sent_version: now.version, first: Some(now), changes, last_sent: None, subscribed };
    stream::unfold(Some(progress), |progress| async move {
        let mut progress = progress?;
        let task = progress.next().await?;
        progress.subscribed.delivered();
        let is_final = task.state.is_final();
        Some((TaskObject::from(task), (!is_final).then_some(progress)))
    })
}

impl ProgressStream {
    async fn next(&mut self) -> Option<Arc<Task>> {
        if let Some(task) = self.first.take() {
            return Some(task);
        }
        let sent = self.sent_version;
        self.changes.wait_for(|task| task.version > sent).await.ok()?;
        if let Some(last) = self.last_sent {
            let finished = self.changes.wait_for(|task| task.state.is_final());
            // The final state is sent without delay.
            let _ = tokio::time::timeout_at(last + MIN_INTERVAL, finished).await;
        }
        let task = Arc::clone(&self.changes.borrow_and_update());
        self.sent_version = task.version;
        self.last_sent = Some(Instant::now());
        Some(task)
    }
}

/// State of one taskChanges subscription.
struct ChangeStream {
    filter: Filter,
    events: ChangeSubscription,
    store: Store,
    caller: Caller,
    pending: Vec<Arc<Task>>,
    subscribed: Subscribed,
}

fn change_stream(changes: ChangeStream) -> impl Stream<Item = TaskObject> {
    stream::unfold(changes, |mut changes| async move {
        let task = changes.next().await?;
        changes.subscribed.delivered();
        Some((TaskObject::from(task), changes))
    })
}

impl ChangeStream {
    async fn next(&mut self) -> Option<Arc<Task>> {
        loop {
            if let Some(task) = self.pending.pop() {
                return Some(task);
            }
            match self.events.next().await? {
                Received::Delivered(snapshot) => {
                    let task = self.task(snapshot).await.filter(|task| self.filter.matches(task));
                    self.pending.extend(task);
                }
                Received::Gap { missed } => {
                    self.subscribed.lagged(missed);
                    let page = Page { limit: RESEND_LIMIT, ..Page::default() };
                    self.pending = self.store.list(&self.caller, &self.filter, page).await.unwrap_or_default().0;
                }
            }
        }
    }

    /// Returns the task of a snapshot. None if it was deleted meanwhile.
    async fn task(&self, snapshot: ChangedTask) -> Option<Arc<Task>> {
        match snapshot {
            ChangedTask::Task(task) => Some(task),
            ChangedTask::Large(id) => self.store.get(&self.caller, id).await.unwrap_or_else(|error| {
                log_failure!(error, task = %id, %error, "could not read a changed task");
                None
            }),
        }
    }
}
