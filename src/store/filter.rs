//! Which tasks a list has, and which part of it is read.

use crate::task::{State, Task, TaskId};

/// Conditions on tasks. A task matches if it fulfils all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these IDs.
    pub ids: Option<Vec<TaskId>>,
    /// Any of these kinds.
    pub kinds: Option<Vec<String>>,
    /// Any of these states, as clients see them.
    pub states: Option<Vec<State>>,
    /// Exactly this label.
    pub label: Option<String>,
}

/// Part of a list: tasks between two IDs, from the newest or from the oldest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Only tasks older than this one.
    pub after: Option<TaskId>,
    /// Only tasks newer than this one.
    pub before: Option<TaskId>,
    /// True to take the oldest of them instead of the newest.
    pub from_end: bool,
    /// Maximum number of tasks.
    pub limit: u32,
}

impl Filter {
    /// Returns true if the task matches.
    pub fn matches(&self, task: &Task) -> bool {
        let among = |list: &Option<Vec<State>>| list.as_ref().is_none_or(|list| list.contains(&task.state.shown()));
        self.ids.as_ref().is_none_or(|ids| ids.contains(&task.id))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&task.kind))
            && among(&self.states)
            && self.label.as_ref().is_none_or(|label| task.label.as_ref() == Some(label))
    }

    /// Returns the states to find, as the store has them. None for any state.
    pub(super) fn stored_states(&self) -> Option<impl Iterator<Item = State>> {
        let states = self.states.as_ref()?;
        Some(State::ALL.into_iter().filter(|state| states.contains(&state.shown())))
    }
}
