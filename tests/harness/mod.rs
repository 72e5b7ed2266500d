//! The real server on a free port in a folder of its own, and a client that asks it as users do.

pub mod collector;
pub mod csv;
pub mod embedded;
pub mod origin;
pub mod postgres;
pub mod receiver;
pub mod server;
pub mod tus;
pub mod watch;

use std::sync::LazyLock;

use jiff::Timestamp;
use pausa::access::Caller;
use pausa::clock::Clock;
use pausa::task::TaskId;

/// A client that asks servers as programs of users do.
pub fn client() -> reqwest::Client {
    // The first of all the tests sets it; the server itself brings its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// One clock for all, so that ids sort by the moment they were made.
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::system);

/// A new task's id.
pub fn task_id() -> TaskId {
    CLOCK.task_id()
}

/// The present moment.
pub fn now() -> Timestamp {
    CLOCK.now()
}

/// The caller of the verbs that a test calls directly.
pub fn caller() -> &'static Caller {
    static CALLER: LazyLock<Caller> = LazyLock::new(Caller::anonymous);
    &CALLER
}
