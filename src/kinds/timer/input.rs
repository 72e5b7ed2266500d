//! The spec of a timer as clients see it: the fields of the input of startTimer, as JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::spec::TimerSpec;
use crate::gql::secrets::{masked_header, masked_url};

/// Returns the fields that only timers have. `fires_at` is the time in force.
pub fn fields(spec: TimerSpec, fires_at: Timestamp) -> Value {
    let TimerSpec { url, at: _, delivery, body, headers, timeout, exact_url: _ } = spec;
    let header = |(name, value): &(String, String)| json!({ "name": name, "value": masked_header(name, value) });
    let headers: Vec<_> = headers.iter().map(header).collect();
    json!({
        "url": masked_url(&url),
        "when": { "at": fires_at.to_string() },
        "delivery": delivery,
        "body": body,
        "headers": (!headers.is_empty()).then_some(headers),
        "timeoutSeconds": timeout,
    })
}
