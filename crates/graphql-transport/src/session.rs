//! State machine of a WebSocket session, for both protocols.

use std::collections::HashMap;

use async_graphql::{Executor, Response, ServerError};
use futures_util::{
    StreamExt,
    future::ready,
    stream::{self, AbortHandle, BoxStream, SelectAll},
};

use super::{
    admission::Admission,
    codes::{self, Code},
    limit::CallerLimit,
    messages::{ClientMessage, CloseReason, Protocol, ServerMessage},
    request::Operation,
};

/// A result of the operation with this ID. None at its end.
type Event = (String, Option<Response>);

/// A session. Its operations are polled in turn, so a busy one does not starve others.
pub struct Session<E> {
    protocol: Protocol,
    executor: Admission<E>,
    max_operations: usize,
    limit: Option<CallerLimit>,
    open: bool,
    operations: HashMap<String, AbortHandle>,
    events: SelectAll<BoxStream<'static, Event>>,
}

impl<E: Executor> Session<E> {
    /// Creates a session that waits for `connection_init`. `limit` is that of its caller.
    pub fn new(protocol: Protocol, executor: Admission<E>, max_operations: usize, limit: Option<CallerLimit>) -> Self {
        let (operations, events) = (HashMap::new(), SelectAll::new());
        Self { protocol, executor, max_operations, limit, open: false, operations, events }
    }

    /// Returns true after `connection_init`.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Handles a message of the client. Returns the reply.
    ///
    /// # Errors
    /// The reason to close the connection.
    pub fn receive(&mut self, text: &str) -> Result<Option<String>, CloseReason> {
        let message =
            self.protocol.read(text).map_err(|error| CloseReason::new(4400, format!("Invalid message: {error}")))?;
        match message {
            ClientMessage::ConnectionInit { .. } if self.open => {
                Err(CloseReason::new(4429, "Too many initialisation requests"))
            }
            ClientMessage::ConnectionInit { .. } => {
                self.open = true;
                written(&ServerMessage::ConnectionAck).map(Some)
            }
            ClientMessage::Ping { payload } => written(&ServerMessage::Pong { payload }).map(Some),
            ClientMessage::Pong { .. } => Ok(None),
            ClientMessage::Subscribe { .. } if !self.open => Err(CloseReason::new(4401, "Unauthorized")),
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
        let wanted = self.protocol == Protocol::Legacy && self.open;
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
        if self.operations.len() >= self.max_operations {
            return self.too_busy(&id);
        }
        let request = operation.into_request(self.executor.texts()).map_err(|refusal| vec![refusal.into_error()]);
        match request.and_then(|request| self.executor.admit(request)) {
            Ok(admitted) => {
                let results = self.executor.stream_counted(admitted, self.limit.clone());
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
        let text = format!("Too many operations on this connection: at most {} may run.", self.max_operations);
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
