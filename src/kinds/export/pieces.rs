//! Reading ahead of the file: windows of rows are read and packed on several threads and come out in their order.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::container::Packed;
use super::spec::{Compression, Cursor, Spec};
use crate::datasets::{self, CsvPage, PageLimit, RowWindow, SnapshotReader};
use crate::runner::{Context, Failure, Report, Stop};

/// Rows of a window. It is part of what a packed file looks like, so it stays as it is.
pub const WINDOW: u64 = 16_384;

/// Bytes of CSV at which a page ends; the same holds.
const PAGE_BYTES: usize = 4 << 20;

/// Pieces that are packed at once.
const PACKED_AT_ONCE: usize = 2;

/// Cells that are looked at in one step of counting.
const CELLS: u64 = 1 << 19;

/// Pieces a second that a slowed export still makes, so that its progress is smooth and its pause quick.
const PIECES_PER_SECOND: f64 = 10.0;

/// A piece of the file.
pub struct Piece {
    /// Its bytes.
    pub packed: Packed,
    /// Rows in it.
    pub rows: u64,
    /// The number of the last row that was looked at.
    pub read: u64,
}

/// What is read, and how it is packed.
pub struct Source {
    reader: Arc<dyn SnapshotReader>,
    /// The number of the last row.
    last: u64,
    limit: PageLimit,
    compression: Compression,
}

impl Source {
    /// The rows that `reader` reads, up to number `last`.
    pub fn new(reader: Arc<dyn SnapshotReader>, last: u64, spec: &Spec) -> Source {
        // A float that is too large becomes the largest number.
        let rows = spec.max_rows_per_second.map_or(u64::MAX, |rate| (rate / PIECES_PER_SECOND) as u64).max(1);
        let limit = PageLimit { rows, bytes: PAGE_BYTES, guard: spec.guard_formulas };
        Source { reader, last, limit, compression: spec.compression }
    }

    /// Ends what is being read.
    pub fn stop(&self) {
        self.reader.stop();
    }

    /// Counts the rows that match behind what the cursor has counted, reporting it as it goes.
    pub async fn count(&self, context: &Context, cursor: &mut Cursor, columns: usize) -> Result<(), Stop> {
        let step = (CELLS / columns.max(1) as u64).clamp(256, 1 << 17);
        let all = RowWindow { after: cursor.counted, last: self.last };
        let mut counts = pin!(datasets::counts(Arc::clone(&self.reader), all, step));
        while let Some((window, count)) = counts.next().await {
            cursor.matching += count.map_err(Failure::from)?;
            cursor.counted = window.last;
            let report = Report { phase: "counting", done: 0, total: None };
            let checked = context.checkpoint(cursor, report).await;
            if checked.is_err() {
                // What still counts has ended before the stop is confirmed.
                self.stop();
                while counts.next().await.is_some() {}
                return checked;
            }
        }
        Ok(())
    }

    /// Sends the pieces behind row number `after` in order, until all are read or nobody takes them.
    pub async fn pieces(&self, context: &Context, after: u64, to: mpsc::Sender<Piece>) -> Result<(), Failure> {
        let all = RowWindow { after, last: self.last };
        let pages = datasets::pages(Arc::clone(&self.reader), all, WINDOW, self.limit);
        let mut pieces = pin!(pages.map(|page| self.pack(context, page)).buffered(PACKED_AT_ONCE));
        let mut outcome = Ok(());
        // After a stop what is under way comes out at once, and then the end.
        while let Some(piece) = pieces.next().await {
            if self.reader.is_stopped() {
                continue;
            }
            let taken = match piece {
                Ok(piece) => to.send(piece).await.is_ok(),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            };
            if !taken {
                self.stop();
            }
        }
        outcome
    }

    async fn pack(&self, context: &Context, page: Result<CsvPage, datasets::Error>) -> Result<Piece, Failure> {
        let page = page?;
        let (rows, read, csv) = (page.rows, page.last, page.lines.into_bytes());
        let compression = self.compression;
        let packed = match compression {
            Compression::None => compression.pack(csv),
            Compression::Gzip | Compression::Zip => context.compute(move || compression.pack(csv)).await?,
        };
        Ok(Piece { packed, rows, read })
    }
}
