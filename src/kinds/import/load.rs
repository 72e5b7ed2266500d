//! Runs an import: opens its file, finds its columns, and passes what it reads to the [`writer`](super::writer).

use std::sync::Arc;

use tokio::sync::mpsc;

use super::super::rate_limiter::{RateLimits, rows_per_commit};
use super::columns::KnownColumns;
use super::records::{RecordBatch, RecordReader};
use super::source::growing::GrowingFile;
use super::spec::{FileIdentity, ImportCursor, ImportSpec, RejectsFile};
use super::writer::{ImportWriter, stopped_by};
use super::{Import, inspect, rejects, report, source};
use crate::access::Caller;
use crate::datasets::{Batch, Datasets, ImportPlan, PublishMode, Staging};
use crate::runner::{Context, Failure, StopReason};
use crate::task::{Code, ResultFile};

/// Maximum number of batches that are read ahead of the writer.
const AHEAD: usize = 2;

/// Loads the rest of the file into the staging. Returns the rejects file.
pub async fn run(import: &Import, context: &Context) -> Result<Option<ResultFile>, StopReason> {
    let spec: ImportSpec = context.spec()?;
    let failed = |cursor: &ImportCursor| cursor.exceeded.is_some() && cursor.rejects.is_some();
    if let Some(cursor) = context.cursor::<ImportCursor>()?.filter(failed) {
        let cursor = cursor.without_rejects();
        context.set_checkpoint(&cursor, report(&cursor))?;
    }
    context.may_act().await?;
    let (datasets, id, epoch) = (Arc::clone(&import.datasets), context.id(), context.epoch());
    let staged = context.uninterrupted(async move { datasets.staged_cursor(id, epoch).await }).await?;
    let cursor = staged.map_err(stopped_by)?.as_deref().map(parse_cursor).transpose()?;
    let source = source::open(import, context, &spec, cursor.as_ref()).await?;
    let resumed = cursor.is_some();
    let load = |text, file| {
        let (datasets, own, spec) = (Arc::clone(&import.datasets), context.clone(), spec.clone());
        // Continues after an abort: its writes in the database have ended when it returns.
        let loading =
            context.uninterrupted(async move { load_text(datasets.as_ref(), &own, &spec, text, file, resumed).await });
        async move { loading.await? }
    };
    source.read_with(context, &spec.csv, load).await
}

/// Loads the rows of `text`. `resumed`: an earlier run committed some.
async fn load_text(
    datasets: &dyn Datasets,
    context: &Context,
    spec: &ImportSpec,
    text: GrowingFile,
    file: FileIdentity,
    resumed: bool,
) -> Result<Option<ResultFile>, StopReason> {
    let mut records = open_records(datasets, context, spec, text, file, resumed).await?;
    let plan = ImportPlan { dataset: spec.dataset.clone(), mode: spec.mode, columns: records.columns().to_vec() };
    // After a termination, no newer epoch stops a run from making a staging.
    context.may_act().await?;
    let mut staging = datasets.stage(context.id(), context.epoch(), &plan).await.map_err(stopped_by)?;
    if let Some(text) = staging.cursor() {
        records = records.resume(parse_cursor(text)?)?;
    }
    let loaded = load_records(context, spec, staging.as_mut(), records).await;
    staging.close().await.map_err(stopped_by)?;
    let header = || rejects::header(&plan.columns, &spec.csv);
    match loaded {
        Ok(end) if end.rejected == 0 => Ok(None),
        Ok(_) => Ok(Some(rejects::file(&spec.dataset, seal_rejects(datasets, context, header()).await?))),
        Err(stop) => Err(keep_rejects(datasets, context, header(), stop).await?),
    }
}

/// Seals the rejects of an import with too many bad rows.
async fn keep_rejects(
    datasets: &dyn Datasets,
    context: &Context,
    header: Vec<u8>,
    stop: StopReason,
) -> Result<StopReason, StopReason> {
    if !matches!(stop, StopReason::Failed(_)) {
        return Ok(stop);
    }
    let cursor = staged_cursor(datasets, context).await?;
    if cursor.is_some_and(|cursor| cursor.exceeded.is_some()) {
        seal_rejects(datasets, context, header).await?;
    }
    Ok(stop)
}

