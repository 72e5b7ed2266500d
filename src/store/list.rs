//! Lists of tasks: filtered, in an order, paged by key in both directions.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::conditions::Conditions;
use super::filter::{Filter, ListOrder, Page};
use super::list_sql::{PageSql, SORTED, WALKED};
use super::{Error, Store, row, sql};
use crate::access::Caller;
use crate::numbers::unsigned;
use crate::task::{Task, TaskId};

/// Maximum size of a page, in bytes of the tasks' inputs, cursors and texts.
pub const LIST_BYTES: usize = 4 << 20;

/// Number of matching tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// Number of tasks that were counted. There are more if it is not exact.
    pub count: u64,
    /// True if all were counted.
    pub exact: bool,
}

/// A statement and its parameters.
pub(super) struct ListStatement {
    text: String,
    values: Vec<String>,
}

impl ListStatement {
    /// Builds the statement that `text` makes from the conditions of the filter.
    fn page(
        store: &Store,
        filter: &Filter,
        page: Page,
        columns: &str,
        text: impl FnOnce(&mut PageSql) -> String,
    ) -> ListStatement {
        let dialect = store.sql.dialect;
        let mut statements = PageSql::new(Conditions::of(filter, dialect), dialect, page, columns);
        let text = text(&mut statements);
        ListStatement::used(&text, &statements.into_parameters())
    }

    /// Keeps only the parameters that the text has, in their order there: the databases refuse others.
    fn used(text: &str, parameters: &[String]) -> ListStatement {
        let mut parts = text.split('$');
        let mut used = ListStatement { text: parts.next().unwrap_or_default().to_owned(), values: Vec::new() };
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let parameter = part[..digits].parse().ok().and_then(|n: usize| parameters.get(n.checked_sub(1)?));
            used.values.extend(parameter.cloned());
            used.text.push_str(&format!("${}{}", used.values.len(), &part[digits..]));
        }
        used
    }

    /// A statement all of whose parameters are used.
    pub fn new(text: String, values: Vec<String>) -> ListStatement {
        ListStatement { text, values }
    }

    /// The statement inside another one.
    pub fn wrapped(self, wrap: impl FnOnce(&str) -> String) -> ListStatement {
        ListStatement { text: wrap(&self.text), ..self }
    }

    /// Builds the query.
    pub fn query(self) -> Query<'static, Any, AnyArguments> {
        let query = sqlx::query(AssertSqlSafe(self.text));
        self.values.into_iter().fold(query, |query, value| query.bind(value))
    }
}

impl Store {
    /// Returns a page of the list, and true if it is shorter because of [`LIST_BYTES`]. A page has at least one task if any
    /// matches.
    #[tracing::instrument(target = "otlp.store", name = "store.list", skip_all, fields(%caller))]
    pub async fn list(&self, caller: &Caller, filter: &Filter, page: Page) -> Result<(Vec<Arc<Task>>, bool), Error> {
        let columns = sql::task_columns();
        let (mut tasks, more) = match self.walked(filter, page, &columns).await? {
            Some(walked) => walked,
            None => self.tasks_of(self.statement(filter, page, &columns).await?).await?,
        };
        if page.from_end {
            tasks.reverse();
        }
        Ok((tasks, more))
    }

    /// Returns the IDs of the newest matching tasks, newest first.
    #[tracing::instrument(target = "otlp.store", name = "store.newest_ids", skip_all, fields(%caller))]
    pub async fn newest_ids(&self, caller: &Caller, filter: &Filter, limit: u32) -> Result<Vec<TaskId>, Error> {
        let page = Page { limit, ..Page::default() };
        let statement = self.statement(filter, page, "id").await?;
        let rows = self.read(statement.query().fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(row::id).collect::<sqlx::Result<_>>()?)
    }

