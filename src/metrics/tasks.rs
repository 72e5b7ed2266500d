//! Tasks and their runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::calls::Durations;
use super::node::NodeGauges;
use crate::lock::lock;
use crate::task::{self, State, Task, TaskId};

/// Upper bounds of the duration of a stop, in seconds.
const STOP: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0];

/// Maximum number of requests to stop that are remembered.
const REMEMBERED: usize = 10_000;

/// Tasks and their runs.
#[derive(Clone)]
pub struct Tasks {
    changes: Family<StateLabels, Counter>,
    running: Gauge,
    unfinished: Family<StateLabels, Gauge>,
    oldest: Gauge<f64, AtomicU64>,
    overdue: Gauge,
    oldest_overdue: Gauge<f64, AtomicU64>,
    work: Arc<[(task::Unit, Family<KindLabels, Counter>)]>,
    results: Family<KindLabels, Counter>,
    leases_lost: Counter,
    runs_lost: Counter,
    /// Requests to stop without a confirmation yet.
    pub stops: Stops,
    /// The node that runs the tasks.
    pub node: NodeGauges,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    kind: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

/// Unfinished tasks, as counted by the store.
#[derive(Clone, Debug, Default)]
pub struct WaitingTasks {
    /// Tasks by kind and state.
    pub counts: Vec<(String, State, u64)>,
    /// Time since the oldest queued task was queued.
    pub oldest_queued: Duration,
    /// Number of short tasks that are due and not running.
    pub overdue: u64,
    /// Time since the oldest of these tasks was due.
    pub oldest_overdue: Duration,
}

impl Tasks {
    pub(super) fn register(registry: &mut Registry) -> Tasks {
        let (changes, running, unfinished, oldest, results) = Default::default();
        let (leases_lost, runs_lost, overdue, oldest_overdue) = Default::default();
        let tasks = Tasks {
            changes,
            running,
            unfinished,
            oldest,
            overdue,
            oldest_overdue,
            work: work(registry),
            results,
            leases_lost,
            runs_lost,
            stops: Stops::register(registry),
            node: NodeGauges::register(registry),
        };
        registry.register("task_changes", "State changes that this node committed", tasks.changes.clone());
        registry.register("tasks_running", "Tasks that this node is running", tasks.running.clone());
        let help = "Unfinished tasks of all nodes by kind and state, read at most every 5 seconds. \
            Each state is counted up to 100,000, separately for short and other tasks; larger counts are lower bounds";
        registry.register("tasks_unfinished", help, tasks.unfinished.clone());
        let help = "Age of the oldest of the first 1,000 queued tasks in seconds, without short tasks; \
            0 if there is none, or if unknown";
        registry.register_with_unit("tasks_oldest_queued_age", help, Unit::Seconds, tasks.oldest.clone());
        let help =
            "Short tasks of all nodes that are due and not running, counted up to 100,000, at most every 5 seconds";
        registry.register("timers_overdue", help, tasks.overdue.clone());
        let help = "Seconds since the oldest overdue short task was due; 0 if there is none";
        registry.register_with_unit("timers_overdue_age", help, Unit::Seconds, tasks.oldest_overdue.clone());
        let help = "Bytes of the result files of tasks that this node completed, by kind";
        registry.register("task_result_bytes", help, tasks.results.clone());
        let help = "Number of times that this node renewed its lease too late and lost its tasks to other nodes";
        registry.register("leases_lost", help, tasks.leases_lost.clone());
        let help = "Runs of this node that ended because another node took over their task";
        registry.register("runs_lost", help, tasks.runs_lost.clone());
        tasks
    }

    /// Counts a state change that this node committed.
    pub fn changed(&self, task: &Task) {
        self.changes.get_or_create(&StateLabels { kind: task.kind.clone(), state: task.state.shown().as_str() }).inc();
        if let (State::Completed, Some(file)) = (task.state, &task.result) {
            self.results.get_or_create(&KindLabels { kind: task.kind.clone() }).inc_by(file.size);
        }
        self.stops.observe(task.id, task.state);
    }

    /// Sets the number of tasks that this node is running.
    pub fn running(&self, tasks: usize) {
        self.running.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    }

