//! Sends the events of this node after their commit, through a bounded queue: no write waits for it.
//!
//! Events that could not be sent are replaced by one message: the other nodes then read from the store what they need to know.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::ChangeEvent;
use super::channel::ChannelError;
use super::lost_since::LostSince;
use super::redis::RedisSender;
use super::wire::{self, Message};
use crate::clock::Clock;
use crate::spawn::spawn;

/// Maximum number of events that wait to be sent.
const QUEUE: usize = 4096;

/// Time between two attempts to say that events were lost.
const RETRY: Duration = Duration::from_secs(1);

/// Sends the events of this node. Clones share the queue.
#[derive(Clone)]
pub struct Publisher {
    queue: mpsc::Sender<QueuedEvent>,
    /// Events that the other nodes do not know to be lost.
    lost: Arc<LostSince>,
    clock: Clock,
}

/// An event, and when it was announced.
type QueuedEvent = (Timestamp, ChangeEvent);

/// The other end of the queue.
struct PublisherLoop {
    sender: RedisSender,
    source: String,
    lost: Arc<LostSince>,
}

impl Publisher {
    /// Sends events as those of the process `source`, until the last clone is dropped.
    pub fn start(sender: RedisSender, source: &str, clock: Clock) -> Publisher {
        let (queue, events) = mpsc::channel(QUEUE);
        let lost = Arc::<LostSince>::default();
        let sending = PublisherLoop { sender, source: source.to_owned(), lost: Arc::clone(&lost) };
        spawn(sending.run(events));
        Publisher { queue, lost, clock }
    }

    /// Sends an event, soon. Never waits.
    pub fn publish(&self, event: ChangeEvent) {
        let now = self.clock.now();
        if self.queue.try_send((now, event)).is_err() {
            self.lost.note(now);
        }
    }

    /// Reports to the other nodes, before the next event, that events of changes since then are lost. Never waits.
    pub fn publish_lost(&self, since: Timestamp) {
        self.lost.note(since);
    }
}

impl PublisherLoop {
    async fn run(mut self, mut events: mpsc::Receiver<QueuedEvent>) {
        let lost = Arc::clone(&self.lost);
        loop {
            // The others receive the loss of events before the next event.
            tokio::select! {
                biased;
                since = lost.next() => self.send_lost(since).await,
                event = events.recv() => match event {
                    Some(event) => self.send_event(event).await,
                    None => return,
                },
            }
        }
    }

    async fn send_lost(&mut self, since: Timestamp) {
        if let Err(error) = self.send(&Message::Lost { since: Some(since) }).await {
            tracing::debug!(%error, "could not send that events are lost; retrying");
            self.lost.note(since);
            sleep(RETRY).await;
        }
    }

    async fn send_event(&mut self, (at, event): QueuedEvent) {
        if let Err(error) = self.send(&Message::Event(event)).await {
            // The listener sees that its own beats do not return, and logs the outage.
            tracing::debug!(%error, "could not send changes to other nodes; they read them from the store");
            self.lost.note(at);
        }
    }

    async fn send(&mut self, message: &Message) -> Result<(), ChannelError> {
        self.sender.send(&wire::encode(message, &self.source)).await
    }
}
