//! Command line of the program: arguments, logging, signals.
//!
//! It belongs to the library, so that the program's own crate has nothing to compile but a call.

mod health;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::time::Instant;

use self::signals::EndSignals;
use crate::app::{self, App, node_name};
use crate::backup;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;
use crate::telemetry::{self, Telemetry};

/// A GraphQL server whose long-running tasks can be paused, resumed and terminated while they run.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings file (TOML). config.default.toml lists all settings.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on: IP address and port.
    #[arg(long, global = true, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Folder for everything the embedded mode stores.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Sets any setting. Overrides all other sources.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server (the default command).
    Serve,
    /// Print the GraphQL schema.
    Schema,
    /// Apply pending migrations of the task store and exit. Refuses a SQLite store that a server uses.
    Migrate,
    /// Ask the server with these settings if it is ready, and exit with 0 if it is. For health checks.
    Health {
        /// Ask only if the process is alive.
        #[arg(long)]
        alive: bool,
    },
    /// Back up the data folder. The server may be running (SQLite only).
    ///
    /// Copies the task store, the datasets, uploads and results as of one moment, verifies the copy, and writes a manifest
    /// with the size and SHA-256 of each file. Immutable files are hard-linked if FOLDER is on the same file system.
    Backup {
        /// Folder to create. Must not exist, or must be empty.
        folder: PathBuf,
    },
    /// Restore a backup into an empty data folder.
    ///
    /// Verifies the manifest and the SHA-256 of each file. Then start a server on the data folder: unfinished tasks
    /// continue. Webhooks that were sent after the backup are sent again: see docs/operations.md.
    Restore {
        /// Folder that `pausa backup` created.
        folder: PathBuf,
    },
}

/// Maximum time that the exiting process waits for blocking calls, such as a name lookup or a hanging disk.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// Maximum time for sending the last traces, within shutdown.grace.
const TRACE_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the command that the arguments of the process name. Prints an error to stderr.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pausa: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(command(arguments));
    runtime.shutdown_timeout(EXIT_TIMEOUT);
    outcome
}

async fn command(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some(Command::Schema) = arguments.command {
        print!("{}", crate::api::sdl());
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = config(arguments)?;
    if let Some(Command::Health { alive }) = arguments.command {
        return health::health(config.listen, if alive { "/healthz" } else { "/readyz" }).await;
    }
    let clock = Clock::system();
    config.node.get_or_insert_with(|| node_name(&clock));
    let telemetry = telemetry::start(&config, config.node.as_deref().unwrap_or_default())?;
    if !config.ignored_variables.is_empty() {
        let variables = config.ignored_variables.join(", ");
        tracing::warn!(variables, "ignored environment variables of a Kubernetes or Docker service named pausa");
    }
    match &arguments.command {
        Some(Command::Migrate) => migrate(&config).await,
        Some(Command::Backup { folder }) => {
            allow_many_files();
            succeed(backup::command::backup_command(&config, folder.clone()).await?)
        }
        Some(Command::Restore { folder }) => succeed(backup::command::restore_command(&config, folder.clone()).await?),
        _ => serve(config, clock, telemetry).await,
    }
}

fn config(arguments: &Arguments) -> Result<Config, Box<dyn std::error::Error>> {
    let mut flags = Vec::new();
    flags.extend(arguments.listen.clone().map(|address| ("listen".to_owned(), address)));
    flags.extend(arguments.data_dir.clone().map(|folder| ("data_dir".to_owned(), folder)));
    for setting in &arguments.settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| format!("--set {setting}: expected NAME=VALUE"))?;
        flags.push((name.to_owned(), value.to_owned()));
    }
    let file = arguments.config.clone().or_else(|| std::env::var_os("PAUSA_CONFIG").map(PathBuf::from));
    Ok(Config::load(file.as_deref(), variables()?.into_iter(), &flags)?)
}

/// Returns the PAUSA_* and AWS_* variables.
///
/// # Errors
/// A value that is not UTF-8.
fn variables() -> Result<Vec<(String, String)>, String> {
    let variables = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
    let variables = variables.filter(|(name, _)| name.starts_with("PAUSA_") || name.starts_with("AWS_"));
    variables
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(format!("the value of the variable {name} is not UTF-8")),
        })
        .collect()
}

async fn migrate(config: &Config) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let _lock = app::lock(config)?;
    Store::open(&config.store(), false, std::sync::Arc::new(|_| {})).await?.close().await;
    println!("The task store is up to date.");
    Ok(ExitCode::SUCCESS)
}

fn succeed(message: String) -> Result<ExitCode, Box<dyn std::error::Error>> {
    println!("{message}");
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, clock: Clock, telemetry: Telemetry) -> Result<ExitCode, Box<dyn std::error::Error>> {
    allow_many_files();
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("setting listen = {}: {error}", config.listen))?;
    let address = listener.local_addr()?;
    let limit = config.drain() + config.shutdown_grace;
    let app = App::start(config, Vec::new(), clock).await?;
    // Before the server says that it is ready: an earlier signal would end the process without a checkpoint.
    let (mut first, mut second) = (EndSignals::observe()?, EndSignals::observe()?);
    println!("Pausa {} is ready", env!("CARGO_PKG_VERSION"));
    println!("  start page  http://{address}/");
    println!("  playground  http://{address}/graphiql");
    println!("  API         http://{address}/graphql");
    let deadline = Arc::new(OnceLock::new());
    let ends = Arc::clone(&deadline);
    let shutdown = async move {
        first.next().await;
        ends.get_or_init(|| Instant::now() + limit);
        tracing::info!("shutting down: running tasks stop at their next checkpoint");
    };
    let quiet = tokio::select! {
        served = app.serve(listener, shutdown) => served?,
        () = async { second.next().await; second.next().await } => {
            tracing::warn!("second signal: ending at once; other nodes take over the tasks when the lease of this node expires");
            return Ok(ExitCode::FAILURE);
        }
    };
    let left = deadline.get().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    telemetry.stop(left.unwrap_or(TRACE_FLUSH_TIMEOUT).min(TRACE_FLUSH_TIMEOUT)).await;
    Ok(if quiet { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Raises the limit of open files: each connection is one, and the usual limit is 1,024.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, limit = limit.current, "could not raise the limit of open files");
    }
}
