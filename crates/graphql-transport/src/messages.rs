//! Messages of `graphql-transport-ws` and of the older `graphql-ws`.

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
    /// Returns the protocol with this name.
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

/// Messages of clients in `graphql-ws`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LegacyMessage {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Start {
        id: String,
        payload: Operation,
    },
    Stop {
        id: String,
    },
    ConnectionTerminate,
}

impl From<LegacyMessage> for ClientMessage {
    fn from(message: LegacyMessage) -> ClientMessage {
        match message {
            LegacyMessage::ConnectionInit { payload } => ClientMessage::ConnectionInit { payload },
            LegacyMessage::Start { id, payload } => ClientMessage::Subscribe { id, payload },
            LegacyMessage::Stop { id } => ClientMessage::Complete { id },
            LegacyMessage::ConnectionTerminate => ClientMessage::Terminate,
        }
    }
}

/// Messages of clients.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Opens the session.
    ConnectionInit {
        /// Data about the client.
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// Requests a pong.
    Ping {
        /// Returned with the pong.
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// Answers a ping.
    Pong {
        /// Ignored.
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    /// Starts an operation.
    Subscribe {
        /// Identifies the operation in later messages.
        id: String,
        /// The operation.
        payload: Operation,
    },
    /// Ends an operation.
    Complete {
        /// ID of the operation.
        id: String,
    },
    /// Ends the session. Only in `graphql-ws`.
    #[serde(skip)]
    Terminate,
}

/// Messages of the server.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// The session is open.
    ConnectionAck,
    /// Answers a ping.
    Pong {
        /// Payload of the ping.
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    /// A result.
    Next {
        /// ID of the operation.
        id: &'a str,
        /// The result.
        payload: &'a Response,
    },
    /// The operation was refused. No other message of it follows.
    Error {
        /// ID of the operation.
        id: &'a str,
        /// Reason.
        payload: &'a [ServerError],
    },
    /// The operation has ended.
    Complete {
        /// ID of the operation.
        id: &'a str,
    },
    /// `graphql-ws`: keep-alive.
    Ka,
    /// `graphql-ws`: a result.
    Data {
        /// ID of the operation.
        id: &'a str,
        /// The result.
        payload: &'a Response,
    },
    /// `graphql-ws`: the operation was refused. No other message of it follows.
    #[serde(rename = "error")]
    Failure {
        /// ID of the operation.
        id: &'a str,
        /// Reason.
        payload: &'a ServerError,
    },
}

/// Close code and reason of a connection that the server ends.
#[derive(Debug, PartialEq, Eq)]
pub struct CloseReason {
    /// The close code.
    pub code: u16,
    /// Reason, at most 123 bytes.
    pub reason: String,
}

impl CloseReason {
    /// Creates a close reason. Truncates the text to the 123 bytes that a Close frame holds.
    pub fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        while reason.len() > 123 {
            reason.pop();
        }
        Self { code, reason }
    }

    /// Returns 1001: the server shuts down.
    pub fn going_away() -> Self {
        Self::new(1001, "The server is shutting down")
    }

    /// Returns the Close frame.
    pub fn frame(self) -> Message {
        Message::Close(Some(CloseFrame { code: self.code, reason: self.reason.into() }))
    }
}
