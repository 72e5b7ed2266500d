//! Authors of changes.

use std::fmt;

/// Author of a change of a task, as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author(String);

impl Author {
    /// The server itself: due times, expired pauses and leases.
    pub fn system() -> Author {
        Author("system".to_owned())
    }

    /// A node that runs tasks.
    pub fn node(name: &str) -> Author {
        Author(format!("node {name}"))
    }

    /// A caller of the API, by the name that the history shows.
    pub fn caller(name: &str) -> Author {
        Author(name.to_owned())
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
