//! Timeouts and size limits for clients.

use std::time::Duration;

use graphql_transport::PersistedDocuments;

use super::reader::SettingReader;
use super::{ConfigError, IpNetwork};

/// Limits of HTTP connections and requests.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Maximum number of open connections, WebSockets included.
    pub max_connections: usize,
    /// Timeout for the headers of a request.
    pub headers: Duration,
    /// Time after which a connection without a request is closed.
    pub idle: Duration,
    /// Timeout while a request body delivers no data.
    pub body_silence: Duration,
    /// Timeout while a client reads none of the response.
    pub send: Duration,
    /// Maximum size of a GraphQL request in JSON, in bytes.
    pub max_json_bytes: usize,
    /// Maximum number of datasets streamed at once.
    pub max_streams: usize,
    /// Maximum rate of each caller's requests. None: unlimited.
    pub request_rate: Option<RequestRate>,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNetwork>,
}

/// Maximum rate of each caller's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    /// Requests per second.
    pub per_second: u32,
    /// Requests at once, after a time without any.
    pub burst: u32,
}

/// Limits of a GraphQL document and its variables.
#[derive(Clone, Debug)]
pub struct GraphqlLimits {
    /// Maximum number of aliases.
    pub max_aliases: usize,
    /// Maximum number of directives.
    pub max_directives: usize,
    /// Maximum number of items of a list.
    pub max_list_items: usize,
    /// Maximum size of the validated documents that a node keeps, in bytes.
    pub document_cache_bytes: usize,
    /// Maximum size of the documents that clients register by hash, in bytes. 0: none can be registered.
    pub persisted_query_cache_bytes: usize,
    /// Documents that requests may name by ID.
    pub persisted_documents: PersistedDocuments,
    /// Refuses all other documents.
    pub persisted_documents_only: bool,
}

/// Limits of a WebSocket connection, for both protocols.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Timeout for the client's `connection_init`.
    pub init: Duration,
    /// Time between two pings.
    pub ping: Duration,
    /// Timeout for sending one message to the client.
    pub send: Duration,
    /// Maximum number of concurrent operations.
    pub max_operations: usize,
    /// Maximum size of a message from the client, in bytes.
    pub max_message_bytes: usize,
}

/// Range of timeouts, in seconds: a tenth of a second to a day.
const SECONDS: std::ops::RangeInclusive<f64> = 0.1..=86_400.0;

/// Range of size limits, in bytes: 1 KiB to 64 MiB.
const BYTES: std::ops::RangeInclusive<i64> = 1 << 10..=64 << 20;

/// Range of the sizes of caches, in bytes: none to 1 GiB.
const CACHE_BYTES: std::ops::RangeInclusive<i64> = 0..=1 << 30;

/// The setting that names the file of persisted documents.
const PERSISTED: &str = "graphql.persisted_documents";

impl HttpLimits {
    pub(super) fn load(settings: &SettingReader) -> Result<HttpLimits, ConfigError> {
        Ok(HttpLimits {
            max_connections: settings.count("http.max_connections", 1..=1_000_000)?,
            headers: settings.seconds("http.header_seconds", SECONDS)?,
            idle: settings.seconds("http.idle_seconds", SECONDS)?,
            body_silence: settings.seconds("http.body_seconds", SECONDS)?,
            send: settings.seconds("http.send_seconds", SECONDS)?,
            max_json_bytes: settings.count("http.max_json_bytes", BYTES)?,
            max_streams: settings.count("http.max_streams", 1..=100_000)?,
            request_rate: RequestRate::load(settings)?,
            trusted_proxies: trusted_proxies(settings)?,
        })
    }
}

impl RequestRate {
    /// Returns the rate. None if it is unlimited.
    fn load(settings: &SettingReader) -> Result<Option<RequestRate>, ConfigError> {
        let count = |name| Ok(u32::try_from(settings.integer(name, 0..=1_000_000)?).unwrap_or(0));
        let (per_second, burst) = (count("http.requests_per_second")?, count("http.request_burst")?);
        if per_second == 0 && burst > 0 {
            return settings.refuse("http.request_burst", "0, or http.requests_per_second to be set");
        }
        let burst = if burst == 0 { per_second } else { burst };
        Ok((per_second > 0).then_some(RequestRate { per_second, burst }))
    }
}

fn trusted_proxies(settings: &SettingReader) -> Result<Vec<IpNetwork>, ConfigError> {
    let name = "http.trusted_proxies";
    let networks: Option<Vec<_>> = settings.list(name)?.iter().map(|text| text.parse().ok()).collect();
    networks.map_or_else(
        || settings.refuse(name, "addresses or networks such as 10.0.0.0/8 or fd00::/8, separated by commas"),
        Ok,
    )
}

impl GraphqlLimits {
    pub(super) fn load(settings: &SettingReader) -> Result<GraphqlLimits, ConfigError> {
        Ok(GraphqlLimits {
            max_aliases: settings.count("graphql.max_aliases", 1..=100_000)?,
            max_directives: settings.count("graphql.max_directives", 1..=100_000)?,
            max_list_items: settings.count("graphql.max_list_items", 500..=100_000)?,
            document_cache_bytes: settings.count("graphql.document_cache_bytes", CACHE_BYTES)?,
            persisted_query_cache_bytes: settings.count("graphql.persisted_query_cache_bytes", CACHE_BYTES)?,
            persisted_documents: persisted_documents(settings)?,
            persisted_documents_only: persisted_documents_only(settings)?,
        })
    }
}

/// Reads the file of persisted documents. Returns none if there is no such file.
fn persisted_documents(settings: &SettingReader) -> Result<PersistedDocuments, ConfigError> {
    let Some(file) = settings.text(PERSISTED)? else { return Ok(PersistedDocuments::default()) };
    let json = match std::fs::read(file) {
        Ok(json) => json,
        Err(cause) => return settings.refuse(PERSISTED, format!("a file that can be read: {cause}")),
    };
    PersistedDocuments::from_json(&json)
        .or_else(|cause| settings.refuse(PERSISTED, format!("a file of persisted documents: {cause}")))
}

/// Returns true if only the documents of a file may run. That file must be set.
fn persisted_documents_only(settings: &SettingReader) -> Result<bool, ConfigError> {
    let name = "graphql.persisted_documents_only";
    match settings.flag(name)? {
        true if settings.text(PERSISTED)?.is_none() => {
            settings.refuse(name, format!("false, or {PERSISTED} to name a file"))
        }
        only => Ok(only),
    }
}

impl SocketLimits {
    pub(super) fn load(settings: &SettingReader) -> Result<SocketLimits, ConfigError> {
        Ok(SocketLimits {
            init: settings.seconds("websocket.init_seconds", SECONDS)?,
            ping: settings.seconds("websocket.ping_seconds", SECONDS)?,
            send: settings.seconds("websocket.send_seconds", SECONDS)?,
            max_operations: settings.count("websocket.max_operations", 1..=100_000)?,
            max_message_bytes: settings.count("websocket.max_message_bytes", BYTES)?,
        })
    }
}
