//! Writing what is read: batch after batch, each with the cursor behind it in one transaction. Where the database has
//! lanes, the next batch streams in while one commits. A row that the database refuses is a bad row like any other.

use std::collections::VecDeque;
use std::time::Duration;

use csv::ByteRecord;
use tokio::sync::mpsc;

use super::brake::Brake;
use super::lines::{Lines, Place};
use super::records::{Piece, Records};
use super::shape::Bad;
use super::spec::{BadRows, Cursor, Format, Spec};
use super::{rejects, report};
use crate::datasets::{self, Batch, Checkpoint, Error, Staging, WriteOutcome};
use crate::runner::{Context, Failure, Stop};

/// After so long without a piece what was committed last is told: a checkpoint passes over what comes sooner.
const QUIET: Duration = Duration::from_millis(100);

/// Keeps the staging's lanes busy and says what is committed.
pub struct Writer<'a> {
    context: &'a Context,
    staging: &'a mut dyn Staging,
    brake: Option<Brake>,
    spare: mpsc::Sender<Batch>,
    lines: Lines,
    format: Format,
    bad_rows: BadRows,
    /// Rows that the database refused, which the reader counts as rows.
    refused: u64,
    under_way: VecDeque<UnderWay>,
    /// The cursor of the last commit.
    last: Cursor,
    /// All that is committed was told: what a checkpoint passed over is not.
    told: bool,
}

/// What is read and not yet committed, beside its rows.
struct UnderWay {
    starts: Vec<Place>,
    rejects: Vec<u8>,
    cursor: Cursor,
}

