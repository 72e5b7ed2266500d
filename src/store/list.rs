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

    /// Returns the states to find, as the store names them. None for any state.
    fn stored_states(&self) -> Option<Vec<&'static str>> {
        let states = self.states.as_ref()?;
        let stored = State::ALL.into_iter().filter(|state| states.contains(&state.shown()));
        Some(stored.map(State::as_str).collect())
    }

    /// Returns the SQL conditions other than that on the state, and their parameters, in order.
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
        let text = select_page(filter.stored_states(), &conditions, page);
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
        let (mut conditions, texts) = filter.conditions();
        if let Some(states) = filter.stored_states() {
            conditions.push(among(&states));
        }
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

/// SELECT of a page. Each state is read by its own part of the index `tasks_state`, in order and up to the limit: otherwise a list of
/// the few running tasks would read all finished ones.
fn select_page(states: Option<Vec<&'static str>>, conditions: &[String], page: Page) -> String {
    let order = if page.from_end { "ASC" } else { "DESC" };
    let part = |of_state: Option<String>| {
        let conditions: Vec<_> = of_state.into_iter().chain(conditions.iter().cloned()).collect();
        format!("{} {} ORDER BY id {order} LIMIT {}", sql::select(), where_all(&conditions), page.limit)
    };
    let Some(states) = states else { return part(None) };
    if states.len() < 2 {
        return part(Some(among(&states)));
    }
    let parts = states.iter().map(|state| format!("SELECT * FROM ({}) AS part", part(Some(among(&[state])))));
    format!("{} ORDER BY id {order} LIMIT {}", parts.collect::<Vec<_>>().join(" UNION ALL "), page.limit)
}

/// Condition that a task is in one of these states.
fn among(states: &[&'static str]) -> String {
    match states {
        [] => "FALSE".to_owned(),
        [state] => format!("state = '{state}'"),
        states => format!("state IN ('{}')", states.join("', '")),
    }
}

fn where_all(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

/// Builds a query. The conditions contain only column names, states and parameters, never a text of a client.
fn bound(text: &str, values: Vec<String>) -> Query<'static, Any, AnyArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text.to_owned())), |query, value| query.bind(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_read_in_order_up_to_the_limit() {
        let page = Page { limit: 7, ..Page::default() };
        let kind = ["kind IN ($1)".to_owned()];
        let text = select_page(Some(vec!["RUNNING", "FINISHING"]), &kind, page);
        for state in ["RUNNING", "FINISHING"] {
            let part = format!("WHERE state = '{state}' AND kind IN ($1) ORDER BY id DESC LIMIT 7) AS part");
            assert!(text.contains(&part), "{text}");
        }
        assert!(text.ends_with(") AS part ORDER BY id DESC LIMIT 7"), "{text}");
        assert!(select_page(Some(Vec::new()), &[], page).contains("WHERE FALSE"));
        assert!(!select_page(None, &[], page).contains("state ="));
    }
}
