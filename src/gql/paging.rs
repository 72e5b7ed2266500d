//! Arguments of lists, by the Relay connection specification.

use super::error::{self, Result};

/// Nodes of a page if the client sets neither `first` nor `last`.
const DEFAULT_LIMIT: u32 = 50;

/// Maximum nodes of a page.
const MAX_LIMIT: u32 = 500;

/// Returns the complexity of a list: its nodes times the complexity of one node.
pub fn complexity(requested: Option<i32>, node: usize) -> usize {
    let nodes = requested.unwrap_or(DEFAULT_LIMIT.cast_signed());
    usize::try_from(nodes).unwrap_or(0).min(MAX_LIMIT as usize) * node + 1
}

/// The arguments of a list.
#[derive(Clone, Debug, Default)]
pub struct PageArguments {
    /// Maximum nodes, from the start.
    pub first: Option<i32>,
    /// Cursor that the page begins after.
    pub after: Option<String>,
    /// Maximum nodes, from the end.
    pub last: Option<i32>,
    /// Cursor that the page ends before.
    pub before: Option<String>,
}

impl PageArguments {
    /// Returns the maximum number of nodes, and true if they are counted from the end.
    ///
    /// # Errors
    /// BAD_USER_INPUT if a number is out of range, or both `first` and `last` are set.
    pub fn limit(&self) -> Result<(u32, bool)> {
        let (field, requested, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(error::bad_input("last", "Set either first or last, not both.")),
            (None, Some(last)) => ("last", last, true),
            (first, None) => ("first", first.unwrap_or(DEFAULT_LIMIT.cast_signed()), false),
        };
        match u32::try_from(requested) {
            Ok(limit) if limit <= MAX_LIMIT => Ok((limit, from_end)),
            _ => {
                let text = format!("{field} must be between 0 and {MAX_LIMIT}, got {requested}.");
                Err(error::bad_input(field, text))
            }
        }
    }

    /// Drops the node that was read beyond the limit. Returns if there are nodes before and after the page.
    pub fn trim<T>(&self, nodes: &mut Vec<T>, limit: u32, from_end: bool) -> (bool, bool) {
        let more = nodes.len() > limit as usize;
        if more && from_end {
            nodes.remove(0);
        }
        nodes.truncate(limit as usize);
        if from_end { (more, self.before.is_some()) } else { (self.after.is_some(), more) }
    }
}
