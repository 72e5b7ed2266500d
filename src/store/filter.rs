//! Filter and order of a list of tasks, and the part of the list that is read.

use jiff::Timestamp;

use crate::task::{State, Task, TaskId};

/// Maximum number of matching tasks that are counted if an index has the conditions.
pub const COUNTED: u32 = 100_000;

/// Maximum number of tasks that are counted by other conditions: each is read.
pub const READ: u32 = 10_000;

/// Conditions on tasks. A task matches if it fulfils all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Any of these IDs.
    pub ids: Option<Vec<TaskId>>,
    /// Any of these kinds.
    pub kinds: Option<Vec<String>>,
    /// Any of these states, as clients see them.
    pub states: Option<Vec<State>>,
    /// Exactly this label.
    pub label: Option<String>,
    /// Part of a text of the task, or the beginning of its ID.
    pub search: Option<SearchText>,
    /// Any of these datasets.
    pub datasets: Option<Vec<String>>,
    /// Any of these tags.
    pub tags: Option<Vec<String>>,
    /// Exactly this subject of the caller that started the task.
    pub created_by: Option<String>,
    /// Claimed by any of the nodes with these IDs.
    pub owners: Option<Vec<String>>,
    /// Any of these error codes.
    pub error_codes: Option<Vec<String>>,
    /// Time of its creation.
    pub created: TimeRange,
    /// Time at which it reached a final state. An unfinished task is in no range.
    pub finished: TimeRange,
}

/// A text to be found, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SearchText(String);

impl SearchText {
    /// A text whose case does not matter.
    pub fn new(text: &str) -> SearchText {
        SearchText(text.to_lowercase())
    }

    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns each part of three characters once. Empty if the text is shorter.
    pub fn trigrams(&self) -> Vec<String> {
        let chars: Vec<_> = self.0.chars().collect();
        let mut trigrams: Vec<_> = chars.windows(3).map(String::from_iter).collect();
        trigrams.sort();
        trigrams.dedup();
        trigrams
    }

    /// Returns true if IDs may begin with the text.
    pub fn may_begin_id(&self) -> bool {
        self.0.len() <= 36 && self.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
    }

    fn matches(&self, task: &Task) -> bool {
        task.search_text().is_some_and(|text| text.contains(&self.0)) || task.id.to_string().starts_with(&self.0)
    }
}

/// A range of time without its ends. None: open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// Later than this.
    pub after: Option<Timestamp>,
    /// Earlier than this.
    pub before: Option<Timestamp>,
}

impl TimeRange {
    /// Returns true if the range has both ends open.
    pub fn is_open(&self) -> bool {
        *self == TimeRange::default()
    }

    fn contains(&self, at: Option<Timestamp>) -> bool {
        let is_within =
            |at: Timestamp| self.after.is_none_or(|after| at > after) && self.before.is_none_or(|before| at < before);
        at.map_or(self.is_open(), is_within)
    }
}

/// Order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// Newest first.
    #[default]
    CreatedDesc,
    /// Oldest first.
    CreatedAsc,
    /// By the time of the final state, latest first. Then the unfinished tasks, newest first.
    FinishedDesc,
    /// By the time of the last change of state, latest first.
    UpdatedDesc,
    /// By priority, highest first. Those of one priority in the order of their creation, as they are claimed.
    PriorityDesc,
}

impl ListOrder {
    /// Returns the place of the task in the order. Tasks with the same key have the order of their IDs.
    pub fn cursor(self, task: &Task) -> ListCursor {
        let key = match self {
            ListOrder::CreatedDesc | ListOrder::CreatedAsc => 0,
            ListOrder::FinishedDesc => task.finished_at.map_or(UNFINISHED, Timestamp::as_microsecond),
            ListOrder::UpdatedDesc => task.updated_at.as_microsecond(),
            ListOrder::PriorityDesc => -i64::from(task.priority),
        };
        ListCursor { key, id: task.id }
    }

    /// Returns true if larger keys come first.
    pub fn is_descending(self) -> bool {
        !matches!(self, ListOrder::CreatedAsc | ListOrder::PriorityDesc)
    }
}

/// Key of unfinished tasks in [`ListOrder::FinishedDesc`].
pub const UNFINISHED: i64 = -1;

/// A place in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    /// Key of the task in the order.
    pub key: i64,
    /// ID of the task.
    pub id: TaskId,
}

impl From<TaskId> for ListCursor {
    /// The place of a task in the orders by creation.
    fn from(id: TaskId) -> ListCursor {
        ListCursor { key: 0, id }
    }
}

/// Part of a list: tasks between two places, from the beginning or from the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Order of the list.
    pub order: ListOrder,
    /// Only tasks after this place.
    pub after: Option<ListCursor>,
    /// Only tasks before this place.
    pub before: Option<ListCursor>,
    /// True to take the last of them instead of the first.
    pub from_end: bool,
    /// Maximum number of tasks.
    pub limit: u32,
}

impl Filter {
    /// Returns true if the task matches.
    pub fn matches(&self, task: &Task) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&task.id))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&task.kind))
            && self.states.as_ref().is_none_or(|states| states.contains(&task.state.shown()))
            && self.label.as_ref().is_none_or(|label| task.label.as_ref() == Some(label))
            && self.search.as_ref().is_none_or(|search| search.matches(task))
            && is_among(&self.datasets, task.dataset.as_deref())
            && self.tags.as_ref().is_none_or(|tags| tags.iter().any(|tag| task.tags.contains(tag)))
            && self.created_by.as_ref().is_none_or(|by| task.created_by == *by)
            && is_among(&self.owners, task.owner.as_deref())
            && is_among(&self.error_codes, task.error.as_ref().map(|error| error.code.as_str()))
            && self.created.contains(Some(task.created_at))
            && self.finished.contains(task.finished_at)
    }

    /// Returns true if the filter has no conditions but those on kinds and states.
    pub(super) fn only_kinds_and_states(&self) -> bool {
        *self == Filter { kinds: self.kinds.clone(), states: self.states.clone(), ..Filter::default() }
    }

    /// Returns true if an index has the matching tasks.
    pub(super) fn is_indexed(&self) -> bool {
        let texts = [self.label.is_some(), self.created_by.is_some()];
        let lists = [&self.kinds, &self.datasets, &self.tags, &self.owners, &self.error_codes].map(Option::is_some);
        self.ids.is_some() || self.states.is_some() || [&texts[..], &lists].concat().contains(&true)
    }

    /// Returns the states to find, as the store has them. None for any state.
    pub(super) fn stored_states(&self) -> Option<impl Iterator<Item = State>> {
        if self.states.is_none() && self.owners.is_none() {
            return None;
        }
        let is_wanted = |state: &State| self.states.as_ref().is_none_or(|states| states.contains(&state.shown()));
        // Nodes have few tasks: those in these states.
        let is_owned = |state: &State| self.owners.is_none() || state.may_be_owned();
        Some(State::ALL.into_iter().filter(move |state| is_wanted(state) && is_owned(state)))
    }
}

fn is_among(list: &Option<Vec<String>>, value: Option<&str>) -> bool {
    list.as_ref().is_none_or(|list| value.is_some_and(|value| list.iter().any(|other| other == value)))
}
