//! Node that claims tasks.

use super::Store;
use crate::task::NodeIdentity;

/// A node that claims tasks.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// The node.
    pub node: NodeIdentity,
    /// Names of the kinds that it can run, as a JSON list. It claims no other task.
    pub(super) kinds: String,
}

impl Claimant {
    /// A node that can run these kinds.
    pub fn new<'a>(node: NodeIdentity, kinds: impl IntoIterator<Item = &'a str>) -> Claimant {
        let kinds: Vec<_> = kinds.into_iter().map(|kind| serde_json::Value::from(kind).to_string()).collect();
        Claimant { node, kinds: format!("[{}]", kinds.join(",")) }
    }
}

impl Store {
    /// Returns the statement that claims queued tasks: $1 is the limit, and $2 the JSON list of kinds.
    pub fn claim_statement(&self) -> &str {
        self.sql.claim.as_str()
    }
}
