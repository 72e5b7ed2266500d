//! What the program tells about itself while it runs: the log.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::Config;

/// Starts the log on stderr, in the form that `config` names.
///
/// # Errors
/// A filter that cannot be read.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| format!("setting log = {:?}: {error}", config.log))?;
    let log = fmt().with_env_filter(filter).with_writer(stderr);
    if config.log_json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        log.with_ansi(takes_colours()).init();
    }
    Ok(())
}

/// Colours are for people: a file or a pipe gets none, and nobody does who sets NO_COLOR (<https://no-color.org>).
fn takes_colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
