//! Opens the source of an import: its bytes, and the text that they decode to.
//!
//! A local file in plain UTF-8 is read in place. Downloads ([`download`]), compressed files and other encodings ([`decode`]) go to
//! files in the task's folder ([`spool`]), which are read while they grow.

mod decode;
mod decompress;
mod download;
pub mod growing;
mod local;
mod reply;
mod spool;

use std::convert::Infallible;
use std::future::pending;
use std::io;

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
    fetch: Option<Download>,
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
        let (spool, identity, fetch) = Download::open(import, context, url, cursor).await?;
        return Ok(OpenedSource { raw: spool, identity, fetch, limit });
    }
    let (source, files, folder) = (spec.source.clone(), context.files().clone(), import.folder.clone());
    let (raw, identity) = context.blocking(move || local::open(&source, &files, folder.as_deref())).await??;
    Ok(OpenedSource { raw, identity, fetch: None, limit })
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
        let OpenedSource { raw, identity, fetch, limit } = self;
        let _halt = CancelReading(raw.clone());
        let stopping = cancel_when_stopped(context, raw.clone());
        let fetching = async {
            if let Some(fetch) = fetch {
                fetch.run(context).await;
            }
            pending::<Infallible>().await
        };
        let reading = async {
            let form = detect_format(context, &raw, format).await?;
            if form.is_plain() {
                return load(raw, identity).await;
            }
            let spool = open_text_spool(context, &identity, limit).await?;
            let text = spool.input().clone();
            let _halt = CancelReading(text.clone());
            let stopping = cancel_when_stopped(context, text.clone());
            form.set_encoding(&text);
            let decoding = async {
                if text.size().is_some() {
                    return pending::<Infallible>().await;
                }
                // A thread that panics does not end the text.
                if let Err(failure) = context.blocking(move || decode::decode(&raw, form, spool)).await {
                    text.fail(failure);
                }
                pending::<Infallible>().await
            };
            tokio::select! {
                outcome = load(text.clone(), identity) => outcome,
                never = decoding => match never {},
                never = stopping => match never {},
            }
        };
        tokio::select! {
            outcome = reading => outcome,
            never = fetching => match never {},
            never = stopping => match never {},
        }
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
    let (folder, identity) = (context.work().await?, identity.clone());
    context.blocking(move || Spool::open(&folder, "plain", &identity, limit)).await?
}

/// Returns the failure of a read. If the file cannot become complete, that is the reason.
pub fn read_failure(error: &io::Error) -> Failure {
    let failure = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    failure.cloned().unwrap_or_else(|| Failure::io("the file", error))
}
