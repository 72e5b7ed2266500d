//! WebSocket connections, from the handshake to the Close frame.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Error,
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::request::Parts,
    response::Response,
};
use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::{
    Transport,
    client::Clients,
    messages::{CloseReason, Protocol},
    session::Session,
    settings::Settings,
};

/// Bytes that a connection reads at once. It keeps a buffer of this size while it is open.
const BUFFER: usize = 1 << 10;

/// Accepts a WebSocket with the newest protocol that the client offers.
pub fn open<C: Clients>(upgrade: WebSocketUpgrade, transport: Arc<Transport<C>>, handshake: Parts) -> Response {
    let settings = &transport.settings;
    upgrade
        .protocols(["graphql-transport-ws", "graphql-ws"])
        .read_buffer_size(BUFFER)
        .max_message_size(settings.max_message_bytes)
        .max_frame_size(settings.max_message_bytes)
        .on_upgrade(move |socket| {
            let sockets = transport.settings.sockets.clone();
            sockets.track_future(serve(socket, transport, handshake))
        })
}

async fn serve<C: Clients>(mut socket: WebSocket, transport: Arc<Transport<C>>, handshake: Parts) {
    let settings = &transport.settings;
    let protocol = socket.protocol().and_then(|name| Protocol::named(name.to_str().ok()?));
    let closing = match protocol {
        Some(protocol) => {
            let session = Session::new(protocol, Arc::clone(&transport), handshake);
            converse(&mut socket, session, settings).await
        }
        None => Some(CloseReason::new(4406, "Subprotocol not acceptable")),
    };
    if let Some(closing) = closing {
        close(&mut socket, closing, settings.send_timeout).await;
    }
}

/// Sends a Close frame and reads until the client answers it. Otherwise the client would see 1006.
async fn close(socket: &mut WebSocket, closing: CloseReason, patience: Duration) {
    let rest = async {
        let sent = socket.send(closing.frame()).await;
        while sent.is_ok() && matches!(socket.recv().await, Some(Ok(_))) {}
    };
    let _ = timeout(patience, rest).await;
}

/// Tracks if a client answers pings.
#[derive(Clone)]
pub struct PingState {
    period: Duration,
    answered: Arc<AtomicBool>,
}

impl PingState {
    /// Creates the state for a client that is pinged once per `period`.
    pub fn new(period: Duration) -> Self {
        let answered = Arc::new(AtomicBool::new(true));
        Self { period, answered }
    }

    /// Returns the times of pings.
    pub fn ticks(&self) -> Interval {
        let mut ticks = interval_at(Instant::now() + self.period, self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Notes that the client sent something.
    pub fn beat(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Returns the next ping. None if the client did not answer the previous one.
    pub fn ping(&self) -> Option<Message> {
        let answered = self.answered.swap(false, Ordering::Relaxed);
        answered.then(|| Message::Ping(Bytes::new()))
    }
}

/// Serves a session until one side ends it. Returns the Close to send, or None if the client is gone.
async fn converse<C: Clients>(
    socket: &mut WebSocket,
    mut session: Session<C>,
    settings: &Settings,
) -> Option<CloseReason> {
    let pulse = PingState::new(settings.ping_interval);
    let mut ticks = pulse.ticks();
    let deadline = Instant::now() + settings.init_timeout;
    loop {
        let reply = tokio::select! {
            message = socket.recv() => {
                pulse.beat();
                received(&mut session, message?)
            }
            event = session.event() => session.deliver(event).map(text),
            _ = ticks.tick() => {
                send(socket, pulse.ping()?, settings).await?;
                session.keep_alive().map(|message| message.and_then(text))
            }
            () = sleep_until(deadline), if !session.is_open() => {
                Err(CloseReason::new(4408, "Connection initialisation timeout"))
            }
            () = settings.shutdown.cancelled() => Err(CloseReason::going_away()),
        };
        match reply {
            Ok(None) => {}
            Ok(Some(message)) => {
                send(socket, message, settings).await?;
            }
            Err(closing) => return Some(closing),
        }
    }
}

/// Sends a message. Returns None if the client is too slow or gone.
async fn send(socket: &mut WebSocket, message: Message, settings: &Settings) -> Option<()> {
    timeout(settings.send_timeout, socket.send(message)).await.ok()?.ok()
}

fn received<C: Clients>(
    session: &mut Session<C>,
    message: Result<Message, Error>,
) -> Result<Option<Message>, CloseReason> {
    match message {
        Ok(Message::Text(message)) => Ok(session.receive(&message)?.and_then(text)),
        Ok(Message::Binary(_)) => Err(CloseReason::new(4400, "Invalid message: text is expected")),
        Ok(_) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

/// Returns the close reason for a message that cannot be read: not UTF-8, too long, or no valid frames.
fn unreadable(error: Error) -> CloseReason {
    let text = format!("The message cannot be read: {error}");
    match error.into_inner().downcast_ref() {
        Some(tungstenite::Error::Utf8(_)) => CloseReason::new(1007, text),
        Some(tungstenite::Error::Capacity(_)) => CloseReason::new(1009, text),
        _ => CloseReason::new(1002, text),
    }
}

fn text(message: String) -> Option<Message> {
    Some(Message::text(message))
}
