//! Settings of the server: read from their sources and validated once, at startup.

mod bucket_url;
mod injected;
mod layers;
mod limits;
mod nearest;
mod network;
mod reader;
mod redis_url;
mod sqlite_url;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use bucket_url::BucketUrl;
pub use layers::Layers;
pub use limits::{GraphqlLimits, HttpLimits, RequestRate, SocketLimits};
pub use network::{IpNetwork, caller_address};
use reader::SettingReader;
pub use redis_url::{Login, RedisUrl, TlsFiles, Topology};
pub use sqlite_url::SqliteUrl;

/// All settings. `config.default.toml` documents each of them.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder for everything the embedded mode stores.
    pub data_dir: PathBuf,
    /// URL of the task store. None: SQLite in the data folder.
    pub database_url: Option<Url>,
    /// URL of the database that imports write to. None: SQLite, or the task store's PostgreSQL.
    pub datasets_url: Option<Url>,
    /// Maximum number of connections to the task store's PostgreSQL.
    pub store_connections: u32,
    /// Maximum number of connections to the datasets' PostgreSQL.
    pub datasets_connections: u32,
    /// Folder for uploads and results. None: the data folder.
    pub files_dir: Option<PathBuf>,
    /// Bucket for uploads and results. None: a folder.
    pub files_bucket: Option<BucketUrl>,
    /// Sends clients to the bucket for downloads.
    pub files_presigned: bool,
    /// Redis, which carries events between nodes.
    pub redis_url: Option<RedisUrl>,
    /// Channel of events between nodes.
    pub events: EventTransport,
    /// Name of this node. None: generated.
    pub node: Option<String>,
    /// Role of this node.
    pub role: Role,
    /// Deletes everything when the server stops.
    pub ephemeral: bool,
    /// Maximum number of tasks that run at once. None: twice the number of CPU cores.
    pub max_running: Option<usize>,
    /// Maximum number of waiting tasks.
    pub max_waiting: u64,
    /// Lease duration of a node.
    pub lease: Duration,
    /// Maximum number of digits for startPiJob.
    pub max_pi_digits: u32,
    /// Maximum size of one upload, in bytes.
    pub max_upload_bytes: u64,
    /// Time after which an unused upload is deleted. None: never.
    pub upload_life: Option<Duration>,
    /// Folder that source.path may read from. None: source.path is refused.
    pub import_dir: Option<PathBuf>,
    /// Allows requests to loopback, private and link-local addresses.
    pub outbound_allow_private: bool,
    /// Timeout while a download delivers no data.
    pub fetch_silence: Duration,
    /// Maximum number of webhook requests at once: in total, and to one host.
    pub max_sending: (usize, usize),
    /// Maximum number of attempts to deliver a webhook.
    pub timer_attempts: u32,
    /// Maximum delay before the second attempt. It doubles with each attempt.
    pub timer_backoff: Duration,
    /// Keys that sign webhooks.
    pub webhook_secrets: Vec<Secret>,
    /// Time after which finished tasks are deleted. None: never.
    pub retention: Option<Duration>,
    /// Maximum duration of a pause without its own expiry. None: unlimited.
    pub max_pause: Option<Duration>,
    /// Action when such a pause expires.
    pub pause_expiry: PauseEnd,
    /// Number of consecutive node crashes after which a task fails.
    pub crash_limit: u32,
    /// Origins of web pages that may call the API.
    pub allowed_origins: Vec<String>,
    /// Log filter.
    pub log: String,
    /// Writes the log as JSON.
    pub log_json: bool,
    /// URL that traces are sent to, path included. None: no traces.
    pub otlp_endpoint: Option<String>,
    /// Number of consecutive errors after which a task fails.
    pub retry_limit: u32,
    /// Delay before the first retry.
    pub retry_backoff: Duration,
    /// Time for which a shutdown continues to serve clients.
    pub shutdown_drain: Duration,
    /// Time that a shutdown waits for running tasks.
    pub shutdown_grace: Duration,
    /// Names of ignored PAUSA_* variables: Kubernetes or Docker sets them for a service of that name.
    pub ignored_variables: Vec<String>,
    /// Limits of HTTP connections and requests.
    pub http: HttpLimits,
    /// Limits of GraphQL documents.
    pub graphql: GraphqlLimits,
    /// Limits of WebSocket connections.
    pub websocket: SocketLimits,
}

/// A database, and how many connections to it may be open.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
    /// Maximum number of connections of the pool. Only for PostgreSQL.
    pub connections: u32,
}

