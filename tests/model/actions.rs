//! Actions that may happen next in a cluster.

use pausa::task::{State, Verb};
use stateright::{Model, Property};

use super::properties;
use super::row::Row;
use super::world::{Cluster, LEASE_TICKS, Life, Node, Rows, Run, Seen, Step, World};

/// Something that happens. Numbers are nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Time passes.
    Tick,
    /// The node renews its lease.
    Beat(usize),
    /// The database renews the lease of the node, which does not learn of it.
    LostAnswer(usize),
    /// A node releases the tasks of another one, whose lease is over.
    Expire(usize),
    Claim(usize),
    /// The run reports its progress.
    Checkpoint(usize),
    /// The run does its next step.
    Step(usize),
    /// The run stops as requested.
    Stop(usize),
    /// The end of the run is written.
    End(usize),
    Crash(usize),
    Shutdown(usize),
    Leave(usize),
    Control(Verb),
}

impl Model for Cluster {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let node = |ahead| Node { life: Life::Up, lease: Some(LEASE_TICKS), may_act: LEASE_TICKS, ahead, run: None };
        vec![World {
            row: Row::queued(),
            // The clock of one node is ahead by a whole lease.
            nodes: [node(0), node(LEASE_TICKS)],
            staging: None,
            visible: None,
            sent: 0,
            budget: self.budget.clone(),
            seen: Seen::default(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.nodes.iter().any(|node| node.may_act > 0 || node.lease.is_some_and(|lease| lease > 0)) {
            actions.push(Action::Tick);
        }
        if world.budget.verbs > 0 {
            actions.extend(Verb::ALL.map(Action::Control));
        }
        for node in 0..world.nodes.len() {
            self.actions_of(world, node, actions);
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Tick => world.nodes.iter_mut().for_each(Node::tick),
            Action::Beat(node) => world.nodes[node].beat(),
            Action::LostAnswer(node) => {
                world.nodes[node].lease = Some(LEASE_TICKS);
                world.budget.disturbances -= 1;
            }
            Action::Expire(dead) => world.expire(dead),
            Action::Claim(node) => world.claim(node),
            Action::Checkpoint(node) => self.checkpoint(&mut world, node),
            Action::Step(node) => self.step(&mut world, node),
            Action::Stop(node) => world.run(node)?.step = Step::End(super::world::Ending::Release),
            Action::End(node) => self.end(&mut world, node),
            Action::Crash(node) => world.crash(node),
            Action::Shutdown(node) => {
                world.nodes[node].life = Life::Leaving;
                world.budget.disturbances -= 1;
            }
            Action::Leave(node) => {
                world.nodes[node] = Node { life: Life::Left, lease: None, may_act: 0, run: None, ..world.nodes[node] }
            }
            Action::Control(verb) => {
                world.row.control(verb).then_some(())?;
                world.budget.verbs -= 1;
            }
        }
        world.note_changes(before);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Cluster>> {
        properties::properties()
    }
}

impl Cluster {
    fn actions_of(&self, world: &World, index: usize, actions: &mut Vec<Action>) {
        let Node { life, lease, run, .. } = &world.nodes[index];
        let is_disturbed = world.budget.disturbances > 0;
        let is_allowed = world.budget.expiries > 0 || world.row.owner != Some(index);
        if is_allowed && lease.is_some() && self.may_expire(world, index) {
            actions.push(Action::Expire(index));
        }
        if !life.is_active() {
            return;
        }
        actions.push(Action::Beat(index));
        if is_disturbed {
            actions.push(Action::Crash(index));
            actions.extend(lease.is_some().then_some(Action::LostAnswer(index)));
        }
        match life {
            Life::Up if is_disturbed => actions.push(Action::Shutdown(index)),
            Life::Leaving if run.is_none() || !self.rules.leaves_last => actions.push(Action::Leave(index)),
            _ => {}
        }
        match run {
            Some(run) => self.actions_of_run(world, index, run, actions),
            None if *life == Life::Up && lease.is_some() => {
                let claimable = world.row.state == State::Queued || world.row.waits_for_an_end();
                actions.extend(claimable.then_some(Action::Claim(index)));
            }
            None => {}
        }
    }

    fn actions_of_run(&self, world: &World, index: usize, run: &Run, actions: &mut Vec<Action>) {
        if let Step::End(_) = run.step {
            actions.push(Action::End(index));
            return;
        }
        actions.push(Action::Step(index));
        if matches!(run.step, Step::Open | Step::Work) {
            actions.push(Action::Checkpoint(index));
            let is_asked =
                run.epoch == world.row.epoch && matches!(world.row.state, State::Pausing | State::Terminating);
            if is_asked || world.nodes[index].life == Life::Leaving {
                actions.push(Action::Stop(index));
                actions.extend((!self.rules.stops_first).then_some(Action::End(index)));
            }
        }
    }

    /// The number of expired leases by which a node lost the task.
    pub fn expiries(&self, world: &World) -> u32 {
        u32::from(self.budget.expiries - world.budget.expiries)
    }

    /// True if an active node sees that the lease of node `dead` is over.
    fn may_expire(&self, world: &World, dead: usize) -> bool {
        let by = &world.nodes[1 - dead];
        let ahead = if self.rules.database_clock { 0 } else { by.ahead };
        by.life.is_active() && by.lease.is_some() && world.nodes[dead].lease.is_some_and(|lease| lease <= ahead)
    }
}

impl Life {
    /// True if the node does something.
    pub fn is_active(self) -> bool {
        matches!(self, Life::Up | Life::Leaving)
    }
}

impl Node {
    fn tick(&mut self) {
        self.may_act = self.may_act.saturating_sub(1);
        self.lease = self.lease.map(|lease| lease.saturating_sub(1));
    }

    /// Renews the lease. A node that is not listed any more stops its runs and joins again.
    fn beat(&mut self) {
        if self.lease.is_none() {
            self.run = None;
        }
        self.lease = Some(LEASE_TICKS);
        self.may_act = LEASE_TICKS;
    }
}

impl World {
    /// The run of a node.
    pub fn run(&mut self, node: usize) -> Option<&mut Run> {
        self.nodes[node].run.as_mut()
    }

    fn expire(&mut self, dead: usize) {
        if self.row.owner == Some(dead) && self.row.lease_expired() {
            self.budget.expiries -= 1;
        }
        self.nodes[dead].lease = None;
    }

    fn claim(&mut self, node: usize) {
        if self.row.claim(node) {
            let (epoch, position) = (self.row.epoch, 0);
            let step = Step::after(self.row.state).unwrap_or(Step::Open);
            self.nodes[node].run = Some(Run { epoch, step, position });
        }
    }

    fn crash(&mut self, node: usize) {
        self.nodes[node].life = Life::Dead;
        self.nodes[node].run = None;
        self.budget.disturbances -= 1;
    }

    fn note_changes(&mut self, before: &World) {
        let ended = matches!(before.row.state, State::Completed | State::Terminated);
        self.seen.revived |= ended && before.row != self.row;
        self.seen.resumed += u8::from(before.row.state == State::Failed && self.row.state != State::Failed);
        self.seen.went_back |= self.row.done < before.row.done;
    }

    /// Opens the staging for a run, as the datasets do: the newest epoch takes it over. None if a newer one has it.
    pub fn take_over(&mut self, epoch: i64, fenced: bool) -> Option<&mut Rows> {
        let rows = self.staging.get_or_insert(Rows { epoch, rows: 0 });
        if fenced && rows.epoch > epoch {
            return None;
        }
        rows.epoch = rows.epoch.max(epoch);
        Some(rows)
    }
}
