//! Messages between nodes, as text.

use jiff::Timestamp;

use super::ChangeEvent;
use super::progress::ReportedProgress;

/// A message to the other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A task changed.
    Event(ChangeEvent),
    /// Heartbeat without content. A node that receives its own also receives those of others.
    Beat,
    /// The sender could not send some of its events.
    Lost {
        /// Events of changes since then. None if a node of an earlier version sends it.
        since: Option<Timestamp>,
    },
}

/// Text of [`Message::Lost`], after the source.
const LOST: &str = "lost";

/// Maximum size of a message, in bytes: NOTIFY takes less than 8000. An event that would be larger is sent without its report.
const LARGEST: usize = 7999;

/// Encodes a message that the process `source` sends.
pub fn encode(message: &Message, source: &str) -> String {
    match message {
        Message::Beat => source.to_owned(),
        Message::Lost { since: None } => format!("{source} {LOST}"),
        Message::Lost { since: Some(since) } => format!("{source} {LOST} {}", since.as_microsecond()),
        Message::Event(event) => {
            let ChangeEvent { id, version, state_changed, state, owned, short, due_at, report } = event;
            let due = due_at.map_or_else(|| "-".to_owned(), |due| due.as_microsecond().to_string());
            let text = format!("{source} {id} {version} {state_changed} {} {owned} {short} {due}", state.as_str());
            match report.as_ref().and_then(ReportedProgress::encode) {
                Some(report) if text.len() + 1 + report.len() <= LARGEST => format!("{text} {report}"),
                _ => text,
            }
        }
    }
}

/// Decodes a message. None if the process `source` sent it, or if it cannot be decoded.
pub fn decode(payload: &str, source: &str) -> Option<Message> {
    // The report is the last part and contains spaces. Earlier versions send none, and ignore it.
    let mut parts = payload.splitn(9, ' ');
    let mut next = || parts.next();
    if next()? == source {
        return None;
    }
    match next() {
        None => Some(Message::Beat),
        Some(LOST) => {
            let since = next().and_then(|since| Timestamp::from_microsecond(since.parse().ok()?).ok());
            Some(Message::Lost { since })
        }
        Some(id) => Some(Message::Event(ChangeEvent {
            id: id.parse().ok()?,
            version: next()?.parse().ok()?,
            state_changed: next()?.parse().ok()?,
            state: next()?.parse().ok()?,
            owned: next()?.parse().ok()?,
            short: next()?.parse().ok()?,
            due_at: match next()? {
                "-" => None,
                due => Some(Timestamp::from_microsecond(due.parse().ok()?).ok()?),
            },
            report: next().and_then(ReportedProgress::decode),
        })),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::task::{Progress, State, Unit};

    fn event(due_at: Option<Timestamp>, report: Option<ReportedProgress>) -> Message {
        Message::Event(ChangeEvent {
            id: Clock::system().task_id(),
            version: 7,
            state_changed: true,
            state: State::Paused,
            owned: false,
            short: true,
            due_at,
            report,
        })
    }

    fn report(cursor: &str) -> ReportedProgress {
        let (active, updated_at) = (Duration::from_micros(1_500_001), Timestamp::UNIX_EPOCH);
        let (phase, unit) = ("writing \"r\u{f6}ws\"".to_owned(), Unit::Custom("PAGES".into()));
        let progress = Progress { phase, unit, done: 7, total: Some(9), active, updated_at };
        ReportedProgress { epoch: 3, progress, cursor: Some(cursor.to_owned()) }
    }

    #[test]
    fn a_message_is_decoded_as_it_was_encoded_unless_it_is_the_processs_own() {
        let due = Timestamp::from_second(1_800_000_000).ok();
        let reported = event(due, Some(report("{\"a\": \"b c\"}")));
        let lost = [None, due].map(|since| Message::Lost { since });
        for message in [event(None, None), event(due, None), reported, Message::Beat].into_iter().chain(lost) {
            let payload = encode(&message, "a");
            assert_eq!((decode(&payload, "b"), decode(&payload, "a")), (Some(message), None));
        }
        assert_eq!(decode("b no event", "a"), None);
    }

    #[test]
    fn a_message_fits_into_a_notification() {
        let encoded = |cursor: usize| encode(&event(None, Some(report(&"x".repeat(cursor)))), "a");
        let largest = LARGEST - encoded(0).len();
        assert_eq!(encoded(largest).len(), LARGEST);
        let Some(Message::Event(event)) = decode(&encoded(largest + 1), "b") else { panic!("no event") };
        assert_eq!(event.report, None, "watchers read the task from the store");
    }
}
