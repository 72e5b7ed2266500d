//! Callers: who sends a request. Each edge makes its [`Caller`] once, and every verb takes it.

use std::fmt;

use jiff::Timestamp;

use crate::task::{ANONYMOUS, Author, ControlRequest};

/// The sender of a request. Made by the functions below alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    author: Author,
}

impl Caller {
    /// A client that has not identified itself. The history shows it as `client`.
    pub fn anonymous() -> Caller {
        Caller { author: Author::caller("client") }
    }

    /// The server itself: its loops, its runs and its events.
    pub fn system() -> Caller {
        Caller { author: Author::system() }
    }

    /// Name of the caller: `anonymous` for a client that has not identified itself.
    pub fn subject(&self) -> &'static str {
        ANONYMOUS
    }

    /// Author of the changes that the caller makes.
    pub fn author(&self) -> Author {
        self.author.clone()
    }

    /// Begins a control request of the caller at the time `at`.
    pub fn request(&self, at: Timestamp) -> ControlRequest {
        ControlRequest::by(self.author(), at)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.author.fmt(f)
    }
}
