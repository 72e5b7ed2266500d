//! One attempt: the request and its outcome.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::Timer;
use super::spec::TimerSpec;
use crate::runner::{Context, StopReason};
use outbound::{Reply, RequestError};

/// Maximum number of bytes that are read of a response body, and of characters that are shown.
const READ_BYTES: usize = 16 * 1024;
const SHOWN_CHARACTERS: usize = 200;

/// Outcome of an attempt.
#[derive(Debug)]
pub enum DeliveryOutcome {
    /// A response.
    Response(WebhookResponse),
    /// No response.
    Failed(RequestError),
    /// No response within this time, in seconds.
    TimedOut(f64),
    /// The attempt was stopped before a response.
    Stopped(StopReason),
}

/// Response of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookResponse {
    /// Status code.
    pub status: u16,
    /// Status line and start of the body, for people.
    pub text: String,
    /// Value of Retry-After.
    pub retry_after: Option<String>,
}

impl Timer {
    /// Sends the webhook once, unless the lease of this node ends before its first byte.
    pub(super) async fn send(&self, context: &Context, spec: &TimerSpec, at: Timestamp) -> DeliveryOutcome {
        let id = context.id();
        let address = match self.outbound.check_url(&spec.url) {
            Ok(address) if spec.exact_url => address,
            Ok(address) => address.with_segment(&id.to_string()),
            Err(refused) => return DeliveryOutcome::Failed(refused.into()),
        };
        let body = spec.body.clone().unwrap_or_default();
        let (id, seconds) = (id.to_string(), at.as_second());
        let (timestamp, signature) = (seconds.to_string(), self.signer.sign(&id, seconds, &body));
        let mut headers: Vec<(&str, &str)> = spec.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        headers.extend(spec.content_type().map(|media_type| ("content-type", media_type)));
        headers.extend([("webhook-id", &*id), ("webhook-timestamp", &*timestamp)]);
        headers.extend(signature.as_deref().map(|signature| ("webhook-signature", signature)));
        let sent = async {
            let reply = self.outbound.post(&address, &headers, body.into_bytes(), context.lease_check()).await?;
            Ok(read_response(reply).await)
        };
        match tokio::time::timeout(Duration::from_secs_f64(spec.timeout), sent).await {
            Ok(Ok(response)) => DeliveryOutcome::Response(response),
            Ok(Err(failed)) => DeliveryOutcome::Failed(failed),
            Err(_) => DeliveryOutcome::TimedOut(spec.timeout),
        }
    }
}

/// Reads a response. An interrupted body does not change the outcome.
async fn read_response(reply: Reply) -> WebhookResponse {
    let (status, line) = (reply.status(), reply.status_text());
    let retry_after = reply.header("retry-after").map(str::to_owned);
    let body = reply.body(READ_BYTES).await.unwrap_or_default();
    let shown: String =
        String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(SHOWN_CHARACTERS).collect();
    let text = if shown.is_empty() { format!("HTTP {line}") } else { format!("HTTP {line}: {shown}") };
    WebhookResponse { status, text, retry_after }
}

impl DeliveryOutcome {
    /// Returns the status code of the response.
    pub fn status(&self) -> Option<u16> {
        match self {
            DeliveryOutcome::Response(response) => Some(response.status),
            _ => None,
        }
    }

    /// Returns true if the lease of this node ended before anything was sent.
    pub fn is_withheld(&self) -> bool {
        matches!(self, DeliveryOutcome::Failed(RequestError::Withheld))
    }

    /// Returns true for any 2xx.
    pub fn is_success(&self) -> bool {
        self.status().is_some_and(|status| (200..300).contains(&status))
    }

    /// Returns the error text. None for a success.
    pub fn error(&self) -> Option<String> {
        (!self.is_success()).then(|| self.to_string())
    }
}

impl fmt::Display for DeliveryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliveryOutcome::Response(response) => f.write_str(&response.text),
            DeliveryOutcome::Failed(failed) => f.write_str(failed.to_string().trim_end_matches('.')),
            DeliveryOutcome::TimedOut(seconds) => write!(f, "no response within {seconds} seconds"),
            DeliveryOutcome::Stopped(_) => f.write_str("stopped before a response"),
        }
    }
}
