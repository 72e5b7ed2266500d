//! Sends the events of this node after their commit, through a bounded queue: no write waits for it.
//!
//! Events that could not be sent are replaced by one message: the other nodes then read from the store what they need to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::spawn::spawn;

use super::ChangeEvent;
use super::channel::ChannelError;
use super::redis::RedisSender;
use super::wire::{self, Message};

/// Maximum number of events that wait to be sent.
const QUEUE: usize = 4096;

/// Time between two attempts to say that events were lost.
const RETRY: Duration = Duration::from_secs(1);

/// Sends the events of this node. Clones share the queue.
#[derive(Clone)]
pub struct Publisher {
    queue: mpsc::Sender<ChangeEvent>,
    lost: Arc<AtomicBool>,
}

/// The other end of the queue.
struct PublisherLoop {
    sender: RedisSender,
    source: String,
    lost: Arc<AtomicBool>,
}

impl Publisher {
    /// Sends events as those of the process `source`, until the last clone is dropped.
    pub fn start(sender: RedisSender, source: &str) -> Publisher {
        let (queue, events) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicBool::new(false));
        let sending = PublisherLoop { sender, source: source.to_owned(), lost: Arc::clone(&lost) };
        spawn(sending.run(events));
        Publisher { queue, lost }
    }

    /// Sends an event, soon. Never waits.
    pub fn publish(&self, event: ChangeEvent) {
        if self.queue.try_send(event).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

impl PublisherLoop {
    async fn run(mut self, mut events: mpsc::Receiver<ChangeEvent>) {
        loop {
            if self.lost.swap(false, Ordering::Relaxed) && self.send(Message::Lost).await.is_err() {
                sleep(RETRY).await;
                continue;
            }
            let Some(event) = events.recv().await else { return };
            if let Err(error) = self.send(Message::Event(event)).await {
                tracing::warn!(%error, "cannot tell other nodes what changed; they read it from the store");
            }
        }
    }

    /// Sends a message. After a failure the others are told first that events were lost.
    async fn send(&mut self, message: Message) -> Result<(), ChannelError> {
        let sent = self.sender.send(&wire::encode(&message, &self.source)).await;
        if sent.is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
        sent
    }
}
