//! Reads ahead of the writer: windows of rows are read and compressed on several threads, and returned in order.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::super::rate_limiter::{RateLimits, rows_per_commit};
use super::container::CompressedChunk;
use super::spec::{ExportCursor, ExportSpec, FileCompression};
use crate::datasets::{self, CsvPage, PageLimit, RowWindow, SnapshotReader};
use crate::runner::{Context, Failure, Report, StopReason};

/// Number of rows in a window. Must not change: a resumed export must give the same compressed bytes.
pub const WINDOW: u64 = 16_384;

/// Size of CSV at which a page ends, in bytes. Must not change either.
const PAGE_BYTES: usize = 4 << 20;

/// Maximum number of chunks that are compressed at once.
const CONCURRENCY: usize = 2;

/// Maximum number of cells that one counting step reads.
const CELLS_PER_COUNT: u64 = 1 << 19;

/// Chunk of the file.
pub struct ExportChunk {
    /// Its bytes.
    pub compressed: CompressedChunk,
    /// Number of rows in it.
    pub rows: u64,
    /// Number of the last row that was read.
    pub read: u64,
}

/// Rows to read, and their compression.
pub struct ChunkSource {
    reader: Arc<dyn SnapshotReader>,
    /// Number of the last row.
    last: u64,
    limit: PageLimit,
    compression: FileCompression,
}

impl ChunkSource {
    /// Rows of `reader`, up to number `last`.
    pub fn new(reader: Arc<dyn SnapshotReader>, last: u64, spec: &ExportSpec, limits: &RateLimits) -> ChunkSource {
        let rows = limits.current().map_or(u64::MAX, rows_per_commit);
        let limit = PageLimit { rows, bytes: PAGE_BYTES, guard: spec.guard_formulas };
        ChunkSource { reader, last, limit, compression: spec.compression }
    }

    /// Stops reading.
    pub fn stop(&self) {
        self.reader.stop();
    }

    /// Counts the matching rows after those that the cursor has counted, with checkpoints.
    pub async fn count(&self, context: &Context, cursor: &mut ExportCursor, columns: usize) -> Result<(), StopReason> {
        let step = (CELLS_PER_COUNT / columns.max(1) as u64).clamp(256, 1 << 17);
        let rest = RowWindow { after: cursor.counted, last: self.last };
        let mut counts = pin!(datasets::counts(Arc::clone(&self.reader), rest, step));
        while let Some((window, count)) = counts.next().await {
            cursor.matching += count.map_err(Failure::from)?;
            cursor.counted = window.last;
            let report = Report { phase: "counting", done: 0, total: None };
            let checked = context.checkpoint(cursor, report).await;
            if checked.is_err() {
                // Queries have ended before the stop is confirmed.
                self.stop();
                while counts.next().await.is_some() {}
                return checked;
            }
        }
        Ok(())
    }

    /// Sends the chunks after row number `after` in order, until all are read or the receiver is closed.
    pub async fn send_chunks(
        &self,
        context: &Context,
        after: u64,
        to: mpsc::Sender<ExportChunk>,
    ) -> Result<(), Failure> {
        let rest = RowWindow { after, last: self.last };
        let pages = datasets::pages(Arc::clone(&self.reader), rest, WINDOW, self.limit);
        let mut chunks = pin!(pages.map(|page| self.compress(context, page)).buffered(CONCURRENCY));
        let mut outcome = Ok(());
        // After a stop, chunks in progress are returned at once, and then the end.
        while let Some(chunk) = chunks.next().await {
            if self.reader.is_stopped() {
                continue;
            }
            let sent = match chunk {
                Ok(chunk) => to.send(chunk).await.is_ok(),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            };
            if !sent {
                self.stop();
            }
        }
        outcome
    }

    async fn compress(
        &self,
        context: &Context,
        page: Result<CsvPage, datasets::Error>,
    ) -> Result<ExportChunk, Failure> {
        let page = page?;
        let (rows, read, csv) = (page.rows, page.last, page.lines.into_bytes());
        let compression = self.compression;
        let compressed = match compression {
            FileCompression::None => compression.compress(csv),
            FileCompression::Gzip | FileCompression::Zip => context.compute(move || compression.compress(csv)).await?,
        };
        Ok(ExportChunk { compressed, rows, read })
    }
}
