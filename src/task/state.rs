//! The lifecycle table: which state follows which event, and when that happens.

use std::fmt;
use std::str::FromStr;

/// Lifecycle state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waits for its start or for the next attempt after an error.
    Scheduled,
    /// Runs as soon as a node has a free slot.
    Queued,
    /// A node runs the task.
    Running,
    /// The work is done, and the result is being published. Shown to clients as RUNNING.
    Finishing,
    /// A pause is requested. The run has not stopped yet.
    Pausing,
    /// Nothing runs, and all resources are released.
    Paused,
    /// Termination is requested. The rollback is not complete yet.
    Terminating,
    /// Stopped permanently and rolled back.
    Terminated,
    /// The work is done and the result is published.
    Completed,
    /// Stopped by an error. A client may resume the task.
    Failed,
}

/// Event that may change the state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The due time of the task is reached.
    Due,
    /// A node claims the task.
    Claim,
    /// A node claims a short task shortly before its due time.
    ClaimAhead,
    /// The run succeeded. The result is to be published.
    Finish,
    /// The result is published.
    Complete,
    /// The result was published before the termination was requested.
    Published,
    /// An error that is not retried.
    Fail,
    /// An error that is retried.
    Retry,
    /// The result cannot be published as it is, and nothing is visible yet. The run makes it again.
    Remake,
    /// The run stopped as requested, or because its node shuts down.
    Release,
    /// The lease of the node expired.
    LeaseExpired,
    /// The rollback is complete.
    RolledBack,
    /// The rollback failed too often, or in a way that a repetition does not mend.
    RollbackFailed,
    /// A client requests a pause.
    Pause,
    /// A client resumes the task.
    Resume,
    /// A client resumes the task before its start.
    ResumeEarly,
    /// A client requests termination.
    Terminate,
}

/// An event that the table does not allow in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Cannot {event}: {reason} (state {state}).")]
pub struct Illegal {
    /// State of the task, which does not change.
    pub state: State,
    /// The event.
    pub event: Event,
    /// Reason of the refusal.
    pub reason: &'static str,
}

