//! WebSockets, from the handshake to the Close frame: `graphql-transport-ws` and the older `graphql-ws`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_graphql::Executor;
use axum::{
    Error,
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
};
use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::{
    Transport,
    admission::Admission,
    messages::{Closing, Protocol},
    session::Session,
    settings::Settings,
};

/// Opens a WebSocket with the newest protocol that the client offers.
pub fn open<E: Executor>(upgrade: WebSocketUpgrade, transport: &Transport<E>) -> Response {
    let settings = transport.settings.clone();
    let executor = transport.executor.clone();
    upgrade
        .protocols(["graphql-transport-ws", "graphql-ws"])
        .max_message_size(settings.max_message_bytes)
        .max_frame_size(settings.max_message_bytes)
        .on_upgrade(move |socket| {
            let sockets = settings.sockets.clone();
            sockets.track_future(serve(socket, executor, settings))
        })
}

async fn serve<E: Executor>(mut socket: WebSocket, executor: Admission<E>, settings: Settings) {
    let protocol = socket.protocol().and_then(|name| Protocol::named(name.to_str().ok()?));
    let closing = match protocol {
        Some(protocol) => {
            let session = Session::new(protocol, executor, settings.max_operations);
            converse(&mut socket, session, &settings).await
        }
        None => Some(Closing::new(4406, "Subprotocol not acceptable")),
    };
    if let Some(closing) = closing {
        close(&mut socket, closing, settings.send_timeout).await;
    }
}

/// Sends a Close frame and reads on until the client has answered it: without that the client
/// would see 1006.
async fn close(socket: &mut WebSocket, closing: Closing, patience: Duration) {
    let rest = async {
        let sent = socket.send(closing.frame()).await;
        while sent.is_ok() && matches!(socket.recv().await, Some(Ok(_))) {}
    };
    let _ = timeout(patience, rest).await;
}

/// Whether a client still answers pings.
#[derive(Clone)]
pub struct Pulse {
    period: Duration,
    answered: Arc<AtomicBool>,
}

impl Pulse {
    /// A client that is pinged once per `period`.
    pub fn new(period: Duration) -> Self {
        let answered = Arc::new(AtomicBool::new(true));
        Self { period, answered }
    }

    /// When pings are due.
    pub fn ticks(&self) -> Interval {
        let mut ticks = interval_at(Instant::now() + self.period, self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// The client sent something.
    pub fn beat(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// The next ping; none where the client left the one before without an answer.
    pub fn ping(&self) -> Option<Message> {
        let answered = self.answered.swap(false, Ordering::Relaxed);
        answered.then(|| Message::Ping(Bytes::new()))
    }
}

/// Serves a session until one side ends it. Gives the Close to send; none where the client is gone.
async fn converse<E: Executor>(
    socket: &mut WebSocket,
    mut session: Session<E>,
    settings: &Settings,
) -> Option<Closing> {
    let pulse = Pulse::new(settings.ping_interval);
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
                Err(Closing::new(4408, "Connection initialisation timeout"))
            }
            () = settings.shutdown.cancelled() => Err(Closing::going_away()),
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

/// Sends a message; none where the client takes it too slowly or is gone.
async fn send(socket: &mut WebSocket, message: Message, settings: &Settings) -> Option<()> {
    timeout(settings.send_timeout, socket.send(message)).await.ok()?.ok()
}

fn received<E: Executor>(
    session: &mut Session<E>,
    message: Result<Message, Error>,
) -> Result<Option<Message>, Closing> {
    match message {
        Ok(Message::Text(message)) => Ok(session.receive(&message)?.and_then(text)),
        Ok(Message::Binary(_)) => Err(Closing::new(4400, "Invalid message: text is expected")),
        Ok(_) => Ok(None),
        Err(error) => Err(Closing::new(1009, format!("The message cannot be read: {error}"))),
    }
}

fn text(message: String) -> Option<Message> {
    Some(Message::text(message))
}
