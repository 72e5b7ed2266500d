//! Limits of HTTP connections and requests.

use std::time::Duration;

use super::super::reader::SettingReader;
use super::super::{ConfigError, IpNetwork};
use super::{BYTES, SECONDS};

/// Limits of HTTP connections and requests.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Maximum number of open connections, WebSockets included.
    pub max_connections: usize,
    /// Maximum number of concurrent requests on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Maximum number of headers of an HTTP/1 request.
    pub max_headers: usize,
    /// Maximum size of the headers of an HTTP/1 request, in bytes.
    pub max_header_bytes: usize,
    /// Maximum size of the headers of an HTTP/2 request, in bytes.
    pub http2_max_header_bytes: u32,
    /// Timeout for the headers of a request.
    pub headers: Duration,
    /// Time after which a connection without a request is closed.
    pub idle: Duration,
    /// Timeout while a request body delivers no data.
    pub body_silence: Duration,
    /// Timeout while a client reads none of the response.
    pub send: Duration,
    /// Maximum time to read the rest of a refused request.
    pub drain: Duration,
    /// Maximum size of the rest of a refused request that is read, in bytes.
    pub max_drain_bytes: usize,
    /// Timeout for a connection to end after one of its limits has passed.
    pub close: Duration,
    /// Maximum size of a GraphQL request in JSON, in bytes.
    pub max_json_bytes: usize,
    /// Minimum size of a response that is compressed, in bytes. None: responses are not compressed.
    pub compression: Option<u64>,
    /// Maximum size of the header Upload-Metadata, in bytes.
    pub max_metadata_bytes: usize,
    /// Maximum number of ranges of a request.
    pub max_ranges: usize,
    /// Maximum number of datasets streamed at once.
    pub max_streams: usize,
    /// Time for which the URL of a file in a bucket is valid.
    pub presigned: Duration,
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

/// Minimum size of the buffer that hyper reads HTTP/1 into, in bytes.
const MIN_BUFFER: i64 = 8 << 10;

impl HttpLimits {
    pub(in crate::config) fn load(settings: &SettingReader) -> Result<HttpLimits, ConfigError> {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(HttpLimits {
            max_connections: settings.count("http.max_connections", 1..=1_000_000)?,
            max_concurrent_streams: narrow(settings.count("http.max_concurrent_streams", 1..=100_000)?),
            max_headers: settings.count("http.max_headers", 10..=10_000)?,
            max_header_bytes: settings.count("http.max_header_bytes", MIN_BUFFER..=16 << 20)?,
            http2_max_header_bytes: narrow(settings.count("http.http2_max_header_bytes", 1 << 10..=16 << 20)?),
            headers: settings.seconds("http.header_seconds", SECONDS)?,
            idle: settings.seconds("http.idle_seconds", SECONDS)?,
            body_silence: settings.seconds("http.body_seconds", SECONDS)?,
            send: settings.seconds("http.send_seconds", SECONDS)?,
            drain: settings.seconds("http.drain_seconds", 0.0..=3600.0)?,
            max_drain_bytes: settings.count("http.max_drain_bytes", 0..=1 << 40)?,
            close: settings.seconds("http.close_seconds", 0.0..=3600.0)?,
            max_json_bytes: settings.count("http.max_json_bytes", BYTES)?,
            compression: compression(settings)?,
            max_metadata_bytes: settings.count("http.max_metadata_bytes", 1 << 8..=1 << 20)?,
            max_ranges: settings.count("http.max_ranges", 1..=1000)?,
            max_streams: settings.count("http.max_streams", 1..=100_000)?,
            // S3 allows a week.
            presigned: settings.seconds("http.presigned_seconds", 1.0..=604_800.0)?,
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

/// Returns the minimum size of a response that is compressed. None if none is.
fn compression(settings: &SettingReader) -> Result<Option<u64>, ConfigError> {
    let min = settings.integer("http.compression_min_bytes", 0..=64 << 20)?.unsigned_abs();
    Ok(settings.flag("http.compression")?.then_some(min))
}

fn trusted_proxies(settings: &SettingReader) -> Result<Vec<IpNetwork>, ConfigError> {
    let name = "http.trusted_proxies";
    let networks: Option<Vec<_>> = settings.list(name)?.iter().map(|text| text.parse().ok()).collect();
    networks.map_or_else(
        || settings.refuse(name, "addresses or networks such as 10.0.0.0/8 or fd00::/8, separated by commas"),
        Ok,
    )
}
