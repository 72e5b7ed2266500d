//! Timeouts and size limits for clients.

mod graphql;
mod http;
mod websocket;

pub use graphql::GraphqlLimits;
pub use http::{HttpLimits, RequestRate};
pub use websocket::SocketLimits;

use std::ops::RangeInclusive;

/// Range of timeouts, in seconds: a tenth of a second to a day.
const SECONDS: RangeInclusive<f64> = 0.1..=86_400.0;

/// Range of size limits, in bytes: 1 KiB to 64 MiB.
const BYTES: RangeInclusive<i64> = 1 << 10..=64 << 20;