/// Role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves the API and runs tasks.
    All,
    /// Serves the API; no task runs here.
    Api,
    /// Runs tasks; serves health and metrics only.
    Worker,
}

/// Channel of events between nodes that share a task store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTransport {
    /// LISTEN and NOTIFY of the task store's PostgreSQL.
    Postgres,
    /// Redis, at `redis_url`.
    Redis,
    /// Nothing: each node reads the store every second.
    Poll,
}

impl Role {
    /// Every role with its name in the settings.
    const NAMES: [(&str, Role); 3] = [("all", Role::All), ("api", Role::Api), ("worker", Role::Worker)];

    /// Returns the name in the settings.
    pub fn as_str(self) -> &'static str {
        Role::NAMES.into_iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

/// Action when a pause expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseEnd {
    /// Resumes the task.
    Resume,
    /// Terminates the task and rolls it back.
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

/// Error in the settings. The server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Unknown setting.
    #[error("unknown setting {name} in {from}: {}config.default.toml lists all settings", suggestion(nearest.as_deref()))]
    Unknown {
        /// Name as given.
        name: String,
        /// Source of the setting.
        from: String,
        /// Most similar existing setting.
        nearest: Option<String>,
    },
    /// Invalid value.
    #[error("invalid setting {name} = {value} (from {from}): expected {allowed}")]
    Value {
        /// Name of the setting.
        name: String,
        /// Value as given, with passwords hidden.
        value: String,
        /// Source of the setting.
        from: String,
        /// Description of the allowed values.
        allowed: String,
    },
    /// Variable that names the file of a value, but the value cannot be read.
    #[error("the variable {variable}: {problem}")]
    ValueFile {
        /// Name of the variable.
        variable: String,
        /// Cause, and what to do.
        problem: String,
    },
    /// Settings file that cannot be read.
    #[error("cannot read the settings file {file}: {problem}")]
    File {
        /// Path of the file.
        file: String,
        /// Cause.
        problem: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("did you mean {name}? ")).unwrap_or_default()
}

