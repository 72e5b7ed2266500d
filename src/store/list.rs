//! Lists of tasks: filtered, newest first, paged by key in both directions.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::filter::{Filter, Page};
use super::list_sql::Conditions;
use super::{Error, Store, columns, row, sql};
use crate::access::Caller;
use crate::task::{Task, TaskId};

/// Maximum size of a page, in bytes of the tasks' inputs, cursors and texts.
pub const LIST_BYTES: usize = 4 << 20;

impl Store {
    /// Returns a page of the list, newest first, and true if it is shorter because of [`LIST_BYTES`]. A page has at least one
    /// task if any matches.
    #[tracing::instrument(target = "otlp.store", name = "store.list", skip_all, fields(%caller))]
    pub async fn list(&self, caller: &Caller, filter: &Filter, page: Page) -> Result<(Vec<Arc<Task>>, bool), Error> {
        let mut conditions = Conditions::of(filter);
        let text = conditions.page(self.sql.dialect, page, &sql::select());
        let texts = conditions.texts;
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

    /// Returns the IDs of the newest matching tasks, newest first.
    #[tracing::instrument(target = "otlp.store", name = "store.newest_ids", skip_all, fields(%caller))]
    pub async fn newest_ids(&self, caller: &Caller, filter: &Filter, limit: u32) -> Result<Vec<TaskId>, Error> {
        let mut conditions = Conditions::of(filter);
        let text = conditions.page(self.sql.dialect, Page { limit, ..Page::default() }, "SELECT id FROM tasks");
        let rows = self.read(bound(&text, conditions.texts).fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(row::id).collect::<sqlx::Result<_>>()?)
    }

    /// Returns the number of matching tasks.
    #[tracing::instrument(target = "otlp.store", name = "store.count", skip_all, fields(%caller))]
    pub async fn count(&self, caller: &Caller, filter: &Filter) -> Result<u64, Error> {
        let conditions = Conditions::of(filter);
        let text = conditions.count(self.sql.dialect);
        let row = self.read(bound(&text, conditions.texts).fetch_one(&self.pool)).await?;
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

/// Builds a query of [`Conditions`].
fn bound(text: &str, values: Vec<String>) -> Query<'static, Any, AnyArguments> {
    values.into_iter().fold(sqlx::query(AssertSqlSafe(text.to_owned())), |query, value| query.bind(value))
}
