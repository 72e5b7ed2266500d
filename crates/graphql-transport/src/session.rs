//! One WebSocket session: what each message and each result leads to, in both protocols.

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
    messages::{ClientMessage, Closing, Protocol, ServerMessage},
    request::Operation,
};

/// A result of the operation with this id; none at its end.
type Event = (String, Option<Response>);

/// The state of a session. Its operations are polled in turn, so a busy one starves no other.
pub struct Session<E> {
    protocol: Protocol,
    executor: Admission<E>,
    max_operations: usize,
    open: bool,
    operations: HashMap<String, AbortHandle>,
    events: SelectAll<BoxStream<'static, Event>>,
}

impl<E: Executor> Session<E> {
    /// A session whose client has yet to send `connection_init`.
    pub fn new(protocol: Protocol, executor: Admission<E>, max_operations: usize) -> Self {
        let (operations, events) = (HashMap::new(), SelectAll::new());
        Self { protocol, executor, max_operations, open: false, operations, events }
    }

    /// Has the client sent `connection_init`?
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Takes a message from the client; gives the message that answers it.
    pub fn receive(&mut self, text: &str) -> Result<Option<String>, Closing> {
        let message =
            self.protocol.read(text).map_err(|error| Closing::new(4400, format!("Invalid message: {error}")))?;
        match message {
            ClientMessage::ConnectionInit { .. } if self.open => {
                Err(Closing::new(4429, "Too many initialisation requests"))
            }
            ClientMessage::ConnectionInit { .. } => {
                self.open = true;
                written(&ServerMessage::ConnectionAck).map(Some)
            }
            ClientMessage::Ping { payload } => written(&ServerMessage::Pong { payload }).map(Some),
            ClientMessage::Pong { .. } => Ok(None),
            ClientMessage::Subscribe { .. } if !self.open => Err(Closing::new(4401, "Unauthorized")),
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload),
            ClientMessage::Complete { id } => {
                self.stop(&id);
                Ok(None)
            }
            ClientMessage::Terminate => Err(Closing::new(1000, "")),
        }
    }

    /// The message that goes beside each ping.
    pub fn keep_alive(&self) -> Result<Option<String>, Closing> {
        let wanted = self.protocol == Protocol::Legacy && self.open;
        wanted.then(|| written(&ServerMessage::Ka)).transpose()
    }

    /// The next result of any operation; waits for ever where none runs.
    pub async fn event(&mut self) -> Event {
        match self.events.next().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// The message that tells the client of a result.
    pub fn deliver(&mut self, (id, result): Event) -> Result<String, Closing> {
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

    fn subscribe(&mut self, id: String, operation: Operation) -> Result<Option<String>, Closing> {
        if id.is_empty() {
            return Err(Closing::new(4400, "Invalid message: the id is empty"));
        }
        if self.protocol == Protocol::Legacy {
            self.stop(&id);
        } else if self.operations.contains_key(&id) {
            let text = format!("Subscriber for {id} already exists");
            return Err(Closing::new(4409, text));
        }
        let Ok(request) = operation.into_request() else {
            return Err(Closing::new(4400, "Invalid message: the payload has no query"));
        };
        if self.operations.len() >= self.max_operations {
            let text = format!("{} operations run on this connection.", self.max_operations);
            return self.refused(&id, codes::error(Code::TooBusy, text));
        }
        match self.executor.admit(request) {
            Ok(admitted) => {
                let results = self.executor.stream(admitted);
                self.start(id, results);
                Ok(None)
            }
            Err(error) => self.refused(&id, error),
        }
    }

    fn refused(&self, id: &str, error: ServerError) -> Result<Option<String>, Closing> {
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

fn refusal(id: &str, errors: &[ServerError]) -> Result<String, Closing> {
    let payload = errors;
    written(&ServerMessage::Error { id, payload })
}

fn written(message: &ServerMessage<'_>) -> Result<String, Closing> {
    serde_json::to_string(message).map_err(|error| Closing::new(1011, codes::internal(&error).message))
}
