//! The messages of `graphql-transport-ws`, and those of the older `graphql-ws`.

use async_graphql::{Response, ServerError};
use axum::extract::ws::{CloseFrame, Message};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::Operation;

/// A WebSocket subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `graphql-transport-ws`.
    Modern,
    /// `graphql-ws`, which the GraphQL Playground and old clients speak.
    Legacy,
}

impl Protocol {
    /// The protocol of that name.
    pub fn named(name: &str) -> Option<Protocol> {
        match name {
            "graphql-transport-ws" => Some(Protocol::Modern),
            "graphql-ws" => Some(Protocol::Legacy),
            _ => None,
        }
    }

    /// Reads a message from a client.
    pub fn read(self, text: &str) -> serde_json::Result<ClientMessage> {
        match self {
            Protocol::Modern => serde_json::from_str(text),
            Protocol::Legacy => serde_json::from_str::<LegacyMessage>(text).map(ClientMessage::from),
        }
    }
}

/// What clients send in `graphql-ws`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LegacyMessage {
    ConnectionInit,
    Start { id: String, payload: Operation },
    Stop { id: String },
    ConnectionTerminate,
}

impl From<LegacyMessage> for ClientMessage {
    fn from(message: LegacyMessage) -> ClientMessage {
        match message {
            LegacyMessage::ConnectionInit => ClientMessage::ConnectionInit { _payload: None },
            LegacyMessage::Start { id, payload } => ClientMessage::Subscribe { id, payload },
            LegacyMessage::Stop { id } => ClientMessage::Complete { id },
            LegacyMessage::ConnectionTerminate => ClientMessage::Terminate,
        }
    }
}

/// What clients send.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Opens the session.
    ConnectionInit {
        /// Whatever the client tells about itself.
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    /// Asks for a pong.
    Ping {
        /// Comes back with the pong.
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// Answers a ping.
    Pong {
        /// Unused.
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    /// Starts an operation.
    Subscribe {
        /// Names the operation in the messages to come.
        id: String,
        /// The operation.
        payload: Operation,
    },
    /// Ends an operation.
    Complete {
        /// The operation's name.
        id: String,
    },
    /// Ends the session; only `graphql-ws` has it.
    #[serde(skip)]
    Terminate,
}

/// What the server sends.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// The session is open.
    ConnectionAck,
    /// Answers a ping.
    Pong {
        /// What the ping held.
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    /// A result.
    Next {
        /// Of this operation.
        id: &'a str,
        /// The result.
        payload: &'a Response,
    },
    /// The operation was refused; nothing follows.
    Error {
        /// The operation.
        id: &'a str,
        /// Why.
        payload: &'a [ServerError],
    },
    /// The operation is at its end.
    Complete {
        /// The operation.
        id: &'a str,
    },
    /// `graphql-ws`: the server is still there.
    Ka,
    /// `graphql-ws`: a result.
    Data {
        /// Of this operation.
        id: &'a str,
        /// The result.
        payload: &'a Response,
    },
    /// `graphql-ws`: the operation was refused; nothing follows.
    #[serde(rename = "error")]
    Failure {
        /// The operation.
        id: &'a str,
        /// Why.
        payload: &'a ServerError,
    },
}

/// Why the server ends a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: u16,
    /// The text beside it; a Close frame holds at most 123 bytes of it.
    pub reason: String,
}

impl Closing {
    /// A close code and its text, cut where a Close frame would not hold it.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        while reason.len() > 123 {
            reason.pop();
        }
        Self { code, reason }
    }

    /// 1001: the server ends.
    pub fn going_away() -> Self {
        Self::new(1001, "The server is shutting down")
    }

    /// The frame that says it.
    pub fn frame(self) -> Message {
        Message::Close(Some(CloseFrame { code: self.code, reason: self.reason.into() }))
    }
}
