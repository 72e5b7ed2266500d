//! Writes batches, each with its cursor in one transaction. If the database has several write slots, the next batch streams
//! while one commits. A row that the database refuses is a bad row like any other.

use std::collections::VecDeque;
use std::time::Duration;

use csv::ByteRecord;
use tokio::sync::mpsc;

use super::super::rate_limiter::{RateLimiter, RateLimits, rows_per_commit};
use super::position::{FilePosition, LineNumbers};
use super::records::{RecordBatch, RecordReader};
use super::row_schema::RowError;
use super::spec::{BadRows, CsvFormat, ImportCursor, ImportSpec};
use super::{rejects, report};
use crate::clock::Clock;
use crate::datasets::{self, Batch, Checkpoint, Column, CommitLease, Error, Staging, WriteOutcome};
use crate::runner::{Context, Failure, StopReason};

/// Time without a batch after which the last commit is reported. Checkpoints may skip commits that come sooner.
const REPORT_DELAY: Duration = Duration::from_millis(100);

/// Writes to the staging and reports what is committed.
pub struct ImportWriter<'a> {
    context: &'a Context,
    staging: &'a mut dyn Staging,
    rate_limiter: RateLimiter,
    /// Rest of a batch that was cut, because the rate allows less at once.
    rest: Option<RecordBatch>,
    recycle: mpsc::Sender<Batch>,
    lines: LineNumbers,
    columns: Vec<Column>,
    format: CsvFormat,
    bad_rows: BadRows,
    /// Number of rows that the database refused. The reader counts them as rows.
    refused: u64,
    /// Batches that are written and not yet committed, oldest first.
    pending: VecDeque<PendingBatch>,
    /// Cursor of the last commit.
    last: ImportCursor,
    /// The last commit was reported.
    reported: bool,
}

/// Batch that is not yet committed, without its rows.
struct PendingBatch {
    starts: Vec<FilePosition>,
    rejects: Vec<u8>,
    cursor: ImportCursor,
}

