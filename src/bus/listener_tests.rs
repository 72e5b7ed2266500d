//! Tests of the listener. Each waits for what must come, however long that takes.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::*;
use crate::clock::Clock;
use crate::metrics::{Format, Metrics};
use crate::task::State;

/// A channel whose connections the test holds.
struct TestChannel {
    connections: UnboundedSender<Connection>,
    accepts: Arc<AtomicBool>,
}

/// The other end of a connection: what the node sent, and what it receives.
struct Connection {
    sent: UnboundedReceiver<String>,
    heard: UnboundedSender<Result<String, ChannelError>>,
}

struct TestStream {
    sent: UnboundedSender<String>,
    heard: UnboundedReceiver<Result<String, ChannelError>>,
}

fn refused() -> ChannelError {
    ChannelError::Failed("refused".to_owned())
}

#[async_trait::async_trait]
impl EventChannel for TestChannel {
    async fn subscribe(&self) -> Result<Box<dyn EventStream>, ChannelError> {
        if !self.accepts.load(Ordering::Relaxed) {
            return Err(refused());
        }
        let ((sent, of_node), (to_node, heard)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        self.connections.send(Connection { sent: of_node, heard: to_node }).map_err(|_| refused())?;
        Ok(Box::new(TestStream { sent, heard }))
    }
}

#[async_trait::async_trait]
impl EventStream for TestStream {
    async fn next(&mut self) -> Result<String, ChannelError> {
        self.heard.recv().await.unwrap_or_else(|| Err(refused()))
    }

    async fn send(&mut self, message: &str) -> Result<(), ChannelError> {
        self.sent.send(message.to_owned()).map_err(|_| refused())
    }
}

impl Connection {
    /// Waits until the node sends its beat.
    async fn beat(&mut self) -> String {
        self.sent.recv().await.expect("the node gave the connection up")
    }

    /// Returns the next beat to the node.
    async fn return_beat(&mut self) {
        let beat = self.beat().await;
        self.receives(beat);
    }

    /// Delivers a message to the node.
    fn receives(&self, message: String) {
        self.heard.send(Ok(message)).unwrap();
    }
}

/// A node that listens, with all its connections.
struct Listening {
    events: RemoteEvents,
    connections: UnboundedReceiver<Connection>,
    accepts: Arc<AtomicBool>,
    metrics: Metrics,
}

impl Listening {
    async fn start() -> (Listening, Connection) {
        let (sender, mut connections) = mpsc::unbounded_channel();
        let (accepts, metrics) = (Arc::new(AtomicBool::new(true)), Metrics::default());
        let channel = TestChannel { connections: sender, accepts: Arc::clone(&accepts) };
        let events = listen(Arc::new(channel), "own", metrics.events.clone(), &Clock::system()).await;
        let first = connections.recv().await.unwrap();
        (Listening { events, connections, accepts, metrics }, first)
    }

    fn is_up(&self) -> bool {
        let text = self.metrics.encode(Format::Prometheus);
        text.lines().find_map(|line| line.strip_prefix("pausa_events_up ")).unwrap() == "1"
    }

    /// Returns what the node receives before the next event, and the version of that.
    async fn next_event(&mut self) -> (usize, i64) {
        let mut gaps = 0;
        loop {
            match self.events.recv().await.unwrap() {
                Received::Gap { .. } => gaps += 1,
                Received::Delivered(event) => return (gaps, event.version),
            }
        }
    }
}

/// Returns a message of another node.
fn event(version: i64) -> String {
    let event = ChangeEvent {
        id: Clock::system().task_id(),
        version,
        state_changed: true,
        state: State::Paused,
        owned: false,
        short: false,
        due_at: None,
        report: None,
    };
    wire::encode(&Message::Event(event), "other")
}

/// A message of another node proves that this node receives, not that it sends.
#[tokio::test]
async fn messages_of_other_nodes_do_not_prove_that_the_connection_works_both_ways() {
    let (mut node, mut connection) = Listening::start().await;
    assert!(!node.is_up(), "nothing was heard yet");
    while connection.sent.recv().await.is_some() {
        // The node may give the connection up meanwhile.
        let _ = connection.heard.send(Ok("other".to_owned()));
    }
    let mut second = node.connections.recv().await.unwrap();
    assert!(!node.is_up());
    second.return_beat().await;
    second.receives(event(8));
    let (gaps, version) = node.next_event().await;
    assert!(gaps > 0 && version == 8 && node.is_up());
}

#[tokio::test]
async fn a_node_that_was_busy_hears_what_has_arrived_before_it_judges_the_connection() {
    let (mut node, mut connection) = Listening::start().await;
    let beat = connection.beat().await;
    let backlog = 2 * i64::try_from(BUFFER).unwrap();
    (0..backlog).for_each(|version| connection.receives(event(version)));
    connection.receives(beat);
    connection.receives(event(backlog));
    // No one reads the events for longer than a connection may be silent.
    sleep(SILENCE + BEAT).await;
    for version in 0..=backlog {
        assert_eq!(node.next_event().await, (0, version));
    }
    connection.beat().await;
    assert!(node.is_up(), "the node keeps the connection");
}

#[tokio::test]
async fn without_a_connection_a_node_reads_the_store_again_and_again() {
    let (mut node, mut connection) = Listening::start().await;
    connection.return_beat().await;
    node.accepts.store(false, Ordering::Relaxed);
    connection.heard.send(Err(refused())).unwrap();
    for _ in 0..3 {
        assert!(matches!(node.events.recv().await, Some(Received::Gap { .. })));
        assert!(!node.is_up());
    }
    node.accepts.store(true, Ordering::Relaxed);
    let mut second = node.connections.recv().await.unwrap();
    second.return_beat().await;
    second.receives(event(9));
    let (gaps, version) = node.next_event().await;
    assert!(gaps > 0 && version == 9 && node.is_up(), "what happened meanwhile is read once more");
}

#[tokio::test]
async fn a_node_that_lost_events_is_a_gap() {
    let (mut node, connection) = Listening::start().await;
    let since = Timestamp::from_second(1_800_000_000).ok();
    connection.receives(wire::encode(&Message::Lost { since }, "other"));
    let received = node.events.recv().await.unwrap();
    assert!(matches!(received, Received::Gap { since: lost, .. } if Some(lost) == since), "{received:?}");
    connection.receives(wire::encode(&Message::Lost { since: None }, "other"));
    connection.receives(event(3));
    assert_eq!(node.next_event().await, (1, 3));
}
