//! Signals that end the server.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT. The first one begins the shutdown, the second one ends the process at once.
pub struct EndSignals {
    term: Signal,
    int: Signal,
}

impl EndSignals {
    /// Observes the signals from now on.
    ///
    /// # Errors
    /// The system refused.
    pub fn observe() -> std::io::Result<EndSignals> {
        Ok(EndSignals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Returns when the next signal arrives.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
