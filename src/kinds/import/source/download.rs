//! Downloads a file from a URL into the task's folder. An interrupted download is resumed.
//!
//! By RFC 9110: the rest is requested by Range, with an If-Range of the strong ETag or Last-Modified, so that only the same version is
//! resumed. If the server sends no such version or no parts, the file is downloaded again, and its bytes must equal those that
//! exist already. A node that has no copy of what another one began reads the version from the checkpoint on ([`RangedUrl`]).

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::Import;
use super::super::spec::{FileIdentity, ImportCursor};
use super::growing::GrowingFile;
use super::ranged_url::RangedUrl;
use super::reply::{self, DownloadStart};
use super::spool::{self, BATCH, Spool};
use super::transfer::{DownloadError, retry_delay};
use crate::files::TaskScratch;
use crate::runner::{Context, Failure, StopReason};
use outbound::{CheckedUrl, Outbound, Reply, RequestError};

/// Maximum time that bytes wait for more before they go to disk.
const GATHER_TIME: Duration = Duration::from_millis(50);

/// Name of the file with the version of the download.
const VERSION_FILE: &str = "version";

/// A download that is not complete.
pub struct Download {
    outbound: Outbound,
    address: CheckedUrl,
    identity: FileIdentity,
    spool: Spool,
    start: Option<DownloadStart>,
    limit: u64,
}

impl Download {
    /// Resumes the download of an earlier run, or begins one. Returns no download if the file is complete.
    ///
    /// # Errors
    /// A URL that is not allowed or does not exist, or a server that is unavailable for too long.
    pub async fn open(
        import: &Import,
        context: &Context,
        url: &str,
        cursor: Option<&ImportCursor>,
    ) -> Result<(GrowingFile, FileIdentity, Option<Download>), StopReason> {
        let outbound = import.outbound.clone();
        let address = outbound.check_url(url).map_err(|refused| Failure::input(refused.to_string()))?;
        let limit = import.limit;
        let known = match cursor {
            Some(cursor) => Some(cursor.file.clone()),
            None => stored_version(context).await?,
        };
        if let Some(identity) = known {
            let spool = open_spool(context, &identity, limit).await?;
            let complete = spool.input().size().is_some();
            if cursor.is_some() && spool.synced() == 0 && !complete && reply::is_from_server(&identity) {
                return Ok((take_over(context, &outbound, &address, &identity, limit).await?, identity, None));
            }
            let mut download = Download { outbound, address, identity, spool, start: None, limit };
            if cursor.is_none() && !complete {
                download = download.begin(context).await?;
            }
            return Ok((download.spool.input().clone(), download.identity.clone(), (!complete).then_some(download)));
        }
        let identity = FileIdentity { size: 0, modified: 0, version: None };
        let spool = open_spool(context, &identity, limit).await?;
        let download = Download { outbound, address, identity, spool, start: None, limit };
        let download = download.begin(context).await?;
        Ok((download.spool.input().clone(), download.identity.clone(), Some(download)))
    }

    /// Sends the first request, before a row is read: until then a newer version may replace what is downloaded.
    async fn begin(mut self, context: &Context) -> Result<Download, StopReason> {
        let mut attempts = 0;
        let start = loop {
            let response = tokio::select! {
                biased;
                stop = context.stopped() => return Err(stop),
                response = self.request() => response,
            };
            match response {
                Ok(start) => break start,
                Err(error) => wait_before_retry(context, error, &mut attempts).await?,
            }
        };
        if self.spool.synced() == 0 || !start.is_same_version(&self.identity, self.spool.synced()) {
            self.identity = start.identity();
            let (scratch, identity, limit) = (context.scratch(), self.identity.clone(), self.limit);
            self.spool = context.blocking(move || start_over(&scratch, &identity, limit)).await??;
        }
        self.start = Some(start);
        Ok(self)
    }

    /// Downloads the file. Its readers get the error.
    pub async fn run(mut self, context: &Context) {
        let input = self.spool.input().clone();
        let mut attempts = 0;
        loop {
            let before = self.spool.synced();
            let error = match self.transfer(context).await {
                Ok(None) => return,
                Ok(Some((download, error))) => {
                    self = download;
                    error
                }
                Err(failure) => return input.fail(failure),
            };
            if self.spool.synced() > before {
                attempts = 0;
            }
            match wait_before_retry(context, error, &mut attempts).await {
                Ok(()) => {}
                Err(StopReason::Failed(failure)) => return input.fail(failure),
                // The run observes the stop itself.
                Err(_) => return,
            }
        }
    }

