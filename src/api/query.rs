//! The queries.

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, ID, Object, SimpleObject};
use tokio::sync::OnceCell;

use super::counts::{TaskCount, task_counts};
use super::cursor;
use super::datasets::{self, DatasetConnection, DatasetObject};
use super::filter::{TaskFilter, TaskOrder};
use super::kinds::{Limits, TaskObject};
use super::nodes::{self, NodeRef};
use super::server_nodes::{self, ServerNodeObject};
use super::uploads::{self, UploadConnection};
use crate::access::Caller;
use crate::datasets::DatasetName;
use crate::gql::error::{self, Result};
use crate::gql::paging::{self, PageArguments};
use crate::gql::scalars::{Count, DateTime};
use crate::state::AppState;
use crate::store::{Filter, ListOrder, Page, Total};

/// A page of the list of tasks.
pub type TaskConnection = Connection<String, TaskObject, TaskTotal>;

/// The queries.
pub struct Query;

/// Queries.
#[Object]
impl Query {
    /// Returns a task. An unknown ID is refused with NOT_FOUND, so the field is never null without an error.
    async fn task(&self, ctx: &Context<'_>, #[graphql(desc = "ID of the task.")] id: ID) -> Result<Option<TaskObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let task = app.store.get(caller, error::parse_task_id(&id)?).await.map_err(error::from_store)?;
        let task = task.ok_or_else(|| error::task_not_found(&*id))?;
        Ok(Some(task.into()))
    }

    /// Lists tasks. Pages forward and backward as in the Relay connection specification; a cursor belongs to one order. A page ends
    /// early, after at least one task, when the inputs of its tasks reach 4 MiB.
    #[graphql(complexity = "paging::complexity(first.or(last), child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match. Default: all.")] filter: Option<TaskFilter>,
        #[graphql(desc = "Maximum number of nodes from the start, 0 to 500. Default: 50, unless last is set.")]
        first: Option<i32>,
        #[graphql(desc = "Only nodes after this cursor.")] after: Option<String>,
        #[graphql(desc = "Maximum number of nodes from the end, 0 to 500. Excludes first.")] last: Option<i32>,
        #[graphql(desc = "Only nodes before this cursor.")] before: Option<String>,
        #[graphql(desc = "Order of the list.", default)] order_by: TaskOrder,
    ) -> Result<TaskConnection> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let filter = filter.unwrap_or_default().parse(app, caller).await?;
        list(app, caller, filter, order_by.into(), &PageArguments { first, after, last, before }).await
    }

    /// Counts the matching tasks by kind and state, without those kinds and states that no task has. Counts at most 100,000 tasks; at
    /// most 10,000 if the filter has conditions other than kinds, custom names and states.
    async fn task_counts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match. Default: all.")] filter: Option<TaskFilter>,
    ) -> Result<Vec<TaskCount>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let filter = filter.unwrap_or_default().parse(app, caller).await?;
        Ok(task_counts(app.store.tallies(caller, &filter).await.map_err(error::from_store)?))
    }

    /// Returns a dataset. Null if no dataset has this name.
    async fn dataset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Name of the dataset.")] name: String,
    ) -> Result<Option<DatasetObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let Ok(name) = name.parse::<DatasetName>() else { return Ok(None) };
        Ok(app.datasets.get(caller, &name).await.map_err(error::from_datasets)?.map(DatasetObject))
    }

    /// Lists datasets, ordered by name.
    #[graphql(complexity = "paging::complexity(first.or(last), child_complexity)")]
    async fn datasets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Maximum number of nodes from the start, 0 to 500. Default: 50, unless last is set.")]
        first: Option<i32>,
        #[graphql(desc = "Only nodes after this cursor.")] after: Option<String>,
        #[graphql(desc = "Maximum number of nodes from the end, 0 to 500. Excludes first.")] last: Option<i32>,
        #[graphql(desc = "Only nodes before this cursor.")] before: Option<String>,
    ) -> Result<DatasetConnection> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        datasets::list(app, caller, &PageArguments { first, after, last, before }).await
    }

    /// Lists uploads, newest first: those that are complete, and those that clients still send.
    #[graphql(complexity = "paging::complexity(first.or(last), child_complexity)")]
    async fn uploads(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Maximum number of nodes from the start, 0 to 500. Default: 50, unless last is set.")]
        first: Option<i32>,
        #[graphql(desc = "Only nodes after this cursor.")] after: Option<String>,
        #[graphql(desc = "Maximum number of nodes from the end, 0 to 500. Excludes first.")] last: Option<i32>,
        #[graphql(desc = "Only nodes before this cursor.")] before: Option<String>,
    ) -> Result<UploadConnection> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        uploads::list(app, caller, &PageArguments { first, after, last, before }).await
    }

    /// Returns the nodes of the server, ordered by name. A node that ended is not listed; one that died is until its lease expires.
    async fn server_nodes(&self, ctx: &Context<'_>) -> Result<Vec<ServerNodeObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        server_nodes::list(app, caller).await
    }

    /// Returns what has the ID: a task, a dataset, an upload or a server node. Null if nothing has.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The ID.")] id: ID) -> Result<Option<NodeRef>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        nodes::find(app, caller, &id).await
    }

    /// Returns what has each of the IDs, in their order, with null for an ID that nothing has.
    #[graphql(complexity = "ids.len() * child_complexity + 1")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The IDs, at most 500.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<NodeRef>>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        nodes::find_all(app, caller, &ids).await
    }

    /// Describes the node that answers, and its limits.
    async fn server(&self, ctx: &Context<'_>) -> Server {
        let app = ctx.data_unchecked::<AppState>();
        Server {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: app.runner.settings().node.clone(),
            started_at: app.started_at.into(),
            limits: Limits::new(app),
        }
    }
}

