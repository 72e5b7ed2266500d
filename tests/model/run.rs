//! The steps of a run: what it does in the datasets and outside, and what it writes to the task's row.

use pausa::task::change::End;
use pausa::task::{Code, State, TaskError};

use super::row::result_file;
use super::world::{Cluster, Ending, Run, Step, TOTAL, Work, World};

impl Step {
    /// The next step of a run that owns a task in this state. None if there is none.
    pub fn after(state: State) -> Option<Step> {
        match state {
            State::Running => Some(Step::Open),
            State::Finishing => Some(Step::Publish),
            State::Pausing => Some(Step::Reconcile),
            State::Terminating => Some(Step::RollBack),
            _ => None,
        }
    }
}

impl Cluster {
    /// Reports the rows. A run that lost its lease stops.
    pub fn checkpoint(&self, world: &mut World, node: usize) {
        let Some(run) = world.nodes[node].run.clone() else {
            return;
        };
        if self.owns(world, node, &run) {
            world.row.report(run.position.into());
        }
    }

    /// The next step of the work itself.
    pub fn step(&self, world: &mut World, node: usize) {
        let Some(run) = world.nodes[node].run.clone() else {
            return;
        };
        let rows = (world.staging.clone(), world.visible);
        let next = match self.work {
            // A node that may not act waits for its next heartbeat.
            Work::Rows if world.nodes[node].may_act == 0 && self.rules.self_fence => Some(run),
            Work::Rows => self.step_of_rows(world, node, &run),
            Work::Send => self.step_of_sending(world, node, &run),
        };
        world.nodes[node].run = next;
        let is_still = matches!(world.row.state, State::Paused | State::Terminated);
        world.seen.moved_while_still |= is_still && rows != (world.staging.clone(), world.visible);
    }

    /// None if a newer run has the task.
    fn step_of_rows(&self, world: &mut World, node: usize, run: &Run) -> Option<Run> {
        let fenced = self.rules.epoch_fence;
        let (step, position) = match run.step {
            Step::Open => (Step::Work, world.take_over(run.epoch, fenced)?.rows),
            Step::Work if run.position >= TOTAL => (Step::End(Ending::Finish), run.position),
            Step::Work => {
                let staging = world.staging.as_mut()?;
                if staging.epoch > run.epoch {
                    (!fenced).then_some(())?;
                    world.seen.zombie_wrote = true;
                }
                staging.rows += 1;
                (Step::Work, run.position + 1)
            }
            Step::Reconcile => (Step::End(Ending::Release), world.take_over(run.epoch, fenced)?.rows),
            Step::Publish => {
                if world.visible.is_none() {
                    let rows = world.take_over(run.epoch, fenced)?.rows;
                    world.visible = Some(rows);
                    world.staging = None;
                }
                (Step::End(Ending::Complete), run.position)
            }
            Step::RollBack => {
                // Files carry no epoch, so the run reads the row first.
                (world.row.owner == Some(node) && world.row.epoch == run.epoch).then_some(())?;
                if world.visible.is_some() {
                    return Some(Run { step: Step::End(Ending::Published), ..run.clone() });
                }
                if world.staging.is_some() {
                    world.take_over(run.epoch, fenced)?;
                }
                world.staging = None;
                (Step::End(Ending::RolledBack), run.position)
            }
            Step::End(_) => return Some(run.clone()),
        };
        Some(Run { step, position, ..run.clone() })
    }

    /// A node that may not act waits for its next heartbeat.
    fn step_of_sending(&self, world: &mut World, node: usize, run: &Run) -> Option<Run> {
        let step = match run.step {
            Step::Open if world.row.crashes > 0 => Step::End(Ending::Unknown),
            Step::Open => Step::Work,
            Step::Work if world.nodes[node].may_act == 0 && self.rules.self_fence => Step::Work,
            Step::Work => {
                world.seen.sent_without_lease |= world.row.epoch != run.epoch || world.row.owner != Some(node);
                world.sent += 1;
                Step::End(Ending::Done)
            }
            Step::Publish => Step::End(Ending::Complete),
            Step::Reconcile => Step::End(Ending::Release),
            Step::RollBack => Step::End(Ending::RolledBack),
            Step::End(_) => run.step,
        };
        Some(Run { step, ..run.clone() })
    }

    /// Writes the end of a run to the row, and begins what the new state asks for.
    pub fn end(&self, world: &mut World, node: usize) {
        let Some(run) = world.nodes[node].run.clone() else {
            return;
        };
        if !self.owns(world, node, &run) {
            return;
        }
        let mut next = world.row.clone();
        next.report(run.position.into());
        // A refusal means that the state has changed: the new one decides what follows.
        if next.end(end_of(run.step)) {
            world.row = next;
        }
        let owned = world.row.owner == Some(node) && world.row.epoch == run.epoch;
        let step = Step::after(world.row.state).filter(|_| owned);
        let stopped = matches!(run.step, Step::End(_));
        world.nodes[node].run = match step {
            Some(step) => Some(Run { step, ..run }),
            None => (!stopped).then_some(run),
        };
    }

    /// Checks the epoch of a write to the row. A run that lost its lease stops.
    fn owns(&self, world: &mut World, node: usize, run: &Run) -> bool {
        let current = world.row.epoch == run.epoch && world.row.owner.is_some();
        if !current && self.rules.epoch_fence {
            world.nodes[node].run = None;
            return false;
        }
        world.seen.zombie_wrote |= !current;
        true
    }
}

fn end_of(step: Step) -> End {
    match step {
        Step::End(Ending::Finish) => End::Finish(Some(result_file())),
        Step::End(Ending::Complete) => End::Complete,
        Step::End(Ending::Published) => End::Published(Some(result_file())),
        Step::End(Ending::RolledBack) => End::RolledBack,
        Step::End(Ending::Done) => End::Done,
        Step::End(Ending::Unknown) => End::Fail(TaskError::new(Code::Internal, "It is unknown whether it was sent.")),
        _ => End::Release,
    }
}
