//! Receives the events of other nodes. Each node also receives its own beat, so it notices a connection that delivers nothing. What other
//! nodes send is no proof that the connection works both ways.
//!
//! While no connection works, or the node waits for its beat for longer than a second, it receives a [`Received::Gap`] every second: it
//! then reads from the store what it needs to know.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::channel::{ChannelError, EventChannel, EventStream};
use super::heartbeat_check::{HeartbeatCheck, SILENCE};
use super::wire::{self, Message};
use super::{ChangeEvent, Received};
use crate::clock::Clock;
use crate::database::log_failure;
use crate::metrics::Events;
use crate::spawn::spawn;

/// Maximum number of received events that wait to be handled.
const BUFFER: usize = 1024;

/// Interval of beats.
const BEAT: Duration = Duration::from_millis(500);

/// Interval of gaps while the node receives nothing, and of attempts to connect.
const GAP: Duration = Duration::from_secs(1);

/// Maximum time to connect, and to send a beat. Channels have shorter limits, and then say what is wrong.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// Time for which a node of an earlier version is assumed to have lost its events: it does not say since when.
const UNKNOWN_LOSS: SignedDuration = SignedDuration::from_mins(10);

/// Events of other nodes, as a node receives them.
pub type RemoteEvents = mpsc::Receiver<Received<ChangeEvent>>;

/// The receiver of the events was dropped.
struct Dropped;

struct Listener {
    channel: Arc<dyn EventChannel>,
    source: String,
    events: mpsc::Sender<Received<ChangeEvent>>,
    metrics: Events,
    clock: Clock,
    /// Events of changes before that time were received, or their loss was reported.
    heard: Timestamp,
}

/// Receives the events of all processes but `source`. Returns once the channel is connected, or after the first failure: then it
/// retries, and reports gaps.
pub async fn listen(channel: Arc<dyn EventChannel>, source: &str, metrics: Events, clock: &Clock) -> RemoteEvents {
    let (events, receiver) = mpsc::channel(BUFFER);
    metrics.set_up(false);
    let (heard, source, clock) = (clock.now(), source.to_owned(), clock.clone());
    let listener = Listener { channel, source, events, metrics, clock, heard };
    let first = connect(&*listener.channel).await;
    spawn(async move {
        // The receiver was dropped: the events have no reader any more.
        let _ = listener.run(first).await;
    });
    receiver
}

/// Reports a gap every second, for nodes that have no channel between them.
pub fn poll(clock: &Clock) -> RemoteEvents {
    let (events, receiver) = mpsc::channel(1);
    let (clock, mut since) = (clock.clone(), clock.now());
    spawn(async move {
        loop {
            let now = clock.now();
            if events.send(Received::Gap { missed: 0, since }).await.is_err() {
                return;
            }
            since = now;
            sleep(GAP).await;
        }
    });
    receiver
}

impl Listener {
    async fn run(mut self, first: Result<Box<dyn EventStream>, ChannelError>) -> Result<(), Dropped> {
        let mut connected = first;
        loop {
            let error = match connected {
                Ok(stream) => self.receive(stream).await?,
                Err(error) => error,
            };
            self.metrics.set_up(false);
            log_failure!(error, %error, "event channel unavailable; reading the changes of other nodes from the store every second");
            connected = Ok(self.reconnect().await?);
            tracing::info!("event channel available again");
            self.gap().await?;
        }
    }

    /// Connects, however often that fails. Reports a gap every second meanwhile.
    async fn reconnect(&mut self) -> Result<Box<dyn EventStream>, Dropped> {
        let channel = Arc::clone(&self.channel);
        let mut connected = pin!(async move {
            loop {
                match connect(&*channel).await {
                    Ok(stream) => return stream,
                    Err(error) => tracing::debug!(%error, "event channel still unavailable"),
                }
                sleep(GAP).await;
            }
        });
        loop {
            self.gap().await?;
            if let Ok(stream) = timeout(GAP, &mut connected).await {
                return Ok(stream);
            }
        }
    }

    /// Delivers events until the connection is lost or silent.
    async fn receive(&mut self, mut stream: Box<dyn EventStream>) -> Result<ChannelError, Dropped> {
        let (mut check, mut beat) = (HeartbeatCheck::default(), interval(BEAT));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let own = wire::encode(&Message::Beat, &self.source);
        let mut beat_at = None;
        loop {
            // Arrived messages are read first: the node may have been busy for longer than the silence.
            tokio::select! {
                biased;
                message = stream.next() => match message {
                    Ok(text) if text == own => {
                        check.came_back();
                        // Messages that were sent before this node's own one have arrived before it.
                        self.heard = beat_at.take().unwrap_or(self.heard);
                        self.metrics.set_up(true);
                    }
                    Ok(text) => self.deliver(&text).await?,
                    Err(error) => return Ok(error),
                },
                _ = beat.tick() => {
                    if check.is_lost(Instant::now()) {
                        return Ok(ChannelError::Failed(format!("this node did not receive its own message for {SILENCE:?}")));
                    }
                    if check.is_late(Instant::now()) {
                        self.gap().await?;
                    }
                    let now = self.clock.now();
                    if let Some(error) = self.send_beat(&mut *stream, &own).await? {
                        return Ok(error);
                    }
                    check.sent(Instant::now());
                    beat_at.get_or_insert(now);
                }
            }
        }
    }

    async fn deliver(&self, text: &str) -> Result<(), Dropped> {
        match wire::decode(text, &self.source) {
            Some(Message::Event(event)) => self.send(Received::Delivered(event)).await,
            Some(Message::Lost { since }) => {
                let since =
                    since.unwrap_or_else(|| self.clock.now().checked_sub(UNKNOWN_LOSS).unwrap_or(Timestamp::MIN));
                self.send(Received::Gap { missed: 0, since }).await
            }
            Some(Message::Beat) | None => Ok(()),
        }
    }

    /// Sends a beat. Returns the failure, if there is one. Reports a gap every second meanwhile: a server that does not answer may deliver
    /// nothing.
    async fn send_beat(&mut self, stream: &mut dyn EventStream, own: &str) -> Result<Option<ChannelError>, Dropped> {
        let mut sent = pin!(timeout(SEND_LIMIT, stream.send(own)));
        loop {
            match timeout(GAP, &mut sent).await {
                Ok(Ok(sent)) => return Ok(sent.err()),
                Ok(Err(_)) => {
                    let text = format!("a message could not be sent within {SEND_LIMIT:?}");
                    return Ok(Some(ChannelError::Failed(text)));
                }
                Err(_) => self.gap().await?,
            }
        }
    }

    /// Reports that events since the last received ones may be lost.
    async fn gap(&mut self) -> Result<(), Dropped> {
        let now = self.clock.now();
        self.send(Received::Gap { missed: 0, since: self.heard }).await?;
        // Whoever receives the gap reads the changes before this moment.
        self.heard = now;
        Ok(())
    }

    async fn send(&self, received: Received<ChangeEvent>) -> Result<(), Dropped> {
        self.events.send(received).await.map_err(|_| Dropped)
    }
}

async fn connect(channel: &dyn EventChannel) -> Result<Box<dyn EventStream>, ChannelError> {
    let late = |_| Err(ChannelError::Failed(format!("no connection within {CONNECT_LIMIT:?}")));
    timeout(CONNECT_LIMIT, channel.subscribe()).await.unwrap_or_else(late)
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;