/// Seals the rejects, and adds the file to the cursor.
async fn seal_rejects(datasets: &dyn Datasets, context: &Context, header: Vec<u8>) -> Result<RejectsFile, StopReason> {
    let file = rejects::stage(context, datasets, header).await?;
    if let Some(mut cursor) = staged_cursor(datasets, context).await? {
        cursor.rejects = Some(file.clone());
        context.set_checkpoint(&cursor, report(&cursor))?;
    }
    Ok(file)
}

async fn staged_cursor(datasets: &dyn Datasets, context: &Context) -> Result<Option<ImportCursor>, StopReason> {
    let cursor = datasets.staged_cursor(context.id(), context.epoch()).await.map_err(stopped_by)?;
    Ok(cursor.as_deref().map(parse_cursor).transpose()?)
}

/// Parses the cursor of a staging.
pub fn parse_cursor(text: &str) -> Result<ImportCursor, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::permanent(Code::Internal, format!("The stored cursor {text} is invalid: {error}.")))
}

/// Opens the text at its first row, if it is CSV.
async fn open_records(
    datasets: &dyn Datasets,
    context: &Context,
    spec: &ImportSpec,
    text: GrowingFile,
    file: FileIdentity,
    resumed: bool,
) -> Result<RecordReader, StopReason> {
    let existing = match spec.mode {
        PublishMode::Append => {
            datasets.get(&Caller::system(), &spec.dataset).await.map_err(stopped_by)?.map(|dataset| dataset.columns)
        }
        PublishMode::Create | PublishMode::Replace => None,
    };
    let spec = spec.clone();
    let opened = context.blocking(move || {
        let known = KnownColumns { requested: &spec.columns, existing: existing.as_deref() };
        let start = inspect::first_record(&text, &spec.csv, &known, resumed)?;
        let mut records = RecordReader::open(text, file, spec.csv, start)?;
        records.set_columns(&known, spec.infer_types)?;
        records.set_bad_rows(spec.bad_rows);
        Ok::<_, Failure>(records)
    });
    tokio::select! {
        biased;
        stop = context.stopped() => Err(stop),
        opened = opened => Ok(opened??),
    }
}

/// Loads to the end of the file. Returns the cursor there.
async fn load_records(
    context: &Context,
    spec: &ImportSpec,
    staging: &mut dyn Staging,
    records: RecordReader,
) -> Result<ImportCursor, StopReason> {
    let start = records.cursor().clone();
    // Written with the first rows, which follow at once.
    context.set_checkpoint(&start, report(&start))?;
    context.check_stop()?;
    let unlimited = staging.rows_per_write();
    let (recycle, recycled) = mpsc::channel(AHEAD + 1 + staging.write_slots());
    let (sender, batches) = mpsc::channel(AHEAD);
    let writer = ImportWriter::new(context, spec, staging, &records, recycle);
    let width = records.columns().len();
    let reader = context.clone();
    let sizes = BatchSizes { limits: RateLimits::new(context, spec.max_rows_per_second), unlimited };
    let reading = context.blocking(move || read_ahead(&reader, records, &sizes, width, &sender, recycled));
    // The writer owns the receiver, so that the reader ends with it.
    let (read, written) = tokio::join!(reading, writer.run(batches));
    read?;
    written
}

/// Sizes of the batches, by the rate limit as it is.
struct BatchSizes {
    limits: RateLimits,
    /// Number of rows without a limit.
    unlimited: usize,
}

/// Reads ahead until the file ends, the run must stop, or the writer has ended.
fn read_ahead(
    context: &Context,
    mut records: RecordReader,
    sizes: &BatchSizes,
    width: usize,
    batches: &mpsc::Sender<Result<RecordBatch, StopReason>>,
    mut recycled: mpsc::Receiver<Batch>,
) {
    loop {
        let mut rows = recycled.try_recv().unwrap_or_else(|_| Batch::new(width));
        rows.clear();
        match sizes.limits.current() {
            Some(rate) => records.limit_batch(usize::try_from(rows_per_commit(rate)).unwrap_or(usize::MAX)),
            None => records.grow_batches(sizes.unlimited),
        }
        let Some(batch) = records.next(rows, || context.check_stop()).transpose() else { return };
        let failed = batch.is_err();
        if batches.blocking_send(batch).is_err() || failed {
            return;
        }
    }
}
