//! What can be asked.

use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Context, ID, Object, SimpleObject};

use super::datasets::{self, DatasetConnection, DatasetObject};
use super::filter::TaskFilter;
use super::kinds::TaskObject;
use crate::datasets::DatasetName;
use crate::gql::error::{self, Result};
use crate::gql::paging::{self, Asked};
use crate::gql::scalars::{Count, DateTime};
use crate::gql::services::Services;
use crate::store::{Filter, Page};
use crate::task::Task;

/// A part of the list of tasks.
pub type TaskConnection = Connection<String, TaskObject, TaskTotal>;

/// What can be asked.
pub struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// The task of that id; an unknown id is the error NOT_FOUND.
    async fn task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id that its start answered.")] id: ID,
    ) -> Result<Option<TaskObject>> {
        let services = ctx.data_unchecked::<Services>();
        let task = services.store.get(error::task_id(&id)?).await.map_err(error::from_store)?;
        let task = task.ok_or_else(|| error::no_task(&*id))?;
        Ok(Some(task.into()))
    }

    /// Tasks, newest first, each once. Pages go forward and backward as in the Relay connection specification. A page ends
    /// early when the inputs of its tasks have 4 MiB; it has one task at least.
    #[graphql(complexity = "paging::complexity(first.or(last), child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only tasks that match; all where it is not given.")] filter: Option<TaskFilter>,
        #[graphql(desc = "At most so many from the start: 50 where neither first nor last is given, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 500 at most.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<TaskConnection> {
        let services = ctx.data_unchecked::<Services>();
        let filter = filter.unwrap_or_default().read(services)?;
        list(services, filter, &Asked { first, after, last, before }).await
    }

    /// The dataset of that name; null where there is none.
    async fn dataset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its name, as startImport was given it.")] name: String,
    ) -> Result<Option<DatasetObject>> {
        let services = ctx.data_unchecked::<Services>();
        let Ok(name) = name.parse::<DatasetName>() else { return Ok(None) };
        Ok(services.datasets.get(&name).await.map_err(error::from_datasets)?.map(DatasetObject))
    }

    /// Datasets, by name.
    #[graphql(complexity = "paging::complexity(first.or(last), child_complexity)")]
    async fn datasets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many from the start: 50 where neither first nor last is given, 500 at most.")]
        first: Option<i32>,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "At most so many from the end, 500 at most.")] last: Option<i32>,
        #[graphql(desc = "Before this cursor.")] before: Option<String>,
    ) -> Result<DatasetConnection> {
        let services = ctx.data_unchecked::<Services>();
        datasets::list(services, &Asked { first, after, last, before }).await
    }

    /// The server that answers.
    async fn server(&self, ctx: &Context<'_>) -> Server {
        let services = ctx.data_unchecked::<Services>();
        let limits = Limits {
            max_pi_digits: i32::try_from(services.limits.max_pi_digits).unwrap_or(i32::MAX),
            max_upload_bytes: Count(services.limits.max_upload_bytes),
            max_running_tasks: i32::try_from(services.runner.settings().max_running).unwrap_or(i32::MAX),
        };
        Server {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: services.runner.settings().node.clone(),
            started_at: services.started_at.into(),
            limits,
        }
    }
}

/// The node that answers.
#[derive(SimpleObject)]
pub struct Server {
    /// The program's version.
    version: String,
    /// The node's name.
    node: String,
    /// Since when it is up.
    started_at: DateTime,
    /// What may be asked of it.
    limits: Limits,
}

/// What may be asked of the server.
#[derive(SimpleObject)]
pub struct Limits {
    /// Digits of one computation of pi.
    max_pi_digits: i32,
    /// Bytes of one upload.
    max_upload_bytes: Count,
    /// Tasks that run at once on this node.
    max_running_tasks: i32,
}

/// Counts the whole list, when asked to.
pub struct TaskTotal(Filter);

#[Object]
impl TaskTotal {
    /// How many tasks match in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        let services = ctx.data_unchecked::<Services>();
        services.store.count(&self.0).await.map(Count).map_err(error::from_store)
    }
}

async fn list(services: &Services, filter: Filter, asked: &Asked) -> Result<TaskConnection> {
    let (limit, from_end) = asked.limit()?;
    let cursor = |field: &str, text: &Option<String>| {
        let parsed = text.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| error::bad_input(field, format!("{field} must be a cursor of this list")))
    };
    let (after, before) = (cursor("after", &asked.after)?, cursor("before", &asked.before)?);
    let page = Page { after, before, from_end, limit: limit + 1 };
    let (mut tasks, more) = services.store.list(&filter, page).await.map_err(error::from_store)?;
    let (mut has_previous, mut has_next) = asked.cut(&mut tasks, limit, from_end);
    if from_end {
        has_previous |= more;
    } else {
        has_next |= more;
    }
    let mut connection = Connection::with_additional_fields(has_previous, has_next, TaskTotal(filter));
    connection.edges.extend(tasks.into_iter().map(edge));
    Ok(connection)
}

fn edge(task: Arc<Task>) -> Edge<String, TaskObject, async_graphql::connection::EmptyFields> {
    Edge::new(task.id.to_string(), task.into())
}
