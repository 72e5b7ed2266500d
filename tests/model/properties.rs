//! The invariants of ARCHITECTURE.md, and what the model must reach so that they say something.

use pausa::task::State;
use stateright::Property;

use super::world::{Cluster, Ending, Life, Run, Step, TOTAL, Work, World};

pub const STATES: &str = "1: a task that ended for good never changes";
pub const FENCE: &str = "2: a run with an outdated epoch changes nothing";
pub const LEASE: &str = "2: nothing is sent without the lease, or twice";
pub const STILL: &str = "3: PAUSED and TERMINATED are written after the run has stopped";
pub const QUIET: &str = "3: no row changes while a task is PAUSED or TERMINATED, and none is left of a TERMINATED one";
pub const WHOLE: &str = "6: a result is visible whole or not at all";
pub const PROGRESS: &str = "7: progress never goes back";
pub const ATTEMPTS: &str = "8: only an expired lease counts as an attempt";
pub const LEFT: &str = "8: a node that has shut down owns nothing, and all that it wrote is recorded";

/// All properties.
pub fn properties() -> Vec<Property<Cluster>> {
    vec![
        Property::always(STATES, |_, world: &World| !world.seen.revived),
        Property::always(FENCE, |_, world: &World| !world.seen.zombie_wrote),
        Property::always(LEASE, |_, world: &World| is_sent_once(world)),
        Property::always(STILL, |_, world: &World| !is_still(world.row.state) || !is_held(world)),
        Property::always(QUIET, |_, world: &World| is_quiet(world)),
        Property::always(WHOLE, |_, world: &World| is_whole(world)),
        Property::always(PROGRESS, |_, world: &World| !world.seen.went_back),
        Property::always(ATTEMPTS, |model, world: &World| world.row.attempt == model.expiries(world)),
        Property::always(LEFT, |_, world: &World| has_left_all(world)),
        Property::sometimes("a task is paused", |_, world: &World| world.row.state == State::Paused),
        Property::sometimes("a task is terminated", |_, world: &World| world.row.state == State::Terminated),
        Property::sometimes("a task that was taken over ends", |model, world: &World| {
            model.expiries(world) > 0 && matches!(world.row.state, State::Completed | State::Failed)
        }),
        Property::sometimes("a termination finds that the result is published", |model, world: &World| {
            let found = |run: &Run| run.step == Step::End(Ending::Published);
            matches!(model.work, Work::Send) || world.nodes.iter().any(|node| node.run.as_ref().is_some_and(found))
        }),
        Property::sometimes("a zombie goes on beside a newer run", |_, world: &World| has_zombie(world)),
        Property::sometimes("a task that a shutdown released completes", |model, world: &World| {
            let left = world.nodes.iter().any(|node| node.life == Life::Left);
            left && world.row.epoch > 1 && model.expiries(world) == 0 && world.row.state == State::Completed
        }),
    ]
}

/// A client that resumes a failed task asks for another attempt.
fn is_sent_once(world: &World) -> bool {
    !world.seen.sent_without_lease && world.sent <= 1 + world.seen.resumed
}

/// Also for runs on nodes that lost their lease and do not know it yet.
fn is_quiet(world: &World) -> bool {
    !world.seen.moved_while_still && (world.row.state != State::Terminated || world.staging.is_none())
}

fn is_still(state: State) -> bool {
    matches!(state, State::Paused | State::Terminated)
}

/// True if the newest run has not stopped although its node has the lease.
fn is_held(world: &World) -> bool {
    let holds = |run: &Run| run.epoch == world.row.epoch && !matches!(run.step, Step::End(_));
    world.nodes.iter().any(|node| node.may_act > 0 && node.run.as_ref().is_some_and(holds))
}

fn has_zombie(world: &World) -> bool {
    let [Some(one), Some(other)] = world.nodes.each_ref().map(|node| node.run.as_ref()) else {
        return false;
    };
    one.epoch != other.epoch && one.step == Step::Work && other.step == Step::Work
}

fn is_whole(world: &World) -> bool {
    match world.visible {
        None => true,
        Some(rows) => {
            rows == TOTAL && matches!(world.row.state, State::Finishing | State::Terminating | State::Completed)
        }
    }
}

fn has_left_all(world: &World) -> bool {
    let left = world.nodes.iter().enumerate().filter(|(_, node)| node.life == Life::Left);
    left.into_iter().all(|(index, _)| world.row.owner != Some(index))
}
