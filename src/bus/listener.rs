//! Hears the events of other nodes. A connection that has become silent is noticed: each node hears its own beat. What other
//! nodes send is no proof that the connection works both ways.
//!
//! While a node hears nothing, it receives a [`Received::Gap`] every second: it then reads from the store what it needs to know.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::channel::{ChannelError, EventChannel, EventStream};
use super::pulse::{Pulse, SILENCE};
use super::wire::{self, Message};
use super::{ChangeEvent, Received};
use crate::database::log_failure;
use crate::metrics::Events;
use crate::spawn::spawn;

/// Maximum number of received events that wait to be handled.
const BUFFER: usize = 1024;

/// Interval of beats, and of gaps while the node hears nothing.
const BEAT: Duration = Duration::from_secs(1);

/// Maximum time to connect, and to send a beat. Channels have shorter limits, and then say what is wrong.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// Events of other nodes, as a node receives them.
pub type RemoteEvents = mpsc::Receiver<Received<ChangeEvent>>;

/// The receiver of the events was dropped.
struct Dropped;

struct Listener {
    channel: Arc<dyn EventChannel>,
    source: String,
    events: mpsc::Sender<Received<ChangeEvent>>,
    metrics: Events,
}

/// Receives the events of all processes but `source`. Returns once the channel is connected, or after the first failure: then it
/// goes on trying, and reports gaps.
pub async fn listen(channel: Arc<dyn EventChannel>, source: &str, metrics: Events) -> RemoteEvents {
    let (events, receiver) = mpsc::channel(BUFFER);
    metrics.set_up(false);
    let listener = Listener { channel, source: source.to_owned(), events, metrics };
    let first = listener.connect().await;
    spawn(async move {
        // The receiver was dropped: nobody needs the events any more.
        let _ = listener.run(first).await;
    });
    receiver
}

/// Reports a gap every second, for nodes that have no channel between them.
pub fn poll() -> RemoteEvents {
    let (events, receiver) = mpsc::channel(1);
    spawn(async move {
        while events.send(Received::Gap { missed: 0 }).await.is_ok() {
            sleep(BEAT).await;
        }
    });
    receiver
}

impl Listener {
    async fn run(self, first: Result<Box<dyn EventStream>, ChannelError>) -> Result<(), Dropped> {
        let mut connected = first;
        loop {
            let error = match connected {
                Ok(stream) => self.hear(stream).await?,
                Err(error) => error,
            };
            self.metrics.set_up(false);
            log_failure!(error, %error, "cannot hear the changes of other nodes; reading them from the store every second until it works");
            connected = Ok(self.reconnect().await?);
            tracing::info!("the changes of other nodes are heard again");
            self.gap().await?;
        }
    }

    async fn connect(&self) -> Result<Box<dyn EventStream>, ChannelError> {
        let late = |_| Err(ChannelError::Failed(format!("no connection within {CONNECT_LIMIT:?}")));
        timeout(CONNECT_LIMIT, self.channel.subscribe()).await.unwrap_or_else(late)
    }

    /// Connects, however often that fails. Reports a gap every second meanwhile.
    async fn reconnect(&self) -> Result<Box<dyn EventStream>, Dropped> {
        let connected = async {
            loop {
                match self.connect().await {
                    Ok(stream) => return stream,
                    Err(error) => tracing::debug!(%error, "still no connection for the changes of other nodes"),
                }
                sleep(BEAT).await;
            }
        };
        let gaps = async {
            loop {
                self.gap().await?;
                sleep(BEAT).await;
            }
        };
        tokio::select! {
            stream = connected => Ok(stream),
            dropped = gaps => dropped,
        }
    }

    /// Delivers events until the connection is lost or silent.
    async fn hear(&self, mut stream: Box<dyn EventStream>) -> Result<ChannelError, Dropped> {
        let (mut pulse, mut beat) = (Pulse::default(), interval(BEAT));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let own = wire::encode(&Message::Beat, &self.source);
        loop {
            // What has arrived is heard first: the node may have been busy for longer than the silence.
            tokio::select! {
                biased;
                message = stream.next() => match message {
                    Ok(text) if text == own => {
                        pulse.came_back();
                        self.metrics.set_up(true);
                    }
                    Ok(text) => self.deliver(&text).await?,
                    Err(error) => return Ok(error),
                },
                _ = beat.tick() => {
                    if pulse.is_lost(Instant::now()) {
                        return Ok(ChannelError::Failed(format!("not even this node's own message was heard for {SILENCE:?}")));
                    }
                    if let Some(error) = send_beat(&mut *stream, &own).await {
                        return Ok(error);
                    }
                    pulse.sent(Instant::now());
                }
            }
        }
    }

    async fn deliver(&self, text: &str) -> Result<(), Dropped> {
        match wire::decode(text, &self.source) {
            Some(Message::Event(event)) => self.send(Received::Delivered(event)).await,
            Some(Message::Lost) => self.gap().await,
            Some(Message::Beat) | None => Ok(()),
        }
    }

    async fn gap(&self) -> Result<(), Dropped> {
        self.send(Received::Gap { missed: 0 }).await
    }

    async fn send(&self, received: Received<ChangeEvent>) -> Result<(), Dropped> {
        self.events.send(received).await.map_err(|_| Dropped)
    }
}

/// Sends a beat. Returns the failure, if there is one.
async fn send_beat(stream: &mut dyn EventStream, own: &str) -> Option<ChannelError> {
    match timeout(SEND_LIMIT, stream.send(own)).await {
        Ok(sent) => sent.err(),
        Err(_) => Some(ChannelError::Failed(format!("a message could not be sent within {SEND_LIMIT:?}"))),
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
