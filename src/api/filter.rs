//! Filters of tasks.

use async_graphql::{Enum, ID, InputObject};

use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::scalars::DateTime;
use crate::gql::task::TaskState;
use crate::kinds::api::TaskKind;
use crate::runner::BadInput;
use crate::state::AppState;
use crate::store::{Filter, ListOrder, SearchText, TimeRange};
use crate::task::{State, TaskId};

/// Maximum IDs in a filter: as many as nodes in a page.
const MAX_IDS: usize = 500;

/// Maximum values in another list of a filter.
const MAX_VALUES: usize = 100;

/// Maximum length of a searched text, in characters.
const MAX_SEARCH: usize = 200;

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
    /// Tasks with this text as a part of their label, dataset, file name or a tag, or at the beginning of their ID. At most 200
    /// characters. Case is ignored. Texts of one or two characters are not in the index: if few tasks have them, the list takes long.
    /// Default: all.
    pub search: Option<String>,
    /// Tasks with any of these tags, at most 100. Default: all.
    pub tags: Option<Vec<String>>,
    /// Tasks that this subject started. Default: all.
    pub created_by: Option<String>,
    /// Tasks that read or write any of these datasets, at most 100. Default: all.
    pub datasets: Option<Vec<String>>,
    /// Tasks of the kind CUSTOM with any of these names, at most 100. Default: all.
    pub custom_names: Option<Vec<String>>,
    /// Tasks that run on any of the nodes with these names, at most 100, of those that are listed now. Default: all.
    pub nodes: Option<Vec<String>>,
    /// Tasks whose last attempt ended with any of these error codes, at most 100. Default: all.
    pub error_codes: Option<Vec<String>>,
    /// Tasks that were created later than this. Default: all.
    pub created_after: Option<DateTime>,
    /// Tasks that were created earlier than this. Default: all.
    pub created_before: Option<DateTime>,
    /// Tasks that reached a final state later than this. Default: all.
    pub finished_after: Option<DateTime>,
    /// Tasks that reached a final state earlier than this. Default: all.
    pub finished_before: Option<DateTime>,
}

/// Order of a list of tasks. Tasks that are equal in it are ordered by their creation, newest first unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub enum TaskOrder {
    /// By creation, newest first.
    #[default]
    CreatedDesc,
    /// By creation, oldest first.
    CreatedAsc,
    /// By the time of the final state, latest first. Unfinished tasks follow.
    FinishedDesc,
    /// By the time of the last change of state, latest first. Progress is no change of state.
    UpdatedDesc,
    /// By priority, highest first; tasks of one priority by creation, oldest first. Queued tasks are claimed in this order.
    PriorityDesc,
}

impl From<TaskOrder> for ListOrder {
    fn from(order: TaskOrder) -> ListOrder {
        match order {
            TaskOrder::CreatedDesc => ListOrder::CreatedDesc,
            TaskOrder::CreatedAsc => ListOrder::CreatedAsc,
            TaskOrder::FinishedDesc => ListOrder::FinishedDesc,
            TaskOrder::UpdatedDesc => ListOrder::UpdatedDesc,
            TaskOrder::PriorityDesc => ListOrder::PriorityDesc,
        }
    }
}

impl TaskFilter {
    /// Translates the filter for the store.
    pub async fn parse(mut self, app: &AppState, caller: &Caller) -> Result<Filter> {
        let owners = owners(app, caller, self.nodes.take()).await?;
        let kinds = self.kinds.map(|kinds| kinds.iter().flat_map(|kind| names(app, *kind)).collect());
        let custom_names = values("filter.customNames", self.custom_names)?;
        let states = self.states.map(|states| states.into_iter().map(State::from).collect());
        BadInput::check_text("filter.label", self.label.as_deref(), usize::MAX).map_err(error::from_input)?;
        BadInput::check_text("filter.search", self.search.as_deref(), MAX_SEARCH).map_err(error::from_input)?;
        BadInput::check_text("filter.createdBy", self.created_by.as_deref(), usize::MAX).map_err(error::from_input)?;
        Ok(Filter {
            ids: self.ids.map(task_ids).transpose()?,
            kinds: custom_kinds(kinds, custom_names),
            states,
            label: self.label,
            search: self.search.filter(|search| !search.is_empty()).map(|search| SearchText::new(&search)),
            tags: values("filter.tags", self.tags)?,
            created_by: self.created_by,
            owners,
            datasets: values("filter.datasets", self.datasets)?,
            error_codes: values("filter.errorCodes", self.error_codes)?,
            created: range(self.created_after, self.created_before),
            finished: range(self.finished_after, self.finished_before),
        })
    }
}

/// The IDs of the listed nodes with these names.
async fn owners(app: &AppState, caller: &Caller, names: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    let Some(names) = values("filter.nodes", names)? else { return Ok(None) };
    let listed = app.store.nodes(caller, app.clock.now()).await.map_err(error::from_store)?;
    Ok(Some(listed.into_iter().filter(|node| names.contains(&node.name)).map(|node| node.id).collect()))
}

fn range(after: Option<DateTime>, before: Option<DateTime>) -> TimeRange {
    TimeRange { after: after.map(|at| at.0), before: before.map(|at| at.0) }
}

/// The kinds that are among `kinds`, and have one of the names of kinds of an embedding program.
fn custom_kinds(kinds: Option<Vec<String>>, names: Option<Vec<String>>) -> Option<Vec<String>> {
    let Some(names) = names else { return kinds };
    let is_among = |name: &String| kinds.as_ref().is_none_or(|kinds| kinds.contains(name));
    Some(names.into_iter().filter(|name| TaskKind::of(name) == TaskKind::Custom && is_among(name)).collect())
}

/// Checks a list of texts.
fn values(field: &str, values: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    let listed = values.iter().flatten();
    if listed.clone().count() > MAX_VALUES {
        let text = format!("{} values are given, at most {MAX_VALUES} are allowed.", listed.count());
        return Err(error::bad_input(field, text));
    }
    for value in listed {
        BadInput::check_text(field, Some(value), usize::MAX).map_err(error::from_input)?;
    }
    Ok(values)
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
