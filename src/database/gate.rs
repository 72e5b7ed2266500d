//! Availability of a server. While it does not respond, calls fail at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::spawn::spawn;

use super::monitor::{self, ProbeRequest};
use super::status::ServerStatus;
use super::{Address, Outage, refusal};

/// Maximum number of probes that wait for the monitor.
const PROBES: usize = 256;

/// Interval at which a long statement without an answer is looked for on the server.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Time that a call gets after connections were lost: its own may be well.
const LOST_PATIENCE: Duration = Duration::from_secs(3);

/// Maximum time of a look.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// Availability of a server. Clones share one state.
#[derive(Clone)]
pub struct Gate {
    status: Arc<ServerStatus>,
    probes: mpsc::Sender<ProbeRequest>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", self.status.address)
    }
}

impl Gate {
    /// Connects to a server and keeps asking it whether it responds, until the last clone is dropped.
    ///
    /// # Errors
    /// Reason for which the server cannot be used.
    pub async fn open(address: Address) -> Result<Gate, String> {
        let connection = monitor::first_connection(&address).await?;
        let (probes, receiver) = mpsc::channel(PROBES);
        let status = Arc::new(ServerStatus::new(address));
        spawn(monitor::run(Arc::clone(&status), receiver, connection));
        Ok(Gate { status, probes })
    }

    /// Returns a gate for `address`, which may be another database of the same server.
    ///
    /// # Errors
    /// Reason for which the database cannot be used.
    pub async fn beside(&self, address: &Address) -> Result<Gate, String> {
        if !self.address().is_same_server(address) {
            return Gate::open(address.clone()).await;
        }
        if !self.address().is_same_login(address) {
            // The other database may have another pooler, and another password.
            drop(monitor::first_connection(address).await?);
        }
        Ok(self.clone())
    }

    /// Returns the address of the server.
    pub fn address(&self) -> &Address {
        &self.status.address
    }

    /// Returns the outage, if the server does not respond.
    pub fn outage(&self) -> Option<Outage> {
        self.status.outage()
    }

    /// Probes the server now. Returns the outage if it does not.
    pub async fn examine(&self) -> Option<Outage> {
        if let Some(outage) = self.outage() {
            return Some(outage);
        }
        let (answer, answered) = oneshot::channel();
        if self.probes.send(ProbeRequest::Responds(answer)).await.is_ok() {
            tokio::select! {
                // The monitor was dropped at the end of the process.
                _ = answered => {}
                outage = self.status.outage_begins() => return Some(outage),
            }
        }
        self.outage()
    }

    /// Probes as [`Gate::examine`] does, for at most `limit`. Returns the reason for which the server is not available.
    pub async fn problem_within(&self, limit: Duration) -> Option<String> {
        match timeout(limit, self.examine()).await {
            Ok(outage) => outage.map(|outage| outage.to_string()),
            Err(_) => Some(format!("PostgreSQL at {} does not answer within {limit:?}", self.status.address)),
        }
    }

    /// Runs a call unless there is an outage. Fails when one begins, and soon after connections were lost.
    ///
    /// Calls are boxed: the code here is then made for each type of answer rather than for each call, and no layer holds the
    /// whole future of the call twice.
    pub async fn during<T, E: From<Error>>(&self, call: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
        tokio::select! {
            biased;
            outcome = self.until_outage(call) => outcome,
            () = self.replaced() => Err(Error::Io(lost("the connection was probably lost: another one was")).into()),
        }
    }

    /// Runs a call unless there is an outage. Fails when one begins. For a call whose parts have limits of their own.
    pub async fn until_outage<T, E: From<Error>>(&self, call: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
        if let Some(outage) = self.outage() {
            return Err(Error::from(outage).into());
        }
        tokio::select! {
            biased;
            outcome = call => {
                if outcome.is_ok() {
                    self.status.note_answer();
                }
                outcome
            }
            outage = self.status.outage_begins() => Err(Error::from(outage).into()),
        }
    }

    /// Runs a call as [`Gate::during`] does, for at most `limit`.
    pub async fn within<T, E: From<Error>>(&self, limit: Duration, call: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
        match timeout(limit, self.during(call)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // The monitor looks now rather than later. If its queue is full, it looks anyway.
                let _ = self.probes.try_send(ProbeRequest::Responds(oneshot::channel().0));
                Err(Error::Io(self.no_answer(limit)).into())
            }
        }
    }

    /// Runs a long statement of the connection with that process ID: as long as the server works at it.
    pub async fn while_working<T, E: From<Error>>(
        &self,
        backend: i32,
        statement: BoxFuture<'_, Result<T, E>>,
    ) -> Result<T, E> {
        tokio::select! {
            biased;
            outcome = self.until_outage(statement) => outcome,
            () = self.idle(backend) => Err(Error::Io(lost("no response to a statement that the server no longer executes")).into()),
        }
    }

    /// Waits until the monitor had to replace its connection, and a little longer.
    async fn replaced(&self) {
        self.status.replaced().await;
        tokio::time::sleep(LOST_PATIENCE).await;
    }

    /// Waits until the server has been seen twice not to work at a statement.
    async fn idle(&self, backend: i32) {
        let mut seen = 0;
        while seen < 2 {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let (answer, answered) = oneshot::channel();
            if self.probes.send(ProbeRequest::Works(backend, answer)).await.is_err() {
                return std::future::pending().await;
            }
            match timeout(LOOK_LIMIT, answered).await {
                Ok(Ok(false)) => seen += 1,
                _ => seen = 0,
            }
        }
    }

    /// Waits for the verdict on a connection that failed: the outage, if the server does not respond.
    pub async fn verdict(&self, error: Error) -> Error {
        if Outage::of(&error).is_some() || !refusal::is_lost(&error) {
            return error;
        }
        self.problem_after_failure().await.map_or(error, Error::from)
    }

    /// Waits for the verdict after a failure: the outage, if the server does not respond.
    pub async fn problem_after_failure(&self) -> Option<Outage> {
        timeout(super::CALL_LIMIT, self.examine()).await.ok().flatten()
    }

    fn no_answer(&self, limit: Duration) -> std::io::Error {
        let text = format!("PostgreSQL at {} gave no answer within {limit:?}", self.status.address);
        std::io::Error::new(std::io::ErrorKind::TimedOut, text)
    }

    /// Returns true if a connection of that age is from before the last outage.
    pub(super) fn is_outdated(&self, age: Duration) -> bool {
        self.status.is_outdated(age)
    }
}

fn lost(text: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, text)
}
