//! Numbers of tasks by kind and state, as a query and as a subscription.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_graphql::SimpleObject;
use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::access::Caller;
use crate::database::log_failure;
use crate::gql::scalars::Count;
use crate::gql::task::TaskState;
use crate::kinds::api::TaskKind;
use crate::lock::lock;
use crate::metrics::Subscribed;
use crate::retry::until_available;
use crate::spawn::spawn;
use crate::state::AppState;
use crate::store::{self, Filter, Tally};
use crate::task::State;

/// Minimum time between two counts for one filter.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Number of tasks of one kind in one state.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct TaskCount {
    /// Kind of the tasks.
    kind: TaskKind,
    /// State of the tasks.
    state: TaskState,
    /// Number of the tasks, at least 1. If `exact` is false there are more.
    count: Count,
    /// True if all of these tasks were counted.
    exact: bool,
}

/// Returns the counts as clients see them: without the kinds and states that no task has.
pub fn task_counts(tallies: Vec<Tally>) -> Vec<TaskCount> {
    let mut counts = BTreeMap::new();
    for tally in tallies {
        let (kind, state) = (TaskKind::of(&tally.kind), tally.state.shown());
        let (_, count, exact) = counts.entry((kind as usize, state)).or_insert((kind, 0, true));
        *count += tally.count;
        *exact &= tally.exact;
    }
    let count = |((_, state), (kind, count, exact)): ((usize, State), (TaskKind, u64, bool))| TaskCount {
        kind,
        state: state.into(),
        count: Count(count),
        exact,
    };
    counts.into_iter().map(count).collect()
}

/// The newest counts for a filter. None before the first.
type NewestCounts = Option<Arc<Vec<TaskCount>>>;

/// Counts for subscribers. All subscribers of a node with the same filter share them.
#[derive(Clone, Default)]
pub struct CountTopics(Arc<Mutex<HashMap<Filter, watch::Sender<NewestCounts>>>>);

impl CountTopics {
    /// Returns the counts as they are now, then after each change, at most once a second.
    pub fn stream(&self, app: &AppState, filter: Filter, subscribed: Subscribed) -> impl Stream<Item = Vec<TaskCount>> {
        let receiver = self.subscribe(app, filter);
        stream::unfold((receiver, subscribed, None), |(mut receiver, subscribed, sent)| async move {
            let is_new = |newest: &NewestCounts| newest.is_some() && *newest != sent;
            let newest = receiver.wait_for(is_new).await.ok()?.clone();
            subscribed.delivered();
            let counts = newest.as_deref().cloned()?;
            Some((counts, (receiver, subscribed, newest)))
        })
    }

    fn subscribe(&self, app: &AppState, filter: Filter) -> watch::Receiver<NewestCounts> {
        let mut topics = lock(&self.0);
        if let Some(topic) = topics.get(&filter) {
            return topic.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        topics.insert(filter.clone(), sender.clone());
        spawn(self.clone().run(app.clone(), filter, sender));
        receiver
    }

    /// Counts after changes until the last subscriber leaves.
    async fn run(self, app: AppState, filter: Filter, sender: watch::Sender<NewestCounts>) {
        loop {
            // Changes from here on lead to another count.
            let mut changes = app.bus.subscribe(false);
            let caller = Caller::system();
            let tallies = until_available(|| app.store.tallies(&caller, &filter), log).await;
            let counts = task_counts(tallies);
            sender.send_if_modified(|known| {
                let changed = known.as_deref() != Some(&counts);
                if changed {
                    *known = Some(Arc::new(counts));
                }
                changed
            });
            tokio::time::sleep(MIN_INTERVAL).await;
            tokio::select! {
                changed = changes.next() => if changed.is_none() { return },
                () = sender.closed() => {}
            }
            if self.is_over(&filter, &sender) {
                return;
            }
        }
    }

    /// Removes the topic if it has no subscribers.
    fn is_over(&self, filter: &Filter, sender: &watch::Sender<NewestCounts>) -> bool {
        let mut topics = lock(&self.0);
        let is_over = sender.receiver_count() == 0;
        if is_over {
            topics.remove(filter);
        }
        is_over
    }
}

fn log(error: &store::Error) {
    log_failure!(error, %error, "could not count tasks for subscribers; retrying");
}
