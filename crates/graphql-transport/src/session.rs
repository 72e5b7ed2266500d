//! State machine of a WebSocket session, for both protocols.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Response, ServerError};
use axum::http::request::Parts;
use futures_util::{
    StreamExt,
    future::ready,
    stream::{self, AbortHandle, BoxStream, SelectAll},
};

use super::{
    Transport,
    client::{Client, Clients},
    codes::{self, Code},
    messages::{ClientMessage, CloseReason, Protocol, ServerMessage},
    request::Operation,
};

/// A result of the operation with this ID. None at its end.
type Event = (String, Option<Response>);

/// A session. Its operations are polled in turn, so a busy one does not starve others.
pub struct Session<C: Clients> {
    protocol: Protocol,
    transport: Arc<Transport<C>>,
    sender: Sender<C::Executor>,
    operations: HashMap<String, AbortHandle>,
    events: SelectAll<BoxStream<'static, Event>>,
}

/// Sender of the messages of a session.
enum Sender<E> {
    /// Known by its handshake, until `connection_init`.
    Handshake(Box<Parts>),
    /// After `connection_init`.
    Client(Client<E>),
}

impl<C: Clients> Session<C> {
    /// Creates a session that waits for `connection_init`.
    pub fn new(protocol: Protocol, transport: Arc<Transport<C>>, handshake: Parts) -> Self {
        let (operations, events) = (HashMap::new(), SelectAll::new());
        Self { protocol, transport, sender: Sender::Handshake(Box::new(handshake)), operations, events }
    }

    /// Returns true after `connection_init`.
    pub fn is_open(&self) -> bool {
        matches!(self.sender, Sender::Client(_))
    }

    /// Handles a message of the client. Returns the reply.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub fn receive(&mut self, text: &str) -> Result<Option<String>, CloseReason> {
        let message =
            self.protocol.read(text).map_err(|error| CloseReason::new(4400, format!("Invalid message: {error}")))?;
        match message {
            ClientMessage::ConnectionInit { payload } => {
                let Sender::Handshake(handshake) = &self.sender else {
                    return Err(CloseReason::new(4429, "Too many initialisation requests"));
                };
                let client = self.transport.clients.of_connection(handshake, &payload.unwrap_or_default());
                self.sender = Sender::Client(client);
                written(&ServerMessage::ConnectionAck).map(Some)
            }
            ClientMessage::Ping { payload } => written(&ServerMessage::Pong { payload }).map(Some),
            ClientMessage::Pong { .. } => Ok(None),
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload),
            ClientMessage::Complete { id } => {
                self.stop(&id);
                Ok(None)
            }
            ClientMessage::Terminate => Err(CloseReason::new(1000, "")),
        }
    }

    /// Returns the message to send with each ping: `graphql-ws` has a keep-alive.
    pub fn keep_alive(&self) -> Result<Option<String>, CloseReason> {
        let wanted = self.protocol == Protocol::Legacy && self.is_open();
        wanted.then(|| written(&ServerMessage::Ka)).transpose()
    }

    /// Waits for the next result of any operation. Pending forever if none runs.
    pub async fn event(&mut self) -> Event {
        match self.events.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Returns the message with a result.
    pub fn deliver(&mut self, (id, result): Event) -> Result<String, CloseReason> {
        let Some(result) = result else {
            self.operations.remove(&id);
            return written(&ServerMessage::Complete { id: &id });
        };
        if self.protocol == Protocol::Legacy {
            let payload = &result;
            return written(&ServerMessage::Data { id: &id, payload });
        }
        if codes::is_request_error(&result) {
            self.stop(&id);
            return refusal(&id, &result.errors);
        }
        let payload = &result;
        written(&ServerMessage::Next { id: &id, payload })
    }

    fn subscribe(&mut self, id: String, operation: Operation) -> Result<Option<String>, CloseReason> {
        let Sender::Client(client) = &self.sender else {
            return Err(CloseReason::new(4401, "Unauthorized"));
        };
        let client = client.clone();
        if id.is_empty() {
            return Err(CloseReason::new(4400, "Invalid message: the id is empty"));
        }
        if self.protocol == Protocol::Legacy {
            self.stop(&id);
        } else if self.operations.contains_key(&id) {
            let text = format!("Subscriber for {id} already exists");
            return Err(CloseReason::new(4409, text));
        }
        if operation.names_nothing() {
            return Err(CloseReason::new(4400, "Invalid message: the payload has no query"));
        }
        if self.operations.len() >= self.transport.settings.max_operations {
            return self.too_busy(&id);
        }
        let admission = &self.transport.admission;
        let request = operation.into_request(admission.texts()).map_err(|refusal| vec![refusal.into_error()]);
        match request.and_then(|request| admission.admit(request)) {
            Ok(admitted) => {
                let results = admission.stream_counted(&client, admitted);
                self.start(id, results);
                Ok(None)
            }
            Err(errors) if self.protocol == Protocol::Legacy => {
                self.start(id, stream::once(ready(Response::from_errors(errors))).boxed());
                Ok(None)
            }
            Err(errors) => refusal(&id, &errors).map(Some),
        }
    }

    fn too_busy(&self, id: &str) -> Result<Option<String>, CloseReason> {
        let text = format!(
            "Too many operations on this connection: at most {} may run.",
            self.transport.settings.max_operations
        );
        let error = codes::error(Code::TooBusy, text);
        match self.protocol {
            Protocol::Modern => refusal(id, &[error]).map(Some),
            Protocol::Legacy => written(&ServerMessage::Failure { id, payload: &error }).map(Some),
        }
    }

    fn start(&mut self, id: String, results: BoxStream<'static, Response>) {
        let name = id.clone();
        let events = results.map(Some).chain(stream::once(ready(None))).map(move |result| (name.clone(), result));
        let (events, handle) = stream::abortable(events);
        self.operations.insert(id, handle);
        self.events.push(events.boxed());
    }

    fn stop(&mut self, id: &str) {
        if let Some(handle) = self.operations.remove(id) {
            handle.abort();
        }
    }
}

fn refusal(id: &str, errors: &[ServerError]) -> Result<String, CloseReason> {
    let payload = errors;
    written(&ServerMessage::Error { id, payload })
}

fn written(message: &ServerMessage<'_>) -> Result<String, CloseReason> {
    serde_json::to_string(message).map_err(|error| CloseReason::new(1011, codes::internal(&error).message))
}