impl<'a> ImportWriter<'a> {
    /// Writes the batches of `records`. Empty batches are returned by `recycle`.
    pub fn new(
        context: &'a Context,
        spec: &ImportSpec,
        staging: &'a mut dyn Staging,
        records: &RecordReader,
        recycle: mpsc::Sender<Batch>,
    ) -> ImportWriter<'a> {
        let last = records.cursor().clone();
        let now = Clock::monotonic();
        let limits = RateLimits::new(context, spec.max_rows_per_second);
        let rate_limiter = RateLimiter::new(limits, last.rows, now);
        let (format, bad_rows, lines) = (spec.csv.clone(), spec.bad_rows, records.lines());
        let pending = VecDeque::new();
        ImportWriter {
            context,
            staging,
            rate_limiter,
            rest: None,
            recycle,
            lines,
            columns: records.columns().to_vec(),
            format,
            bad_rows,
            refused: 0,
            pending,
            last,
            reported: true,
        }
    }

    /// Writes until the reader ends. Returns the last cursor.
    ///
    /// # Errors
    /// A requested stop: the last progress is then what is committed.
    pub async fn run(
        mut self,
        batches: mpsc::Receiver<Result<RecordBatch, StopReason>>,
    ) -> Result<ImportCursor, StopReason> {
        let ended = self.write_all(batches).await;
        if let Err(StopReason::Interrupted) = ended {
            self.cancel_pending().await?;
            self.context.set_checkpoint(&self.last, report(&self.last))?;
        }
        ended.map(|()| self.last)
    }

    async fn write_all(
        &mut self,
        mut batches: mpsc::Receiver<Result<RecordBatch, StopReason>>,
    ) -> Result<(), StopReason> {
        let mut end = None;
        while end.is_none() || !self.pending.is_empty() || self.rest.is_some() {
            // An import with a rate limit writes one batch and waits.
            let slots = if self.rate_limiter.rate().is_some() { 1 } else { self.staging.write_slots() };
            let may_begin = self.pending.len() < slots && !self.has_exceeded();
            if may_begin && let Some(rest) = self.rest.take() {
                self.begin_batch(rest).await?;
                continue;
            }
            tokio::select! {
                biased;
                stop = self.context.stopped() => return Err(stop),
                written = self.staging.finish_write(), if !self.pending.is_empty() => self.on_written(written).await?,
                batch = batches.recv(), if end.is_none() && may_begin => match batch {
                    Some(Ok(batch)) => self.begin_batch(batch).await?,
                    // Earlier batches are written first, so that the first error in the file is reported.
                    Some(Err(stop)) => end = Some(Err(stop)),
                    None => end = Some(Ok(())),
                },
                // The file comes slowly.
                () = tokio::time::sleep(REPORT_DELAY), if !self.reported && self.pending.is_empty() => self.report_last().await?,
            }
        }
        end.unwrap_or(Ok(()))
    }

    /// Returns true if a pending batch exceeds the limit of bad rows: no batch may follow it.
    fn has_exceeded(&self) -> bool {
        self.pending.iter().any(|write| write.cursor.exceeded.is_some())
    }

    async fn begin_batch(&mut self, mut batch: RecordBatch) -> Result<(), StopReason> {
        if let Some(rate) = self.rate_limiter.rate() {
            self.rest = batch.cut(usize::try_from(rows_per_commit(rate)).unwrap_or(usize::MAX));
        }
        let RecordBatch { rows, starts, rejects, cursor } = batch;
        let cursor = cursor.with_refused(self.refused);
        self.begin(rows, PendingBatch { starts, rejects, cursor }).await
    }

    async fn begin(&mut self, rows: Batch, pending: PendingBatch) -> Result<(), StopReason> {
        let cursor = serde_json::to_string(&pending.cursor).map_err(|error| Failure::internal(error.to_string()))?;
        let lease = CommitLease::new(self.context.lease_check());
        let checkpoint = Checkpoint { cursor, rejects: pending.rejects.clone(), lease };
        tokio::select! {
            stop = self.context.stopped() => return Err(stop),
            allowed = self.context.may_act() => allowed?,
        }
        self.staging.begin_write(rows, checkpoint).await.map_err(stopped_by)?;
        self.pending.push_back(pending);
        Ok(())
    }

    /// Handles the end of the oldest write.
    async fn on_written(&mut self, written: WriteOutcome) -> Result<(), StopReason> {
        let Some(ended) = self.pending.pop_front() else { return Ok(()) };
        match written.outcome {
            Ok(()) => {}
            Err(Error::Cell { row, column, reason }) => {
                let column = Some(column).filter(|column| !column.is_empty());
                return self.reject(ended, written.batch, row, &RowError::Value { column, reason }).await;
            }
            Err(error) => return Err(stopped_by(error)),
        }
        // The reader may have ended and need no more batches.
        let _ = self.recycle.try_send(written.batch);
        (self.last, self.reported) = (ended.cursor, false);
        if let Some(text) = &self.last.exceeded {
            return Err(Failure::input(text.clone()).into());
        }
        self.context.checkpoint(&self.last, report(&self.last)).await?;
        self.wait_for_rate().await
    }

    async fn wait_for_rate(&mut self) -> Result<(), StopReason> {
        loop {
            let delay = self.rate_limiter.delay(self.last.rows, Clock::monotonic());
            if delay.is_zero() {
                return Ok(());
            }
            tokio::select! {
                stop = self.context.stopped() => return Err(stop),
                () = self.rate_limiter.pause(delay) => {}
            }
        }
    }

    /// Reports the last commit, if no other follows soon.
    async fn report_last(&mut self) -> Result<(), StopReason> {
        self.reported = true;
        self.context.checkpoint(&self.last, report(&self.last)).await
    }

    /// Moves a row that the database refused to the rejects, and writes the other rows again.
    async fn reject(
        &mut self,
        mut from: PendingBatch,
        mut batch: Batch,
        row: usize,
        error: &RowError,
    ) -> Result<(), StopReason> {
        let (lines, start) = (self.lines.clone(), from.starts.get(row).copied());
        let line = self.context.blocking(move || start.map_or(Ok(0), |start| lines.at(start))).await??;
        let BadRows::Skip(limit) = self.bad_rows else {
            return Err(Failure::input(error.at(line)).at_place(error.place(line, &self.columns)).into());
        };
        if let Some(cells) = batch.rows().nth(row) {
            let record: ByteRecord = cells.map(Option::unwrap_or_default).collect();
            from.rejects.extend(rejects::reject(error, line, &record, 0, &self.format));
        }
        batch.remove_row(row);
        from.starts.remove(row);
        self.refused += 1;
        from.cursor = from.cursor.with_refused(1);
        let exceeded = rejects::exceeded(limit, from.cursor.rejected, error, line);
        from.cursor.exceeded = from.cursor.exceeded.or(exceeded);
        if from.cursor.exceeded.is_some() {
            // Its rows are rolled back anyway. The rejects are kept.
            batch.clear();
            from.starts.clear();
            from.cursor.rows = self.last.rows;
        }
        self.write_again(batch, from).await
    }

    /// Writes a batch again, and those after it, which were rolled back with it. Nothing is written after too many bad rows.
    async fn write_again(&mut self, batch: Batch, from: PendingBatch) -> Result<(), StopReason> {
        let exceeded = from.cursor.exceeded.is_some();
        let mut again = vec![(batch, from)];
        while let Some(mut next) = self.pending.pop_front() {
            let written = self.staging.finish_write().await;
            match written.outcome {
                Err(Error::Cancelled | Error::Cell { .. }) => {}
                Err(error) => return Err(stopped_by(error)),
                Ok(()) => return Err(Failure::internal("A write committed before the one that it follows.").into()),
            }
            next.cursor = next.cursor.with_refused(1);
            again.extend((!exceeded).then_some((written.batch, next)));
        }
        for (batch, pending) in again {
            self.begin(batch, pending).await?;
        }
        Ok(())
    }

    /// Cancels writes that have not begun to commit, and waits for the end of all writes.
    async fn cancel_pending(&mut self) -> Result<(), StopReason> {
        self.staging.cancel_writes();
        while let Some(ended) = self.pending.pop_front() {
            match self.staging.finish_write().await.outcome {
                Ok(()) => self.last = ended.cursor,
                // The next run reads again what is not committed.
                Err(Error::Cancelled | Error::Cell { .. }) => {}
                Err(error) => return Err(stopped_by(error)),
            }
        }
        Ok(())
    }
}

/// Returns what an error of the datasets means for the run.
pub fn stopped_by(error: datasets::Error) -> StopReason {
    match error {
        datasets::Error::LeaseLost => StopReason::LeaseLost,
        other => Failure::from(other).into(),
    }
}
