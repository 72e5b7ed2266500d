//! Options that every kind of task has when it is started.

use jiff::Timestamp;

use super::BadInput;
use crate::task::{IdempotencyKey, text};

/// Maximum number of tags of a task.
const MAX_TAGS: usize = 16;

/// Range of priorities.
const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;

/// Options of every start.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    pub(super) label: Option<String>,
    pub(super) start_at: Option<Timestamp>,
    pub(super) idempotency_key: Option<IdempotencyKey>,
    pub(super) tags: Vec<String>,
    pub(super) priority: i32,
    pub(super) notify_url: Option<String>,
}

impl StartOptions {
    /// Options with a label chosen by the client, the earliest time of the first run, and the idempotency key.
    ///
    /// # Errors
    /// A label or a key that cannot be stored, with its field.
    pub fn new(
        label: Option<String>,
        start_at: Option<Timestamp>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> Result<StartOptions, BadInput> {
        let key = idempotency_key.as_ref().map(|key| key.text.as_str());
        check_label(label.as_deref())?;
        BadInput::check_text("idempotencyKey", key, text::KEY)?;
        Ok(StartOptions { label, start_at, idempotency_key, ..StartOptions::default() })
    }

    /// Adds tags and a priority.
    ///
    /// # Errors
    /// Tags or a priority that are not allowed, with their field.
    pub fn with_order(self, tags: Vec<String>, priority: i32) -> Result<StartOptions, BadInput> {
        Ok(StartOptions { tags: check_tags(tags)?, priority: check_priority(priority)?, ..self })
    }

    /// Adds the URL that receives a webhook at each final state. The start checks it.
    pub fn with_notify_url(self, notify_url: Option<String>) -> StartOptions {
        StartOptions { notify_url, ..self }
    }

    /// Returns the idempotency key: a second start with the same key and input returns the first one's task.
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }
}

/// Checks a label.
///
/// # Errors
/// One that cannot be stored, with its field.
pub fn check_label(label: Option<&str>) -> Result<(), BadInput> {
    BadInput::check_text("label", label, text::LABEL)
}

/// Checks tags. Returns them sorted, each once.
///
/// # Errors
/// More than 16, or a tag that is empty, too long or cannot be stored.
pub fn check_tags(mut tags: Vec<String>) -> Result<Vec<String>, BadInput> {
    tags.sort();
    tags.dedup();
    if tags.len() > MAX_TAGS {
        return Err(BadInput::new("tags", format!("tags has {} entries; at most {MAX_TAGS} are allowed.", tags.len())));
    }
    for tag in &tags {
        if tag.is_empty() {
            return Err(BadInput::new("tags", "tags contains an empty tag. A tag has 1 to 64 characters."));
        }
        BadInput::check_text("tags", Some(tag), text::TAG)?;
    }
    Ok(tags)
}

/// Checks a priority.
///
/// # Errors
/// One outside of -100 to 100.
pub fn check_priority(priority: i32) -> Result<i32, BadInput> {
    if PRIORITIES.contains(&priority) {
        return Ok(priority);
    }
    Err(BadInput::new("priority", format!("priority must be from -100 to 100, got {priority}.")))
}