/// The node that answers the request.
#[derive(SimpleObject)]
pub struct Server {
    /// Version of Pausa.
    version: String,
    /// Name of the node.
    node: String,
    /// Time at which the node started.
    started_at: DateTime,
    /// Limits of the server.
    limits: Limits,
}

/// Counts the tasks of the whole list if the client selects a field.
pub struct TaskTotal {
    filter: Filter,
    total: OnceCell<Total>,
}

#[Object]
impl TaskTotal {
    /// Number of matching tasks, on all pages. Counts at most 100,000 tasks; at most 10,000 if the filter has several conditions
    /// beside states, or any of tags, search, nodes and times. If `totalCountExact` is false there are more.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        Ok(Count(self.total(ctx).await?.count))
    }

    /// True if all matching tasks were counted.
    async fn total_count_exact(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.total(ctx).await?.exact)
    }
}

impl TaskTotal {
    async fn total(&self, ctx: &Context<'_>) -> Result<Total> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let count = || app.store.count(caller, &self.filter);
        Ok(*self.total.get_or_try_init(count).await.map_err(error::from_store)?)
    }
}

async fn list(
    app: &AppState,
    caller: &Caller,
    filter: Filter,
    order: ListOrder,
    page: &PageArguments,
) -> Result<TaskConnection> {
    let (limit, from_end) = page.limit()?;
    let after = cursor::decode(order, "after", page.after.as_deref())?;
    let before = cursor::decode(order, "before", page.before.as_deref())?;
    let wanted = Page { order, after, before, from_end, limit: limit + 1 };
    let (mut tasks, more) = app.store.list(caller, &filter, wanted).await.map_err(error::from_store)?;
    let (mut has_previous, mut has_next) = page.trim(&mut tasks, limit, from_end);
    if from_end {
        has_previous |= more;
    } else {
        has_next |= more;
    }
    let mut connection =
        Connection::with_additional_fields(has_previous, has_next, TaskTotal { filter, total: OnceCell::new() });
    connection.edges.extend(tasks.into_iter().map(|task| Edge::new(cursor::encode(order, &task), task.into())));
    Ok(connection)
}
