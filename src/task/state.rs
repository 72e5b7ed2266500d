//! The one lifecycle table: which state follows on which event, and when that happens.

use std::fmt;
use std::str::FromStr;

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waits for its time: a start in the future, or the next try after an error.
    Scheduled,
    /// May run as soon as a node has a free slot.
    Queued,
    /// A node works on it.
    Running,
    /// Its work is done and decided; the result is being made visible. Shown to clients as RUNNING.
    Finishing,
    /// Asked to pause; its run has not let go yet.
    Pausing,
    /// Nothing moves and nothing is held for it.
    Paused,
    /// Asked to end; what it wrote is being undone.
    Terminating,
    /// Ended for good, with nothing left of what it wrote.
    Terminated,
    /// Done.
    Completed,
    /// Ended by an error; it may be resumed.
    Failed,
}

/// What may happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The moment that it waited for has come.
    Due,
    /// A node takes it.
    Claim,
    /// A node takes a short task a moment before its time.
    ClaimAhead,
    /// Its run came to a good end and the result is about to be published.
    Finish,
    /// The result is published.
    Complete,
    /// An error that no further try would mend, or one try too many.
    Fail,
    /// An error that another try may mend.
    Retry,
    /// Its run let go without an end: it was asked to, or its node shuts down.
    Release,
    /// Its node has been silent for longer than a lease.
    LeaseExpired,
    /// What it wrote is undone.
    RolledBack,
    /// A client asks for a pause.
    Pause,
    /// A client asks to go on.
    Resume,
    /// A client asks to go on, before the task's start has come.
    ResumeEarly,
    /// A client asks to end it for good.
    Terminate,
}

/// An event that the table does not allow in that state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible in state {state}: {reason}")]
pub struct Illegal {
    /// The state that the task is in, and stays in.
    pub state: State,
    /// What was tried.
    pub event: Event,
    /// Why it is not possible.
    pub reason: &'static str,
}

