//! The URL of a PostgreSQL database.

use std::fmt;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::any::AnyConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Parameters of a URL that have an effect.
const PARAMETERS: [&str; 13] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Parameters that name a file.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// A URL that cannot be used. The text contains no password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// Not a URL.
    #[error(
        "the URL of the database is invalid: {0}. Percent-encode special characters in the user name and the password"
    )]
    Url(String),
    /// A parameter has an invalid value.
    #[error("the URL of the database is invalid: {0}")]
    Parameter(String),
    /// A certificate or key cannot be read.
    #[error("{parameter}={path}: {cause}")]
    File {
        /// Name of the parameter.
        parameter: &'static str,
        /// Path of the file.
        path: String,
        /// Cause.
        cause: std::io::Error,
    },
}

/// The address of a database and how to log in. Shown as host and port.
#[derive(Clone, Debug)]
pub struct Address {
    url: Url,
    options: PgConnectOptions,
}

impl Address {
    /// Parses and checks a `postgres://` URL. Logs the names of parameters that have no effect.
    ///
    /// # Errors
    /// A URL that is invalid, or names a file that cannot be read.
    pub fn parse(text: &str) -> Result<Address, InvalidAddress> {
        let mut url: Url = text.parse().map_err(|error: url::ParseError| InvalidAddress::Url(error.to_string()))?;
        drop_unknown(&mut url);
        for parameter in FILES {
            check_file(&url, parameter)?;
        }
        if !url.query_pairs().any(|(name, _)| name == "application_name") {
            url.query_pairs_mut().append_pair("application_name", "pausa");
        }
        let options = PgConnectOptions::from_url(&url).map_err(|error| InvalidAddress::Parameter(error.to_string()))?;
        Ok(Address { url, options })
    }

    /// Returns the options of a connection.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone().disable_statement_logging()
    }

    /// Returns the options of a connection whose type hides the database.
    ///
    /// # Errors
    /// Never for an address that was parsed.
    pub fn any_options(&self) -> sqlx::Result<AnyConnectOptions> {
        Ok(AnyConnectOptions::from_url(&self.url)?.disable_statement_logging())
    }

    /// Returns true if both name the same server, whatever the database.
    pub fn is_same_server(&self, other: &Address) -> bool {
        self.to_string() == other.to_string()
    }

    /// Returns true if both name the same database with the same user.
    pub fn is_same_login(&self, other: &Address) -> bool {
        self.is_same_server(other)
            && self.user() == other.user()
            && self.options.get_database() == other.options.get_database()
    }

    /// Returns the name of the user.
    pub fn user(&self) -> &str {
        self.options.get_username()
    }

    /// Returns true if a connection may go unencrypted over a network without a word by the settings.
    pub fn may_be_clear(&self) -> bool {
        let asks = matches!(self.options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
        asks && self.options.get_socket().is_none()
    }

    /// Returns true if the server runs on this machine.
    pub fn is_local(&self) -> bool {
        let host = self.options.get_host().trim_matches(['[', ']']);
        self.options.get_socket().is_some()
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Returns true if the settings demand TLS.
    pub fn needs_tls(&self) -> bool {
        let mode = self.options.get_ssl_mode();
        matches!(mode, PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display()),
            None => write!(f, "{}:{}", self.options.get_host(), self.options.get_port()),
        }
    }
}

/// Removes parameters without an effect: sqlx would log them, with their values, for each connection.
fn drop_unknown(url: &mut Url) {
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let (known, unknown): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| is_known(name));
    if unknown.is_empty() {
        return;
    }
    let names: Vec<_> = unknown.into_iter().map(|(name, _)| name).collect();
    tracing::warn!(parameters = names.join(", "), "parameters of the URL of PostgreSQL without an effect");
    url.query_pairs_mut().clear().extend_pairs(known);
}

fn check_file(url: &Url, parameter: &'static str) -> Result<(), InvalidAddress> {
    let Some((_, value)) = url.query_pairs().find(|(name, _)| name == parameter) else { return Ok(()) };
    let is_content = value.trim_start().starts_with("-----BEGIN");
    if is_content {
        return Ok(());
    }
    let readable = std::fs::File::open(Path::new(&*value)).and_then(|file| file.metadata());
    readable.map(drop).map_err(|cause| InvalidAddress::File { parameter, path: value.into_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("postgres://me:hunter2@db.example/pausa", "db.example:5432"),
            ("postgres://me:hunter2@[::1]:6543/pausa", "[::1]:6543"),
            ("postgresql://me@localhost/pausa?host=/run/postgresql", "/run/postgresql"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown, "{url}");
            assert_eq!(address.user(), "me");
        }
    }

    #[test]
    fn unknown_parameters_have_no_effect_and_known_ones_stay() {
        let url = "postgres://me@db/pausa?connect_timeout=3&sslmode=require&channel_binding=prefer&options[geqo]=off";
        let address = Address::parse(url).unwrap();
        assert!(address.needs_tls() && !address.may_be_clear() && !address.is_local());
        assert_eq!(address.url.query(), Some("sslmode=require&options%5Bgeqo%5D=off&application_name=pausa"));
        assert_eq!(address.options.get_application_name(), Some("pausa"));
    }

    #[test]
    fn an_invalid_url_is_refused_without_its_password() {
        for url in ["postgres://me:hunter2@db:port/pausa", "postgres://me:hunter2@db/pausa?sslmode=on"] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains("invalid") && !error.contains("hunter2"), "{error}");
        }
        let error = Address::parse("postgres://me:hunter2@db/pausa?sslrootcert=/none/root.pem").unwrap_err();
        assert!(error.to_string().starts_with("sslrootcert=/none/root.pem: No such file"), "{error}");
    }
}
