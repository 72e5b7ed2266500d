//! `pausa backup` and `pausa restore`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{DataPaths, Error, Manifest, StopFlag, create, restore};
use crate::clock::Clock;
use crate::config::Config;
use crate::spawn::spawn_blocking;

/// Creates a backup in `folder`. Returns the message for the user.
///
/// # Errors
/// See [`create`].
pub async fn backup_command(config: &Config, folder: PathBuf) -> Result<String, Error> {
    let paths = DataPaths::of(config)?;
    let target = folder.clone();
    let manifest = interruptible(folder.clone(), move |stop| create(&paths, &target, &Clock::system(), stop)).await?;
    let mut message = format!("backup created in {}: {}", folder.display(), contents(&manifest));
    for path in &manifest.missing {
        message.push_str(&format!("\nwarning: {path} is missing on the server and in the backup"));
    }
    Ok(message)
}

/// Restores the backup in `folder`. Returns the message for the user.
///
/// # Errors
/// See [`restore`].
pub async fn restore_command(config: &Config, folder: PathBuf) -> Result<String, Error> {
    let (paths, data_dir) = (DataPaths::of(config)?, config.data_dir.clone());
    let from = folder.clone();
    let manifest = interruptible(folder.clone(), move |stop| restore(&from, &paths, &data_dir, stop)).await?;
    Ok(format!("{} restored to {}: {}", folder.display(), config.data_dir.display(), contents(&manifest)))
}

fn contents(manifest: &Manifest) -> String {
    let Manifest { tasks, datasets, files, taken_at, schema, pausa, .. } = manifest;
    format!(
        "{tasks} tasks, {datasets} datasets, {} files, {} bytes, as of {taken_at} (Pausa {pausa}, schema {schema})",
        files.len(),
        manifest.bytes()
    )
}

/// Runs `work` on a blocking thread until it ends. SIGTERM and Ctrl-C request a stop.
async fn interruptible<T: Send + 'static>(
    folder: PathBuf,
    work: impl FnOnce(&StopFlag) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let failed = |cause| Error::Io { path: PathBuf::new(), cause };
    let stop = Arc::new(StopFlag::default());
    let flag = Arc::clone(&stop);
    let (mut term, mut int) =
        (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?);
    let mut working = spawn_blocking(move || work(&flag));
    let done = tokio::select! {
        done = &mut working => done,
        () = async { tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} } } => {
            stop.request();
            working.await
        }
    };
    done.unwrap_or_else(|ended| Err(broken(&folder, ended)))
}

fn broken(folder: &Path, ended: tokio::task::JoinError) -> Error {
    Error::Io { path: folder.to_owned(), cause: std::io::Error::other(ended) }
}
