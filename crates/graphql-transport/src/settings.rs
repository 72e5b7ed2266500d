//! Settings of the transport: limits, intervals, origins, shutdown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    document::ScalarCheck,
    manifest::PersistedDocuments,
    observer::{Observer, Unobserved},
};

/// Settings of the transport. The defaults suit a server on the public network.
#[derive(Clone)]
pub struct Settings {
    /// Origins (`https://host[:port]`) that may open WebSockets and send files, in addition to the server's own. `*` allows
    /// all. Default: none.
    pub allowed_origins: Vec<String>,
    /// Maximum size of a JSON request, an `operations` part and a `map` part, in bytes. Default: 1 MiB.
    pub max_json_bytes: usize,
    /// Maximum selections of a query with its fragments expanded. Default: 5000.
    pub max_selections: usize,
    /// Maximum aliases of a document. Default: 500.
    pub max_aliases: usize,
    /// Maximum directives of a document. Default: 500.
    pub max_directives: usize,
    /// Maximum items of a list in an argument or a variable. Default: 2000.
    pub max_list_items: usize,
    /// Maximum depth of nested brackets, of any kind, in a document. At most 96: the parser recurses. Default: 96.
    pub max_nesting: usize,
    /// Maximum depth of fragments that spread each other. At most 32: the checks recurse. Default: 32.
    pub max_fragment_depth: usize,
    /// Maximum errors that are reported for one document. Default: 10.
    pub max_errors: usize,
    /// Maximum size of the validated documents that are kept, in bytes. Default: 16 MiB.
    pub document_cache_bytes: usize,
    /// Documents that requests may name by `documentId`, or by hash. Default: none.
    pub persisted: PersistedDocuments,
    /// Refuses every document that is not in `persisted`. Default: false.
    pub persisted_only: bool,
    /// Maximum size of the documents that clients register by hash (Apollo's automatic persisted queries), in bytes. 0: none can
    /// be registered. Default: 4 MiB.
    pub persisted_query_bytes: usize,
    /// Checks of the custom scalars, by name. A value that a check refuses is refused before anything runs. Default: none.
    pub scalars: HashMap<&'static str, ScalarCheck>,
    /// Maximum files per request. Default: 16.
    pub max_files: usize,
    /// Maximum size of the headers of a part of a multipart request, in bytes. Default: 1 MiB.
    pub max_part_header_bytes: usize,
    /// Maximum size of a message of a WebSocket client, in bytes. Default: 1 MiB.
    pub max_message_bytes: usize,
    /// Maximum concurrent operations per WebSocket. Default: 100.
    pub max_operations: usize,
    /// Maximum time from the handshake to `connection_init`. Default: 10 s.
    pub init_timeout: Duration,
    /// Time between two pings of a WebSocket. A client that does not answer one is dropped. Default: 15 s.
    pub ping_interval: Duration,
    /// Maximum time to send a message to a WebSocket client. A slower client is dropped. Default: 10 s.
    pub send_timeout: Duration,
    /// Time between two heartbeats of a subscription over HTTP. Default: 5 s.
    pub heartbeat: Duration,
    /// Maximum time for a JSON request to arrive, and maximum time without data of an upload. Default: 30 s.
    pub read_timeout: Duration,
    /// Maximum time to read the rest of a refused request. Default: 5 s.
    pub drain_timeout: Duration,
    /// Cancelled by the server to shut down. WebSockets and multipart streams then end.
    pub shutdown: CancellationToken,
    /// Tracks open WebSockets and running mutations. To shut down cleanly, close it and wait for it.
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
            max_aliases: 500,
            max_directives: 500,
            max_list_items: 2_000,
            max_nesting: 96,
            max_fragment_depth: 32,
            max_errors: 10,
            document_cache_bytes: 16 << 20,
            persisted: PersistedDocuments::default(),
            persisted_only: false,
            persisted_query_bytes: 4 << 20,
            scalars: HashMap::new(),
            max_files: 16,
            max_part_header_bytes: 1 << 20,
            max_message_bytes: 1 << 20,
            max_operations: 100,
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(15),
            send_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            shutdown: CancellationToken::new(),
            sockets: TaskTracker::new(),
            observer: Arc::new(Unobserved),
        }
    }
}
