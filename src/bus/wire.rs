//! Messages between nodes, as text.

use jiff::Timestamp;

use super::ChangeEvent;

/// A message to the other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A task changed.
    Event(ChangeEvent),
    /// Nothing. A node that hears its own knows that it hears the others.
    Beat,
    /// The sender could not send some of its events.
    Lost,
}

/// Text of [`Message::Lost`], after the source.
const LOST: &str = "lost";

/// Encodes a message that the process `source` sends.
pub fn encode(message: &Message, source: &str) -> String {
    match message {
        Message::Beat => source.to_owned(),
        Message::Lost => format!("{source} {LOST}"),
        Message::Event(ChangeEvent { id, version, state_changed, state, owned, short, due_at }) => {
            let due = due_at.map_or_else(|| "-".to_owned(), |due| due.as_microsecond().to_string());
            format!("{source} {id} {version} {state_changed} {} {owned} {short} {due}", state.as_str())
        }
    }
}

/// Decodes a message. None if the process `source` sent it, or if it cannot be decoded.
pub fn decode(payload: &str, source: &str) -> Option<Message> {
    let mut parts = payload.split(' ');
    let mut next = || parts.next();
    if next()? == source {
        return None;
    }
    match next() {
        None => Some(Message::Beat),
        Some(LOST) => Some(Message::Lost),
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
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::task::State;

    #[test]
    fn a_message_is_decoded_as_it_was_encoded_unless_it_is_the_processs_own() {
        let event = |due_at| {
            Message::Event(ChangeEvent {
                id: Clock::system().task_id(),
                version: 7,
                state_changed: true,
                state: State::Paused,
                owned: false,
                short: true,
                due_at,
            })
        };
        for message in [event(None), event(Timestamp::from_second(1_800_000_000).ok()), Message::Beat, Message::Lost] {
            let payload = encode(&message, "a");
            assert_eq!((decode(&payload, "b"), decode(&payload, "a")), (Some(message), None));
        }
        assert_eq!(decode("b no event", "a"), None);
    }
}
