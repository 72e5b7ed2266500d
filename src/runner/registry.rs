//! The runs of this node: task ID -> signal.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::lock::lock;
use crate::task::{State, Task, TaskId};

/// Signal to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSignal {
    /// Continue.
    Continue,
    /// Stop at the next checkpoint and release all resources.
    Pause,
    /// Stop at once. Everything is rolled back.
    Terminate,
    /// Stop at the next checkpoint: the node shuts down. A request in progress may be finished until that moment.
    Shutdown(Instant),
    /// Stop without further writes: a newer run owns the task.
    LeaseLost,
}

/// The runs of this node.
#[derive(Default)]
pub struct Registry {
    runs: Mutex<HashMap<TaskId, RegisteredRun>>,
    /// Set when the node shuts down.
    shutdown: OnceLock<Instant>,
}

struct RegisteredRun {
    epoch: i64,
    version: i64,
    signal: watch::Sender<RunSignal>,
    /// Rate limit that replaces the one of the spec.
    rate: watch::Sender<Option<f64>>,
}

/// Signals that a run receives about its task.
#[derive(Clone)]
pub struct RunSignals {
    /// Continue or stop.
    pub signal: watch::Receiver<RunSignal>,
    /// Rate limit that replaces the one of the spec, in rows per second: 0 for none. None: the one of the spec holds.
    pub rate: watch::Receiver<Option<f64>>,
}

impl Registry {
    /// Registers the run of a claimed task. Returns its signals. An earlier run of the task that has not ended yet gets no more signals,
    /// which tells it that its lease is lost.
    pub fn insert(&self, task: &Task) -> RunSignals {
        let (signal, receiver) = watch::channel(signal_of(task.state));
        let (rate, rates) = watch::channel(task.max_rows_per_second);
        let mut runs = self.runs();
        // Read under the lock: a run that `shutdown` does not find in the map finds the shutdown here.
        self.shutdown.get().into_iter().for_each(|until| send(&signal, RunSignal::Shutdown(*until)));
        runs.insert(task.id, RegisteredRun { epoch: task.epoch, version: task.version, signal, rate });
        RunSignals { signal: receiver, rate: rates }
    }

    /// Removes a run that has ended.
    pub fn remove(&self, task: &Task) {
        let mut runs = self.runs();
        if runs.get(&task.id).is_some_and(|run| run.epoch == task.epoch) {
            runs.remove(&task.id);
        }
    }

    /// Signals the task's run what its new state requires, and passes on a new rate limit.
    pub fn observe(&self, task: &Task) {
        if let Some(run) = self.runs().get_mut(&task.id)
            && task.version > run.version
        {
            run.version = task.version;
            let lost = task.epoch > run.epoch;
            send(&run.signal, if lost { RunSignal::LeaseLost } else { signal_of(task.state) });
            run.rate
                .send_if_modified(|rate| std::mem::replace(rate, task.max_rows_per_second) != task.max_rows_per_second);
        }
    }

    /// Signals every run, and those that are still to come, that the node shuts down.
    pub fn shutdown(&self, until: Instant) {
        self.signal_all(RunSignal::Shutdown(*self.shutdown.get_or_init(|| until)));
    }

    /// Sends a signal to every run.
    pub fn signal_all(&self, signal: RunSignal) {
        self.runs().values().for_each(|run| send(&run.signal, signal));
    }

    /// Returns the tasks that run here, with their versions as the runs know them.
    pub fn versions(&self) -> Vec<(TaskId, i64)> {
        self.runs().iter().map(|(id, run)| (*id, run.version)).collect()
    }

    /// Returns true if the task runs here.
    pub fn contains(&self, id: TaskId) -> bool {
        self.runs().contains_key(&id)
    }

    /// Returns the number of runs.
    pub fn len(&self) -> usize {
        self.runs().len()
    }

    /// The map stays valid if a thread panics while it holds the lock.
    fn runs(&self) -> MutexGuard<'_, HashMap<TaskId, RegisteredRun>> {
        lock(&self.runs)
    }
}

/// Sends `new` unless an earlier signal takes precedence: a lost lease always does, a shutdown takes precedence over
/// Continue, and Terminate over a shutdown.
fn send(signal: &watch::Sender<RunSignal>, new: RunSignal) {
    signal.send_if_modified(|old| {
        let ignored = match *old {
            RunSignal::LeaseLost => true,
            RunSignal::Shutdown(_) => new == RunSignal::Continue,
            RunSignal::Terminate => matches!(new, RunSignal::Shutdown(_)),
            RunSignal::Continue | RunSignal::Pause => false,
        };
        let changes = !ignored && *old != new;
        if changes {
            *old = new;
        }
        changes
    });
}

fn signal_of(state: State) -> RunSignal {
    match state {
        State::Pausing | State::Paused => RunSignal::Pause,
        State::Terminating | State::Terminated => RunSignal::Terminate,
        _ => RunSignal::Continue,
    }
}
