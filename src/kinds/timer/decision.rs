//! Decides what follows an attempt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};

use super::attempt::{DeliveryOutcome, WebhookResponse};
use super::spec::DeliveryGuarantee;
use crate::runner::StopReason;
use crate::task::Code;
use outbound::RequestError;

/// Maximum delay that a receiver may request.
const MAX_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Step that follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptDecision {
    /// The timer is COMPLETED.
    Succeeded,
    /// Another attempt at that moment.
    RetryAt(Timestamp),
    /// The timer is FAILED with this code.
    Fail(Code),
    /// The request that stopped the attempt decides.
    Stopped,
}

/// Returns what follows `outcome` at `now`. The next attempt would be `wait` later.
pub fn decide(
    outcome: &DeliveryOutcome,
    delivery: DeliveryGuarantee,
    now: Timestamp,
    wait: Duration,
) -> AttemptDecision {
    let retry = |wait: SignedDuration| AttemptDecision::RetryAt(now.checked_add(wait).unwrap_or(Timestamp::MAX));
    let wait = SignedDuration::try_from(wait).unwrap_or(MAX_RETRY_AFTER);
    let at_most_once = delivery == DeliveryGuarantee::AtMostOnce;
    match outcome {
        _ if outcome.is_success() => AttemptDecision::Succeeded,
        DeliveryOutcome::Response(WebhookResponse { status: 410, .. }) => AttemptDecision::Fail(Code::NotFound),
        DeliveryOutcome::Response(WebhookResponse { status: 429 | 503, retry_after: Some(after), .. }) => {
            retry(retry_after(after, now).map_or(wait, |delay| delay.max(wait)))
        }
        DeliveryOutcome::Response(_) | DeliveryOutcome::Failed(RequestError::Connect(_) | RequestError::Withheld) => {
            retry(wait)
        }
        DeliveryOutcome::Failed(RequestError::Url(_)) => AttemptDecision::Fail(Code::BadUserInput),
        DeliveryOutcome::Failed(RequestError::Broken(_)) | DeliveryOutcome::TimedOut(_) if at_most_once => {
            AttemptDecision::Fail(Code::Unavailable)
        }
        DeliveryOutcome::Failed(RequestError::Broken(_)) | DeliveryOutcome::TimedOut(_) => retry(wait),
        // Another node has the timer, and decides.
        DeliveryOutcome::Stopped(StopReason::LeaseLost) => AttemptDecision::Stopped,
        // A termination takes precedence. After a pause it would be sent again.
        DeliveryOutcome::Stopped(_) if at_most_once => AttemptDecision::Fail(Code::Unavailable),
        DeliveryOutcome::Stopped(_) => AttemptDecision::Stopped,
    }
}

/// Returns the delay of Retry-After: seconds, or an HTTP date.
fn retry_after(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let seconds = || text.trim().parse().ok().map(SignedDuration::from_secs);
    let date = || jiff::fmt::rfc2822::parse(text.trim()).ok().map(|at: Zoned| now.duration_until(at.timestamp()));
    let delay = seconds().or_else(date)?;
    Some(delay.clamp(SignedDuration::ZERO, MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(3);

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn response(status: u16, retry_after: Option<&str>) -> DeliveryOutcome {
        DeliveryOutcome::Response(WebhookResponse {
            status,
            text: String::new(),
            retry_after: retry_after.map(str::to_owned),
        })
    }

    /// Returns the seconds until the next attempt. None if there is none.
    fn seconds(outcome: &DeliveryOutcome, delivery: DeliveryGuarantee) -> Option<i64> {
        match decide(outcome, delivery, now(), WAIT) {
            AttemptDecision::RetryAt(at) => Some(now().duration_until(at).as_secs()),
            _ => None,
        }
    }

    #[test]
    fn every_status_has_its_decision() {
        let table = [
            (200, None, AttemptDecision::Succeeded),
            (201, None, AttemptDecision::Succeeded),
            (204, Some("60"), AttemptDecision::Succeeded),
            (299, None, AttemptDecision::Succeeded),
            (410, Some("60"), AttemptDecision::Fail(Code::NotFound)),
        ];
        for (status, after, decision) in table {
            assert_eq!(
                decide(&response(status, after), DeliveryGuarantee::AtMostOnce, now(), WAIT),
                decision,
                "{status}"
            );
        }
        for status in [199, 301, 307, 400, 401, 404, 429, 500, 502, 503] {
            assert_eq!(seconds(&response(status, None), DeliveryGuarantee::AtLeastOnce), Some(3), "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured_for_429_and_503() {
        let table = [
            ("60", 60),
            (" 7 ", 7),
            ("1", 3),
            ("Sat, 31 Jan 2026 12:02:00 GMT", 120),
            ("Sat, 31 Jan 2026 11:00:00 GMT", 3),
            ("99999999", 86_400),
            ("soon", 3),
            ("-5", 3),
        ];
        for (text, wait) in table {
            assert_eq!(seconds(&response(503, Some(text)), DeliveryGuarantee::AtLeastOnce), Some(wait), "{text}");
            assert_eq!(seconds(&response(429, Some(text)), DeliveryGuarantee::AtMostOnce), Some(wait), "{text}");
        }
        assert_eq!(seconds(&response(500, Some("60")), DeliveryGuarantee::AtLeastOnce), Some(3));
    }

    #[test]
    fn an_attempt_with_an_unknown_outcome_is_retried_or_not_as_requested() {
        let (least, most) = (DeliveryGuarantee::AtLeastOnce, DeliveryGuarantee::AtMostOnce);
        let unreached = DeliveryOutcome::Failed(RequestError::Connect("refused".into()));
        assert_eq!((seconds(&unreached, least), seconds(&unreached, most)), (Some(3), Some(3)), "nothing was sent");
        for unknown in [DeliveryOutcome::Failed(RequestError::Broken("reset".into())), DeliveryOutcome::TimedOut(15.0)]
        {
            assert_eq!(seconds(&unknown, least), Some(3));
            assert_eq!(decide(&unknown, most, now(), WAIT), AttemptDecision::Fail(Code::Unavailable));
        }
        let stopped = DeliveryOutcome::Stopped(StopReason::Interrupted);
        assert_eq!(decide(&stopped, least, now(), WAIT), AttemptDecision::Stopped);
        assert_eq!(decide(&stopped, most, now(), WAIT), AttemptDecision::Fail(Code::Unavailable));
        let lost = DeliveryOutcome::Stopped(StopReason::LeaseLost);
        assert_eq!(decide(&lost, most, now(), WAIT), AttemptDecision::Stopped);
    }
}
