//! The runs of this node: task id -> its abortable tokio task and the signal that it heeds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::task::{State, Task, TaskId};

/// What a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Go on.
    Run,
    /// Stop at the next checkpoint and hold nothing.
    Pause,
    /// Stop at once: all is undone.
    Terminate,
    /// Stop at the next checkpoint: the node ends. A request under way may be finished until that moment.
    Shutdown(Instant),
    /// Stop without another write: a newer run holds the task.
    Lost,
}

/// The runs of this node.
#[derive(Default)]
pub struct Registry {
    runs: Mutex<HashMap<TaskId, Run>>,
    /// Set once the node ends.
    shutdown: OnceLock<Instant>,
}

struct Run {
    epoch: i64,
    version: i64,
    signal: watch::Sender<Signal>,
    handle: Option<AbortHandle>,
}

impl Registry {
    /// Notes a claimed task; its run heeds the receiver.
    pub fn enter(&self, task: &Task) -> watch::Receiver<Signal> {
        let (signal, receiver) = watch::channel(signal_of(task.state));
        let mut runs = self.runs();
        // Read under the lock: a run that is not among those that `shutdown` signals finds it here.
        self.shutdown.get().into_iter().for_each(|until| set(&signal, Signal::Shutdown(*until)));
        runs.insert(task.id, Run { epoch: task.epoch, version: task.version, signal, handle: None });
        receiver
    }

    /// Notes the tokio task of a run.
    pub fn attach(&self, task: &Task, handle: AbortHandle) {
        if let Some(run) = self.runs().get_mut(&task.id).filter(|run| run.epoch == task.epoch) {
            run.handle = Some(handle);
        }
    }

    /// Aborts the tokio task of a run that does not let go by itself.
    pub fn abort(&self, task: &Task) {
        if let Some(handle) = self.runs().get(&task.id).and_then(|run| run.handle.as_ref()) {
            handle.abort();
        }
    }

    /// The run is over.
    pub fn leave(&self, task: &Task) {
        let mut runs = self.runs();
        if runs.get(&task.id).is_some_and(|run| run.epoch == task.epoch) {
            runs.remove(&task.id);
        }
    }

    /// Tells the task's run what its new state means to it.
    pub fn observe(&self, task: &Task) {
        if let Some(run) = self.runs().get_mut(&task.id)
            && task.version > run.version
        {
            run.version = task.version;
            let lost = task.epoch > run.epoch;
            set(&run.signal, if lost { Signal::Lost } else { signal_of(task.state) });
        }
    }

    /// Stops every run, and those that are still to come: the node ends.
    pub fn shutdown(&self, until: Instant) {
        self.tell_all(Signal::Shutdown(*self.shutdown.get_or_init(|| until)));
    }

    /// Tells every run the same.
    pub fn tell_all(&self, signal: Signal) {
        self.runs().values().for_each(|run| set(&run.signal, signal));
    }

    /// The tasks that run here.
    pub fn ids(&self) -> Vec<TaskId> {
        self.runs().keys().copied().collect()
    }

    /// The task runs here.
    pub fn has(&self, id: TaskId) -> bool {
        self.runs().contains_key(&id)
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs().len()
    }

    /// A panic while it was locked leaves a whole map.
    fn runs(&self) -> MutexGuard<'_, HashMap<TaskId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shutdown and a lost lease are final for a run. A termination stops it sooner than a shutdown.
fn set(signal: &watch::Sender<Signal>, new: Signal) {
    signal.send_if_modified(|old| {
        let deaf = match *old {
            Signal::Lost => true,
            Signal::Shutdown(_) => new == Signal::Run,
            Signal::Terminate => matches!(new, Signal::Shutdown(_)),
            Signal::Run | Signal::Pause => false,
        };
        let changes = !deaf && *old != new;
        if changes {
            *old = new;
        }
        changes
    });
}

fn signal_of(state: State) -> Signal {
    match state {
        State::Pausing | State::Paused => Signal::Pause,
        State::Terminating | State::Terminated => Signal::Terminate,
        _ => Signal::Run,
    }
}
