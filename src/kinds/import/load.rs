//! The run of an import: its file is opened, its columns are found, and what is read goes to the [`writer`](super::writer).

use std::sync::Arc;

use tokio::sync::mpsc;

use super::brake::per_commit;
use super::columns::Wanted;
use super::records::{Piece, Records};
use super::source::input::Input;
use super::spec::{Cursor, Identity, Spec};
use super::writer::{Writer, stopped_by};
use super::{Import, inspect, rejects, report, source};
use crate::datasets::{Batch, Datasets, ImportPlan, PublishMode, Staging};
use crate::runner::{Context, Failure, Stop};
use crate::task::{Code, ResultFile};

/// Batches that are read ahead of the writer.
const AHEAD: usize = 2;

/// Loads the rest of the file into the staging, and answers the file of rejects.
pub async fn run(import: &Import, context: &Context) -> Result<Option<ResultFile>, Stop> {
    let spec: Spec = context.spec()?;
    if let Some(cursor) = context.cursor::<Cursor>()?.filter(|cursor| cursor.rejects.is_some()) {
        let cursor = cursor.afresh();
        context.note(&cursor, report(&cursor))?;
    }
    let (datasets, id, epoch) = (Arc::clone(&import.datasets), context.id(), context.epoch());
    let begun = context.uninterrupted(async move { datasets.staged_cursor(id, epoch).await }).await?;
    let begun = begun.map_err(stopped_by)?.as_deref().map(parse).transpose()?;
    let source = source::open(import, context, &spec, begun.as_ref()).await?;
    let has_begun = begun.is_some();
    let rows = |text, file| {
        let (datasets, own, spec) = (Arc::clone(&import.datasets), context.clone(), spec.clone());
        // An abort does not end it: what it began in the database has ended when it returns.
        let loading =
            context.uninterrupted(async move { rows(datasets.as_ref(), &own, &spec, text, file, has_begun).await });
        async move { loading.await? }
    };
    source.beside(context, &spec.csv, rows).await
}

/// Loads the rows of `text`.
async fn rows(
    datasets: &dyn Datasets,
    context: &Context,
    spec: &Spec,
    text: Input,
    file: Identity,
    begun: bool,
) -> Result<Option<ResultFile>, Stop> {
    let mut records = open(datasets, context, spec, text, file, begun).await?;
    let plan = ImportPlan { dataset: spec.dataset.clone(), mode: spec.mode, columns: records.columns().to_vec() };
    let mut staging = datasets.stage(context.id(), context.epoch(), &plan).await.map_err(stopped_by)?;
    if let Some(text) = staging.cursor() {
        records = records.resume(parse(text)?)?;
    }
    match spec.max_rows_per_second {
        Some(rate) => records.limit_batch(per_commit(rate)),
        None => records.grow_batches(staging.rows_per_write()),
    }
    let loaded = load(context, spec, staging.as_mut(), records).await;
    staging.close().await.map_err(stopped_by)?;
    let header = || rejects::header(&plan.columns, &spec.csv);
    match loaded {
        Ok(end) if end.rejected == 0 => Ok(None),
        Ok(_) => Ok(Some(rejects::file(&spec.dataset, rejects::seal(context, datasets, header()).await?))),
        Err(stop) => Err(keep_rejects(datasets, context, header(), stop).await?),
    }
}

/// Seals the rejects of an import that has more bad rows than it may, and notes the file with the cursor.
async fn keep_rejects(datasets: &dyn Datasets, context: &Context, header: Vec<u8>, stop: Stop) -> Result<Stop, Stop> {
    if !matches!(stop, Stop::Failed(_)) {
        return Ok(stop);
    }
    let cursor = datasets.staged_cursor(context.id(), context.epoch()).await.map_err(stopped_by)?;
    let Some(mut cursor) = cursor.as_deref().map(parse).transpose()?.filter(|cursor| cursor.exceeded.is_some()) else {
        return Ok(stop);
    };
    cursor.rejects = Some(rejects::seal(context, datasets, header).await?);
    context.note(&cursor, report(&cursor))?;
    Ok(stop)
}

/// The cursor in a staging.
pub fn parse(text: &str) -> Result<Cursor, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::permanent(Code::Internal, format!("its cursor {text}: {error}")))
}

/// Opens the text at its first row, if it is CSV; `begun`: rows of it are imported already.
async fn open(
    datasets: &dyn Datasets,
    context: &Context,
    spec: &Spec,
    text: Input,
    file: Identity,
    begun: bool,
) -> Result<Records, Stop> {
    let present = match spec.mode {
        PublishMode::Append => datasets.get(&spec.dataset).await.map_err(stopped_by)?.map(|dataset| dataset.columns),
        PublishMode::Create | PublishMode::Replace => None,
    };
    let spec = spec.clone();
    let opened = context.blocking(move || {
        let wanted = Wanted { asked: &spec.columns, present: present.as_deref() };
        let start = inspect::begin(&text, &spec.csv, &wanted, begun)?;
        let mut records = Records::open(text, file, spec.csv, start)?;
        records.lay_out(&wanted, spec.infer_types)?;
        records.treat_bad_rows(spec.bad_rows);
        Ok::<_, Failure>(records)
    });
    tokio::select! {
        biased;
        stop = context.stopped() => Err(stop),
        opened = opened => Ok(opened??),
    }
}

/// Loads to the end, and answers the cursor there.
async fn load(context: &Context, spec: &Spec, staging: &mut dyn Staging, records: Records) -> Result<Cursor, Stop> {
    let start = records.cursor().clone();
    // Told with the first rows, which come at once.
    context.note(&start, report(&start))?;
    context.check_stop()?;
    let (spare, spares) = mpsc::channel(AHEAD + 1 + staging.write_slots());
    let (pieces, inbox) = mpsc::channel(AHEAD);
    let writer = Writer::new(context, spec, staging, &records, spare);
    let width = records.columns().len();
    let reader = context.clone();
    let reading = context.blocking(move || read(&reader, records, width, &pieces, spares));
    // The writer owns its end of the channel, so that the reader ends with it.
    let (read, written) = tokio::join!(reading, writer.run(inbox));
    read?;
    written
}

/// Reads ahead until the file ends, the run is to stop, or the writer has gone.
fn read(
    context: &Context,
    mut records: Records,
    width: usize,
    pieces: &mpsc::Sender<Result<Piece, Stop>>,
    mut spares: mpsc::Receiver<Batch>,
) {
    loop {
        let mut batch = spares.try_recv().unwrap_or_else(|_| Batch::new(width));
        batch.clear();
        let Some(piece) = records.next(batch, || context.check_stop()).transpose() else { return };
        let failed = piece.is_err();
        if pieces.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}
