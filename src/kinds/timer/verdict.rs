//! What the outcome of a try means for the timer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};

use super::attempt::{Answer, Outcome};
use super::spec::Delivery;
use crate::task::Code;
use outbound::RequestError;

/// The longest that a receiver may put a try off.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// What follows a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is done.
    Delivered,
    /// Another try, at that moment.
    Again(Timestamp),
    /// None, with that code.
    Final(Code),
    /// What stopped it decides.
    Stop,
}

/// What follows `outcome` at `now`, where the next try would be `wait` later.
pub fn of(outcome: &Outcome, delivery: Delivery, now: Timestamp, wait: Duration) -> Verdict {
    let again = |wait: SignedDuration| Verdict::Again(now.checked_add(wait).unwrap_or(Timestamp::MAX));
    let wait = SignedDuration::try_from(wait).unwrap_or(LONGEST);
    let unknown = delivery == Delivery::AtMostOnce;
    match outcome {
        _ if outcome.is_success() => Verdict::Delivered,
        Outcome::Answer(Answer { status: 410, .. }) => Verdict::Final(Code::NotFound),
        Outcome::Answer(Answer { status: 429 | 503, retry_after: Some(after), .. }) => {
            again(retry_after(after, now).map_or(wait, |asked| asked.max(wait)))
        }
        Outcome::Answer(_) | Outcome::Failed(RequestError::Connect(_)) => again(wait),
        Outcome::Failed(RequestError::Url(_)) => Verdict::Final(Code::BadUserInput),
        Outcome::Failed(RequestError::Broken(_)) | Outcome::TimedOut(_) if unknown => Verdict::Final(Code::Unavailable),
        Outcome::Failed(RequestError::Broken(_)) | Outcome::TimedOut(_) => again(wait),
        // A termination comes first; a pause would send it again.
        Outcome::Cut(_) if unknown => Verdict::Final(Code::Unavailable),
        Outcome::Cut(_) => Verdict::Stop,
    }
}

/// What Retry-After asks for: seconds, or a date in the form of HTTP.
fn retry_after(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let seconds = || text.trim().parse().ok().map(SignedDuration::from_secs);
    let date = || jiff::fmt::rfc2822::parse(text.trim()).ok().map(|at: Zoned| now.duration_until(at.timestamp()));
    let asked = seconds().or_else(date)?;
    Some(asked.clamp(SignedDuration::ZERO, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Stop;

    const WAIT: Duration = Duration::from_secs(3);

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn answer(status: u16, retry_after: Option<&str>) -> Outcome {
        Outcome::Answer(Answer { status, text: String::new(), retry_after: retry_after.map(str::to_owned) })
    }

    /// The seconds until the next try; none where there is none.
    fn seconds(outcome: &Outcome, delivery: Delivery) -> Option<i64> {
        match of(outcome, delivery, now(), WAIT) {
            Verdict::Again(at) => Some(now().duration_until(at).as_secs()),
            _ => None,
        }
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let table = [
            (200, None, Verdict::Delivered),
            (201, None, Verdict::Delivered),
            (204, Some("60"), Verdict::Delivered),
            (299, None, Verdict::Delivered),
            (410, Some("60"), Verdict::Final(Code::NotFound)),
        ];
        for (status, after, verdict) in table {
            assert_eq!(of(&answer(status, after), Delivery::AtMostOnce, now(), WAIT), verdict, "{status}");
        }
        for status in [199, 301, 307, 400, 401, 404, 429, 500, 502, 503] {
            assert_eq!(seconds(&answer(status, None), Delivery::AtLeastOnce), Some(3), "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured_where_it_has_a_meaning() {
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
            assert_eq!(seconds(&answer(503, Some(text)), Delivery::AtLeastOnce), Some(wait), "{text}");
            assert_eq!(seconds(&answer(429, Some(text)), Delivery::AtMostOnce), Some(wait), "{text}");
        }
        assert_eq!(seconds(&answer(500, Some("60")), Delivery::AtLeastOnce), Some(3));
    }

    #[test]
    fn a_try_whose_outcome_nobody_knows_is_made_again_or_not_as_was_asked() {
        let (least, most) = (Delivery::AtLeastOnce, Delivery::AtMostOnce);
        let unreached = Outcome::Failed(RequestError::Connect("refused".into()));
        assert_eq!((seconds(&unreached, least), seconds(&unreached, most)), (Some(3), Some(3)), "nothing was sent");
        for unknown in [Outcome::Failed(RequestError::Broken("reset".into())), Outcome::TimedOut(15.0)] {
            assert_eq!(seconds(&unknown, least), Some(3));
            assert_eq!(of(&unknown, most, now(), WAIT), Verdict::Final(Code::Unavailable));
        }
        let cut = Outcome::Cut(Stop::Interrupted);
        assert_eq!(of(&cut, least, now(), WAIT), Verdict::Stop);
        assert_eq!(of(&cut, most, now(), WAIT), Verdict::Final(Code::Unavailable));
    }
}
