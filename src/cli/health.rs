//! `pausa health`: checks if the server of the same settings is ready, for health checks in images without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Maximum time for the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Maximum length of an answer that is read, in bytes.
const MAX_ANSWER: u64 = 4096;

/// Prints the answer of the probe at `path` of the server that listens on `listen`. Succeeds if it is 200.
///
/// # Errors
/// No server answers there in time.
pub async fn health(listen: SocketAddr, path: &str) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let address = reachable(listen);
    let answer = timeout(PATIENCE, get(address, path))
        .await
        .map_err(|_| format!("no answer from http://{address}{path} within {} s", PATIENCE.as_secs()))?
        .map_err(|error| format!("no answer from http://{address}{path}: {error}"))?;
    let (status, reason) = parse(&answer).ok_or_else(|| format!("http://{address}{path} is not a server of Pausa"))?;
    println!("{}", reason.trim());
    Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns the address at which this machine reaches a server that listens on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Returns the status and the body of an HTTP/1.1 response.
fn parse(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_reached_by_loopback() {
        for (listen, expected) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap()), expected.parse().unwrap());
        }
    }

    #[test]
    fn only_http_is_an_answer() {
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\ndraining\n"), Some((503, "draining\n")));
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(parse(""), None);
    }
}
