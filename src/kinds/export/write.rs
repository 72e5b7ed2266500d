//! Writing what is read: piece after piece, with a sync to disk under way beside it; what is synced is reported.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::output::{Output, lost};
use super::pieces::{Piece, Source};
use super::spec::{Cursor, Spec};
use crate::clock::Clock;
use crate::runner::{Context, Failure, Report, Stop};

/// From the begin of a sync to that of the next one at least.
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// Pieces that wait for the writer.
const WAITING: usize = 1;

/// The file and how far it is known to be on disk.
pub struct Writing<'a> {
    context: &'a Context,
    total: u64,
    output: Option<Output>,
    /// How far the file is written.
    ahead: Cursor,
    /// How far it is synced.
    safe: Cursor,
    syncing: Option<BoxFuture<'a, Result<Cursor, Failure>>>,
    next_sync: Instant,
    brake: Option<Brake>,
}

impl<'a> Writing<'a> {
    /// Goes on with a file that is synced as far as `cursor` says; `total` rows are to be in it.
    pub fn new(context: &'a Context, spec: &Spec, cursor: Cursor, total: u64, output: Output) -> Writing<'a> {
        let brake = spec.max_rows_per_second.map(|rate| Brake::new(rate, cursor.rows));
        let (ahead, next_sync) = (cursor.clone(), Clock::monotonic());
        Writing { context, total, output: Some(output), ahead, safe: cursor, syncing: None, next_sync, brake }
    }

    /// Writes all pieces of the source. What was begun has ended when it returns.
    pub async fn run(&mut self, source: &Source) -> Result<(), Stop> {
        let (to, pieces) = mpsc::channel(WAITING);
        let reading = source.pieces(self.context, self.ahead.read, to);
        let writing = async {
            let written = self.take(pieces).await;
            if written.is_err() {
                source.stop();
            }
            written
        };
        let (read, written) = tokio::join!(reading, writing);
        if let Some(syncing) = self.syncing.take() {
            self.safe = syncing.await?;
            self.context.note(&self.safe, self.report())?;
        }
        written?;
        Ok(read?)
    }

    /// The file and how far it is written.
    pub fn end(self) -> Result<(Cursor, Output), Failure> {
        let output = self.output.ok_or_else(gone)?;
        Ok((Cursor { file: output.written(), ..self.ahead }, output))
    }

    /// The pieces own their end of the channel here, so that the reader ends with the writer.
    async fn take(&mut self, mut pieces: mpsc::Receiver<Piece>) -> Result<(), Stop> {
        self.context.checkpoint(&self.safe, self.report()).await?;
        loop {
            self.begin_sync();
            let free = self.brake.as_ref().map_or(Duration::ZERO, |brake| brake.wait(self.ahead.rows));
            let due = self.next_sync.saturating_duration_since(Clock::monotonic());
            let waits = self.syncing.is_none() && self.ahead.read != self.safe.read;
            tokio::select! {
                biased;
                stop = self.context.stopped() => return Err(stop),
                synced = ended(&mut self.syncing) => {
                    self.safe = synced?;
                    self.context.checkpoint(&self.safe, self.report()).await?;
                }
                () = tokio::time::sleep(free), if !free.is_zero() => {}
                piece = pieces.recv(), if free.is_zero() => match piece {
                    Some(piece) => self.add(piece).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(due), if waits => {}
            }
        }
    }

    async fn add(&mut self, piece: Piece) -> Result<(), Failure> {
        let output = self.output.take().ok_or_else(gone)?;
        let output = output.add(self.context, piece.packed).await?;
        self.ahead.read = piece.read;
        self.ahead.rows += piece.rows;
        self.output = Some(output);
        Ok(())
    }

    /// Begins a sync of what is written, where one is due and none is under way.
    fn begin_sync(&mut self) {
        let Some(output) = &self.output else { return };
        let now = Clock::monotonic();
        if self.syncing.is_some() || now < self.next_sync || self.ahead.read == self.safe.read {
            return;
        }
        self.next_sync = now + SYNC_EVERY;
        let (file, context) = (output.file(), self.context);
        let cursor = Cursor { file: output.written(), ..self.ahead.clone() };
        let syncing = context.blocking(move || file.sync_data());
        self.syncing = Some(Box::pin(async move {
            syncing.await?.map_err(lost)?;
            Ok(cursor)
        }));
    }

    fn report(&self) -> Report {
        Report { phase: "exporting", done: self.safe.rows, total: Some(self.total) }
    }
}

/// A write failed before.
fn gone() -> Failure {
    Failure::internal("the exported file was closed after an error")
}

/// Waits for the sync that is under way; for ever where there is none.
async fn ended(syncing: &mut Option<BoxFuture<'_, Result<Cursor, Failure>>>) -> Result<Cursor, Failure> {
    let Some(under_way) = syncing.as_mut() else { return std::future::pending().await };
    let synced = under_way.await;
    *syncing = None;
    synced
}

/// Holds an export to its rows a second.
struct Brake {
    rate: f64,
    from: Instant,
    rows: u64,
}

impl Brake {
    fn new(rate: f64, rows: u64) -> Brake {
        Brake { rate, from: Clock::monotonic(), rows }
    }

    /// How long nothing may follow `rows`.
    fn wait(&self, rows: u64) -> Duration {
        let seconds = rows.saturating_sub(self.rows) as f64 / self.rate;
        let after = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        after.saturating_sub(self.from.elapsed())
    }
}
