//! A task's id.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A UUID of version 7: ids sort by the moment they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(Uuid);

impl TaskId {
    /// The id as a UUID.
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

/// A text that is no id of a task.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no task id: an id has 32 hexadecimal digits in groups of 8-4-4-4-12")]
pub struct MalformedId(String);

impl FromStr for TaskId {
    type Err = MalformedId;

    /// Only the hyphenated form, so that one task has one name.
    fn from_str(text: &str) -> Result<TaskId, MalformedId> {
        let malformed = || MalformedId(text.chars().take(80).collect());
        let id = Uuid::try_parse(text).map_err(|_| malformed())?;
        if text.len() == 36 { Ok(TaskId(id)) } else { Err(malformed()) }
    }
}
