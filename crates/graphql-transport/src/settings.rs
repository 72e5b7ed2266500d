//! What the transport may be told: limits, intervals, origins, and when to end.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::observer::{Observer, Unobserved};

/// Settings of the transport; the defaults suit a server on the open network.
#[derive(Clone)]
pub struct Settings {
    /// Origins (`https://host[:port]`) besides the server's own from which browsers may open
    /// WebSockets and send files; `*` allows every one.
    pub allowed_origins: Vec<String>,
    /// Longest JSON request, and longest `operations` and `map` part, in bytes.
    pub max_json_bytes: usize,
    /// Most selections that a query may have once its fragments are expanded.
    pub max_selections: usize,
    /// Most files in one multipart request.
    pub max_files: usize,
    /// Longest message that a WebSocket client may send, in bytes.
    pub max_message_bytes: usize,
    /// Most operations that run at once on one WebSocket.
    pub max_operations: usize,
    /// How long a WebSocket client may take to send `connection_init`.
    pub init_timeout: Duration,
    /// Time between two pings of a WebSocket; a client that leaves one unanswered is dropped.
    pub ping_interval: Duration,
    /// How long one message to a WebSocket client may take before the client is dropped.
    pub send_timeout: Duration,
    /// Time between two heartbeats of a multipart subscription.
    pub heartbeat: Duration,
    /// How long a JSON request may take to arrive, and how long an upload may stand still.
    pub read_timeout: Duration,
    /// Cancelled when the server ends.
    pub shutdown: CancellationToken,
    /// The open WebSockets and the mutations under way: close and wait for it to let the last Close frames leave.
    pub sockets: TaskTracker,
    /// Receives events about operations, for metrics. Default: none.
    pub observer: Arc<dyn Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            max_json_bytes: 1 << 20,
            max_selections: 5_000,
            max_files: 16,
            max_message_bytes: 1 << 20,
            max_operations: 100,
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(15),
            send_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            shutdown: CancellationToken::new(),
            sockets: TaskTracker::new(),
            observer: Arc::new(Unobserved),
        }
    }
}
