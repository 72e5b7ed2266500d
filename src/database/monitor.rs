//! Probes a server all the time, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, Error, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::refusal::describe;
use super::status::ServerStatus;
use super::{Address, SESSION, pooler, refusal};

/// Time between two probes to a server that responds.
const INTERVAL: Duration = Duration::from_millis(500);

/// Maximum time of an answer, and of a new connection. A server that takes longer for both does not respond.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Maximum time of a new connection during an outage, while no call waits for it.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// First and last delay between two attempts during an outage.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Time that a node waits at its start for a server that starts too, or has no free connection.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// Time in which a server's answer to a call outweighs its refusal of a new connection.
const RECENT: Duration = Duration::from_secs(2);

/// True if the server works at a statement of that process, and does not wait for its client.
const WORKS: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity \
    WHERE pid = $1 AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client')";

/// A request to the monitor.
pub(super) enum ProbeRequest {
    /// Checks if the server responds now. The reply means only that the check has ended.
    Responds(oneshot::Sender<()>),
    /// Checks if the server executes a statement of the connection with that process ID.
    Works(i32, oneshot::Sender<bool>),
}

/// Makes the first connection. Checks for a pooler before the server.
pub(super) async fn first_connection(address: &Address) -> Result<PgConnection, String> {
    let connection = connect_patiently(address).await?;
    let mut connection = pooler::check(connection, address).await?;
    // Not before: a pooler that lends connections to others would keep the settings.
    let set = sqlx::raw_sql(SESSION).execute(&mut connection).await;
    set.map_err(|error| describe(address, &refusal::explain(&error, address)))?;
    Ok(connection)
}

/// Connects, with the settings of each connection.
async fn connect(address: &Address) -> sqlx::Result<PgConnection> {
    let mut connection = address.options().connect().await?;
    sqlx::raw_sql(SESSION).execute(&mut connection).await?;
    Ok(connection)
}

/// Connects. Retries for a short time if a later attempt may succeed.
async fn connect_patiently(address: &Address) -> Result<PgConnection, String> {
    let begin = Instant::now();
    loop {
        let error = match timeout(CONNECT_LIMIT, address.options().connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => return Err(describe(address, &format!("no answer within {CONNECT_LIMIT:?}"))),
        };
        let retry = refusal::is_lost(&error) && !matches!(error, Error::Tls(_));
        if !retry || begin.elapsed() > START_PATIENCE {
            return Err(describe(address, &refusal::explain(&error, address)));
        }
        tokio::time::sleep(BACKOFF.0 * 2).await;
    }
}

/// Probes until the gate is dropped.
pub(super) async fn run(server: Arc<ServerStatus>, mut probes: mpsc::Receiver<ProbeRequest>, connection: PgConnection) {
    let (mut connection, mut delay) = (Some(connection), INTERVAL);
    loop {
        let mut pending = Vec::new();
        if let Ok(probe) = timeout(delay, probes.recv()).await {
            let Some(probe) = probe else { return };
            pending.push(probe);
        }
        while let Ok(probe) = probes.try_recv() {
            pending.push(probe);
        }
        connection = probe_server(&server, connection).await;
        delay = match server.is_closed() {
            false => INTERVAL,
            true if delay == INTERVAL => BACKOFF.0,
            true => (delay * 2).min(BACKOFF.1),
        };
        for probe in pending {
            connection = answer(probe, connection).await;
        }
    }
}

/// Probes the server once. Returns the connection that works.
async fn probe_server(server: &ServerStatus, connection: Option<PgConnection>) -> Option<PgConnection> {
    let begin = Instant::now();
    if let Some(mut connection) = connection
        && let Ok(Ok(())) = timeout(ANSWER_LIMIT, connection.ping()).await
    {
        return Some(connection);
    }
    let limit = if server.is_closed() { CONNECT_LIMIT } else { ANSWER_LIMIT };
    match timeout(limit, connect(&server.address)).await {
        Ok(Ok(connection)) => {
            server.open();
            return Some(connection);
        }
        Ok(Err(error)) => {
            let outweighed = !refusal::is_absent(&error) && answered(server, begin.checked_sub(RECENT));
            if !outweighed {
                server.close(&refusal::explain(&error, &server.address));
            }
        }
        Err(_) if answered(server, Some(begin)) => {}
        Err(_) => server.close(&format!("no answer within {limit:?}")),
    }
    None
}

/// Returns true if there is no outage and the server answered another call since then.
fn answered(server: &ServerStatus, since: Option<Instant>) -> bool {
    !server.is_closed() && since.is_none_or(|since| server.has_answered_since(since))
}

async fn answer(probe: ProbeRequest, connection: Option<PgConnection>) -> Option<PgConnection> {
    let (backend, answer) = match probe {
        ProbeRequest::Responds(answer) => {
            // The caller may have been dropped.
            let _ = answer.send(());
            return connection;
        }
        ProbeRequest::Works(backend, answer) => (backend, answer),
    };
    let mut connection = connection?;
    let works = sqlx::query_scalar(WORKS).bind(backend).fetch_one(&mut connection);
    match timeout(ANSWER_LIMIT, works).await {
        Ok(Ok(works)) => {
            // The caller may have been dropped.
            let _ = answer.send(works);
            Some(connection)
        }
        _ => None,
    }
}
