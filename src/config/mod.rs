//! The settings: read from their layers and checked once, at the start.

mod injected;
mod layers;
mod limits;
mod nearest;
mod reader;
mod sqlite_url;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use layers::Layers;
pub use limits::{HttpLimits, SocketLimits};
use reader::Reader;
pub use sqlite_url::SqliteUrl;

/// Everything that can be set. `config.default.toml` explains each.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// What the embedded mode keeps.
    pub data_dir: PathBuf,
    /// The task store.
    pub database_url: Option<Url>,
    /// Where imports write.
    pub datasets_url: Option<Url>,
    /// Uploads and results.
    pub files_dir: Option<PathBuf>,
    /// This node's name.
    pub node: Option<String>,
    /// What this node does.
    pub role: Role,
    /// Everything is deleted at the end.
    pub ephemeral: bool,
    /// Tasks that run at once; none: twice the cores.
    pub max_running: Option<usize>,
    /// Tasks that may wait.
    pub max_waiting: u64,
    /// How long a silent node keeps its tasks.
    pub lease: Duration,
    /// The limit of startPiJob.
    pub max_pi_digits: u32,
    /// The limit of one upload, in bytes.
    pub max_upload_bytes: u64,
    /// How long an upload stays that no task uses; none: for ever.
    pub upload_life: Option<Duration>,
    /// The folder below which source.path may name files.
    pub import_dir: Option<PathBuf>,
    /// May other servers be asked that are in the private network.
    pub outbound_allow_private: bool,
    /// How long a server of which a file is fetched may say nothing.
    pub fetch_silence: Duration,
    /// Webhooks that are being sent at once: in all, and to one host.
    pub max_sending: (usize, usize),
    /// Tries of a webhook.
    pub timer_attempts: u32,
    /// The longest pause before its second try; it doubles with each.
    pub timer_backoff: Duration,
    /// What webhooks are signed with.
    pub webhook_secrets: Vec<Secret>,
    /// How long finished tasks are kept; none: for ever.
    pub retention: Option<Duration>,
    /// How long a pause lasts where it sets no expiry of its own.
    pub max_pause: Option<Duration>,
    /// What happens then.
    pub pause_expiry: PauseEnd,
    /// Deaths of a node in a row after which the task has failed.
    pub crash_limit: u32,
    /// Origins of web pages that may call the API.
    pub allowed_origins: Vec<String>,
    /// The tracing filter.
    pub log: String,
    /// Its form.
    pub log_json: bool,
    /// Where traces are sent: the address of a collector, to the end of its path.
    pub otlp_endpoint: Option<String>,
    /// Errors in a row after which a task has failed.
    pub retry_limit: u32,
    /// The pause before the first new try.
    pub retry_backoff: Duration,
    /// How long a shutdown waits for tasks.
    pub shutdown_grace: Duration,
    /// Names of PAUSA_* variables that were ignored: Kubernetes or Docker sets them for a service of that name.
    pub ignored_variables: Vec<String>,
    /// The limits of HTTP.
    pub http: HttpLimits,
    /// The limits of a WebSocket.
    pub websocket: SocketLimits,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the API and runs tasks.
    All,
    /// Serves the API; no task runs here.
    Api,
    /// Runs tasks; serves health and metrics only.
    Worker,
}

/// How a pause ends that nobody ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseEnd {
    /// The task goes on.
    Resume,
    /// The task is undone.
    Terminate,
}

/// A URL that may hold a password: shown without it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

/// A key that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A setting that stops the start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such setting.
    #[error("unknown setting {name} in {from}: {}config.default.toml lists every setting", meant(nearest.as_deref()))]
    Unknown {
        /// As it was written.
        name: String,
        /// Where it was written.
        from: String,
        /// The setting that was probably meant.
        nearest: Option<String>,
    },
    /// A value that is not allowed.
    #[error("setting {name} = {value} (from {from}) is not allowed: {allowed}")]
    Value {
        /// The setting.
        name: String,
        /// As it was written, without passwords.
        value: String,
        /// Where it was written.
        from: String,
        /// What is allowed.
        allowed: String,
    },
    /// A file that cannot be read.
    #[error("the settings file {file} cannot be read: {problem}")]
    File {
        /// Its path.
        file: String,
        /// Why.
        problem: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("did you mean {name}? ")).unwrap_or_default()
}

