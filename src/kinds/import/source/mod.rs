//! Where a file's bytes come from, and the text that is read of them.
//!
//! A file of plain UTF-8 on this machine is read where it lies. What is fetched ([`fetch`]), packed or in another encoding
//! ([`decode`]) goes into files of the task's folder ([`spool`]), which are read while they fill.

mod decode;
mod fetch;
pub mod input;
mod local;
mod reply;
mod spool;
mod unpack;

use std::convert::Infallible;
use std::future::pending;
use std::io;

pub use local::below;

use self::decode::Form;
use self::fetch::Fetch;
use self::input::Input;
use self::spool::Spool;
use super::Import;
use super::spec::{Cursor, Format, Identity, Source, Spec};
use crate::runner::{Context, Failure, Stop};

/// A file, perhaps still on its way here.
pub struct Opened {
    raw: Input,
    identity: Identity,
    fetch: Option<Fetch>,
    limit: u64,
}

/// Finds the file. `begun` is how far the import came before.
pub async fn open(import: &Import, context: &Context, spec: &Spec, begun: Option<&Cursor>) -> Result<Opened, Stop> {
    let limit = import.limit;
    if let Source::Url(url) = &spec.source {
        let (spool, identity, fetch) = Fetch::open(import, context, url, begun).await?;
        return Ok(Opened { raw: spool, identity, fetch, limit });
    }
    let (source, files, folder) = (spec.source.clone(), context.files().clone(), import.folder.clone());
    let (raw, identity) = context.blocking(move || local::open(&source, &files, folder.as_deref())).await??;
    Ok(Opened { raw, identity, fetch: None, limit })
}

impl Opened {
    /// Gives the text to `rows`, and fills what is not there yet while that runs. When it answers nothing fills any more.
    pub async fn beside<T, F>(
        self,
        context: &Context,
        format: &Format,
        rows: impl FnOnce(Input, Identity) -> F,
    ) -> Result<T, Stop>
    where
        F: Future<Output = Result<T, Stop>>,
    {
        let Opened { raw, identity, fetch, limit } = self;
        let _halt = Halt(raw.clone());
        let stopping = halted_at_stop(context, raw.clone());
        let fetching = async {
            if let Some(fetch) = fetch {
                fetch.run(context).await;
            }
            pending::<Infallible>().await
        };
        let reading = async {
            let form = form(context, &raw, format).await?;
            if form.is_plain() {
                return rows(raw, identity).await;
            }
            let spool = spool(context, &identity, limit).await?;
            let text = spool.input().clone();
            let _halt = Halt(text.clone());
            let stopping = halted_at_stop(context, text.clone());
            form.name(&text);
            let decoding = async {
                if text.size().is_some() {
                    return pending::<Infallible>().await;
                }
                // A thread that panicked tells nobody by itself.
                if let Err(failure) = context.blocking(move || decode::decode(&raw, form, spool)).await {
                    text.fail(failure);
                }
                pending::<Infallible>().await
            };
            tokio::select! {
                outcome = rows(text.clone(), identity) => outcome,
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

/// Calls reading off when it is dropped: whoever waits for more of the file, wakes.
struct Halt(Input);

impl Drop for Halt {
    fn drop(&mut self) {
        self.0.halt();
    }
}

/// Who waits for more of the file hears at once that the run must stop.
async fn halted_at_stop(context: &Context, input: Input) -> Infallible {
    context.stopped().await;
    input.halt();
    pending().await
}

async fn form(context: &Context, raw: &Input, format: &Format) -> Result<Form, Stop> {
    let (raw, label) = (raw.clone(), format.encoding.clone());
    tokio::select! {
        biased;
        stop = context.stopped() => Err(stop),
        form = context.blocking(move || Form::of(&raw, label.as_deref())) => Ok(form??),
    }
}

async fn spool(context: &Context, identity: &Identity, limit: u64) -> Result<Spool, Failure> {
    let (folder, identity) = (context.work().await?, identity.clone());
    context.blocking(move || Spool::open(&folder, "plain", &identity, limit)).await?
}

/// What kept the file from being read: the reason why it will not become whole, where that is it.
pub fn unreadable(error: &io::Error) -> Failure {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>());
    told.cloned().unwrap_or_else(|| Failure::io("its file", error))
}
