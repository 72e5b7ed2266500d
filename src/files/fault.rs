//! Meaning of an error of a file or a blob.

use std::io::{self, ErrorKind};

/// Meaning of an error of a file or a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// The folder or the store of files does not answer. The same call may succeed later.
    Unavailable,
    /// The disk or the quota is full.
    Full,
    /// The file does not exist.
    Missing,
    /// Any other error.
    Failed,
}

impl FileFault {
    /// Classifies an error.
    pub fn of(error: &io::Error) -> FileFault {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FileFault::Full,
            ErrorKind::NotFound => FileFault::Missing,
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::StaleNetworkFileHandle => FileFault::Unavailable,
            _ => FileFault::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_kind() {
        let cases = [
            (ErrorKind::StorageFull, FileFault::Full),
            (ErrorKind::QuotaExceeded, FileFault::Full),
            (ErrorKind::NotFound, FileFault::Missing),
            (ErrorKind::TimedOut, FileFault::Unavailable),
            (ErrorKind::StaleNetworkFileHandle, FileFault::Unavailable),
            (ErrorKind::PermissionDenied, FileFault::Failed),
        ];
        for (kind, expected) in cases {
            assert_eq!(FileFault::of(&io::Error::from(kind)), expected, "{kind}");
        }
        assert_eq!(FileFault::of(&io::Error::from_raw_os_error(28)), FileFault::Full, "ENOSPC");
    }
}
