//! Changes of what clients chose for a task: all of them, or none.

use jiff::Timestamp;

use super::{ControlRequest, Refusal};
use crate::task::{PauseExpiry, State, StateChange, Task, text};

/// Changes of a task. None leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskUpdate {
    /// Label. Empty: none.
    pub label: Option<String>,
    /// Tags, sorted. Empty: none.
    pub tags: Option<Vec<String>>,
    /// Priority, from -100 to 100.
    pub priority: Option<i32>,
    /// Earliest time of the first run. Only while the task is SCHEDULED and has not run.
    pub start_at: Option<Timestamp>,
    /// Time of a short task. Only before its first attempt.
    pub fires_at: Option<Timestamp>,
    /// Expiry of the pause. Only while the task is PAUSED.
    pub expiry: Option<PauseExpiry>,
    /// Rate limit in rows per second. 0: none. Only before a final state.
    pub max_rows_per_second: Option<f64>,
    /// URL that receives a webhook at each final state. Empty: none. Not once the task is COMPLETED or TERMINATED.
    pub notify_url: Option<String>,
}

impl Task {
    /// Changes what the client chose. None, without a change, if all values are as they were.
    ///
    /// # Errors
    /// [`Refusal::Inapplicable`] with the first value that the state does not allow. Nothing is changed then.
    pub fn update(&mut self, update: &TaskUpdate, request: &ControlRequest) -> Result<Option<StateChange>, Refusal> {
        self.check_update(update)?;
        let before = self.clone();
        self.apply(update, request.at);
        let changed = changed(&before, self);
        if changed.is_empty() {
            *self = before;
            return Ok(None);
        }
        self.updated_at = self.updated_at.max(request.at);
        let what = format!("changed {}", changed.join(", "));
        let reason = request.reason.as_ref().map_or(what.clone(), |reason| format!("{what}: {reason}"));
        let state = self.state.shown();
        let (at, by) = (request.at, request.by.to_string());
        Ok(Some(StateChange {
            from: Some(state),
            to: state,
            at,
            by,
            reason: Some(text::storable(&reason, text::REASON)),
        }))
    }

    fn check_update(&self, update: &TaskUpdate) -> Result<(), Refusal> {
        let (state, waits) = (self.state, self.started_at.is_none());
        let scheduled = state == State::Scheduled && waits;
        let unfired = matches!(state, State::Scheduled | State::Paused) && waits;
        let over = matches!(state, State::Completed | State::Terminated);
        let rules = [
            (
                "startAt",
                update.start_at.is_some(),
                scheduled,
                "Only a SCHEDULED task that has not run can be rescheduled.",
            ),
            (
                "firesAt",
                update.fires_at.is_some(),
                unfired,
                "Only a timer that has not fired, and is not due, can be moved.",
            ),
            ("pauseExpiry", update.expiry.is_some(), state == State::Paused, "Only a PAUSED task has one."),
            ("maxRowsPerSecond", update.max_rows_per_second.is_some(), !state.is_final(), "The task is finished."),
            ("notifyUrl", update.notify_url.is_some(), !over, "The task is finished and cannot be resumed."),
        ];
        match rules.into_iter().find(|(_, given, allowed, _)| *given && !allowed) {
            Some((field, _, _, why)) => Err(Refusal::Inapplicable { field, state: state.shown(), why }),
            None => Ok(()),
        }
    }

    fn apply(&mut self, update: &TaskUpdate, now: Timestamp) {
        let filled = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        if let Some(label) = &update.label {
            self.label = filled(label);
        }
        if let Some(url) = &update.notify_url {
            self.notify_url = filled(url);
        }
        self.tags = update.tags.clone().unwrap_or_else(|| std::mem::take(&mut self.tags));
        self.priority = update.priority.unwrap_or(self.priority);
        self.max_rows_per_second = update.max_rows_per_second.or(self.max_rows_per_second);
        if let Some(at) = update.start_at.or(update.fires_at) {
            self.move_start(at, now);
        }
        if let Some(expiry) = update.expiry {
            self.expiry = Some(expiry);
            self.due_at = Some(expiry.at);
        }
    }

    /// Moves the first run. A paused task goes there when it is resumed.
    fn move_start(&mut self, at: Timestamp, now: Timestamp) {
        self.start_at = Some(at);
        if self.state == State::Scheduled {
            self.due_at = Some(at);
            self.due_since = Some(at.max(now)).filter(|_| self.is_short());
        }
    }
}

/// Names what differs, with new values that are no secrets.
fn changed(before: &Task, after: &Task) -> Vec<String> {
    let rate = |task: &Task| task.max_rows_per_second.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let start = if after.is_short() { "firesAt" } else { "startAt" };
    let expiry = after.expiry.map(|expiry| format!("{} at {}", expiry.then.as_str(), expiry.at)).unwrap_or_default();
    let values = [
        (before.label != after.label, "label", after.label.clone().unwrap_or_else(|| "none".to_owned())),
        (
            before.tags != after.tags,
            "tags",
            if after.tags.is_empty() { "none".to_owned() } else { after.tags.join(" ") },
        ),
        (before.priority != after.priority, "priority", after.priority.to_string()),
        (before.start_at != after.start_at, start, moment(after.start_at)),
        (before.expiry != after.expiry, "pauseExpiry", expiry),
        (before.max_rows_per_second != after.max_rows_per_second, "maxRowsPerSecond", rate(after)),
    ];
    let named =
        values.into_iter().filter(|(differs, ..)| *differs).map(|(_, name, value)| format!("{name} to {value}"));
    let notify = (before.notify_url != after.notify_url).then(|| "notifyUrl".to_owned());
    named.chain(notify).collect()
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
