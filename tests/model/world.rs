//! The states of the model.

use super::row::Row;

/// Lease duration, in ticks.
pub const LEASE_TICKS: u8 = 1;

/// Rows of the file that the task imports.
pub const TOTAL: u8 = 2;

/// A cluster of two nodes, by its rules.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub rules: Rules,
    pub work: Work,
    pub budget: Budget,
}

/// Rules that keep the invariants.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Each write of a run carries its epoch, and an older epoch changes nothing.
    pub epoch_fence: bool,
    /// A node whose lease may be over does nothing that an epoch cannot fence.
    pub self_fence: bool,
    /// Leases are compared by the clock of the database, not by that of a node.
    pub database_clock: bool,
    /// The end of a run is written after it has stopped.
    pub stops_first: bool,
    /// A node leaves after its runs have ended.
    pub leaves_last: bool,
}

/// Behaviour of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Imports rows in batches, and publishes them.
    Rows,
    /// Sends one webhook, AT_MOST_ONCE.
    Send,
}

/// Number of times that each disturbance may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub verbs: u8,
    /// Crashes, shutdowns, and heartbeats that the database records without the node learning of it.
    pub disturbances: u8,
    /// Expired leases by which a node loses the task.
    pub expiries: u8,
}

impl Budget {
    pub const FULL: Budget = Budget { verbs: 2, disturbances: 2, expiries: 2 };
    pub const SMALL: Budget = Budget { verbs: 1, disturbances: 1, expiries: 1 };
}

/// A state of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub row: Row,
    pub nodes: [Node; 2],
    pub staging: Option<Rows>,
    /// Number of rows that clients see.
    pub visible: Option<u8>,
    /// Number of webhooks that were sent.
    pub sent: u8,
    pub budget: Budget,
    pub seen: Seen,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub life: Life,
    /// Ticks until its lease ends by the clock of the database. None: not listed.
    pub lease: Option<u8>,
    /// Ticks for which it may act by its own count, which began when it sent its last confirmed heartbeat.
    pub may_act: u8,
    /// Ticks by which its clock is ahead.
    pub ahead: u8,
    pub run: Option<Run>,
}

/// Life of a node. A frozen node is one that does nothing while time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    Up,
    /// Shuts down: claims nothing, and its runs stop.
    Leaving,
    /// Shut down.
    Left,
    /// Killed.
    Dead,
}

/// A run of the task on a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub epoch: i64,
    pub step: Step,
    /// Rows written, as the run knows it.
    pub position: u8,
}

/// The next step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Open,
    Work,
    Publish,
    Reconcile,
    RollBack,
    /// Nothing is held. The end is to be written.
    End(Ending),
}

/// End of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    Finish,
    Complete,
    Published,
    Release,
    RolledBack,
    Done,
    /// An earlier attempt may have sent: AT_MOST_ONCE fails.
    Unknown,
}

/// Rows of a staging.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    /// Newest epoch that opened it.
    pub epoch: i64,
    pub rows: u8,
}

/// Events so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// A run with an outdated epoch has changed something.
    pub zombie_wrote: bool,
    /// A webhook was sent by a node that did not own the task.
    pub sent_without_lease: bool,
    /// Number of times that a client resumed the task after it had failed.
    pub resumed: u8,
    /// Progress went back.
    pub went_back: bool,
    /// A task that had ended for good changed.
    pub revived: bool,
    /// A run changed its rows while the task was PAUSED or TERMINATED.
    pub moved_while_still: bool,
}
