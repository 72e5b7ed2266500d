//! IDs of tasks.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// ID of a task: a UUID of version 7. IDs sort by the time of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(Uuid);

impl TaskId {
    /// Returns the ID as a UUID.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl From<Uuid> for TaskId {
    fn from(id: Uuid) -> TaskId {
        TaskId(id)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A text that is not a task ID.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a valid task ID: expected a UUID with hyphens.")]
pub struct MalformedId(String);

impl FromStr for TaskId {
    type Err = MalformedId;

    /// Accepts only the hyphenated form, so that a task has one ID.
    fn from_str(text: &str) -> Result<TaskId, MalformedId> {
        let malformed = || MalformedId(text.chars().take(80).collect());
        let id = Uuid::try_parse(text).map_err(|_| malformed())?;
        if text.len() == 36 { Ok(TaskId(id)) } else { Err(malformed()) }
    }
}