/// An entry of the table: the next state and when this happens, or why the event is not allowed.
type Arrow = Result<(State, &'static str), &'static str>;

const NOT_WAITING: &str = "the task does not wait for a due time";
const NOT_RUN: &str = "no node runs the task";
const OVER: &str = "the task has ended";
const UNDOING: &str = "the task is being rolled back";
const NOT_UNDOING: &str = "no termination was requested";
const DECIDED: &str = "the result of the task is being published";
const NOT_VISIBLE: &str = "only a termination finds a result that is published already";

impl State {
    /// Every state, in the order of the lifecycle.
    pub const ALL: [State; 10] = [
        State::Scheduled,
        State::Queued,
        State::Running,
        State::Finishing,
        State::Pausing,
        State::Paused,
        State::Terminating,
        State::Terminated,
        State::Completed,
        State::Failed,
    ];

    /// Returns the state after `event`.
    ///
    /// # Errors
    /// [`Illegal`] if the table does not allow the event.
    pub fn next(self, event: Event) -> Result<State, Illegal> {
        match self.arrow(event) {
            Ok((state, _)) => Ok(state),
            Err(reason) => Err(Illegal { state: self, event, reason }),
        }
    }

    /// Returns the entry for `event`, as docs/lifecycle.md prints it.
    pub fn arrow(self, event: Event) -> Arrow {
        use Event as E;
        match event {
            E::Pause | E::Resume | E::ResumeEarly | E::Terminate => self.requested(event),
            E::Due => match self {
                State::Scheduled => Ok((State::Queued, "the start or the next attempt is due")),
                _ => Err(NOT_WAITING),
            },
            E::Claim => self.claimed(),
            E::ClaimAhead => match self {
                State::Scheduled => Ok((State::Running, "a node claims a short task shortly before its due time")),
                _ => Err(NOT_WAITING),
            },
            E::Finish => match self {
                State::Running => Ok((State::Finishing, "the work is done")),
                State::Pausing => Ok((State::Finishing, "the run finished before it observed the pause")),
                State::Terminating => Err(UNDOING),
                _ => Err(NOT_RUN),
            },
            E::Complete => match self {
                State::Finishing => Ok((State::Completed, "the result is published")),
                State::Terminating => Err(UNDOING),
                _ => Err(NOT_RUN),
            },
            E::Published => match self {
                State::Terminating => {
                    Ok((State::Completed, "the result was published before the termination was requested"))
                }
                _ => Err(NOT_VISIBLE),
            },
            E::Remake => match self {
                State::Finishing => Ok((
                    State::Scheduled,
                    "the finished file is missing or cannot be reached: the run makes it again after a delay that doubles",
                )),
                State::Terminating => Err(UNDOING),
                _ => Err(NOT_RUN),
            },
            E::RolledBack => match self {
                State::Terminating => Ok((State::Terminated, "the rollback is complete")),
                _ => Err(NOT_UNDOING),
            },
            E::RollbackFailed => match self {
                State::Terminating => {
                    Ok((State::Failed, "the rollback cannot succeed; deleting the task attempts it again"))
                }
                _ => Err(NOT_UNDOING),
            },
            E::Fail | E::Retry | E::Release | E::LeaseExpired => self.run_ended(event),
        }
    }

    /// Requests of clients.
    fn requested(self, event: Event) -> Arrow {
        use Event as E;
        use State as S;
        match (self, event) {
            (S::Completed | S::Failed | S::Terminated, E::Pause | E::Terminate) => Err(OVER),
            (S::Completed | S::Terminated, E::Resume | E::ResumeEarly) => Err(OVER),
            (S::Finishing, E::Pause) => Err(DECIDED),
            (S::Terminating, E::Pause | E::Resume | E::ResumeEarly) => Err(UNDOING),

            (S::Scheduled | S::Queued, E::Pause) => {
                Ok((S::Paused, "no node runs the task, so it is paused immediately"))
            }
            (S::Running, E::Pause) => Ok((S::Pausing, "until the run has stopped")),
            (S::Pausing | S::Paused, E::Pause) => Ok((self, "requested already")),

            (S::Pausing, E::Resume | E::ResumeEarly) => Ok((
                S::Running,
                "resumed before the run stopped: the run continues, or the task is queued when it stops",
            )),
            (S::Paused, E::Resume) => Ok((S::Queued, "it continues from its checkpoint")),
            (S::Paused, E::ResumeEarly) => Ok((S::Scheduled, "the start is still in the future")),
            (S::Failed, E::Resume | E::ResumeEarly) => Ok((S::Queued, "it continues from its checkpoint")),
            (S::Scheduled | S::Queued | S::Running | S::Finishing, E::Resume | E::ResumeEarly) => {
                Ok((self, "the task is not paused"))
            }

            (S::Scheduled | S::Queued | S::Running | S::Pausing | S::Paused, _) => {
                Ok((S::Terminating, "the rollback follows"))
            }
            (S::Finishing, _) => Ok((S::Terminating, "the rollback follows, unless the result is published already")),
            (S::Terminating, _) => Ok((S::Terminating, "requested already")),
            (S::Completed | S::Failed | S::Terminated, _) => Err(OVER),
        }
    }

    /// Claims by a node.
    fn claimed(self) -> Arrow {
        use State as S;
        match self {
            S::Queued => Ok((S::Running, "a node has a free slot")),
            S::Finishing => Ok((self, "the node died while publishing; another one publishes")),
            S::Pausing => {
                Ok((self, "the node died before the pause was confirmed; another one reconciles the progress"))
            }
            S::Terminating => Ok((self, "no node has the task; one rolls it back")),
            S::Scheduled | S::Paused => Err("the task is not to run now"),
            S::Running => Err("a node runs the task already"),
            S::Completed | S::Failed | S::Terminated => Err(OVER),
        }
    }

    /// Ends of runs without a result.
    fn run_ended(self, event: Event) -> Arrow {
        use Event as E;
        use State as S;
        match (self, event) {
            (S::Scheduled | S::Queued | S::Paused, _) => Err(NOT_RUN),
            (S::Completed | S::Failed | S::Terminated, _) => Err(OVER),

            (S::Running | S::Pausing | S::Finishing, E::Fail) => Ok((S::Failed, "the error is not retried")),
            (S::Terminating, _) => Ok((S::Terminating, "the rollback follows, however the run ended")),

            (S::Running, E::Retry) => Ok((S::Scheduled, "another attempt follows after a delay that doubles")),
            (S::Running, E::Release) => {
                Ok((S::Queued, "released by a clean shutdown, or resumed while the run stopped"))
            }
            (S::Running, E::LeaseExpired) => Ok((S::Queued, "the node died; any node may claim the task")),

            (S::Pausing, E::Retry) => {
                Ok((S::Paused, "the attempt failed while a pause was requested; another one follows once resumed"))
            }
            (S::Pausing, E::Release) => Ok((S::Paused, "the run made its last commit and released all resources")),
            (S::Pausing, E::LeaseExpired) => Ok((S::Pausing, "the node died; another one reconciles the progress")),

            (S::Finishing, _) => Ok((S::Finishing, "publishing is retried")),
            (S::Running | S::Pausing, _) => Err(NOT_RUN),
        }
    }

    /// Returns true for COMPLETED, FAILED and TERMINATED.
    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Failed | State::Terminated)
    }

    /// Returns true if a node may have the task.
    pub fn may_be_owned(self) -> bool {
        matches!(self, State::Running | State::Finishing | State::Pausing | State::Terminating)
    }

    /// Returns the name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Scheduled => "SCHEDULED",
            State::Queued => "QUEUED",
            State::Running => "RUNNING",
            State::Finishing => "FINISHING",
            State::Pausing => "PAUSING",
            State::Paused => "PAUSED",
            State::Terminating => "TERMINATING",
            State::Terminated => "TERMINATED",
            State::Completed => "COMPLETED",
            State::Failed => "FAILED",
        }
    }

    /// Returns the state that clients see: RUNNING for FINISHING.
    pub fn shown(self) -> State {
        if self == State::Finishing { State::Running } else { self }
    }
}

impl Event {
    /// Every event, those of nodes first.
    pub const ALL: [Event; 17] = [
        Event::Due,
        Event::Claim,
        Event::ClaimAhead,
        Event::Finish,
        Event::Complete,
        Event::Published,
        Event::Fail,
        Event::Retry,
        Event::Remake,
        Event::Release,
        Event::LeaseExpired,
        Event::RolledBack,
        Event::RollbackFailed,
        Event::Pause,
        Event::Resume,
        Event::ResumeEarly,
        Event::Terminate,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.shown().as_str())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Event::Due => "due",
            Event::Claim => "claim",
            Event::ClaimAhead => "claim ahead",
            Event::Finish => "finish",
            Event::Complete => "complete",
            Event::Published => "published",
            Event::Fail => "fail",
            Event::Retry => "retry",
            Event::Remake => "remake",
            Event::Release => "release",
            Event::LeaseExpired => "lease expired",
            Event::RolledBack => "rolled back",
            Event::RollbackFailed => "rollback failed",
            Event::Pause => "pause",
            Event::Resume => "resume",
            Event::ResumeEarly => "resume early",
            Event::Terminate => "terminate",
        };
        f.pad(name)
    }
}

/// A text that is not a state.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a state of a task")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<State, UnknownState> {
        State::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| UnknownState(name.to_owned()))
    }
}
