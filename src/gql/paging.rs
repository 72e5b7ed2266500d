//! Connections as the Relay specification has them.

use super::error::{self, Result};

/// Nodes of a page where the client names no number, and the most that it may name.
const DEFAULT: u32 = 50;
const MOST: u32 = 500;

/// The complexity of a list: its nodes times the complexity of one.
pub fn complexity(asked: Option<i32>, node: usize) -> usize {
    let nodes = asked.unwrap_or(DEFAULT.cast_signed());
    usize::try_from(nodes).unwrap_or(0).min(MOST as usize) * node + 1
}

/// What a client asked of a list.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// At most so many from the start.
    pub first: Option<i32>,
    /// Behind this cursor.
    pub after: Option<String>,
    /// At most so many from the end.
    pub last: Option<i32>,
    /// Before this cursor.
    pub before: Option<String>,
}

impl Asked {
    /// How many nodes, and whether from the end.
    ///
    /// # Errors
    /// Numbers out of range, or `first` beside `last`.
    pub fn limit(&self) -> Result<(u32, bool)> {
        let (field, asked, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(error::bad_input("last", "first and last do not go together")),
            (None, Some(last)) => ("last", last, true),
            (first, None) => ("first", first.unwrap_or(DEFAULT.cast_signed()), false),
        };
        match u32::try_from(asked) {
            Ok(limit) if limit <= MOST => Ok((limit, from_end)),
            _ => Err(error::bad_input(field, format!("{field} is a number from 0 to {MOST}"))),
        }
    }

    /// Drops the node that was read past the limit, and says whether there are nodes before and behind the page.
    pub fn cut<T>(&self, nodes: &mut Vec<T>, limit: u32, from_end: bool) -> (bool, bool) {
        let more = nodes.len() > limit as usize;
        if more && from_end {
            nodes.remove(0);
        }
        nodes.truncate(limit as usize);
        if from_end { (more, self.before.is_some()) } else { (self.after.is_some(), more) }
    }
}
