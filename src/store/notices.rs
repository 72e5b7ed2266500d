//! Notices: tasks that tell a receiver of the final state of another task. They are written in the transaction that writes the state, so
//! no crash loses one.

use std::sync::Arc;

use sqlx::AnyConnection;

use super::Store;
use super::lines::{self, LineWrite};
use super::notice_maker::NoticeFn;
use super::sql::Sql;
use crate::task::{Author, StateChange, Task, TaskChange};

impl Store {
    /// Sets what makes notices. Only the first call has an effect.
    pub fn notify_by(&self, notice: NoticeFn) {
        self.sql.notices.set(notice);
    }
}

/// Writes the notices of those changes that lead to a final state, and adds them to the changes. Must run in the transaction that
/// writes the changes.
pub async fn add(conn: &mut AnyConnection, sql: &Sql, changes: &mut Vec<TaskChange>) -> sqlx::Result<()> {
    let Some(make) = sql.notices.get() else { return Ok(()) };
    let ended = changes.iter().filter(|change| has_ended(change));
    let notices: Vec<_> = ended.filter_map(|change| make(&change.task)).map(started).collect();
    if !notices.is_empty() {
        lines::write(conn, sql, LineWrite::Insert, &notices).await?;
        changes.extend(notices);
    }
    Ok(())
}

/// Returns true if the change led the task to a final state.
fn has_ended(change: &TaskChange) -> bool {
    let moved = |transition: &StateChange| transition.from != Some(transition.to) && transition.to.is_final();
    change.task.notify_url.is_some() && change.transition.as_ref().is_some_and(moved)
}

fn started(task: Task) -> TaskChange {
    let (by, at) = (Author::system().to_string(), task.created_at);
    let transition = StateChange { from: None, to: task.state, at, by, reason: None };
    TaskChange { task: Arc::new(task), transition: Some(transition) }
}