impl Config {
    /// The settings from all layers: `file` names a settings file, `flags` are names and values from the command line.
    ///
    /// # Errors
    /// The first setting that is unknown or out of range.
    pub fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers::defaults()?;
        if let Some(file) = file {
            layers.file(file)?;
        }
        let ignored = layers.variables(variables)?;
        for (name, value) in flags {
            layers.text(name, value, "the command line")?;
        }
        Config::check(&Reader(layers), ignored)
    }

    fn check(read: &Reader, ignored_variables: Vec<String>) -> Result<Config, ConfigError> {
        let pause = read.seconds("max_pause_seconds", 0.0..=1e10)?;
        let upload = read.seconds("upload_seconds", 0.0..=1e10)?;
        let retention = read.seconds("retention_seconds", 0.0..=1e10)?;
        let count = |name: &str| Ok(usize::try_from(read.whole(name, 1..=100_000)?).unwrap_or(1));
        let max_running = read.whole("max_running", 0..=10_000)?;
        Ok(Config {
            listen: read.parsed("listen", "an IP address and a port, such as 127.0.0.1:8080")?,
            data_dir: PathBuf::from(read.some_text("data_dir", "the path of a folder")?),
            database_url: read.url("database_url")?,
            datasets_url: read.url("datasets_url")?,
            files_dir: read.files_dir()?,
            node: read.text("node")?,
            role: read.one_of("role", &[("all", Role::All), ("api", Role::Api), ("worker", Role::Worker)])?,
            ephemeral: read.flag("ephemeral")?,
            max_running: usize::try_from(max_running).ok().filter(|n| *n > 0),
            max_waiting: read.whole("max_waiting", 1..=i64::MAX)?.unsigned_abs(),
            lease: read.seconds("lease_seconds", 0.3..=3600.0)?,
            max_pi_digits: u32::try_from(read.whole("max_pi_digits", 1..=i64::from(i32::MAX))?).unwrap_or(1),
            max_upload_bytes: read.whole("max_upload_bytes", 1..=1 << 53)?.unsigned_abs(),
            upload_life: (!upload.is_zero()).then_some(upload),
            import_dir: read.text("import_dir")?.map(PathBuf::from),
            outbound_allow_private: read.flag("outbound_allow_private")?,
            fetch_silence: read.seconds("fetch_seconds", 0.1..=3600.0)?,
            max_sending: (count("timer.max_sending")?, count("timer.max_sending_per_host")?),
            timer_attempts: u32::try_from(read.whole("timer.attempts", 1..=1000)?).unwrap_or(1),
            timer_backoff: read.seconds("timer.backoff_seconds", 0.001..=3600.0)?,
            webhook_secrets: read.secrets("webhook_secret")?,
            retention: (!retention.is_zero()).then_some(retention),
            max_pause: (!pause.is_zero()).then_some(pause),
            pause_expiry: read
                .one_of("pause_expiry", &[("TERMINATE", PauseEnd::Terminate), ("RESUME", PauseEnd::Resume)])?,
            crash_limit: u32::try_from(read.whole("crash_limit", 1..=1000)?).unwrap_or(1),
            allowed_origins: read.list("allowed_origins")?,
            log: read.some_text("log", "a tracing filter, such as info")?,
            log_json: read.one_of("log_format", &[("text", false), ("json", true)])?,
            otlp_endpoint: read.otlp_endpoint("otlp_endpoint")?,
            retry_limit: u32::try_from(read.whole("retry.limit", 1..=1000)?).unwrap_or(1),
            retry_backoff: read.seconds("retry.backoff_seconds", 0.001..=3600.0)?,
            shutdown_grace: read.seconds("shutdown.grace", 0.0..=3600.0)?,
            ignored_variables,
            http: HttpLimits::read(read)?,
            websocket: SocketLimits::read(read)?,
        })
    }

    /// The task store's URL.
    pub fn store_url(&self) -> String {
        self.database_url.as_ref().map_or_else(|| self.sqlite("pausa.db"), |url| url.0.clone())
    }

    /// The URL of the datasets' database.
    pub fn datasets(&self) -> String {
        let shared = self.database_url.as_ref().filter(|url| !url.0.starts_with("sqlite:"));
        let url = self.datasets_url.as_ref().or(shared);
        url.map_or_else(|| self.sqlite("datasets.db"), |url| url.0.clone())
    }

    /// The folder of uploads and results.
    pub fn files(&self) -> PathBuf {
        self.files_dir.clone().unwrap_or_else(|| self.data_dir.join("files"))
    }

    fn sqlite(&self, file: &str) -> String {
        SqliteUrl::of(&self.data_dir.join(file))
    }
}

