//! Errors of a Redis that cannot be used: address, cause, and what to do.

use redis::{Client, ConnectionAddr, ErrorKind, RedisError, ServerErrorKind};

/// Reason for which Redis cannot be used now. Never shows a password.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisFailure(String);

impl RedisFailure {
    pub(super) fn new(text: String) -> RedisFailure {
        RedisFailure(text)
    }

    /// The failure of a server, with its address and what to do.
    pub(super) fn at(client: &Client, error: &RedisError) -> RedisFailure {
        RedisFailure(format!("Redis at {}: {error}{}", client.get_connection_info().addr(), advice(error)))
    }

    /// The failure to connect to a server.
    pub(super) fn connecting(client: &Client, error: &RedisError) -> RedisFailure {
        let advice = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(..) if error.is_connection_dropped() && !error.is_connection_refusal() => {
                "; use rediss:// if it uses TLS"
            }
            ConnectionAddr::TcpTls { .. } if error.is_timeout() => {
                "; use redis:// instead of rediss:// if it does not use TLS at this port"
            }
            _ => "",
        };
        RedisFailure(RedisFailure::at(client, error).0 + advice)
    }

    /// The failures of all servers that were tried.
    pub(super) fn of_all(problem: &str, failures: &[RedisFailure]) -> RedisFailure {
        let all: Vec<_> = failures.iter().map(|failure| failure.0.as_str()).collect();
        RedisFailure(format!("{problem}: {}", all.join("; ")))
    }
}

/// Returns what to do. Empty if the error says it.
fn advice(error: &RedisError) -> &'static str {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed => "; check the user and the password in redis_url",
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "; the user needs the commands and channels that docs/operations.md lists"
        }
        _ if text.contains("CertificateRequired") => {
            "; sslcert and sslkey in redis_url name the certificate of this client"
        }
        _ if text.contains("NOAUTH") => "; redis_url needs a password",
        _ if text.contains("invalid peer certificate") => {
            "; sslrootcert in redis_url names the root certificates that are trusted"
        }
        _ => "",
    }
}
