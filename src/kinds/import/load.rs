//! Writing what is read: batch after batch, each with the cursor behind it in one transaction.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::columns::Wanted;
use super::records::{Piece, Place, Records};
use super::spec::{Cursor, Spec};
use super::{Import, rejects, report, source};
use crate::clock::Clock;
use crate::datasets::{self, Batch, Mark, Mode, Plan, Staging};
use crate::runner::{Context, Failure, Stop};
use crate::task::ResultFile;

/// Batches that are read ahead of the writer.
const AHEAD: usize = 2;

/// Commits a second that a slowed import still makes, so that its progress is smooth and its pause quick.
const COMMITS_PER_SECOND: f64 = 10.0;

/// Loads the rest of the file into the staging, and answers the file of rejects.
pub async fn run(import: &Import, context: &Context) -> Result<Option<ResultFile>, Stop> {
    let spec: Spec = context.spec()?;
    let mut records = open(import, context, &spec).await?;
    let plan = Plan { dataset: spec.dataset.clone(), mode: spec.mode, columns: records.columns().to_vec() };
    let mut staging = import.datasets.stage(context.id(), context.epoch(), &plan).await.map_err(stopped_by)?;
    if let Some(text) = staging.cursor() {
        records = records.resume(parse(text)?)?;
    }
    if let Some(rate) = spec.max_rows_per_second {
        records.limit_batch(per_commit(rate));
    }
    let loaded = load(context, &spec, staging.as_mut(), records).await;
    staging.close().await.map_err(stopped_by)?;
    if loaded?.rejected == 0 {
        return Ok(None);
    }
    let header = rejects::header(&plan.columns, &spec.csv);
    Ok(Some(rejects::seal(context, import.datasets.as_ref(), &spec.dataset, header).await?))
}

/// The cursor in a staging.
pub fn parse(text: &str) -> Result<Cursor, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::permanent("INTERNAL", format!("its cursor {text}: {error}")))
}

async fn open(import: &Import, context: &Context, spec: &Spec) -> Result<Records, Failure> {
    let present = match spec.mode {
        Mode::Append => import.datasets.get(&spec.dataset).await?.map(|dataset| dataset.columns),
        Mode::Create | Mode::Replace => None,
    };
    let (files, folder, spec) = (context.files().clone(), import.folder.clone(), spec.clone());
    let opened = context.blocking(move || {
        let (input, identity) = source::open(&spec.source, &files, folder.as_deref())?;
        let mut records = Records::open(input, identity, spec.csv)?;
        records.lay_out(&Wanted { asked: &spec.columns, present: present.as_deref() }, spec.infer_types)?;
        records.treat_bad_rows(spec.bad_rows);
        Ok(records)
    });
    opened.await?
}

/// Loads to the end, and answers the cursor there.
async fn load(context: &Context, spec: &Spec, staging: &mut dyn Staging, records: Records) -> Result<Cursor, Stop> {
    let mut last = records.cursor().clone();
    context.checkpoint(&last, report(&last)).await?;
    let mut brake = spec.max_rows_per_second.map(|rate| Brake::new(rate, last.rows));
    let (spare, spares) = mpsc::channel(AHEAD + 1);
    let (pieces, mut inbox) = mpsc::channel(AHEAD);
    let width = records.columns().len();
    let reading = context.blocking(move || read(records, width, &pieces, spares));
    let writing = async move {
        while let Some(piece) = next(context, &mut inbox).await? {
            let Piece { batch, starts, rejects, cursor } = piece;
            let text = serde_json::to_string(&cursor).map_err(|error| Failure::internal(error.to_string()))?;
            let written = staging.write(batch, Mark { cursor: text, rejects }).await;
            let batch = written.map_err(|error| bad_cell(error, &starts))?;
            // The reader may have come to its end and want no more batches.
            let _ = spare.try_send(batch);
            context.checkpoint(&cursor, report(&cursor)).await?;
            if let Some(brake) = &mut brake {
                brake.wait(cursor.rows, context).await?;
            }
            last = cursor;
        }
        Ok(last)
    };
    // The writer owns its end of the channel, so that the reader ends with it.
    let (read, written) = tokio::join!(reading, writing);
    read?;
    written
}

/// The next piece, unless the run must stop.
async fn next(context: &Context, inbox: &mut mpsc::Receiver<Result<Piece, Failure>>) -> Result<Option<Piece>, Stop> {
    tokio::select! {
        biased;
        stop = context.stopped() => Err(stop),
        piece = inbox.recv() => Ok(piece.transpose()?),
    }
}

/// Reads ahead until the file ends or the writer has gone.
fn read(
    mut records: Records,
    width: usize,
    pieces: &mpsc::Sender<Result<Piece, Failure>>,
    mut spares: mpsc::Receiver<Batch>,
) {
    loop {
        let mut batch = spares.try_recv().unwrap_or_else(|_| Batch::new(width));
        batch.clear();
        let Some(piece) = records.next(batch).transpose() else { return };
        let failed = piece.is_err();
        if pieces.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

fn per_commit(rate: f64) -> usize {
    // A float that is too large becomes the largest number; the batch has its own limit.
    (rate / COMMITS_PER_SECOND) as usize
}

/// Holds an import to its rows a second.
struct Brake {
    rate: f64,
    from: Instant,
    rows: u64,
}

impl Brake {
    fn new(rate: f64, rows: u64) -> Brake {
        Brake { rate, from: Clock::monotonic(), rows }
    }

    /// Waits until `rows` may have been written.
    async fn wait(&mut self, rows: u64, context: &Context) -> Result<(), Stop> {
        let seconds = rows.saturating_sub(self.rows) as f64 / self.rate;
        let Ok(after) = Duration::try_from_secs_f64(seconds) else { return Ok(()) };
        let left = after.saturating_sub(self.from.elapsed());
        tokio::select! {
            stop = context.stopped() => Err(stop),
            () = tokio::time::sleep(left) => Ok(()),
        }
    }
}

fn stopped_by(error: datasets::Error) -> Stop {
    match error {
        datasets::Error::LeaseLost => Stop::LeaseLost,
        other => Failure::from(other).into(),
    }
}

fn bad_cell(error: datasets::Error, starts: &[Place]) -> Stop {
    match error {
        datasets::Error::Cell { row, column, reason } => {
            let line = starts.get(row).map_or(0, |start| start.line);
            Failure::input(format!("about line {line}, column {column:?}: {reason}")).into()
        }
        other => stopped_by(other),
    }
}
