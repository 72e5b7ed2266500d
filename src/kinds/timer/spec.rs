//! What a timer sends, where and when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::runner::BadInput;
use outbound::{CheckedUrl, Outbound, check_header};

/// The longest body, in bytes, and the most headers.
const BODY: usize = 256 * 1024;
const HEADERS: usize = 50;

/// The seconds that a try may take.
const TIMEOUT: std::ops::RangeInclusive<f64> = 0.1..=600.0;

/// What is this server's own to say, in the names of Standard Webhooks.
const OURS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// What a timer is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The task's id is put behind its path.
    pub url: String,
    /// When it fires.
    pub at: Timestamp,
    /// What becomes of a try whose outcome nobody knows.
    pub delivery: Delivery,
    /// What is sent.
    pub body: Option<String>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Seconds that a try may take.
    pub timeout: f64,
}

/// What becomes of a try whose outcome nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Delivery {
    /// It is made again.
    AtLeastOnce,
    /// It is not.
    AtMostOnce,
}

impl Spec {
    /// The address, where all of it can be sent.
    ///
    /// # Errors
    /// The field that cannot.
    pub fn check(&self, outbound: &Outbound) -> Result<CheckedUrl, BadInput> {
        if !TIMEOUT.contains(&self.timeout) {
            let (from, to) = (TIMEOUT.start(), TIMEOUT.end());
            return Err(BadInput::new(
                "timeoutSeconds",
                format!("{} is not from {from} to {to} seconds", self.timeout),
            ));
        }
        let length = self.body.as_ref().map_or(0, String::len);
        if length > BODY {
            return Err(BadInput::new("body", format!("the body has {length} bytes, and may have {BODY}")));
        }
        if self.headers.len() > HEADERS {
            return Err(BadInput::new(
                "headers",
                format!("{} headers are given, and {HEADERS} may be", self.headers.len()),
            ));
        }
        for (name, value) in &self.headers {
            if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                return Err(BadInput::new("headers", format!("{name} is set by the server and cannot be given")));
            }
            check_header(name, value).map_err(|refused| BadInput::new("headers", refused.to_string()))?;
        }
        outbound.check_url(&self.url).map_err(|refused| BadInput::new("url", refused.to_string()))
    }

    /// The media type of the body, where no header names one.
    pub fn content_type(&self) -> Option<&'static str> {
        let named = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let body = self.body.as_deref().filter(|body| !named && !body.is_empty())?;
        let json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        Some(if json { "application/json" } else { "text/plain; charset=utf-8" })
    }
}
