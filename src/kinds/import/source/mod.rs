//! Opens the source of an import: its bytes, and the text that they decode to.
//!
//! A local file in plain UTF-8 is read in place. Downloads ([`download`]), compressed files and other encodings ([`decode`]) go to
//! files in the task's folder ([`spool`]), which are read while they grow. What another node began is read where it is ([`remote`]).

mod decode;
mod decompress;
mod download;
mod failure;
pub mod growing;
mod local;
mod ranged_blob;
mod ranged_url;
mod remote;
mod reply;
mod spool;
mod transfer;

use std::convert::Infallible;
use std::future::pending;

pub use failure::read_failure;
pub use local::below;

use self::decode::SourceFormat;
use self::download::Download;
use self::growing::GrowingFile;
use self::spool::Spool;
use super::Import;
use super::spec::{CsvFormat, FileIdentity, FileSource, ImportCursor, ImportSpec};
use crate::runner::{Context, Failure, StopReason};

/// An opened source. May still be downloading.
pub struct OpenedSource {
    raw: GrowingFile,
    identity: FileIdentity,
    download: Option<Download>,
    limit: u64,
}

/// Opens the source. `cursor` is that of an earlier run.
pub async fn open(
    import: &Import,
    context: &Context,
    spec: &ImportSpec,
    cursor: Option<&ImportCursor>,
) -> Result<OpenedSource, StopReason> {
    let limit = import.limit;
    if let FileSource::Url(url) = &spec.source {
        let (raw, identity, download) = Download::open(import, context, url, cursor).await?;
        return Ok(OpenedSource { raw, identity, download, limit });
    }
    let (raw, identity) = local::open(context, &spec.source, import.folder.clone()).await?;
    Ok(OpenedSource { raw, identity, download: None, limit })
}

impl OpenedSource {
    /// Calls `load` with the text. Downloads and decodes meanwhile. Both have ended when this returns.
    pub async fn read_with<T, F>(
        self,
        context: &Context,
        format: &CsvFormat,
        load: impl FnOnce(GrowingFile, FileIdentity) -> F,
    ) -> Result<T, StopReason>
    where
        F: Future<Output = Result<T, StopReason>>,
    {
        let OpenedSource { raw, identity, download, limit } = self;
        let _cancel = CancelReading(raw.clone());
        let stopping = cancel_when_stopped(context, raw.clone());
        let downloading = async {
            if let Some(download) = download {
                download.run(context).await;
            }
            pending::<Infallible>().await
        };
        let reading = async {
            let source_format = detect_format(context, &raw, format).await?;
            if source_format.is_plain() {
                return load(raw, identity).await;
            }
            let spool = open_text_spool(context, &identity, limit).await?;
            decode_with(context, raw, source_format, spool, |text| load(text, identity)).await
        };
        tokio::select! {
            outcome = reading => outcome,
            never = downloading => match never {},
            never = stopping => match never {},
        }
    }
}

/// Calls `load` with the text that is decoded into `spool`. Decodes meanwhile.
async fn decode_with<T, F>(
    context: &Context,
    raw: GrowingFile,
    source_format: SourceFormat,
    spool: Spool,
    load: impl FnOnce(GrowingFile) -> F,
) -> Result<T, StopReason>
where
    F: Future<Output = Result<T, StopReason>>,
{
    let text = spool.input().clone();
    let _cancel = CancelReading(text.clone());
    let stopping = cancel_when_stopped(context, text.clone());
    source_format.set_encoding(&text);
    let decoding = async {
        if text.size().is_some() {
            return pending::<Infallible>().await;
        }
        // A thread that panics does not end the text.
        if let Err(failure) = context.blocking(move || decode::decode(&raw, source_format, spool)).await {
            text.fail(failure);
        }
        pending::<Infallible>().await
    };
    tokio::select! {
        outcome = load(text.clone()) => outcome,
        never = decoding => match never {},
        never = stopping => match never {},
    }
}

/// Cancels reading when dropped: whoever waits for more of the file wakes up.
struct CancelReading(GrowingFile);

impl Drop for CancelReading {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Cancels reading as soon as the run must stop.
async fn cancel_when_stopped(context: &Context, input: GrowingFile) -> Infallible {
    context.stopped().await;
    input.cancel();
    pending().await
}

async fn detect_format(context: &Context, raw: &GrowingFile, format: &CsvFormat) -> Result<SourceFormat, StopReason> {
    let (raw, label) = (raw.clone(), format.encoding.clone());
    tokio::select! {
        biased;
        stop = context.stopped() => Err(stop),
        form = context.blocking(move || SourceFormat::detect(&raw, label.as_deref())) => Ok(form??),
    }
}

async fn open_text_spool(context: &Context, identity: &FileIdentity, limit: u64) -> Result<Spool, Failure> {
    let (scratch, identity) = (context.scratch(), identity.clone());
    context.blocking(move || Spool::open(&scratch, "plain", &identity, limit)).await?
}
