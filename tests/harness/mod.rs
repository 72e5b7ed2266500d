//! The real server on a free port with its own folder, and a client that sends requests as users do.

pub mod balancer;
pub mod callers;
pub mod certificates;
pub mod collector;
pub mod csv;
pub mod embedded;
pub mod faketime;
pub mod origin;
pub mod pgbouncer;
pub mod plain;
pub mod postgres;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod s3;
pub mod seaweedfs;
pub mod server;
pub mod small_disk;
pub mod tus;
pub mod watch;

use std::sync::LazyLock;

use jiff::Timestamp;
use pausa::access::Caller;
use pausa::clock::Clock;
use pausa::task::TaskId;

/// Returns a client that sends requests as users' programs do.
pub fn client() -> reqwest::Client {
    // The first test installs the crypto provider. The server installs its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// One clock for all tests, so that IDs sort by creation time.
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::system);

/// Returns the ID of a new task.
pub fn task_id() -> TaskId {
    CLOCK.task_id()
}

/// Returns the current time.
pub fn now() -> Timestamp {
    CLOCK.now()
}

/// The caller of the verbs that a test calls directly.
pub fn caller() -> &'static Caller {
    static CALLER: LazyLock<Caller> = LazyLock::new(Caller::anonymous);
    &CALLER
}