    /// Sets the counts of waiting tasks. `None` if they are unknown.
    pub fn waiting(&self, waiting: Option<&WaitingTasks>) {
        self.unfinished.clear();
        self.oldest.set(waiting.map_or(0.0, |waiting| waiting.oldest_queued.as_secs_f64()));
        let (overdue, age) = waiting.map_or_else(Default::default, |waiting| (waiting.overdue, waiting.oldest_overdue));
        self.overdue.set(i64::try_from(overdue).unwrap_or(i64::MAX));
        self.oldest_overdue.set(age.as_secs_f64());
        let Some(waiting) = waiting else { return };
        for (kind, state, count) in &waiting.counts {
            let label = StateLabels { kind: kind.clone(), state: state.shown().as_str() };
            self.unfinished.get_or_create(&label).inc_by(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a lease that this node lost.
    pub fn lease_lost(&self) {
        self.leases_lost.inc();
    }

    /// Counts a run that lost its task.
    pub fn run_lost(&self) {
        self.runs_lost.inc();
    }

    /// Returns a counter of the progress that a run of `task` commits from now on.
    pub fn work(&self, task: &Task) -> Work {
        let counted = self.work.iter().find(|(unit, _)| *unit == task.progress.unit);
        let counter = counted.map(|(_, family)| family.get_or_create_owned(&KindLabels { kind: task.kind.clone() }));
        Work { counter, done: AtomicU64::new(task.progress.done) }
    }
}

fn work(registry: &mut Registry) -> Arc<[(task::Unit, Family<KindLabels, Counter>)]> {
    let units = [
        (task::Unit::Rows, "task_rows", "Rows that runs of this node committed, by kind"),
        (task::Unit::Bytes, "task_bytes", "Bytes that runs of this node committed, by kind"),
        (task::Unit::Digits, "task_digits", "Digits that runs of this node committed, by kind"),
        (task::Unit::Terms, "task_terms", "Terms of a series that runs of this node committed, by kind"),
    ];
    let families = units.map(|(unit, name, help)| {
        let family = Family::default();
        registry.register(name, help, Family::clone(&family));
        (unit, family)
    });
    Arc::new(families)
}

/// Counts the progress that one run commits. Webhooks are not counted here: timers have their own family.
pub struct Work {
    counter: Option<Counter>,
    done: AtomicU64,
}

impl Work {
    /// Counts up to this progress, which the store has committed.
    pub fn committed(&self, done: u64) {
        let before = self.done.fetch_max(done, Ordering::Relaxed);
        if let Some(counter) = &self.counter {
            counter.inc_by(done.saturating_sub(before));
        }
    }
}

/// Measures the time from a request to pause or terminate to its confirmation.
#[derive(Clone)]
pub struct Stops {
    durations: Durations<StopLabels>,
    requested: Arc<Mutex<HashMap<TaskId, (State, Instant)>>>,
    /// Number of remembered requests. While it is 0, task changes need no lock.
    count: Arc<AtomicUsize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StopLabels {
    verb: &'static str,
}

impl Stops {
    fn register(registry: &mut Registry) -> Stops {
        let durations = Durations::new_with_constructor(|| Histogram::new(STOP));
        let help = "Seconds from a client's request to this node to its confirmation, PAUSED or TERMINATED, by verb";
        registry.register_with_unit("stop_duration", help, Unit::Seconds, durations.clone());
        Stops { durations, requested: Arc::default(), count: Arc::default() }
    }

    /// Remembers a request at `now` that leads to `state`: PAUSED or TERMINATED.
    pub fn request(&self, id: TaskId, state: State, now: Instant) {
        let mut requested = self.requested();
        if requested.len() < REMEMBERED || requested.contains_key(&id) {
            requested.insert(id, (state, now));
        }
        self.count.store(requested.len(), Ordering::Release);
    }

    /// Removes a request that was refused, or that changed nothing.
    pub fn withdraw(&self, id: TaskId) {
        self.take(id, |_| true);
    }

    /// Checks a new state of a task: it may confirm a request, or end the wait for it.
    pub fn observe(&self, id: TaskId, state: State) {
        let ends = |wanted| wanted == state || state.is_final();
        let Some((wanted, since)) = self.take(id, ends).filter(|(wanted, _)| *wanted == state) else { return };
        let verb = if wanted == State::Paused { "pause" } else { "terminate" };
        self.durations.get_or_create(&StopLabels { verb }).observe(since.elapsed().as_secs_f64());
    }

    fn take(&self, id: TaskId, when: impl Fn(State) -> bool) -> Option<(State, Instant)> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut requested = self.requested();
        if !requested.get(&id).is_some_and(|(wanted, _)| when(*wanted)) {
            return None;
        }
        let taken = requested.remove(&id);
        self.count.store(requested.len(), Ordering::Release);
        taken
    }

    /// A panic of another thread leaves the map consistent.
    fn requested(&self) -> MutexGuard<'_, HashMap<TaskId, (State, Instant)>> {
        lock(&self.requested)
    }
}
