//! A subscription as clients make it: graphql-transport-ws over a WebSocket.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::server::PATIENCE;

const PROGRESS: &str = "subscription($id: ID!) { taskProgress(id: $id) { id state attempt error { code message }
    progress { phase done total fraction } ... on ImportTask { rowsImported } } }";

/// An open subscription.
pub struct Watch {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    field: &'static str,
}

impl Watch {
    /// Watches one task.
    pub async fn progress(url: &str, id: &str) -> Watch {
        Watch::open(url, "taskProgress", PROGRESS, json!({ "id": id })).await
    }

    /// Subscribes to `field` with `query`.
    pub async fn open(url: &str, field: &'static str, query: &str, variables: Value) -> Watch {
        let mut request = (url.replace("http://", "ws://") + "/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (socket, _) = connect_async(request).await.unwrap();
        let mut watch = Watch { socket, field };
        watch.send(json!({ "type": "connection_init" })).await;
        assert_eq!(watch.receive().await.unwrap()["type"], "connection_ack");
        let payload = json!({ "query": query, "variables": variables });
        watch.send(json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
        watch
    }

    /// Returns the next event. None if the subscription is complete or the server closed the socket.
    pub async fn next(&mut self) -> Option<Value> {
        let mut message = self.receive().await?;
        match message["type"].as_str() {
            Some("next") if message["payload"]["errors"].is_null() => {
                Some(message["payload"]["data"][self.field].take())
            }
            Some("complete") => None,
            _ => panic!("{message}"),
        }
    }

    /// Starts another operation, when the one before has ended.
    pub async fn ask(&mut self, query: &str) {
        self.send(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
    }

    /// Returns the result of a query, at its end, or the errors of its refusal.
    pub async fn result(&mut self) -> Result<Value, Value> {
        let mut message = self.receive().await.expect("the server closed the socket");
        if message["type"] == "error" {
            return Err(message["payload"].take());
        }
        let value = message["payload"]["data"][self.field].take();
        assert_eq!(self.receive().await.unwrap()["type"], "complete");
        Ok(value)
    }

    /// Returns the first event that matches `wanted`.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        while let Some(event) = self.next().await {
            if wanted(&event) {
                return event;
            }
            last = event;
        }
        panic!("the subscription ended with {last}");
    }

    /// Waits until the server closes the socket, and returns its code.
    pub async fn close_code(&mut self) -> Option<u16> {
        let closed = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Close(frame) = message {
                    return frame.map(|frame| frame.code.into());
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the socket stays open")
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Returns the next message and skips pings. None if the socket is closed.
    async fn receive(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.message()).await.expect("no event in time")
    }

    async fn message(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    match message["type"].as_str() {
                        Some("ping") => self.send(json!({ "type": "pong" })).await,
                        _ => return Some(message),
                    }
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
