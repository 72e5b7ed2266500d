//! Lists of tasks: filtered, newest first, paged by key in both directions.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::{Error, Store, columns, row, sql};
use crate::access::Caller;
use crate::task::{State, Task, TaskId};

/// Maximum size of a page, in bytes of the tasks' inputs, cursors and texts.
pub const LIST_BYTES: usize = 4 << 20;

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

    /// Returns the SQL conditions and their parameters, in order.
    fn conditions(&self) -> (Vec<String>, Vec<String>) {
        let mut conditions = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        let mut any_of = |column: &str, values: Vec<String>| {
            let places: Vec<_> = (texts.len() + 1..=texts.len() + values.len()).map(|n| format!("${n}")).collect();
            conditions.push(format!(
                "{column} IN ({})",
                if places.is_empty() { "NULL".to_owned() } else { places.join(", ") }
            ));
            texts.extend(values);
        };
        if let Some(ids) = &self.ids {
            any_of("id", ids.iter().map(TaskId::to_string).collect());
        }
        if let Some(kinds) = &self.kinds {
            any_of("kind", kinds.clone());
        }
        if let Some(states) = &self.states {
            let stored = State::ALL.into_iter().filter(|state| states.contains(&state.shown()));
            any_of("state", stored.map(|state| state.as_str().to_owned()).collect());
        }
        if let Some(label) = &self.label {
            any_of("label", vec![label.clone()]);
        }
        (conditions, texts)
    }
}

impl Store {
    /// Returns a page of the list, newest first, and true if it is shorter because of [`LIST_BYTES`]. A page has at least one
    /// task if any matches.
    #[tracing::instrument(target = "otlp.store", name = "store.list", skip_all, fields(%caller))]
    pub async fn list(&self, caller: &Caller, filter: &Filter, page: Page) -> Result<(Vec<Arc<Task>>, bool), Error> {
        let (mut conditions, mut texts) = filter.conditions();
        for (bound, sign) in [(page.after, '<'), (page.before, '>')] {
            if let Some(id) = bound {
                texts.push(id.to_string());
                conditions.push(format!("id {sign} ${}", texts.len()));
            }
        }
        let order = if page.from_end { "ASC" } else { "DESC" };
        let text = format!("{} {} ORDER BY id {order} LIMIT {}", sql::select(), where_all(&conditions), page.limit);
        let listing = async {
            let mut connection = self.pool.acquire().await?;
            let listed = within_bytes(bound(&text, texts).fetch(&mut *connection)).await?;
            connection.give_back();
            Ok(listed)
        };
        let (mut tasks, more) = self.read(listing).await?;
        if page.from_end {
            tasks.reverse();
        }
        Ok((tasks, more))
    }

    /// Returns the number of matching tasks.
    #[tracing::instrument(target = "otlp.store", name = "store.count", skip_all, fields(%caller))]
    pub async fn count(&self, caller: &Caller, filter: &Filter) -> Result<u64, Error> {
        let (conditions, texts) = filter.conditions();
        let text = format!("SELECT COUNT(*) AS n FROM tasks {}", where_all(&conditions));
        let row = self.read(bound(&text, texts).fetch_one(&self.pool)).await?;
        Ok(columns::unsigned(row.try_get("n")?))
    }
}

/// Reads tasks up to [`LIST_BYTES`]. True if there are more.
async fn within_bytes(mut rows: BoxStream<'_, sqlx::Result<AnyRow>>) -> sqlx::Result<(Vec<Arc<Task>>, bool)> {
    let (mut tasks, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let task = row::task(&row)?;
        bytes += task.text_bytes();
        if bytes > LIST_BYTES && !tasks.is_empty() {
            return Ok((tasks, true));
        }
        tasks.push(Arc::new(task));
    }
    Ok((tasks, false))
}

fn where_all(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

/// Builds a query. The conditions contain only column names and parameters, never a text of a client.
fn bound(text: &str, values: Vec<String>) -> Query<'static, Any, AnyArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text.to_owned())), |query, value| query.bind(value))
}
