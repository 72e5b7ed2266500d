//! The subscriptions. All subscribers of a node share one snapshot of each change.

use std::sync::Arc;

use async_graphql::{Context, ID, Subscription};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::Subscriber;
use super::counts::{CountTopics, TaskCount};
use super::filter::TaskFilter;
use super::kinds::TaskObject;
use super::pace::Pace;
use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::metrics::Subscribed;
use crate::state::AppState;
use crate::task::Task;

/// Maximum tasks that a subscription begins with.
const MAX_INITIAL: u32 = 500;

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

    /// Sends the counts of the matching tasks as they are now, then when a change of state has changed them, at most once a second.
    /// Counted as by the query of this name. A deletion is seen with the next change.
    async fn task_counts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match. Default: all.")] filter: Option<TaskFilter>,
    ) -> Result<impl Stream<Item = Vec<TaskCount>>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let topics = ctx.data_unchecked::<CountTopics>();
        let filter = filter.unwrap_or_default().parse(app, caller).await?;
        Ok(topics.stream(app, filter, app.metrics.events.subscribed("taskCounts")))
    }

    /// Sends each matching task after each change of its state. With `initial` it first sends the newest tasks that match, the oldest of
    /// them first: so a client that subscribes again has the whole list again. No change after them is missed. A client that falls more
    /// than 1,024 changes behind receives each task that changed meanwhile once, as it is then. A final state is always delivered.
    async fn task_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match. Default: all.")] filter: Option<TaskFilter>,
        #[graphql(
            desc = "Number of tasks that are sent first, as they are now: the newest that match. 0 to 500.",
            default = 0
        )]
        initial: i32,
        #[graphql(desc = "Sends progress too, at most twice a second for each task.", default = false)] progress: bool,
    ) -> Result<impl Stream<Item = TaskObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let (filter, initial) = (filter.unwrap_or_default().parse(app, caller).await?, initial_tasks(initial)?);
        let subscribed = app.metrics.events.subscribed("taskChanges");
        let (events, store) = (app.bus.subscribe(progress), app.store.clone());
        // Changes from here on are among the events.
        let initial = match initial {
            0 => Vec::new(),
            _ => store.newest_ids(caller, &filter, initial).await.map_err(error::from_store)?,
        };
        let subscriber =
            Subscriber { filter, events, store, caller: caller.clone(), clock: app.clock.clone(), subscribed };
        Ok(subscriber.stream(initial.into_iter().rev().collect()))
    }
}

/// Checks the number of tasks that a subscription begins with.
fn initial_tasks(requested: i32) -> Result<u32> {
    let allowed = u32::try_from(requested).ok().filter(|initial| *initial <= MAX_INITIAL);
    let refuse =
        || error::bad_input("initial", format!("initial must be between 0 and {MAX_INITIAL}, got {requested}."));
    allowed.ok_or_else(refuse)
}

/// State of one taskProgress subscription.
struct ProgressStream {
    first: Option<Arc<Task>>,
    changes: watch::Receiver<Arc<Task>>,
    sent_version: i64,
    pace: Pace,
    subscribed: Subscribed,
}

fn progress_stream(
    now: Arc<Task>,
    changes: watch::Receiver<Arc<Task>>,
    subscribed: Subscribed,
) -> impl Stream<Item = TaskObject> {
    let progress =
        ProgressStream { sent_version: now.version, first: Some(now), changes, pace: Pace::default(), subscribed };
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
        if let Some(earliest) = self.pace.earliest() {
            let finished = self.changes.wait_for(|task| task.state.is_final());
            // The final state is sent without delay.
            let _ = tokio::time::timeout_at(earliest, finished).await;
        }
        let task = Arc::clone(&self.changes.borrow_and_update());
        self.sent_version = task.version;
        self.pace.sent(Instant::now());
        Some(task)
    }
}
