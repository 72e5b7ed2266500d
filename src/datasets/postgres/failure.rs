//! Maps the errors of PostgreSQL and of its connections to [`Error`].

use sqlx::error::DatabaseError;

use super::super::Error;

/// The connection is broken; the server stops, starts or has no free connection; or another transaction conflicts.
const AWAY: [&str; 8] = ["08", "57P01", "57P02", "57P03", "53300", "25P03", "40001", "40P01"];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => from_database(database.as_ref()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

fn from_database(error: &dyn DatabaseError) -> Error {
    let code = error.code().unwrap_or_default();
    if code == "53100" {
        Error::Full(error.message().to_owned())
    } else if AWAY.iter().any(|away| code.starts_with(away)) {
        Error::Unavailable(error.message().to_owned())
    } else {
        Error::Failed(format!("{} ({code})", error.message()))
    }
}
