//! What is counted of an attempt.

use super::attempt::{Answer, Outcome};
use super::verdict::Verdict;
use crate::metrics::Sent;
use outbound::RequestError;

/// Returns what became of an attempt. `last` if no attempt follows whatever the verdict says.
pub fn sent(outcome: &Outcome, verdict: Verdict, last: bool) -> Sent {
    match (verdict, outcome) {
        (Verdict::Delivered, _) => Sent::Success,
        (Verdict::Stop, _) => Sent::Stopped,
        (Verdict::Again(_), _) if !last => Sent::Retried,
        (_, Outcome::TimedOut(_)) => Sent::TimedOut,
        (Verdict::Final(_), Outcome::Answer(Answer { status: 410, .. })) => Sent::Gone,
        (Verdict::Final(_), Outcome::Cut(_) | Outcome::Failed(RequestError::Broken(_))) => Sent::Unknown,
        _ => Sent::Failed,
    }
}
