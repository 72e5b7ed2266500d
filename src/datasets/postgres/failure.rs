//! Maps the errors of PostgreSQL and of its connections to [`Error`].

use sqlx::error::DatabaseError;

use super::super::Error;
use crate::database::{Outage, is_lost};

/// Another transaction conflicts.
const CONFLICTS: [&str; 2] = ["40001", "40P01"];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let Some(outage) = Outage::of(&error) {
            return Self::Outage(outage.to_string());
        }
        match &error {
            error if is_lost(error) => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(database) => from_database(database.as_ref()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

fn from_database(error: &dyn DatabaseError) -> Error {
    let code = error.code().unwrap_or_default();
    if code == "53100" {
        Error::Full(error.message().to_owned())
    } else if CONFLICTS.contains(&&*code) {
        Error::Unavailable(error.message().to_owned())
    } else {
        Error::Failed(format!("{} ({code})", error.message()))
    }
}
