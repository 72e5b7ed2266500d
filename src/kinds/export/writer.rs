//! Writes chunks and reports what is durable. A working file is synced to disk in the background. An object is durable after every few MiB,
//! and at a stop.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::super::rate_limiter::{RateLimiter, RateLimits};
use super::chunks::{ChunkSource, ExportChunk};
use super::file::{ExportFile, io_failure};
use super::spec::{ExportCursor, ExportSpec};
use crate::clock::Clock;
use crate::runner::{Context, Failure, Report, StopReason};

/// Minimum time between the starts of two syncs.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// Minimum time between two moments at which an object is made durable though it has too few bytes for a part.
const OBJECT_INTERVAL: Duration = Duration::from_secs(30);

/// Maximum number of chunks that wait for the writer.
const QUEUE: usize = 1;

/// Writes the chunks of an export to its file.
pub struct ExportWriter<'a> {
    context: &'a Context,
    total: u64,
    file: Option<ExportFile>,
    /// Cursor of what is written.
    written: ExportCursor,
    /// Cursor of what is synced.
    synced: ExportCursor,
    syncing: Option<BoxFuture<'a, Result<ExportCursor, Failure>>>,
    next_sync: Instant,
    rate_limiter: RateLimiter,
}

impl<'a> ExportWriter<'a> {
    /// Continues a file that is synced up to `cursor`. It will have `total` rows.
    pub fn new(
        context: &'a Context,
        spec: &ExportSpec,
        cursor: ExportCursor,
        total: u64,
        file: ExportFile,
    ) -> ExportWriter<'a> {
        let now = Clock::monotonic();
        let limits = RateLimits::new(context, spec.max_rows_per_second);
        let rate_limiter = RateLimiter::new(limits, cursor.rows, now);
        let (written, next_sync) = (cursor.clone(), now);
        ExportWriter {
            context,
            total,
            file: Some(file),
            written,
            synced: cursor,
            syncing: None,
            next_sync,
            rate_limiter,
        }
    }

    /// Writes all chunks of the source. Reads and syncs have ended when this returns.
    pub async fn run(&mut self, source: &ChunkSource) -> Result<(), StopReason> {
        let (sender, chunks) = mpsc::channel(QUEUE);
        let reading = source.send_chunks(self.context, self.written.read, sender);
        let writing = async {
            let result = self.write_all(chunks).await;
            if result.is_err() {
                source.stop();
            }
            result
        };
        let (read, written) = tokio::join!(reading, writing);
        if let Some(syncing) = self.syncing.take() {
            self.synced = syncing.await?;
            self.context.set_checkpoint(&self.synced, self.report())?;
        }
        let pausing = matches!(written, Err(StopReason::Interrupted)) && !self.context.is_terminated();
        if pausing && self.sync_object().await? {
            self.context.set_checkpoint(&self.synced, self.report())?;
        }
        written?;
        Ok(read?)
    }

    /// Returns the file and the cursor of what is written.
    pub fn end(self) -> Result<(ExportCursor, ExportFile), Failure> {
        let file = self.file.ok_or_else(closed)?;
        Ok((ExportCursor { file: file.written(), ..self.written }, file))
    }

    /// Owns the receiver, so that the reader ends with the writer.
    async fn write_all(&mut self, mut chunks: mpsc::Receiver<ExportChunk>) -> Result<(), StopReason> {
        self.context.checkpoint(&self.synced, self.report()).await?;
        loop {
            self.begin_sync();
            let delay = self.rate_limiter.delay(self.written.rows, Clock::monotonic());
            let due = self.next_sync.saturating_duration_since(Clock::monotonic());
            let sync_due = self.syncing.is_none() && self.written.read != self.synced.read;
            tokio::select! {
                biased;
                stop = self.context.stopped() => return Err(stop),
                synced = sync_ended(&mut self.syncing) => {
                    self.synced = synced?;
                    self.context.checkpoint(&self.synced, self.report()).await?;
                }
                () = self.rate_limiter.pause(delay), if !delay.is_zero() => {}
                chunk = chunks.recv(), if delay.is_zero() => match chunk {
                    Some(chunk) => {
                        if self.write(chunk).await? {
                            self.context.commit(&self.synced, self.report()).await?;
                        }
                    }
                    None => return Ok(()),
                },
                () = tokio::time::sleep(due), if sync_due => {
                    if self.sync_object().await? {
                        // The next checkpoint may come in half a minute.
                        self.context.commit(&self.synced, self.report()).await?;
                    }
                }
            }
        }
    }

    /// Writes a chunk. Returns true if it made an object durable.
    async fn write(&mut self, chunk: ExportChunk) -> Result<bool, Failure> {
        let file = self.file.take().ok_or_else(closed)?;
        let file = file.write_chunk(self.context, chunk.compressed).await?;
        self.written.read = chunk.read;
        self.written.rows += chunk.rows;
        let durable = file.is_durable();
        if durable {
            self.next_sync = Clock::monotonic() + OBJECT_INTERVAL;
            self.synced = ExportCursor { file: file.written(), ..self.written.clone() };
        }
        self.file = Some(file);
        Ok(durable)
    }

    /// Makes an object durable as far as it is written. Returns false for a working file.
    async fn sync_object(&mut self) -> Result<bool, Failure> {
        let Some(file) = self.file.as_mut().filter(|file| file.file().is_none()) else { return Ok(false) };
        file.sync_object().await?;
        self.next_sync = Clock::monotonic() + OBJECT_INTERVAL;
        self.synced = ExportCursor { file: file.written(), ..self.written.clone() };
        Ok(true)
    }

    /// Begins a sync of what is written, if one is due and none is in progress.
    fn begin_sync(&mut self) {
        let Some(file) = &self.file else { return };
        let Some(handle) = file.file() else { return };
        let now = Clock::monotonic();
        if self.syncing.is_some() || now < self.next_sync || self.written.read == self.synced.read {
            return;
        }
        self.next_sync = now + SYNC_INTERVAL;
        let context = self.context;
        let cursor = ExportCursor { file: file.written(), ..self.written.clone() };
        let syncing = context.blocking(move || handle.sync_data());
        self.syncing = Some(Box::pin(async move {
            syncing.await?.map_err(io_failure)?;
            Ok(cursor)
        }));
    }

    fn report(&self) -> Report {
        Report { phase: "exporting", done: self.synced.rows, total: Some(self.total) }
    }
}

/// Returns the failure after an earlier failed write.
fn closed() -> Failure {
    Failure::internal("The export file was closed after an error.")
}

/// Waits for the sync in progress. Waits forever if there is none.
async fn sync_ended(
    syncing: &mut Option<BoxFuture<'_, Result<ExportCursor, Failure>>>,
) -> Result<ExportCursor, Failure> {
    let Some(sync) = syncing.as_mut() else { return std::future::pending().await };
    let synced = sync.await;
    *syncing = None;
    synced
}
