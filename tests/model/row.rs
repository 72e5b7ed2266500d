//! The row of the task, changed by the program's own verbs.

use std::time::Duration;

use jiff::Timestamp;
use pausa::task::change::End;
use pausa::task::{
    Author, ControlRequest, NewTask, NodeIdentity, Refusal, ResultFile, State, Task, TaskId, Unit, Verb,
};

/// The fields of the row that matter here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub state: State,
    pub epoch: i64,
    pub owner: Option<usize>,
    pub attempt: u32,
    pub crashes: u32,
    pub done: u64,
    pub result: bool,
}

/// Names of the nodes.
const NODES: [&str; 2] = ["a", "b"];

fn identity(node: usize) -> NodeIdentity {
    NodeIdentity { id: NODES[node].to_owned(), name: NODES[node].to_owned() }
}

/// More crashes than the model has.
const CRASH_LIMIT: u32 = 100;

/// No time passes in the row: leases have their own.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

impl Row {
    /// A task that was just started.
    pub fn queued() -> Row {
        Row { state: State::Queued, epoch: 0, owner: None, attempt: 0, crashes: 0, done: 0, result: false }
    }

    /// Applies a verb of a client. False if it is refused.
    pub fn control(&mut self, verb: Verb) -> bool {
        self.change(|task| task.control(verb, &by_system()))
    }

    /// Claims the task for a node.
    pub fn claim(&mut self, node: usize) -> bool {
        self.change(|task| task.claim(&identity(node), NOW))
    }

    /// Releases the task of a node whose lease is over.
    pub fn lease_expired(&mut self) -> bool {
        self.change(|task| task.lease_expired(CRASH_LIMIT, &by_system()))
    }

    /// Records progress.
    pub fn report(&mut self, done: u64) {
        self.change(|task| {
            let progress = pausa::task::Progress { done, ..task.progress.clone() };
            task.report(None, progress);
            Ok(())
        });
    }

    /// Ends a run.
    pub fn end(&mut self, end: End) -> bool {
        self.change(|task| task.end(end, &by_system()))
    }

    /// Returns true if a node may claim the task to end what another run began.
    pub fn waits_for_an_end(&self) -> bool {
        self.owner.is_none() && matches!(self.state, State::Finishing | State::Pausing | State::Terminating)
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Task) -> Result<T, Refusal>) -> bool {
        let mut task = self.task();
        let changed = change(&mut task).is_ok();
        if changed {
            *self = Row {
                state: task.state,
                epoch: task.epoch,
                owner: task.owner.as_deref().and_then(|owner| NODES.iter().position(|node| *node == owner)),
                attempt: task.attempt,
                crashes: task.crashes,
                done: task.progress.done,
                result: task.result.is_some(),
            };
        }
        changed
    }

    fn task(&self) -> Task {
        let mut task = Task::new(id(), NewTask::new("", "", Unit::Rows), NOW);
        task.state = self.state;
        task.epoch = self.epoch;
        task.owner = self.owner.map(|node| NODES[node].to_owned());
        task.attempt = self.attempt;
        task.crashes = self.crashes;
        task.progress.done = self.done;
        task.progress.active = Duration::ZERO;
        task.result = self.result.then(result_file);
        task
    }
}

/// The result of a run that completed.
pub fn result_file() -> ResultFile {
    ResultFile { name: String::new(), size: 0, content_type: String::new(), sha256: String::new() }
}

fn by_system() -> ControlRequest {
    ControlRequest::by(Author::system(), NOW)
}

fn id() -> TaskId {
    static ID: std::sync::LazyLock<TaskId> = std::sync::LazyLock::new(crate::harness::task_id);
    *ID
}
