//! Identity of a node.

/// Identity of a node: one process. Cheap to compare by its ID; the name is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// ID of the process, new at each start: the owner of the tasks that it claims.
    pub id: String,
    /// Name from the settings, for logs and histories. Several nodes may have the same.
    pub name: String,
}
