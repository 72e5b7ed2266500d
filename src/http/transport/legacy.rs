//! The older `graphql-ws` protocol, which the GraphQL Playground and old clients speak. async-graphql-axum speaks it; here
//! it is told when the server ends.

use std::time::Duration;

use async_graphql::Executor;
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocket;
use axum::http::{HeaderValue, Request, header};
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use super::admission::Admission;
use super::messages::Closing;
use super::settings::Settings;

/// Serves a session until one side ends it.
pub async fn serve<E: Executor>(socket: WebSocket, executor: Admission<E>, settings: &Settings) {
    let Some(protocol) = protocol().await else { return };
    let (mut sink, stream) = socket.split();
    let messages = stream.take_until(settings.shutdown.cancelled());
    let session = GraphQLWebSocket::new_with_pair(&mut sink, messages, executor, protocol).serve();
    tokio::select! {
        () = session => {}
        () = overdue(settings, settings.send_timeout) => {}
    }
    if settings.shutdown.is_cancelled() {
        // A client that is gone needs no Close.
        let _ = timeout(settings.send_timeout, sink.send(Closing::going_away().frame())).await;
    }
}

/// Returns when the server has been ending for `grace`.
async fn overdue(settings: &Settings, grace: Duration) {
    settings.shutdown.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// The protocol as async-graphql-axum reads it from the handshake.
async fn protocol() -> Option<GraphQLProtocol> {
    let mut handshake = Request::new(());
    let name = HeaderValue::from_static("graphql-ws");
    handshake.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    GraphQLProtocol::from_request_parts(&mut handshake.into_parts().0, &()).await.ok()
}
