//! Limits that do not depend on a kind.

use async_graphql::SimpleObject;

use crate::gql::scalars::Count;
use crate::state::AppState;

/// Limits of a node.
#[derive(SimpleObject)]
pub struct NodeLimits {
    /// Maximum size of one upload, in bytes.
    max_upload_bytes: Count,
    /// Maximum number of tasks that run at once on this node. Short tasks, such as timers, do not count.
    max_running_tasks: i32,
}

impl NodeLimits {
    /// Returns the limits of this node.
    pub fn new(app: &AppState) -> NodeLimits {
        NodeLimits {
            max_upload_bytes: Count(app.config.max_upload_bytes),
            max_running_tasks: i32::try_from(app.runner.settings().max_running).unwrap_or(i32::MAX),
        }
    }
}
