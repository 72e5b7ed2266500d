//! Error codes: the names by which programs distinguish errors.

use std::fmt;
use std::str::FromStr;

/// Code of an error, as clients get it in `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The input is invalid.
    BadUserInput,
    /// The named task, dataset, upload or file does not exist.
    NotFound,
    /// The state of the task does not allow the request.
    InvalidState,
    /// Another task or request has what this one needs.
    Conflict,
    /// The name is taken.
    AlreadyExists,
    /// The file or request exceeds a limit.
    TooLarge,
    /// A queue or a limit of concurrent requests is full. The same request may succeed later.
    TooBusy,
    /// The client sends too many requests in a period.
    RateLimited,
    /// The client sent nothing for too long.
    Timeout,
    /// The caller is unknown.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// A database, a disk or a service is not available. The same request may succeed later.
    Unavailable,
    /// The server failed.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Code; 13] = [
        Code::BadUserInput,
        Code::NotFound,
        Code::InvalidState,
        Code::Conflict,
        Code::AlreadyExists,
        Code::TooLarge,
        Code::TooBusy,
        Code::RateLimited,
        Code::Timeout,
        Code::Unauthenticated,
        Code::Forbidden,
        Code::Unavailable,
        Code::Internal,
    ];

    /// The code as clients see it and as the store keeps it.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadUserInput => "BAD_USER_INPUT",
            Code::NotFound => "NOT_FOUND",
            Code::InvalidState => "INVALID_STATE",
            Code::Conflict => "CONFLICT",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::TooLarge => "TOO_LARGE",
            Code::TooBusy => "TOO_BUSY",
            Code::RateLimited => "RATE_LIMITED",
            Code::Timeout => "TIMEOUT",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::Forbidden => "FORBIDDEN",
            Code::Unavailable => "UNAVAILABLE",
            Code::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is not one of the codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an error code of this server")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Code, UnknownCode> {
        Code::ALL.into_iter().find(|code| code.as_str() == text).ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// Code of a task's error: one of the server's, or one that a kind of the embedding program defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskErrorCode {
    /// One of the server's.
    Known(Code),
    /// A code of the embedding program, or one that an earlier version stored.
    Custom(String),
}

impl TaskErrorCode {
    /// The code as clients see it and as the store keeps it.
    pub fn as_str(&self) -> &str {
        match self {
            TaskErrorCode::Known(code) => code.as_str(),
            TaskErrorCode::Custom(text) => text,
        }
    }
}

impl From<Code> for TaskErrorCode {
    fn from(code: Code) -> TaskErrorCode {
        TaskErrorCode::Known(code)
    }
}

impl From<&str> for TaskErrorCode {
    fn from(text: &str) -> TaskErrorCode {
        text.parse().map_or_else(|_| TaskErrorCode::Custom(text.to_owned()), TaskErrorCode::Known)
    }
}

impl fmt::Display for TaskErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(TaskErrorCode::from(code.as_str()), TaskErrorCode::Known(code));
        }
    }

    #[test]
    fn a_code_of_the_embedding_program_keeps_its_text() {
        let code = TaskErrorCode::from("OUT_OF_PAPER");
        assert_eq!((&code, code.as_str()), (&TaskErrorCode::Custom("OUT_OF_PAPER".to_owned()), "OUT_OF_PAPER"));
    }
}