impl Config {
    /// Reads the settings from all sources. `variables` are PAUSA_* and AWS_* variables, `file` is the path of a settings file; `flags` are names and values from the command
    /// line.
    ///
    /// # Errors
    /// The first setting that is unknown or invalid.
    pub fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers::defaults()?;
        if let Some(file) = file {
            layers.apply_file(file)?;
        }
        let (aws, variables): (Vec<_>, Vec<_>) = variables.partition(|(name, _)| name.starts_with("AWS_"));
        let aws = layers::with_key_files(aws)?;
        let ignored = layers.apply_variables(variables.into_iter())?;
        for (name, value) in flags {
            layers.apply_text(name, value, "the command line")?;
        }
        Config::check(&SettingReader(layers), ignored, aws)
    }

    fn check(
        settings: &SettingReader,
        ignored_variables: Vec<String>,
        aws: Vec<(String, String)>,
    ) -> Result<Config, ConfigError> {
        let (files_dir, files_bucket) = settings.files_url(aws)?;
        settings.check_datasets()?;
        let pause = settings.seconds("max_pause_seconds", 0.0..=1e10)?;
        let upload = settings.seconds("upload_seconds", 0.0..=1e10)?;
        let retention = settings.seconds("retention_seconds", 0.0..=1e10)?;
        let count = |name: &str| Ok(usize::try_from(settings.integer(name, 1..=100_000)?).unwrap_or(1));
        // One call never needs two. With one, a heartbeat would wait for each other call; and a run that is taken over ends
        // the connection of the run before it by a second one.
        let connections = |name: &str| Ok(u32::try_from(settings.integer(name, 2..=1000)?).unwrap_or(2));
        let max_running = settings.integer("max_running", 0..=10_000)?;
        Ok(Config {
            listen: settings.parsed("listen", "an IP address and a port, such as 127.0.0.1:8080")?,
            data_dir: PathBuf::from(settings.some_text("data_dir", "the path of a folder")?),
            database_url: settings.url("database_url")?,
            datasets_url: settings.url("datasets_url")?,
            store_connections: connections("store_connections")?,
            datasets_connections: connections("datasets_connections")?,
            files_dir,
            files_presigned: settings.files_presigned(files_bucket.is_some())?,
            files_bucket,
            redis_url: settings.redis_url("redis_url")?,
            events: settings.events()?,
            node: settings.text("node")?,
            role: settings.one_of("role", &Role::NAMES)?,
            ephemeral: settings.flag("ephemeral")?,
            max_running: usize::try_from(max_running).ok().filter(|n| *n > 0),
            max_waiting: settings.integer("max_waiting", 1..=i64::MAX)?.unsigned_abs(),
            lease: settings.seconds("lease_seconds", 0.3..=3600.0)?,
            max_pi_digits: u32::try_from(settings.integer("max_pi_digits", 1..=i64::from(i32::MAX))?).unwrap_or(1),
            max_upload_bytes: settings.integer("max_upload_bytes", 1..=1 << 53)?.unsigned_abs(),
            upload_life: (!upload.is_zero()).then_some(upload),
            import_dir: settings.text("import_dir")?.map(PathBuf::from),
            outbound_allow_private: settings.flag("outbound_allow_private")?,
            fetch_silence: settings.seconds("fetch_seconds", 0.1..=3600.0)?,
            max_sending: (count("timer.max_sending")?, count("timer.max_sending_per_host")?),
            timer_attempts: u32::try_from(settings.integer("timer.attempts", 1..=1000)?).unwrap_or(1),
            timer_backoff: settings.seconds("timer.backoff_seconds", 0.001..=3600.0)?,
            webhook_secrets: settings.secrets("webhook_secret")?,
            retention: (!retention.is_zero()).then_some(retention),
            max_pause: (!pause.is_zero()).then_some(pause),
            pause_expiry: settings
                .one_of("pause_expiry", &[("TERMINATE", PauseEnd::Terminate), ("RESUME", PauseEnd::Resume)])?,
            crash_limit: u32::try_from(settings.integer("crash_limit", 1..=1000)?).unwrap_or(1),
            allowed_origins: settings.list("allowed_origins")?,
            log: settings.some_text("log", "a tracing filter, such as info")?,
            log_json: settings.one_of("log_format", &[("text", false), ("json", true)])?,
            otlp_endpoint: settings.otlp_endpoint("otlp_endpoint")?,
            retry_limit: u32::try_from(settings.integer("retry.limit", 1..=1000)?).unwrap_or(1),
            retry_backoff: settings.seconds("retry.backoff_seconds", 0.001..=3600.0)?,
            shutdown_drain: settings.seconds("shutdown.drain", 0.0..=3600.0)?,
            shutdown_grace: settings.seconds("shutdown.grace", 0.0..=3600.0)?,
            ignored_variables,
            http: HttpLimits::load(settings)?,
            graphql: GraphqlLimits::load(settings)?,
            websocket: SocketLimits::load(settings)?,
        })
    }

    /// Returns the time for which a shutdown continues to serve clients. A worker has none.
    pub fn drain(&self) -> Duration {
        if self.role == Role::Worker { Duration::ZERO } else { self.shutdown_drain }
    }

    /// Returns the URL of the task store.
    pub fn store_url(&self) -> String {
        self.database_url.as_ref().map_or_else(|| self.sqlite("pausa.db"), |url| url.0.clone())
    }

    /// Returns the task store's database.
    pub fn store(&self) -> DatabaseSettings {
        DatabaseSettings { url: self.store_url(), connections: self.store_connections }
    }

    /// Returns the URL of the datasets' database.
    pub fn datasets_url(&self) -> String {
        let shared = self.database_url.as_ref().filter(|url| !url.is_sqlite());
        let url = self.datasets_url.as_ref().or(shared);
        url.map_or_else(|| self.sqlite("datasets.db"), |url| url.0.clone())
    }

    /// Returns the datasets' database.
    pub fn datasets(&self) -> DatabaseSettings {
        DatabaseSettings { url: self.datasets_url(), connections: self.datasets_connections }
    }

    /// Returns the folder for uploads and results, or for this node's working files if those are in a bucket.
    pub fn files(&self) -> PathBuf {
        self.files_dir.clone().unwrap_or_else(|| self.data_dir.join("files"))
    }

    fn sqlite(&self, file: &str) -> String {
        SqliteUrl::from_path(&self.data_dir.join(file))
    }
}

impl Url {
    /// Returns the whole URL, with its password.
    pub fn with_password(&self) -> &str {
        &self.0
    }

    fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl fmt::Debug for Url {
    /// Hides the user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.0.split_once("//").and_then(|(scheme, rest)| {
            let (_, host) = rest.rsplit_once('@')?;
            Some(format!("{scheme}//…@{host}"))
        });
        write!(f, "{:?}", hidden.as_deref().unwrap_or(&self.0))
    }
}
