//! The real server on a free port in a folder of its own, and a client that asks it as users do.

pub mod csv;
pub mod postgres;
pub mod server;
pub mod watch;

use pausa::task::TaskId;

/// A new task's id.
pub fn task_id() -> TaskId {
    pausa::clock::Clock::system().task_id()
}
