//! Places of tasks in the queue.

use std::cmp::Reverse;
use std::collections::HashMap;

use sqlx::Row;

use super::lines::json;
use super::{Error, Store, row};
use crate::access::Caller;
use crate::numbers::{signed, unsigned};
use crate::task::{State, Task, TaskId};

/// Maximum number of tasks that are counted before a queued one.
const BEFORE: u64 = 10_000;

/// Place of a task in the queue: tasks with a lower place are claimed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueuePlace {
    priority: Reverse<i32>,
    id: TaskId,
}

impl QueuePlace {
    /// Returns the place of a task. None unless it is QUEUED, and for a short task, which is claimed when it is due.
    pub fn of(task: &Task) -> Option<QueuePlace> {
        let place = QueuePlace { priority: Reverse(task.priority), id: task.id };
        (task.state == State::Queued && !task.is_short()).then_some(place)
    }
}

impl Store {
    /// Returns the numbers of tasks that will be claimed before each of these. Leaves out tasks that are not QUEUED any more, and those
    /// that have more than 10,000 tasks before them. Reads the queue once, up to the last of them.
    #[tracing::instrument(target = "otlp.store", name = "store.queue_positions", skip_all, fields(%caller))]
    pub async fn queue_positions(
        &self,
        caller: &Caller,
        places: &[QueuePlace],
    ) -> Result<HashMap<QueuePlace, u64>, Error> {
        let Some(last) = places.iter().max() else { return Ok(HashMap::new()) };
        let by_id: HashMap<_, _> = places.iter().map(|place| (place.id, *place)).collect();
        let ids = json(&by_id.keys().map(TaskId::to_string).collect::<Vec<_>>())?;
        let query =
            sqlx::query(self.sql.queue_positions.clone()).bind(i64::from(last.priority.0)).bind(last.id.to_string());
        let rows = self.read(query.bind(signed(BEFORE + 1)).bind(ids).fetch_all(&self.pool)).await?;
        let position = |row| Ok((by_id.get(&row::id(row)?).copied(), unsigned(row.try_get("earlier")?)));
        let found = rows.iter().map(position).collect::<sqlx::Result<Vec<_>>>()?;
        Ok(found.into_iter().filter_map(|(place, earlier)| Some((place?, earlier))).collect())
    }
}
