//! Notices of final states: timers that are due at once and carry what ended.

use std::sync::Arc;

use jiff::Timestamp;
use outbound::Outbound;
use serde_json::{Value, json};

use super::spec::{DeliveryGuarantee, TimerSpec};
use super::{NAME, Timer};
use crate::kinds::api::TaskKind;
use crate::runner::Notifier;
use crate::task::{NewTask, ResultFile, Task, Unit};

/// Time limit of an attempt, in seconds.
const TIMEOUT: f64 = 15.0;

/// Delivers notices by timers.
struct TimerNotifier(Outbound);

impl Timer {
    /// Returns what delivers notices, with the address rules of timers.
    pub(super) fn new_notifier(&self) -> Arc<dyn Notifier> {
        Arc::new(TimerNotifier(self.outbound.clone()))
    }
}

impl Notifier for TimerNotifier {
    fn check(&self, url: &str) -> Result<(), String> {
        self.0.check_url(url).map(drop).map_err(|refused| refused.to_string())
    }

    fn notice(&self, task: &Task, url: &str, result: Option<ResultFile>) -> NewTask {
        let at = task.finished_at.unwrap_or(task.updated_at);
        let spec = TimerSpec {
            url: url.to_owned(),
            at,
            delivery: DeliveryGuarantee::AtLeastOnce,
            body: Some(body(task, at, result).to_string()),
            headers: Vec::new(),
            timeout: TIMEOUT,
            exact_url: true,
        };
        // A URL that the rules refuse since then fails when it is sent, with the reason.
        let host = self.0.check_url(url).map_or_else(|_| NAME.to_owned(), |address| address.authority());
        NewTask {
            total: Some(1),
            label: Some(format!("notice of {}", task.id)),
            concurrency_key: Some(host),
            created_by: task.created_by.clone(),
            ..NewTask::new(NAME, json!(spec).to_string(), Unit::Deliveries)
        }
    }
}

/// The body, in the structure that Standard Webhooks recommends.
fn body(task: &Task, at: Timestamp, result: Option<ResultFile>) -> Value {
    let kind = format!("{:?}", TaskKind::of(&task.kind)).to_uppercase();
    let error = task.error.as_ref().map(|error| json!({ "code": error.code.to_string(), "message": error.message }));
    let result = result.map(|file| {
        json!({
            "name": file.name, "size": file.size, "contentType": file.content_type, "sha256": file.sha256,
            "url": format!("/download/{}", task.id),
        })
    });
    json!({
        "type": format!("task.{}", task.state.as_str().to_lowercase()),
        "timestamp": at.to_string(),
        "data": {
            "id": task.id.to_string(), "kind": kind, "name": task.kind, "state": task.state.as_str(), "version": task.version,
            "label": task.label, "tags": task.tags, "createdBy": task.created_by,
            "createdAt": task.created_at.to_string(), "startedAt": task.started_at.map(|at| at.to_string()),
            "finishedAt": at.to_string(), "attempt": task.attempt,
            "progress": { "done": task.progress.done, "total": task.progress.total, "unit": task.progress.unit.as_str() },
            "error": error, "result": result,
        },
    })
}