/// An arrow of the table (the next state, and when this happens) or the reason why there is none.
type Arrow = Result<(State, &'static str), &'static str>;

const NOT_WAITING: &str = "it does not wait for a moment";
const NOT_RUN: &str = "no node runs it";
const OVER: &str = "it is over";
const UNDOING: &str = "it is being undone";
const DECIDED: &str = "its end is decided and is being published";

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

    /// The state after `event`, or a refusal that names the state.
    pub fn next(self, event: Event) -> Result<State, Illegal> {
        match self.arrow(event) {
            Ok((state, _)) => Ok(state),
            Err(reason) => Err(Illegal { state: self, event, reason }),
        }
    }

    /// The arrow for `event` with its explanation, as docs/lifecycle.md prints it.
    pub fn arrow(self, event: Event) -> Arrow {
        use Event as E;
        match event {
            E::Pause | E::Resume | E::ResumeEarly | E::Terminate => self.asked(event),
            E::Due => match self {
                State::Scheduled => Ok((State::Queued, "its start, or the time of its next try, has come")),
                _ => Err(NOT_WAITING),
            },
            E::Claim => self.claimed(),
            E::ClaimAhead => match self {
                State::Scheduled => {
                    Ok((State::Running, "a short task is taken a moment before its time, to be on time"))
                }
                _ => Err(NOT_WAITING),
            },
            E::Finish => match self {
                State::Running => Ok((State::Finishing, "its work is done")),
                State::Pausing => Ok((State::Finishing, "the pause came while it did its last batch")),
                State::Terminating => Err(UNDOING),
                _ => Err(NOT_RUN),
            },
            E::Complete => match self {
                State::Finishing => Ok((State::Completed, "its result is there for everybody")),
                State::Terminating => Err(UNDOING),
                _ => Err(NOT_RUN),
            },
            E::RolledBack => match self {
                State::Terminating => Ok((State::Terminated, "nothing is left of what it wrote")),
                _ => Err("nobody asked to terminate it"),
            },
            E::Fail | E::Retry | E::Release | E::LeaseExpired => self.let_go(event),
        }
    }

    /// What clients ask for.
    fn asked(self, event: Event) -> Arrow {
        use Event as E;
        use State as S;
        match (self, event) {
            (S::Completed | S::Failed | S::Terminated, E::Pause | E::Terminate) => Err(OVER),
            (S::Completed | S::Terminated, E::Resume | E::ResumeEarly) => Err(OVER),
            (S::Finishing, E::Pause | E::Terminate) => Err(DECIDED),
            (S::Terminating, E::Pause | E::Resume | E::ResumeEarly) => Err(UNDOING),

            (S::Scheduled | S::Queued, E::Pause) => Ok((S::Paused, "no node runs it, so it stands at once")),
            (S::Running, E::Pause) => Ok((S::Pausing, "until its run has let go")),
            (S::Pausing | S::Paused, E::Pause) => Ok((self, "asked for already")),

            (S::Pausing, E::Resume | E::ResumeEarly) => {
                Ok((S::Running, "resumed before its run let go: it goes on, or is queued as it lets go"))
            }
            (S::Paused, E::Resume) => Ok((S::Queued, "it goes on from its checkpoint")),
            (S::Paused, E::ResumeEarly) => Ok((S::Scheduled, "its start is still to come")),
            (S::Failed, E::Resume | E::ResumeEarly) => Ok((S::Queued, "taken up again from its checkpoint")),
            (S::Scheduled | S::Queued | S::Running | S::Finishing, E::Resume | E::ResumeEarly) => {
                Ok((self, "it is not paused"))
            }

            (S::Scheduled | S::Queued | S::Running | S::Pausing | S::Paused, _) => {
                Ok((S::Terminating, "what it wrote is undone next"))
            }
            (S::Terminating, _) => Ok((S::Terminating, "asked for already")),
            (S::Completed | S::Failed | S::Terminated | S::Finishing, _) => Err(OVER),
        }
    }

    /// A node takes what waits for one.
    fn claimed(self) -> Arrow {
        use State as S;
        match self {
            S::Queued => Ok((S::Running, "a node has a free slot for it")),
            S::Finishing => Ok((self, "its node died while publishing; this one publishes")),
            S::Pausing => Ok((self, "its node died before it could say PAUSED; this one reads how far it came")),
            S::Terminating => Ok((self, "no node holds it; this one undoes what it wrote")),
            S::Scheduled | S::Paused => Err("it is not to run now"),
            S::Running => Err("a node runs it already"),
            S::Completed | S::Failed | S::Terminated => Err(OVER),
        }
    }

    /// The ways in which a run ends without a result.
    fn let_go(self, event: Event) -> Arrow {
        use Event as E;
        use State as S;
        match (self, event) {
            (S::Scheduled | S::Queued | S::Paused, _) => Err(NOT_RUN),
            (S::Completed | S::Failed | S::Terminated, _) => Err(OVER),

            (S::Running | S::Pausing | S::Finishing, E::Fail) => Ok((S::Failed, "the error is kept with the task")),
            (S::Terminating, _) => Ok((S::Terminating, "it is undone whatever became of its run")),

            (S::Running, E::Retry) => Ok((S::Scheduled, "another try follows after a pause that doubles")),
            (S::Running, E::Release) => Ok((S::Queued, "given back in a clean shutdown, or resumed while letting go")),
            (S::Running, E::LeaseExpired) => Ok((S::Queued, "its node died; any node takes it up")),

            (S::Pausing, E::Retry) => {
                Ok((S::Paused, "the try failed while it was to pause; it tries again once resumed"))
            }
            (S::Pausing, E::Release) => Ok((S::Paused, "its run made its last commit and holds nothing")),
            (S::Pausing, E::LeaseExpired) => Ok((S::Pausing, "its node died; the next one reads how far it came")),

            (S::Finishing, _) => Ok((S::Finishing, "its end stays decided; publishing is tried again")),
            (S::Running | S::Pausing, _) => Err(NOT_RUN),
        }
    }

    /// Over: COMPLETED, FAILED or TERMINATED.
    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Failed | State::Terminated)
    }

    /// A run may be at work for it, so that a node may own it.
    pub fn may_be_owned(self) -> bool {
        matches!(self, State::Running | State::Finishing | State::Pausing | State::Terminating)
    }

    /// The name in the store.
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

    /// The state as clients see it: FINISHING is a part of RUNNING to them.
    pub fn shown(self) -> State {
        if self == State::Finishing { State::Running } else { self }
    }
}

impl Event {
    /// Every event, those of the nodes first.
    pub const ALL: [Event; 14] = [
        Event::Due,
        Event::Claim,
        Event::ClaimAhead,
        Event::Finish,
        Event::Complete,
        Event::Fail,
        Event::Retry,
        Event::Release,
        Event::LeaseExpired,
        Event::RolledBack,
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
            Event::Fail => "fail",
            Event::Retry => "retry",
            Event::Release => "release",
            Event::LeaseExpired => "lease expired",
            Event::RolledBack => "undone",
            Event::Pause => "pause",
            Event::Resume => "resume",
            Event::ResumeEarly => "resume early",
            Event::Terminate => "terminate",
        };
        f.pad(name)
    }
}

/// A state's name that the table does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no state of a task")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<State, UnknownState> {
        State::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| UnknownState(name.to_owned()))
    }
}
