//! Connections to PostgreSQL, for the task store, the datasets and the events. Nothing waits for a server without a bound.
//!
//! - [`Address`]: the URL of a database, checked once
//! - [`Gate`]: availability of the server. Its monitor probes the server all the time, on a connection of its own
//! - [`Connections`]: a pool. [`PooledConnection`]: one of its connections; [`OpenTransaction`]: a transaction on one
//! - `refusal`: errors of a server that cannot be used; `pooler`: recognizes a pooler before the server
//!
//! sqlx keeps no connection alive, waits forever for an answer, and returns a connection to the pool after a round trip that it
//! waits for forever. So each call has a limit, and a connection whose answer was not awaited is closed, not returned.

mod address;
mod connections;
mod gate;
mod monitor;
mod pooled;
mod pooler;
mod refusal;
mod status;

use std::time::Duration;

/// Logs a failure: at WARN, or at DEBUG if it belongs to an outage, which has a log line of its own.
macro_rules! log_failure {
    ($error:expr, $($fields:tt)*) => {
        match $error.is_outage() {
            true => tracing::debug!($($fields)*),
            false => tracing::warn!($($fields)*),
        }
    };
}

pub use address::{Address, InvalidAddress};
pub use connections::{Connections, PoolSettings};
pub use gate::Gate;
pub(crate) use log_failure;
pub use pooled::{OpenTransaction, PooledConnection};
pub use refusal::is_lost;
pub use status::Outage;

/// Maximum time of a call to the task store, and of a read or short write of the datasets for the API.
pub const CALL_LIMIT: Duration = Duration::from_millis(2500);

/// Log targets of sqlx that the log leaves out: a line for each lost connection of a pool, and for each table that exists.
pub const QUIET_TARGETS: [&str; 2] = ["sqlx_core::pool", "sqlx::postgres::notice"];

/// Settings of each connection: the server ends the connection of a client that is gone, and with it what it locks. On a
/// socket of the machine these have no effect; versions before 14 lack the last.
pub const SESSION: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
    SET tcp_user_timeout = 20000; SELECT set_config(name, '2s', false) FROM pg_settings \
    WHERE name = 'client_connection_check_interval'";
