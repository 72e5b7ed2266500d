//! The lease of this node, as the node itself knows it: until when it certainly has its tasks.
//!
//! Other nodes see the lease end in the database. This node sees it end earlier, because it counts from the moment at which it sent
//! the heartbeat, by a clock that also runs while the process or the machine is suspended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::task::NodeIdentity;

/// The lease of this node.
pub struct NodeLease {
    node: NodeIdentity,
    /// None: the lease never ends, because no other process can use the store.
    length: Option<Duration>,
    state: watch::Sender<LeaseState>,
}

/// All times are of [`Clock::uptime`].
#[derive(Clone, Copy, Debug, Default)]
struct LeaseState {
    /// Increases when the lease is lost: what was claimed before belongs to other nodes.
    term: u64,
    /// End of the lease, from the last confirmed heartbeat. None before the first.
    until: Option<Duration>,
    /// First heartbeat since which all were confirmed in time.
    regular_since: Option<Duration>,
}

/// The lease under which a run was claimed.
#[derive(Clone)]
pub struct RunLease {
    lease: Arc<NodeLease>,
    term: u64,
}

impl NodeLease {
    /// A lease that begins with the first confirmed heartbeat.
    pub fn new(node: NodeIdentity, length: Option<Duration>) -> NodeLease {
        NodeLease { node, length, state: watch::Sender::default() }
    }

    /// Records that the heartbeat sent at `sent` was confirmed.
    pub fn confirm(&self, sent: Duration) {
        let Some(length) = self.length else { return };
        self.state.send_modify(|state| {
            let late = state.until.is_none_or(|until| until < sent);
            state.regular_since = state.regular_since.filter(|_| !late).or(Some(sent));
            state.until = Some(sent + length);
        });
    }

    /// Records that a heartbeat failed. The lease lasts until its end.
    pub fn miss(&self) {
        self.state.send_modify(|state| state.regular_since = None);
    }

    /// Records that other nodes have the tasks of this node.
    pub fn lose(&self) {
        self.state.send_modify(|state| *state = LeaseState { term: state.term + 1, ..LeaseState::default() });
    }

    /// Returns true if no other node can have the tasks of this node yet.
    pub fn is_held(&self) -> bool {
        self.length.is_none() || self.state.borrow().is_held()
    }

    /// Returns after which uptime this node may take the tasks of others. It must have renewed its lease without a failure for a
    /// whole lease: after an outage of the database, every lease is over, although the nodes are active. None: not before another heartbeat.
    pub fn may_expire_others_from(&self) -> Option<Duration> {
        self.state.borrow().regular_since.zip(self.length).map(|(since, length)| since + length)
    }

    /// Returns the lease for what is claimed from now on.
    pub fn current(self: &Arc<Self>) -> RunLease {
        RunLease { lease: Arc::clone(self), term: self.state.borrow().term }
    }
}

impl LeaseState {
    fn is_held(&self) -> bool {
        self.until.is_some_and(|until| Clock::uptime() < until)
    }
}

impl RunLease {
    /// Returns true if no other node can have the task yet.
    pub fn is_held(&self) -> bool {
        self.lease.state.borrow().term == self.term && self.lease.is_held()
    }

    /// Waits until the lease is held, if it is not. Returns false if it is lost.
    pub async fn until_held(&self) -> bool {
        let mut state = self.lease.state.subscribe();
        let held = |state: &LeaseState| self.lease.length.is_none() || state.is_held();
        // The lease owns the sender, so the channel is open.
        let decided = state.wait_for(|state| state.term != self.term || held(state)).await;
        decided.is_ok_and(|state| state.term == self.term)
    }

    /// Returns the name of this node.
    pub fn node_name(&self) -> &str {
        &self.lease.node.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn lease(length: Option<Duration>) -> Arc<NodeLease> {
        Arc::new(NodeLease::new(NodeIdentity { id: "1".to_owned(), name: "a".to_owned() }, length))
    }

    #[tokio::test]
    async fn a_run_may_act_while_the_lease_under_which_it_was_claimed_is_held() {
        let lease = lease(Some(HOUR));
        assert!(!lease.is_held(), "no heartbeat was confirmed");
        lease.confirm(Clock::uptime());
        let run = lease.current();
        assert!(run.is_held() && run.until_held().await);
        lease.lose();
        lease.confirm(Clock::uptime());
        assert!(lease.is_held() && !run.is_held() && !run.until_held().await);
        assert!(lease.current().is_held());
    }

    #[tokio::test]
    async fn a_lease_counts_from_the_moment_at_which_the_heartbeat_was_sent() {
        // As long as the machine is up, which can be less than an hour: a heartbeat sent at its start is too old.
        let lease = lease(Some(Clock::uptime()));
        lease.confirm(Duration::ZERO);
        let run = lease.current();
        assert!(!run.is_held());
        let mut waits = Box::pin(run.until_held());
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        lease.confirm(Clock::uptime());
        assert!(waits.await, "the next heartbeat shows that no other node took the tasks");
    }

    #[test]
    fn a_node_takes_the_tasks_of_others_after_a_whole_lease_without_a_failure() {
        let lease = lease(Some(HOUR));
        assert_eq!(lease.may_expire_others_from(), None);
        let first = Clock::uptime();
        for quarter in 0..8 {
            lease.confirm(first + HOUR * quarter / 4);
            assert_eq!(lease.may_expire_others_from(), Some(first + HOUR));
        }
        lease.miss();
        assert_eq!(lease.may_expire_others_from(), None);
        lease.confirm(first + HOUR * 2);
        assert_eq!(lease.may_expire_others_from(), Some(first + HOUR * 3), "after a failure");
        lease.confirm(first + HOUR * 4);
        assert_eq!(lease.may_expire_others_from(), Some(first + HOUR * 5), "after its own lease was over");
    }

    #[tokio::test]
    async fn the_only_process_of_a_store_always_has_its_tasks() {
        let run = lease(None).current();
        assert!(run.is_held() && run.until_held().await);
    }
}
