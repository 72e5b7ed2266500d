//! Metrics of attempts.

use super::attempt::{DeliveryOutcome, WebhookResponse};
use super::decision::AttemptDecision;
use super::metrics::Sent;
use outbound::RequestError;

/// Returns the outcome that is counted. `last`: no attempt follows whatever was decided.
pub fn sent(outcome: &DeliveryOutcome, decision: AttemptDecision, last: bool) -> Sent {
    match (decision, outcome) {
        (AttemptDecision::Succeeded, _) => Sent::Success,
        (AttemptDecision::Stopped, _) => Sent::Stopped,
        (AttemptDecision::RetryAt(_), _) if !last => Sent::Retried,
        (_, DeliveryOutcome::TimedOut(_)) => Sent::TimedOut,
        (AttemptDecision::Fail(_), DeliveryOutcome::Response(WebhookResponse { status: 410, .. })) => Sent::Gone,
        (AttemptDecision::Fail(_), DeliveryOutcome::Stopped(_) | DeliveryOutcome::Failed(RequestError::Broken(_))) => {
            Sent::Unknown
        }
        _ => Sent::Failed,
    }
}
