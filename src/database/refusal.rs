//! Errors of a server that cannot be used: its message, and what to do.

use std::io::ErrorKind;

use sqlx::Error;

use super::{Address, Outage};

/// Returns true if the connection is lost, or none could be made. The next one may work.
pub fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        Error::Database(database) => is_lost_code(database.code().as_deref().unwrap_or_default()),
        // sqlx reads the end of the connection as an answer.
        Error::Protocol(text) => text.contains("SSLRequest: 0x00"),
        _ => false,
    }
}

/// Returns true for connection exceptions, a server that stops or starts, and too many connections.
fn is_lost_code(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P") || code == "53300" || code == "25P03"
}

/// Returns true if nothing answered: the server is not there, or it stops or starts.
pub(super) fn is_absent(error: &Error) -> bool {
    match error {
        Error::Database(database) => database.code().is_some_and(|code| code.starts_with("57P")),
        error => is_lost(error),
    }
}

/// Returns the text for an operator.
pub(super) fn describe(address: &Address, reason: &str) -> String {
    format!("cannot use PostgreSQL at {address} as user {:?}: {reason}", address.user())
}

/// Returns why no connection could be made, and what to do about it.
pub(super) fn explain(error: &Error, address: &Address) -> String {
    match error {
        Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<Outage>()) => io.to_string(),
        Error::Io(io) => explain_io(io, address),
        Error::Database(database) => {
            let hint = hint(database.code().as_deref().unwrap_or_default(), database.message());
            format!("the server refuses: {}{hint}", database.message())
        }
        Error::Tls(_) if error.to_string().contains("does not support") => {
            "the server offers no TLS, and sslmode demands it".to_owned()
        }
        Error::Tls(_) | Error::Configuration(_) => format!("TLS failed: {error}"),
        Error::Protocol(_) if is_lost(error) => "the server closed the connection".to_owned(),
        Error::Protocol(_) => format!("the server does not speak the protocol of PostgreSQL: {error}"),
        _ => error.to_string(),
    }
}

fn explain_io(error: &std::io::Error, address: &Address) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        ErrorKind::NotFound => "there is no socket of a server".to_owned(),
        ErrorKind::InvalidData if address.needs_tls() => format!("TLS failed: {error}"),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            format!("the server closed the connection ({error})")
        }
        _ => error.to_string(),
    }
}

fn hint(code: &str, message: &str) -> &'static str {
    match code {
        "53300" => {
            ". Lower store_connections and datasets_connections of the nodes, or raise the limit (docs/operations.md has the formula)"
        }
        "08P01" if message.contains("extra_float_digits") => {
            ". Set ignore_startup_parameters = extra_float_digits in PgBouncer"
        }
        _ => "",
    }
}