    /// Reads the matching ones among the first tasks of the order. Most searches find enough there. None if there may be more.
    async fn walked(
        &self,
        filter: &Filter,
        page: Page,
        columns: &str,
    ) -> Result<Option<(Vec<Arc<Task>>, bool)>, Error> {
        if filter.search.is_none() || filter.ids.is_some() {
            return Ok(None);
        }
        let (tasks, more) = self.tasks_of(ListStatement::page(self, filter, page, columns, PageSql::walked)).await?;
        let is_full = more || tasks.len() >= page.limit as usize;
        let is_all = is_full
            || self.number(ListStatement::page(self, filter, page, "id", PageSql::walk_length)).await? < WALKED.into();
        Ok(is_all.then_some((tasks, more)))
    }

    /// Returns the statement that reads the page.
    pub(super) async fn statement(&self, filter: &Filter, page: Page, columns: &str) -> Result<ListStatement, Error> {
        let sorts = match (&filter.search, page.order) {
            (Some(_), _) | (None, ListOrder::CreatedDesc | ListOrder::CreatedAsc) => false,
            _ => self.can_be_sorted(filter, page).await?,
        };
        Ok(ListStatement::page(self, filter, page, columns, |statements| match sorts {
            true => statements.sorted(),
            false => statements.found().unwrap_or_else(|| statements.ordered()),
        }))
    }

    /// Returns true if the index of the filter has few tasks.
    async fn can_be_sorted(&self, filter: &Filter, page: Page) -> Result<bool, Error> {
        if !filter.is_indexed() {
            return Ok(false);
        }
        Ok(self.number(ListStatement::page(self, filter, page, "id", PageSql::indexed)).await? <= SORTED.into())
    }

    async fn tasks_of(&self, statement: ListStatement) -> Result<(Vec<Arc<Task>>, bool), Error> {
        let listing = async {
            let mut connection = self.pool.acquire().await?;
            let listed = within_bytes(statement.query().fetch(&mut *connection)).await?;
            connection.release();
            Ok(listed)
        };
        self.read(listing).await
    }

    async fn number(&self, statement: ListStatement) -> Result<u64, Error> {
        let row = self.read(statement.query().fetch_one(&self.pool)).await?;
        Ok(unsigned(row.try_get("n")?))
    }

    /// Returns how the database reads a page, one step a line: for tests.
    pub async fn explain(&self, filter: &Filter, page: Page) -> Result<String, Error> {
        let columns = sql::task_columns();
        let walk = filter.search.as_ref().map(|_| ListStatement::page(self, filter, page, &columns, PageSql::walked));
        let mut steps = String::new();
        for statement in walk.into_iter().chain([self.statement(filter, page, &columns).await?]) {
            let explained = statement.wrapped(|text| format!("{} {text}", self.sql.dialect.explain()));
            for row in self.read(explained.query().fetch_all(&self.pool)).await? {
                let step: String = row.try_get(self.sql.dialect.explained())?;
                steps.push_str(&format!("{step}\n"));
            }
        }
        Ok(steps)
    }

    /// Returns the number of matching tasks, up to 100,000. Up to 10,000 if the filter has conditions that its index does not have.
    #[tracing::instrument(target = "otlp.store", name = "store.count", skip_all, fields(%caller))]
    pub async fn count(&self, caller: &Caller, filter: &Filter) -> Result<Total, Error> {
        let most = Conditions::of(filter, self.sql.dialect).max_count();
        let count = self.count_up_to(filter, most + 1).await?;
        Ok(Total { count: count.min(most.into()), exact: count <= most.into() })
    }

    /// Returns the number of matching tasks, however many there are.
    #[tracing::instrument(target = "otlp.store", name = "store.count_all", skip_all, fields(%caller))]
    pub async fn count_all(&self, caller: &Caller, filter: &Filter) -> Result<u64, Error> {
        self.count_up_to(filter, u32::MAX).await
    }

    async fn count_up_to(&self, filter: &Filter, limit: u32) -> Result<u64, Error> {
        let page = Page { limit, ..Page::default() };
        self.number(ListStatement::page(self, filter, page, "id", PageSql::count)).await
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
