//! Spec of a timer, as stored with the task.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::runner::BadInput;
use outbound::{CheckedUrl, Outbound, check_header};

/// Maximum size of the body in bytes, and maximum number of headers.
const MAX_BODY: usize = 256 * 1024;
const MAX_HEADERS: usize = 50;

/// Range of the timeout, in seconds.
const TIMEOUT_RANGE: std::ops::RangeInclusive<f64> = 0.1..=600.0;

/// Headers that the server sets, by the Standard Webhooks specification.
const SERVER_HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// Spec of a timer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerSpec {
    /// URL. The task ID is appended to its path.
    pub url: String,
    /// Time at which it fires.
    pub at: Timestamp,
    /// Delivery guarantee when the outcome of an attempt is unknown.
    pub delivery: DeliveryGuarantee,
    /// Body of the request.
    pub body: Option<String>,
    /// Names and values of additional headers.
    pub headers: Vec<(String, String)>,
    /// Timeout of an attempt, in seconds.
    pub timeout: f64,
    /// The request goes to the URL as it is, without the task ID.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact_url: bool,
}

/// Delivery guarantee when the outcome of an attempt is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryGuarantee {
    /// The attempt is repeated.
    AtLeastOnce,
    /// The attempt is not repeated.
    AtMostOnce,
}

impl TimerSpec {
    /// Validates the spec. Returns the address.
    ///
    /// # Errors
    /// The field that is invalid.
    pub fn check(&self, outbound: &Outbound) -> Result<CheckedUrl, BadInput> {
        if !TIMEOUT_RANGE.contains(&self.timeout) {
            let (from, to) = (TIMEOUT_RANGE.start(), TIMEOUT_RANGE.end());
            return Err(BadInput::new(
                "timeoutSeconds",
                format!("timeoutSeconds must be between {from} and {to}, got {}.", self.timeout),
            ));
        }
        let length = self.body.as_ref().map_or(0, String::len);
        if length > MAX_BODY {
            return Err(BadInput::new("body", format!("body has {length} bytes; the maximum is {MAX_BODY}.")));
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(BadInput::new(
                "headers",
                format!("headers has {} entries; the maximum is {MAX_HEADERS}.", self.headers.len()),
            ));
        }
        for (name, value) in &self.headers {
            if SERVER_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return Err(BadInput::new("headers", format!("{name} is set by the server and cannot be changed.")));
            }
            check_header(name, value).map_err(|refused| BadInput::new("headers", refused.to_string()))?;
        }
        outbound.check_url(&self.url).map_err(|refused| BadInput::new("url", refused.to_string()))
    }

    /// Returns the media type of the body, if no header sets one.
    pub fn content_type(&self) -> Option<&'static str> {
        let named = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let body = self.body.as_deref().filter(|body| !named && !body.is_empty())?;
        let json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        Some(if json { "application/json" } else { "text/plain; charset=utf-8" })
    }
}
