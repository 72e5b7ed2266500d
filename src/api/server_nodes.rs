//! The nodes of the server.

use async_graphql::{ComplexObject, Enum, ID, SimpleObject};

use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::scalars::DateTime;
use crate::state::AppState;
use crate::store::ListedNode;

/// Prefix of the IDs of server nodes. The ID of the process follows.
pub const ID_PREFIX: &str = "node:";

/// Liveness of a server node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ServerNodeState {
    /// It runs.
    Up,
    /// It shuts down, and releases its tasks.
    Draining,
    /// It has not renewed its lease for two thirds of the lease duration. When the lease expires, other nodes continue its tasks.
    Silent,
}

/// Process of the server. Several share a task store.
#[derive(SimpleObject)]
#[graphql(name = "ServerNode", complex)]
pub struct ServerNodeObject {
    /// ID of the process.
    #[graphql(skip)]
    process: String,
    /// Name of the node. Several processes may have the same.
    name: String,
    /// Role: `all`, `api` or `worker`.
    role: String,
    /// Version of Pausa.
    version: String,
    /// Time at which the process started.
    started_at: DateTime,
    /// Time of its last heartbeat.
    last_heartbeat_at: DateTime,
    /// Liveness of the node.
    state: ServerNodeState,
    /// Number of tasks that run on it, as of its last heartbeat. Timers do not count.
    running: i32,
    /// Maximum number of tasks that run on it at once. Timers do not count.
    max_running: i32,
}

#[ComplexObject]
impl ServerNodeObject {
    /// Unique ID of the process: `node:` and an ID that is new at each start.
    pub async fn id(&self) -> ID {
        ID(format!("{ID_PREFIX}{}", self.process))
    }
}

impl From<ListedNode> for ServerNodeObject {
    fn from(node: ListedNode) -> ServerNodeObject {
        let number = |count| i32::try_from(count).unwrap_or(i32::MAX);
        let state = match node {
            ListedNode { silent: true, .. } => ServerNodeState::Silent,
            ListedNode { draining: true, .. } => ServerNodeState::Draining,
            _ => ServerNodeState::Up,
        };
        ServerNodeObject {
            process: node.id,
            name: node.name,
            role: node.role,
            version: node.version,
            started_at: node.started_at.into(),
            last_heartbeat_at: node.beat_at.into(),
            state,
            running: number(node.running),
            max_running: number(node.max_running),
        }
    }
}

/// Returns the nodes of the server, ordered by name.
pub async fn list(app: &AppState, caller: &Caller) -> Result<Vec<ServerNodeObject>> {
    let nodes = app.store.nodes(caller, app.clock.now()).await.map_err(error::from_store)?;
    Ok(nodes.into_iter().map(ServerNodeObject::from).collect())
}

/// Returns the node with that process. None if it is not listed.
pub async fn find(app: &AppState, caller: &Caller, process: &str) -> Result<Option<ServerNodeObject>> {
    Ok(list(app, caller).await?.into_iter().find(|node| node.process == process))
}