impl fmt::Debug for Url {
    /// Hides what stands between `//` and `@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.0.split_once("//").and_then(|(scheme, rest)| {
            let (_, host) = rest.rsplit_once('@')?;
            Some(format!("{scheme}//…@{host}"))
        });
        write!(f, "{:?}", hidden.as_deref().unwrap_or(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), &[])
    }

    #[test]
    fn the_defaults_are_those_that_the_readme_tells() {
        let config = load(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.lease, Duration::from_secs(10));
        assert_eq!(config.max_pi_digits, 100_000_000);
        assert_eq!(config.store_url(), "sqlite:./pausa-data/pausa.db");
        assert_eq!(config.max_upload_bytes, 1 << 40);
        assert_eq!((config.http.max_connections, config.http.max_streams), (10_000, 16));
        assert_eq!(
            (config.http.body_silence, config.websocket.ping),
            (Duration::from_secs(60), Duration::from_secs(15))
        );
    }

    #[test]
    fn limits_of_clients_have_ranges() {
        let config = load(&[("PAUSA_HTTP_HEADER_SECONDS", "0.5"), ("PAUSA_WEBSOCKET_MAX_OPERATIONS", "3")]).unwrap();
        assert_eq!((config.http.headers, config.websocket.max_operations), (Duration::from_millis(500), 3));
        for (name, value) in [("PAUSA_HTTP_MAX_STREAMS", "0"), ("PAUSA_WEBSOCKET_PING_SECONDS", "0")] {
            assert!(load(&[(name, value)]).is_err(), "{name} = {value}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction_wherever_they_come_from() {
        let config = load(&[("PAUSA_LEASE_SECONDS", "0.5")]).unwrap();
        assert_eq!(config.lease, Duration::from_millis(500));
        assert!(load(&[("PAUSA_MAX_RUNNING", "1.5")]).is_err(), "a count has none");
    }

    #[test]
    fn a_wrong_setting_says_its_name_value_origin_and_what_is_allowed() {
        let error = load(&[("PAUSA_LEASE_SECONDS", "soon")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "setting lease_seconds = \"soon\" (from the variable PAUSA_LEASE_SECONDS) is not allowed: \
             seconds from 0.3 to 3600"
        );
        let error = load(&[("PAUSA_LEASES", "3")]).unwrap_err().to_string();
        assert!(error.starts_with("unknown setting PAUSA_LEASES in the environment"), "{error}");
    }

    #[test]
    fn a_password_is_shown_neither_in_errors_nor_in_debug() {
        let secret = "postgres://me:hunter2@db/pausa";
        let config = load(&[("PAUSA_DATABASE_URL", secret)]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.datasets(), secret);
        let error = load(&[("PAUSA_DATABASE_URL", "oracle://me:hunter2@db/pausa")]).unwrap_err().to_string();
        assert!(error.contains("oracle://…@db/pausa") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_key_for_webhooks_is_never_shown() {
        let keys = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let config = load(&[("PAUSA_WEBHOOK_SECRET", keys)]).unwrap();
        assert_eq!(config.webhook_secrets.len(), 2);
        assert!(!format!("{config:?}").contains("MfKQ"));
        for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!"] {
            let error = load(&[("PAUSA_WEBHOOK_SECRET", wrong)]).unwrap_err().to_string();
            assert!(error.contains("whsec_ and 24 to 64 bytes") && !error.contains("MfKQ"), "{error}");
        }
    }

    #[test]
    fn flags_go_over_variables_and_variables_over_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"max_running = 3\ncrash_limit = 9\n[retry]\nlimit = 7\n").unwrap();
        let variables = [("PAUSA_MAX_RUNNING".to_owned(), "4".to_owned())];
        let flags = [("max_running".to_owned(), "5".to_owned())];
        let config = Config::load(Some(file.path()), variables.into_iter(), &flags).unwrap();
        assert_eq!((config.max_running, config.crash_limit, config.retry_limit), (Some(5), 9, 7));
    }
}