    /// Downloads until the file is complete (None), or the transfer is interrupted.
    async fn transfer(mut self, context: &Context) -> Result<Option<(Download, DownloadError)>, Failure> {
        let response = match self.start.take() {
            Some(start) => Ok(start),
            None => self.request().await,
        };
        let start = match response {
            Ok(start) => start,
            Err(error) => return Ok(Some((self, error))),
        };
        let verified = start.is_same_version(&self.identity, self.spool.synced());
        let DownloadStart::Body { mut reply, from, size, .. } = start else {
            let mut spool = self.spool;
            return context.blocking(move || spool.finish()).await?.map(|()| None);
        };
        self.spool.resume_at(from);
        let (mut batch, mut end) = gather(&mut reply).await;
        loop {
            let more = end.is_none();
            let mut spool = self.spool;
            let write =
                context.blocking(move || write_batch(&mut spool, &batch, verified, size, !more).map(|()| spool));
            let gathered = async { if more { gather(&mut reply).await } else { (Vec::new(), None) } };
            let (written, next) = tokio::join!(write, gathered);
            self.spool = written??;
            match end {
                Some(Ok(())) => {
                    let mut spool = self.spool;
                    return context.blocking(move || spool.finish()).await?.map(|()| None);
                }
                Some(Err(failed)) => return Ok(Some((self, failed.into()))),
                None => (batch, end) = next,
            }
        }
    }

    async fn request(&self) -> Result<DownloadStart, DownloadError> {
        let at = self.spool.synced();
        reply::request(&self.outbound, &self.address, &self.identity, at, self.limit).await
    }
}

/// Returns the next bytes of the body, as many as come soon, and the result if the body ended.
async fn gather(reply: &mut Reply) -> (Vec<u8>, Option<Result<(), RequestError>>) {
    let mut batch = Vec::new();
    let mut due = None;
    while batch.len() < BATCH {
        let chunk = match due {
            None => reply.chunk().await,
            Some(due) => match timeout_at(due, reply.chunk()).await {
                Ok(chunk) => chunk,
                Err(_) => break,
            },
        };
        match chunk {
            Ok(Some(bytes)) => batch.extend_from_slice(&bytes),
            Ok(None) => return (batch, Some(Ok(()))),
            Err(failed) => return (batch, Some(Err(failed))),
        }
        due = due.or_else(|| Some(Instant::now() + GATHER_TIME));
    }
    (batch, None)
}

/// Writes bytes. If the version is not `verified`, they must equal those that exist already.
fn write_batch(spool: &mut Spool, batch: &[u8], verified: bool, size: Option<u64>, last: bool) -> Result<(), Failure> {
    if !verified && spool.differs(batch)? {
        return Err(reply::changed());
    }
    spool.push(batch, size)?;
    // Bytes that come slowly are readable at once.
    if last || batch.len() < BATCH { spool.flush(size) } else { Ok(()) }
}

/// Waits before a retry.
///
/// # Errors
/// A permanent error, or the last attempt.
async fn wait_before_retry(context: &Context, error: DownloadError, attempts: &mut u32) -> Result<(), StopReason> {
    let (delay, text) = retry_delay(error, attempts)?;
    tracing::warn!(task = %context.id(), error = text, attempt = *attempts, "download failed; retrying");
    tokio::select! {
        stop = context.stopped() => Err(stop),
        () = tokio::time::sleep(delay) => Ok(()),
    }
}

/// Opens a file that another node began to import.
async fn take_over(
    context: &Context,
    outbound: &Outbound,
    address: &CheckedUrl,
    identity: &FileIdentity,
    limit: u64,
) -> Result<GrowingFile, StopReason> {
    let mut attempts = 0;
    loop {
        let opened = tokio::select! {
            biased;
            stop = context.stopped() => return Err(stop),
            opened = RangedUrl::open(outbound, address, identity, limit) => opened,
        };
        match opened {
            Ok(file) => return Ok(GrowingFile::remote(file)),
            Err(error) => wait_before_retry(context, error, &mut attempts).await?,
        }
    }
}

async fn open_spool(context: &Context, identity: &FileIdentity, limit: u64) -> Result<Spool, Failure> {
    let (scratch, identity) = (context.scratch(), identity.clone());
    context.blocking(move || Spool::open(&scratch, "source", &identity, limit)).await?
}

/// Returns the version that an earlier run began to download.
async fn stored_version(context: &Context) -> Result<Option<FileIdentity>, Failure> {
    let scratch = context.scratch();
    context.blocking(move || serde_json::from_slice(&scratch.read(VERSION_FILE).ok()??).ok()).await
}

/// Deletes what is downloaded of other versions, and begins with this one.
fn start_over(scratch: &TaskScratch, identity: &FileIdentity, limit: u64) -> Result<Spool, Failure> {
    remove_copies(scratch).map_err(|error| spool::io_failure(&error))?;
    spool::put(scratch, VERSION_FILE, identity).map_err(|error| spool::io_failure(&error))?;
    Spool::open(scratch, "source", identity, limit)
}

fn remove_copies(scratch: &TaskScratch) -> std::io::Result<()> {
    let names = scratch.names()?;
    let mut copies = names.iter().filter(|name| name.starts_with("source-") || name.starts_with("plain-"));
    copies.try_for_each(|name| scratch.remove(name))
}
