//! Word of changes, as nodes that share a store send it to each other.

use jiff::Timestamp;

use crate::task::{State, Task, TaskId};

/// Word of a change by another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The task.
    pub id: TaskId,
    /// Its version with that change.
    pub version: i64,
    /// Its state changed.
    pub state_changed: bool,
    /// Its state.
    pub state: State,
    /// A node holds it.
    pub owned: bool,
    /// It takes no slot.
    pub short: bool,
    /// When the next thing happens to it by itself.
    pub due_at: Option<Timestamp>,
}

impl Hint {
    /// What there is to say of a task.
    pub fn of(task: &Task, state_changed: bool) -> Hint {
        Hint {
            id: task.id,
            version: task.version,
            state_changed,
            state: task.state,
            owned: task.owner.is_some(),
            short: task.is_short(),
            due_at: task.due_at,
        }
    }
}

/// The word that the store `source` sends of a change that it made.
pub fn say(task: &Task, state_changed: bool, source: &str) -> String {
    let Hint { id, version, state_changed, state, owned, short, due_at } = Hint::of(task, state_changed);
    let due = due_at.map_or_else(|| "-".to_owned(), |due| due.as_microsecond().to_string());
    format!("{source} {id} {version} {state_changed} {} {owned} {short} {due}", state.as_str())
}

/// What the word tells; none where `source` said it itself.
pub fn hear(word: &str, source: &str) -> Option<Hint> {
    let mut parts = word.split(' ');
    let mut next = || parts.next();
    if next()? == source {
        return None;
    }
    Some(Hint {
        id: next()?.parse().ok()?,
        version: next()?.parse().ok()?,
        state_changed: next()?.parse().ok()?,
        state: next()?.parse().ok()?,
        owned: next()?.parse().ok()?,
        short: next()?.parse().ok()?,
        due_at: match next()? {
            "-" => None,
            due => Some(Timestamp::from_microsecond(due.parse().ok()?).ok()?),
        },
    })
}
