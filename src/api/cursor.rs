//! Cursors of lists of tasks. Each says which order it belongs to.
//!
//! The cursor of the default order is the ID of a task. The others have the name of their order, the key of the task in it, and its ID.

use crate::gql::error::{self, Result};
use crate::store::{ListCursor, ListOrder};
use crate::task::{Task, TaskId};

/// Returns the name of the order in its cursors. None for the default order.
fn name(order: ListOrder) -> Option<&'static str> {
    match order {
        ListOrder::CreatedDesc => None,
        ListOrder::CreatedAsc => Some("created"),
        ListOrder::FinishedDesc => Some("finished"),
        ListOrder::UpdatedDesc => Some("updated"),
        ListOrder::PriorityDesc => Some("priority"),
    }
}

/// Encodes the place of a task in the order.
pub fn encode(order: ListOrder, task: &Task) -> String {
    let ListCursor { key, id } = order.cursor(task);
    name(order).map_or_else(|| id.to_string(), |name| format!("{name}:{key}:{id}"))
}

/// Decodes a cursor.
///
/// # Errors
/// BAD_USER_INPUT if the text is not a cursor of a list in this order.
pub fn decode(order: ListOrder, field: &str, text: Option<&str>) -> Result<Option<ListCursor>> {
    let Some(text) = text else { return Ok(None) };
    let cursor = match name(order) {
        None => text.parse::<TaskId>().ok().map(ListCursor::from),
        Some(name) => text.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).and_then(place),
    };
    let refused =
        || error::bad_input(field, format!("{field} must be a cursor of this list, in the same order, got {text:?}."));
    cursor.map(Some).ok_or_else(refused)
}

fn place(text: &str) -> Option<ListCursor> {
    let (key, id) = text.split_once(':')?;
    Some(ListCursor { key: key.parse().ok()?, id: id.parse().ok()? })
}