impl<'a> Writer<'a> {
    /// Writes what `records` will give; batches come back by `spare`.
    pub fn new(
        context: &'a Context,
        spec: &Spec,
        staging: &'a mut dyn Staging,
        records: &Records,
        spare: mpsc::Sender<Batch>,
    ) -> Writer<'a> {
        let last = records.cursor().clone();
        let brake = spec.max_rows_per_second.map(|rate| Brake::new(rate, last.rows));
        let (format, bad_rows, lines) = (spec.csv.clone(), spec.bad_rows, records.lines());
        let under_way = VecDeque::new();
        Writer { context, staging, brake, spare, lines, format, bad_rows, refused: 0, under_way, last, told: true }
    }

    /// Writes until the reader ends, and answers the last cursor.
    ///
    /// # Errors
    /// A stop that was asked for: what is told as the last progress is what is committed then.
    pub async fn run(mut self, inbox: mpsc::Receiver<Result<Piece, Stop>>) -> Result<Cursor, Stop> {
        let ended = self.write_all(inbox).await;
        if let Err(Stop::Interrupted) = ended {
            self.settle().await?;
            self.context.note(&self.last, report(&self.last))?;
        }
        ended.map(|()| self.last)
    }

    async fn write_all(&mut self, mut inbox: mpsc::Receiver<Result<Piece, Stop>>) -> Result<(), Stop> {
        // A slowed import writes a batch and waits.
        let lanes = if self.brake.is_some() { 1 } else { self.staging.write_slots() };
        let mut end = None;
        while end.is_none() || !self.under_way.is_empty() {
            tokio::select! {
                biased;
                stop = self.context.stopped() => return Err(stop),
                written = self.staging.finish_write(), if !self.under_way.is_empty() => self.heard(written).await?,
                piece = inbox.recv(), if end.is_none() && self.under_way.len() < lanes && !self.is_over() => match piece {
                    Some(Ok(piece)) => self.take(piece).await?,
                    // What was read before is written, so that the first fault in the file is the one that is told.
                    Some(Err(stop)) => end = Some(Err(stop)),
                    None => end = Some(Ok(())),
                },
                // The file is slow in coming.
                () = tokio::time::sleep(QUIET), if !self.told && self.under_way.is_empty() => self.tell().await?,
            }
        }
        end.unwrap_or(Ok(()))
    }

    /// A write with more bad rows than the import may have is under way: nothing may follow it.
    fn is_over(&self) -> bool {
        self.under_way.iter().any(|write| write.cursor.exceeded.is_some())
    }

    async fn take(&mut self, Piece { batch, starts, rejects, cursor }: Piece) -> Result<(), Stop> {
        let cursor = cursor.less(self.refused);
        self.begin(batch, UnderWay { starts, rejects, cursor }).await
    }

    async fn begin(&mut self, batch: Batch, under_way: UnderWay) -> Result<(), Stop> {
        let cursor = serde_json::to_string(&under_way.cursor).map_err(|error| Failure::internal(error.to_string()))?;
        let checkpoint = Checkpoint { cursor, rejects: under_way.rejects.clone() };
        self.staging.begin_write(batch, checkpoint).await.map_err(stopped_by)?;
        self.under_way.push_back(under_way);
        Ok(())
    }

    /// The oldest write has ended.
    async fn heard(&mut self, written: WriteOutcome) -> Result<(), Stop> {
        let Some(ended) = self.under_way.pop_front() else { return Ok(()) };
        match written.outcome {
            Ok(()) => {}
            Err(Error::Cell { row, column, reason }) => {
                let column = Some(column).filter(|column| !column.is_empty());
                return self.reject(ended, written.batch, row, &Bad { column, reason }).await;
            }
            Err(error) => return Err(stopped_by(error)),
        }
        // The reader may have come to its end and want no more batches.
        let _ = self.spare.try_send(written.batch);
        (self.last, self.told) = (ended.cursor, false);
        if let Some(text) = &self.last.exceeded {
            return Err(Failure::input(text.clone()).into());
        }
        self.context.checkpoint(&self.last, report(&self.last)).await?;
        match &mut self.brake {
            Some(brake) => brake.wait(self.last.rows, self.context).await,
            None => Ok(()),
        }
    }

    /// Says how far it came, where nothing follows at once that would say it.
    async fn tell(&mut self) -> Result<(), Stop> {
        self.told = true;
        self.context.checkpoint(&self.last, report(&self.last)).await
    }

    /// Puts a row that the database refused to the rejects, and writes the others anew.
    async fn reject(&mut self, mut from: UnderWay, mut batch: Batch, row: usize, bad: &Bad) -> Result<(), Stop> {
        let (lines, start) = (self.lines.clone(), from.starts.get(row).copied());
        let line = self.context.blocking(move || start.map_or(Ok(0), |start| lines.at(start))).await??;
        let BadRows::Skip(most) = self.bad_rows else { return Err(Failure::input(bad.at(line)).into()) };
        if let Some(cells) = batch.rows().nth(row) {
            let record: ByteRecord = cells.map(Option::unwrap_or_default).collect();
            from.rejects.extend(rejects::reject(bad, line, &record, 0, &self.format));
        }
        batch.remove_row(row);
        from.starts.remove(row);
        self.refused += 1;
        from.cursor = from.cursor.less(1);
        let exceeded = rejects::exceeded(most, from.cursor.rejected, bad, line);
        from.cursor.exceeded = from.cursor.exceeded.or(exceeded);
        let over = from.cursor.exceeded.is_some();
        if over {
            // Its rows are rolled back anyway; the rejects are kept.
            batch.clear();
            from.starts.clear();
            from.cursor.rows = self.last.rows;
        }
        let mut again = vec![(batch, from)];
        // Those behind it were taken back with it.
        while let Some(mut behind) = self.under_way.pop_front() {
            let written = self.staging.finish_write().await;
            match written.outcome {
                Err(Error::Cancelled | Error::Cell { .. }) => {}
                Err(error) => return Err(stopped_by(error)),
                Ok(()) => return Err(Failure::internal("a write came before the one that it follows").into()),
            }
            behind.cursor = behind.cursor.less(1);
            // What follows too many bad rows is not written.
            again.extend((!over).then_some((written.batch, behind)));
        }
        for (batch, under_way) in again {
            self.begin(batch, under_way).await?;
        }
        Ok(())
    }

    /// Takes back what does not commit already, and hears the ends of all writes.
    async fn settle(&mut self) -> Result<(), Stop> {
        self.staging.cancel_writes();
        while let Some(ended) = self.under_way.pop_front() {
            match self.staging.finish_write().await.outcome {
                Ok(()) => self.last = ended.cursor,
                // What is not committed is read again by the next run.
                Err(Error::Cancelled | Error::Cell { .. }) => {}
                Err(error) => return Err(stopped_by(error)),
            }
        }
        Ok(())
    }
}

/// What an error of the datasets means for the run.
pub fn stopped_by(error: datasets::Error) -> Stop {
    match error {
        datasets::Error::LeaseLost => Stop::LeaseLost,
        other => Failure::from(other).into(),
    }
}
