//! The older `graphql-ws` protocol, which the GraphQL Playground and old clients speak.
//!
//! async-graphql speaks it; here its messages are put on the socket.

use async_graphql::{
    Executor,
    http::{WebSocketProtocols, WsMessage},
};
use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{
    SinkExt, Stream, StreamExt,
    future::ready,
    stream::{SplitSink, SplitStream},
};
use tokio::time::timeout;

use super::{
    admission::Admission,
    messages::Closing,
    settings::Settings,
    ws::{Pulse, close_frame},
};

/// Serves a session until one side ends it.
pub async fn serve<E: Executor>(socket: WebSocket, executor: Admission<E>, settings: &Settings) {
    let (mut sink, stream) = socket.split();
    let pulse = Pulse::new(settings.ping_interval);
    let messages = messages(stream, &pulse);
    let protocol = WebSocketProtocols::SubscriptionsTransportWS;
    let mut answers = async_graphql::http::WebSocket::new(executor, messages, protocol).boxed();
    let Some(closing) = converse(&mut sink, &mut answers, pulse, settings).await else {
        return;
    };
    let rest = async {
        let sent = sink.send(close_frame(closing)).await;
        while sent.is_ok() && answers.next().await.is_some() {}
    };
    let _ = timeout(settings.send_timeout, rest).await;
}

/// The texts that the client sends; each frame shows that it is still there.
fn messages(stream: SplitStream<WebSocket>, pulse: &Pulse) -> impl Stream<Item = Bytes> + Send + 'static {
    let heard = pulse.clone();
    stream.take_while(|message| ready(message.is_ok())).inspect(move |_| heard.beat()).filter_map(|message| {
        ready(match message {
            Ok(Message::Text(text)) => Some(Bytes::from(text)),
            _ => None,
        })
    })
}

/// Gives the Close to send; none where the client is gone.
async fn converse(
    sink: &mut SplitSink<WebSocket, Message>,
    answers: &mut (impl Stream<Item = WsMessage> + Unpin),
    pulse: Pulse,
    settings: &Settings,
) -> Option<Closing> {
    let mut ticks = pulse.ticks();
    loop {
        let message = tokio::select! {
            answer = answers.next() => match answer? {
                WsMessage::Text(text) => Message::text(text),
                WsMessage::Close(code, reason) => return Some(Closing::new(code, reason)),
            },
            _ = ticks.tick() => pulse.ping()?,
            () = settings.shutdown.cancelled() => return Some(Closing::going_away()),
        };
        let sent = timeout(settings.send_timeout, sink.send(message)).await;
        sent.ok()?.ok()?;
    }
}
