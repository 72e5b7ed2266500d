//! Objects with a global ID.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, ID, Interface, OutputType, Positioned, ServerResult, Value};

use super::datasets::{self, DatasetObject};
use super::kinds::{CustomTask, TaskObject};
use super::server_nodes::{self, ServerNodeObject};
use super::uploads::UploadObject;
use crate::access::Caller;
use crate::datasets::DatasetName;
use crate::gql::error::{self, Result};
use crate::kinds::api::TaskKind;
use crate::kinds::{self, each_kind};
use crate::runner::BadInput;
use crate::state::AppState;
use crate::task::Task;

/// Maximum IDs in one request.
const MAX_IDS: usize = 500;

macro_rules! define_node {
    ($($(#[$doc:meta])* $module:ident $kind:ident $task:ident $start:ident,)*) => {
        /// Something with a global ID.
        #[derive(Interface)]
        #[graphql(
            name = "Node",
            field(
                name = "id",
                ty = "ID",
                desc = "Unique ID: a UUID for a task or an upload, `dataset:` with the name of a dataset, `node:` with the ID of a server node."
            )
        )]
        pub enum NodeObject {
            $($(#[$doc])* $kind(kinds::$module::api::$task),)*
            /// A kind registered by the embedding program.
            Custom(CustomTask),
            /// A dataset.
            Dataset(DatasetObject),
            /// An upload.
            UploadedFile(UploadObject),
            /// A node of the server.
            ServerNode(ServerNodeObject),
        }

        impl From<Arc<Task>> for NodeObject {
            fn from(task: Arc<Task>) -> NodeObject {
                match TaskKind::of(&task.kind) {
                    $(TaskKind::$kind => NodeObject::$kind(task.into()),)*
                    TaskKind::Custom => NodeObject::Custom(task.into()),
                }
            }
        }
    };
}
each_kind!(define_node);

/// Something with a global ID. The interface Task implements the interface Node, which the derived type cannot say.
pub struct NodeRef(NodeObject);

impl OutputType for NodeRef {
    fn type_name() -> Cow<'static, str> {
        NodeObject::type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let name = NodeObject::create_type_info(registry);
        registry.add_implements(&TaskObject::type_name(), &NodeObject::type_name());
        name
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        self.0.resolve(ctx, field).await
    }
}

/// Returns what has the ID. None if nothing has.
pub async fn find(app: &AppState, caller: &Caller, id: &str) -> Result<Option<NodeRef>> {
    BadInput::check_text("id", Some(id), usize::MAX).map_err(error::from_input)?;
    let found = if let Some(name) = id.strip_prefix(datasets::ID_PREFIX) {
        dataset(app, caller, name).await?.map(NodeObject::Dataset)
    } else if let Some(process) = id.strip_prefix(server_nodes::ID_PREFIX) {
        server_nodes::find(app, caller, process).await?.map(NodeObject::ServerNode)
    } else if let Some(task) = task(app, caller, id).await? {
        Some(task)
    } else {
        let upload = app.store.upload(caller, id).await.map_err(error::from_store)?;
        upload.map(|upload| NodeObject::UploadedFile(UploadObject(upload)))
    };
    Ok(found.map(NodeRef))
}

/// Returns what has each of the IDs.
pub async fn find_all(app: &AppState, caller: &Caller, ids: &[ID]) -> Result<Vec<Option<NodeRef>>> {
    if ids.len() > MAX_IDS {
        let text = format!("{} IDs are given, at most {MAX_IDS} are allowed: ask in several requests.", ids.len());
        return Err(error::bad_input("ids", text));
    }
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(find(app, caller, id).await?);
    }
    Ok(found)
}

async fn dataset(app: &AppState, caller: &Caller, name: &str) -> Result<Option<DatasetObject>> {
    let Ok(name) = name.parse::<DatasetName>() else { return Ok(None) };
    Ok(app.datasets.get(caller, &name).await.map_err(error::from_datasets)?.map(DatasetObject))
}

async fn task(app: &AppState, caller: &Caller, id: &str) -> Result<Option<NodeObject>> {
    let Ok(id) = id.parse() else { return Ok(None) };
    Ok(app.store.get(caller, id).await.map_err(error::from_store)?.map(NodeObject::from))
}
