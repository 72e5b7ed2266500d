//! The filter of tasks.

use async_graphql::{ID, InputObject};

use crate::gql::error::{self, Result};
use crate::gql::task::TaskState;
use crate::kinds::api::TaskKind;
use crate::runner::BadInput;
use crate::state::AppState;
use crate::store::Filter;
use crate::task::{State, TaskId};

/// Maximum number of IDs in a filter.
const MAX_IDS: usize = 500;

/// Filter of tasks. A task matches if it matches every field that is set.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TaskFilter {
    /// Tasks with any of these IDs, at most 500. Default: all.
    pub ids: Option<Vec<ID>>,
    /// Tasks of any of these kinds. Default: all.
    pub kinds: Option<Vec<TaskKind>>,
    /// Tasks in any of these states. Default: all.
    pub states: Option<Vec<TaskState>>,
    /// Tasks with exactly this label. Default: all.
    pub label: Option<String>,
}

impl TaskFilter {
    /// Translates the filter for the store.
    pub fn parse(self, app: &AppState) -> Result<Filter> {
        let ids = self.ids.map(task_ids).transpose()?;
        let kinds = self.kinds.map(|kinds| kinds.iter().flat_map(|kind| names(app, *kind)).collect());
        let states = self.states.map(|states| states.into_iter().map(State::from).collect());
        BadInput::check_text("filter.label", self.label.as_deref(), usize::MAX).map_err(error::from_input)?;
        Ok(Filter { ids, kinds, states, label: self.label })
    }
}

fn task_ids(ids: Vec<ID>) -> Result<Vec<TaskId>> {
    if ids.len() > MAX_IDS {
        let text = format!("{} IDs are given, at most {MAX_IDS} are allowed: ask in several requests.", ids.len());
        return Err(error::bad_input("filter.ids", text));
    }
    ids.iter().map(|id| error::parse_task_id(id)).collect()
}

/// The names under which the store keeps tasks of `kind`.
fn names(app: &AppState, kind: TaskKind) -> Vec<String> {
    app.runner.kind_names().filter(|name| TaskKind::of(name) == kind).map(str::to_owned).collect()
}
